/** Discs, rings and gratings on grey, and what a branch's responses to them say. Nothing here knows the page. */

/** @import {Branch} from "./types.js" */

/**
 * @typedef {"disc" | "ring" | "grating"} Shape
 *
 * @typedef {object} BranchTuning
 * @property {number[]} response  to each size: mean over the channels of how far the middle cell is from its grey value
 * @property {number | null} preferred  in pixels; null if no channel responds
 *
 * @typedef {object} Tuning
 * @property {string} block
 * @property {Shape} shape
 * @property {number[]} sizes  in pixels of the network's input, rising
 * @property {number} x  centre of the pictures
 * @property {number} y
 * @property {Record<Branch, BranchTuning>} branches
 *
 * @typedef {"larger" | "smaller" | "same" | "mixed" | "unknown" | "split"} Verdict
 */

/** @type {Shape[]} */
export const SHAPES = ["disc", "ring", "grating"];
export const GREY = 128;
const WHITE = 255;
const RING = 0.25; // thickness, as a share of the radius
const CLEARLY = 1.1; // times: sizes that are nearer count as equal

/**
 * A picture of side x side grey values as the server shows it to the network: a white disc or ring of a diameter, or
 * upright stripes of a wavelength, on grey.
 * @param {Shape} shape
 * @param {number} size  in pixels
 * @param {number} side
 * @param {number} [x]  the centre, in pixels
 * @param {number} [y]
 * @returns {Uint8ClampedArray}
 */
export function stimulus(shape, size, side, x = side / 2, y = side / 2) {
  const picture = new Uint8ClampedArray(side * side);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const light = lightAt(shape, size, column + 0.5 - x, row + 0.5 - y);
      picture[row * side + column] = light < 0 ? GREY * (1 + light) : GREY + (WHITE - GREY) * light;
    }
  }
  return picture;
}

/**
 * How light a point is: 0 is grey, 1 white, -1 black.
 * @param {Shape} shape
 * @param {number} size
 * @param {number} x  from the centre
 * @param {number} y
 */
function lightAt(shape, size, x, y) {
  if (shape === "grating") return Math.cos((2 * Math.PI * x) / size);
  const [radius, distance] = [size / 2, Math.hypot(x, y)];
  const disc = inside(radius - distance);
  return shape === "disc" ? disc : disc - inside(radius * (1 - RING) - distance);
}

/**
 * 1 inside, 0 outside, and in between on the one pixel at the edge.
 * @param {number} distance
 */
function inside(distance) {
  return Math.min(Math.max(distance + 0.5, 0), 1);
}

/**
 * The responses as shares of the highest of them.
 * @param {readonly number[]} response
 * @returns {number[]}
 */
export function shares(response) {
  const highest = Math.max(...response, 0);
  return response.map((value) => (highest ? value / highest : 0));
}

/**
 * The size to which a branch responds most.
 * @param {Tuning} tuning
 * @param {Branch} branch
 */
export function peak({ sizes, branches }, branch) {
  const { response } = branches[branch];
  return sizes[response.indexOf(Math.max(...response))];
}

/**
 * Whether 5x5 prefers larger things than 1x1 and 3x3 do, as measured. "split": the average of the channels' own
 * preferences says another thing than the peaks of the branches' mean responses.
 * @param {Tuning} tuning
 * @returns {Verdict}
 */
export function verdict(tuning) {
  const { "1x1": one, "3x3": three, "5x5": five } = tuning.branches;
  if (one.preferred === null || three.preferred === null || five.preferred === null) return "unknown";
  const byChannels = compared(five.preferred, [one.preferred, three.preferred]);
  const byPeaks = compared(peak(tuning, "5x5"), [peak(tuning, "1x1"), peak(tuning, "3x3")]);
  return (byChannels === "larger") === (byPeaks === "larger") ? byChannels : "split";
}

/**
 * @param {number} wide
 * @param {number[]} narrow
 * @returns {Verdict}
 */
function compared(wide, narrow) {
  const signs = narrow.map((size) => compare(wide, size));
  if (signs.every((sign) => sign > 0)) return "larger";
  if (signs.every((sign) => sign < 0)) return "smaller";
  return signs.every((sign) => sign === 0) ? "same" : "mixed";
}

/**
 * @param {number} one
 * @param {number} other
 */
function compare(one, other) {
  if (one > other * CLEARLY) return 1;
  return other > one * CLEARLY ? -1 : 0;
}

/**
 * The place among rising sizes that is nearest to a size, by their ratio.
 * @param {readonly number[]} sizes
 * @param {number} size
 */
export function nearest(sizes, size) {
  let best = 0;
  sizes.forEach((one, place) => {
    if (Math.abs(Math.log(one / size)) < Math.abs(Math.log(sizes[best] / size))) best = place;
  });
  return best;
}

/**
 * Where a size lies between the first and the last, from 0 to 1, with equal steps for equal ratios.
 * @param {readonly number[]} sizes
 * @param {number} size
 */
export function along(sizes, size) {
  const [first, last] = [sizes[0], sizes[sizes.length - 1]];
  return first === last ? 0 : Math.log(size / first) / Math.log(last / first);
}
