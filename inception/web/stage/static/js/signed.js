/** Diverging colours of signed values. */

const POSITIVE = [178, 24, 43];
const NEGATIVE = [33, 102, 172];
const MAX_ALPHA = 190; // of 255: the photo remains visible under the full colour

/**
 * Return red, green, blue and alpha of a value: red above zero, blue below, transparent at zero.
 * @param {number} share  -1 to 1
 * @returns {[number, number, number, number]}
 */
export function diverging(share) {
  const magnitude = Math.min(Math.abs(share), 1);
  const [red, green, blue] = share < 0 ? NEGATIVE : POSITIVE;
  return [red, green, blue, Math.round(MAX_ALPHA * magnitude)];
}
