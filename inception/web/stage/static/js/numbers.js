/** Arithmetic and formatting of numbers: pure functions. */

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
  // Supported by browsers since 2025, and several times as fast.
  const decode = /** @type {{fromBase64?: (data: string) => Uint8Array<ArrayBuffer>}} */ (/** @type {unknown} */ (Uint8Array)).fromBase64;
  if (decode) return decode(data);
  return Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
}

/**
 * Decode an array that the server has packed.
 * @param {{dtype: string, shape: number[], data: string}} packed
 * @returns {{values: Uint8Array | Float32Array, shape: number[]}}
 */
export function unpack(packed) {
  const bytes = fromBase64(packed.data);
  // The server writes little-endian numbers; every platform that browsers run on is little-endian too.
  return { values: packed.dtype === "f4" ? new Float32Array(bytes.buffer) : bytes, shape: packed.shape };
}

/**
 * Decode a packed array of floats.
 * @param {{dtype: string, shape: number[], data: string}} packed
 * @returns {Float32Array}
 */
export function floats(packed) {
  return /** @type {Float32Array} */ (unpack(packed).values);
}

/**
 * Return the probabilities of logits, calibrated by a temperature.
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
 * Return the indices of the `count` largest values, the largest first; equal values by index.
 * @param {ArrayLike<number>} values
 * @param {number} [count]
 * @returns {number[]}
 */
export function order(values, count = values.length) {
  const indices = Array.from({ length: values.length }, (_, i) => i);
  return indices.sort((a, b) => values[b] - values[a] || a - b).slice(0, count);
}

/**
 * Return the classes to list in an answer, the most probable first: always with the top class and the required ones.
 * @param {ArrayLike<number>} probabilities
 * @param {number} count
 * @param {number[]} required
 * @returns {number[]}
 */
export function shownClasses(probabilities, count, required) {
  const sorted = order(probabilities);
  const shown = new Set([sorted[0], ...required]);
  for (let i = 1; shown.size < Math.min(count, sorted.length); i++) shown.add(sorted[i]);
  return sorted.filter((index) => shown.has(index));
}

/**
 * Compute the exact Shapley values of a block's four branches for the logit of a class. With `baseline` (all four off)
 * they add up to the logit.
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
      const others = bitCount(subset);
      const weight = (factorial[others] * factorial[n - others - 1]) / factorial[n];
      out[branch] += weight * (logit(subset | (1 << i)) - logit(subset));
    }
  });
  return out;
}

/** @param {number} value */
function bitCount(value) {
  let count = 0;
  for (let remaining = value; remaining; remaining &= remaining - 1) count++;
  return count;
}

/**
 * Return the quantile `q` (0 to 1) of values, with linear interpolation.
 * @param {ArrayLike<number>} values
 * @param {number} q
 */
export function percentile(values, q) {
  if (!values.length) return 0;
  const sorted = Float64Array.from(values).sort();
  const position = (sorted.length - 1) * q;
  const low = Math.floor(position);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (position - low);
}

/**
 * Format a probability in the page's language: "99.5 %", "82 %", "<1 %", but never "100 %".
 * @param {number} p
 */
export function percent(p) {
  return t("number.percent", { value: percentNumber(p) });
}

/** @param {number} p */
function percentNumber(p) {
  if (p < 0.01) return "<1";
  if (p > 0.999) return ">99.9";
  return p > 0.99 ? (Math.floor(p * 1000) / 10).toFixed(1) : Math.round(p * 100);
}

/**
 * Format a number with its sign, the true minus sign: "+1.59" or "−0.40".
 * @param {number} value
 * @param {number} [digits]
 */
export function signed(value, digits = 2) {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : "+") + text;
}

/**
 * Format a number with about three digits: "0.12", "1.50", "34.0", "12,000".
 * @param {number} value
 */
export function short(value) {
  const absolute = Math.abs(value);
  const text = absolute >= 100 ? Math.round(absolute).toLocaleString("en") : absolute >= 10 ? absolute.toFixed(1) : absolute.toFixed(2);
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
 * Parse a whole number from `low` to `high`; null if the text is not one.
 * @param {string} text
 * @param {number} low
 * @param {number} high
 * @returns {number | null}
 */
export function parseInteger(text, low, high) {
  const value = text.trim() === "" ? NaN : Number(text);
  return Number.isInteger(value) && value >= low && value <= high ? value : null;
}

/**
 * Format a difference of two probabilities in percentage points: "+61", "−0.3".
 * @param {number} difference
 */
export function points(difference) {
  const absolute = Math.abs(100 * difference);
  return signed(100 * difference, absolute >= 9.95 ? 0 : 1);
}

const MIN_CHANGE = 0.0005; // of a probability: a smaller change cannot be read off the page

/**
 * Return the classes whose probability rose most and fell most, the largest change first.
 * @param {ArrayLike<number>} before
 * @param {ArrayLike<number>} after
 * @param {number} count  of each at most
 * @returns {{rose: number[], fell: number[]}}
 */
export function movers(before, after, count) {
  const change = Float64Array.from(after, (p, i) => p - before[i]);
  const top = (/** @type {number} */ sign) =>
    order(change.map((value) => sign * value), count).filter((i) => sign * change[i] >= MIN_CHANGE);
  return { rose: top(1), fell: top(-1) };
}

/**
 * Return the branch that adds most to the logit, and those that lower it, the strongest first. Votes that are shown as
 * 0.00 count as neither.
 * @param {Record<Branch, number>} votes
 * @returns {{best: Branch | null, against: Branch[]}}
 */
export function forAndAgainst(votes) {
  const sorted = [...BRANCHES].sort((a, b) => votes[a] - votes[b]);
  const best = sorted[sorted.length - 1];
  return { best: votes[best] >= 0.005 ? best : null, against: sorted.filter((branch) => votes[branch] <= -0.005) };
}

// ---------------------------------------------------------------- rounded numbers that add up

const MAX_DECIMALS = 9;

/**
 * Return the number of decimals that shows the largest value with the given number of significant figures.
 * @param {ArrayLike<number>} values
 * @param {number} [figures]
 */
export function decimalsFor(values, figures = 3) {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]));
  if (largest === 0 || !Number.isFinite(largest)) return figures - 1;
  return Math.min(Math.max(figures - 1 - Math.floor(Math.log10(largest)), 0), MAX_DECIMALS);
}

/**
 * Format a number with the true minus sign, and none before a zero.
 * @param {number} value
 * @param {number} decimals
 */
export function fixed(value, decimals) {
  const text = Math.abs(value).toFixed(decimals);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/**
 * Format a number as a further term of a sum: "+ 1.2", or "− 1.2" where it is negative.
 * @param {number} value
 * @param {number} decimals
 */
export function term(value, decimals) {
  const text = fixed(value, decimals);
  return text.startsWith("−") ? `− ${text.slice(1)}` : `+ ${text}`;
}

/**
 * Round parts so that they add up to the rounded total. Each part is rounded to nearest; remaining units of the last
 * decimal go to the parts where they add the smallest error, so that no part is off by more than one unit. If parts and
 * total differ by more than rounding explains, the parts are only rounded.
 * @param {ArrayLike<number>} parts
 * @param {number} total
 * @param {number} decimals
 * @returns {number[]}
 */
export function roundToTotal(parts, total, decimals) {
  const unit = 10 ** decimals;
  const exact = Array.from(parts, (part) => part * unit);
  const units = exact.map((part) => Math.round(part));
  const remainder = Math.round(total * unit) - units.reduce((sum, part) => sum + part, 0);
  if (Math.abs(remainder) <= units.length) {
    const step = Math.sign(remainder);
    exact
      .map((_, i) => i)
      .sort((a, b) => step * (units[a] - exact[a]) - step * (units[b] - exact[b]) || a - b)
      .slice(0, Math.abs(remainder))
      .forEach((i) => (units[i] += step));
  }
  return units.map((part) => part / unit);
}

/**
 * Round a block's votes and baseline to hundredths, so that they add up to the rounded logit.
 * @param {{baseline: number, logit: number} & Record<Branch, number>} votes
 * @returns {{baseline: number, sum: number, logit: number} & Record<Branch, number>}  sum: of the four branches
 */
export function shownVotes(votes) {
  const decimals = 2;
  const [baseline, ...parts] = roundToTotal([votes.baseline, ...BRANCHES.map((branch) => votes[branch])], votes.logit, decimals);
  const sum = Number(parts.reduce((subtotal, part) => subtotal + part, 0).toFixed(decimals));
  const branches = /** @type {Record<Branch, number>} */ (Object.fromEntries(BRANCHES.map((branch, i) => [branch, parts[i]])));
  return { baseline, ...branches, sum, logit: votes.logit };
}

/**
 * Return the observed number if the computed one agrees with it to half a unit of the last decimal, else the computed
 * one. The two have different precision, and a tie between two roundings should not look like a difference.
 * @param {number} computed
 * @param {number} observed
 * @param {number} decimals
 */
export function snapToObserved(computed, observed, decimals) {
  return Math.abs(computed - observed) < 0.5 * 10 ** -decimals ? observed : computed;
}

/**
 * Format a whole number with thousands separators: "138,357,544".
 * @param {number} value
 */
export function grouped(value) {
  return Math.round(value).toLocaleString("en");
}

/**
 * Format a number in millions with one decimal: "15,470.3".
 * @param {number} value
 */
export function millions(value) {
  return (value / 1e6).toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
}

/**
 * Format a factor: "8.4", or "12" above ten.
 * @param {number} value
 */
export function times(value) {
  return value >= 10 ? value.toFixed(0) : value.toFixed(1);
}
