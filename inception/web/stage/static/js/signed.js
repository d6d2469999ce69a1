/** Colours of values around zero. */

const FOR = [178, 24, 43];
const AGAINST = [33, 102, 172];
const STRONGEST = 190; // of 255: the photo can still be seen under the full colour

/**
 * Red above zero, blue below, transparent at zero, as red, green, blue and alpha.
 * @param {number} share  -1 to 1
 * @returns {[number, number, number, number]}
 */
export function diverging(share) {
  const size = Math.min(Math.abs(share), 1);
  const [red, green, blue] = share < 0 ? AGAINST : FOR;
  return [red, green, blue, Math.round(STRONGEST * size)];
}
