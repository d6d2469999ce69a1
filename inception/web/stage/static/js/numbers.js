/** Arithmetic, and formats of numbers, also of those that must add up as they are shown: pure functions. */

import { t } from "./words.js";

/** @import {Branch, Block, Subsets} from "./types.js" */

/** @type {Branch[]} */
export const BRANCHES = ["1x1", "3x3", "5x5", "pool"];
/** @type {Block[]} */
export const BLOCKS = ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"];

/**
 * @param {string} data
 * @returns {Uint8Array<ArrayBuffer>}
 */
function fromBase64(data) {
  // In browsers since 2025, and several times as fast.
  const read = /** @type {{fromBase64?: (data: string) => Uint8Array<ArrayBuffer>}} */ (/** @type {unknown} */ (Uint8Array)).fromBase64;
  if (read) return read(data);
  return Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
}

/**
 * A packed array of the server as a typed array.
 * @param {{dtype: string, shape: number[], data: string}} packed
 * @returns {{values: Uint8Array | Float32Array, shape: number[]}}
 */
export function unpack(packed) {
  const bytes = fromBase64(packed.data);
  // All processors that browsers run on are little-endian, as the server writes.
  return { values: packed.dtype === "f4" ? new Float32Array(bytes.buffer) : bytes, shape: packed.shape };
}

/**
 * @param {{dtype: string, shape: number[], data: string}} packed
 * @returns {Float32Array}
 */
export function floats(packed) {
  return /** @type {Float32Array} */ (unpack(packed).values);
}

/**
 * Probabilities of logits, calibrated by a temperature.
 * @param {ArrayLike<number>} logits
 * @param {number} [temperature]
 * @returns {Float64Array}
 */
export function softmax(logits, temperature = 1) {
  const out = new Float64Array(logits.length);
  let highest = -Infinity;
  for (let i = 0; i < logits.length; i++) highest = Math.max(highest, logits[i]);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += out[i] = Math.exp((logits[i] - highest) / temperature);
  for (let i = 0; i < out.length; i++) out[i] /= sum;
  return out;
}

/**
 * Positions of the `count` largest values, the largest first; equal values in their order.
 * @param {ArrayLike<number>} values
 * @param {number} [count]
 * @returns {number[]}
 */
export function order(values, count = values.length) {
  const positions = Array.from({ length: values.length }, (_, i) => i);
  return positions.sort((a, b) => values[b] - values[a] || a - b).slice(0, count);
}

/**
 * The classes that an answer shows, the most probable first: the first one and the wanted ones in any case.
 * @param {ArrayLike<number>} probabilities
 * @param {number} count
 * @param {number[]} wanted
 * @returns {number[]}
 */
export function shownClasses(probabilities, count, wanted) {
  const all = order(probabilities);
  const shown = new Set([all[0], ...wanted]);
  for (let i = 1; shown.size < Math.min(count, all.length); i++) shown.add(all[i]);
  return all.filter((index) => shown.has(index));
}

/**
 * Exact Shapley values of a block's four branches for the logit of a class; with `baseline` (all four off) they add up
 * to the logit.
 * @param {Subsets} subsets
 * @param {number} cls
 * @returns {{baseline: number, logit: number} & Record<Branch, number>}
 */
export function shapley(subsets, cls) {
  const n = BRANCHES.length;
  /** @param {number} subset */
  const logit = (subset) => subsets.logits[subset * subsets.classes + cls];
  const factorial = [1, 1, 2, 6, 24];
  const all = (1 << n) - 1;
  const out = { baseline: logit(0), logit: logit(all), "1x1": 0, "3x3": 0, "5x5": 0, pool: 0 };
  BRANCHES.forEach((branch, i) => {
    for (let subset = 0; subset <= all; subset++) {
      if (subset & (1 << i)) continue;
      const others = bits(subset);
      const weight = (factorial[others] * factorial[n - others - 1]) / factorial[n];
      out[branch] += weight * (logit(subset | (1 << i)) - logit(subset));
    }
  });
  return out;
}

/** @param {number} value */
function bits(value) {
  let count = 0;
  for (let rest = value; rest; rest &= rest - 1) count++;
  return count;
}

/**
 * The value below which a share `q` (0 to 1) of the values lies, between two of them if need be.
 * @param {ArrayLike<number>} values
 * @param {number} q
 */
export function percentile(values, q) {
  if (!values.length) return 0;
  const sorted = Float64Array.from(values).sort();
  const at = (sorted.length - 1) * q;
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

/**
 * "99.5 %", "82 %", "<1 %", as the language sets it; never "100 %" of what is less.
 * @param {number} p
 */
export function percent(p) {
  return t("number.percent", { value: hundredths(p) });
}

/** @param {number} p */
function hundredths(p) {
  if (p < 0.01) return "<1";
  if (p > 0.999) return ">99.9";
  return p > 0.99 ? (Math.floor(p * 1000) / 10).toFixed(1) : Math.round(p * 100);
}

/**
 * "+1.59" or "−0.40", with a real minus sign.
 * @param {number} value
 * @param {number} [digits]
 */
export function signed(value, digits = 2) {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : "+") + text;
}

/**
 * A number for people, with about three digits: "0.12", "1.50", "34.0", "12,000".
 * @param {number} value
 */
export function short(value) {
  const size = Math.abs(value);
  const text = size >= 100 ? Math.round(size).toLocaleString("en") : size >= 10 ? size.toFixed(1) : size.toFixed(2);
  return (value < 0 && Number(text) !== 0 ? "−" : "") + text;
}

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

/**
 * The number that somebody typed, or null if it is not a whole number from `low` to `high`.
 * @param {string} text
 * @param {number} low
 * @param {number} high
 * @returns {number | null}
 */
export function wholeWithin(text, low, high) {
  const value = text.trim() === "" ? NaN : Number(text);
  return Number.isInteger(value) && value >= low && value <= high ? value : null;
}

/**
 * A difference of two probabilities in points of a hundred: "+61", "−0.3".
 * @param {number} difference
 */
export function points(difference) {
  const size = Math.abs(100 * difference);
  return signed(100 * difference, size >= 9.95 ? 0 : 1);
}

const LEAST = 0.0005; // of a probability: less is no change that can be read

/**
 * The classes whose probability rose most and fell most, the largest change first.
 * @param {ArrayLike<number>} before
 * @param {ArrayLike<number>} after
 * @param {number} count  of each at most
 * @returns {{rose: number[], fell: number[]}}
 */
export function movers(before, after, count) {
  const change = Float64Array.from(after, (p, i) => p - before[i]);
  const most = (/** @type {number} */ sign) => order(change.map((value) => sign * value), count).filter((i) => sign * change[i] >= LEAST);
  return { rose: most(1), fell: most(-1) };
}

/**
 * The branch that adds most to the logit, and those that take from it, the strongest first; what is shown as 0.00 is
 * neither.
 * @param {Record<Branch, number>} votes
 * @returns {{best: Branch | null, against: Branch[]}}
 */
export function forAndAgainst(votes) {
  const sorted = [...BRANCHES].sort((a, b) => votes[a] - votes[b]);
  const best = sorted[sorted.length - 1];
  return { best: votes[best] >= 0.005 ? best : null, against: sorted.filter((branch) => votes[branch] <= -0.005) };
}

// ---------------------------------------------------------------- numbers that add up as they are shown

const MOST_DECIMALS = 9;

/**
 * How many decimals give the largest of the values so many significant figures.
 * @param {ArrayLike<number>} values
 * @param {number} [figures]
 */
export function decimalsFor(values, figures = 3) {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]));
  if (largest === 0 || !Number.isFinite(largest)) return figures - 1;
  return Math.min(Math.max(figures - 1 - Math.floor(Math.log10(largest)), 0), MOST_DECIMALS);
}

/**
 * A number with a real minus sign, and none before a zero.
 * @param {number} value
 * @param {number} decimals
 */
export function fixed(value, decimals) {
  const text = Math.abs(value).toFixed(decimals);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/**
 * A number as a further term of a sum: "+ 1.2", or "− 1.2" where it is negative.
 * @param {number} value
 * @param {number} decimals
 */
export function term(value, decimals) {
  const text = fixed(value, decimals);
  return text.startsWith("−") ? `− ${text.slice(1)}` : `+ ${text}`;
}

/**
 * The parts, rounded so that they add up to the rounded total as shown. Each is rounded to the nearest; where that
 * leaves some units of the last decimal over, those go to the parts that they falsify least. So no part is off by more
 * than one unit. Parts that do not come to the total (by more than rounding explains) are only rounded.
 * @param {ArrayLike<number>} parts
 * @param {number} total
 * @param {number} decimals
 * @returns {number[]}
 */
export function addingUp(parts, total, decimals) {
  const unit = 10 ** decimals;
  const exact = Array.from(parts, (part) => part * unit);
  const units = exact.map((part) => Math.round(part));
  const missing = Math.round(total * unit) - units.reduce((sum, part) => sum + part, 0);
  if (Math.abs(missing) <= units.length) {
    const step = Math.sign(missing);
    exact
      .map((_, place) => place)
      .sort((a, b) => step * (units[a] - exact[a]) - step * (units[b] - exact[b]) || a - b)
      .slice(0, Math.abs(missing))
      .forEach((place) => (units[place] += step));
  }
  return units.map((part) => part / unit);
}

/**
 * What a block's branches and its baseline add to a logit, rounded to hundredths so that they add up to it as shown.
 * @param {{baseline: number, logit: number} & Record<Branch, number>} votes
 * @returns {{baseline: number, sum: number, logit: number} & Record<Branch, number>}  sum: of the four branches
 */
export function shownVotes(votes) {
  const decimals = 2;
  const [baseline, ...parts] = addingUp([votes.baseline, ...BRANCHES.map((branch) => votes[branch])], votes.logit, decimals);
  const sum = Number(parts.reduce((all, part) => all + part, 0).toFixed(decimals));
  const branches = /** @type {Record<Branch, number>} */ (Object.fromEntries(BRANCHES.map((branch, i) => [branch, parts[i]])));
  return { baseline, ...branches, sum, logit: votes.logit };
}

/**
 * The observed number where the computed one agrees with it to half a unit of the last decimal, else the computed one.
 * The two come in different precision, and a tie between two roundings should not look like a difference.
 * @param {number} computed
 * @param {number} observed
 * @param {number} decimals
 */
export function settled(computed, observed, decimals) {
  return Math.abs(computed - observed) < 0.5 * 10 ** -decimals ? observed : computed;
}

/**
 * A whole number with its thousands apart: "138,357,544".
 * @param {number} value
 */
export function grouped(value) {
  return Math.round(value).toLocaleString("en");
}

/**
 * Millions with one decimal: "15,470.3".
 * @param {number} value
 */
export function millions(value) {
  return (value / 1e6).toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
}

/**
 * How many times: "8.4", or "12" above ten.
 * @param {number} value
 */
export function times(value) {
  return value >= 10 ? value.toFixed(0) : value.toFixed(1);
}
