/** Numbers that add up as they are shown, and how many decimals they need. */

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
