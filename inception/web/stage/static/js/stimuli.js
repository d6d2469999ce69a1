/** Stimuli on grey, and what responses to them say. Nothing here knows the page. */

import { RANGES } from "./state.js";
import { clamp } from "./numbers.js";

/** @import {Lab, LabShape, Slider} from "./state.js" */
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
  return drawn(side, x, y, lightOf(shape, size, 0));
}

/**
 * A stimulus of the laboratory as side x side RGBA pixels, on mid grey; a pen's sheet is blank.
 * @param {Lab} lab
 * @param {number} side
 * @param {number} [x]  the centre, in pixels
 * @param {number} [y]
 * @returns {Uint8ClampedArray<ArrayBuffer>}
 */
export function labPixels({ shape, size, angle, hue }, side, x = side / 2, y = side / 2) {
  const pixels = new Uint8ClampedArray(4 * side * side);
  if (shape === "colour") for (let i = 0; i < side * side; i++) pixels.set([...rgbOf(hue), WHITE], 4 * i);
  else drawn(side, x, y, lightOf(shape, (size / 100) * side, angle)).forEach((grey, i) => pixels.set([grey, grey, grey, WHITE], 4 * i));
  return pixels;
}

/**
 * @param {number} side
 * @param {number} x  the centre, in pixels
 * @param {number} y
 * @param {(x: number, y: number) => number} light  by the distance from the centre; 0 is grey, 1 white, -1 black
 */
function drawn(side, x, y, light) {
  const picture = new Uint8ClampedArray(side * side);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const value = light(column + 0.5 - x, row + 0.5 - y);
      picture[row * side + column] = value < 0 ? GREY * (1 + value) : GREY + (WHITE - GREY) * value;
    }
  }
  return picture;
}

/**
 * How light a stimulus is at a distance from its centre.
 * @param {LabShape} shape
 * @param {number} size  in pixels
 * @param {number} angle  of stripes or an edge, in degrees; 0 is upright
 * @returns {(x: number, y: number) => number}
 */
function lightOf(shape, size, angle) {
  const [cos, sin] = [Math.cos((Math.PI * angle) / 180), Math.sin((Math.PI * angle) / 180)];
  const disc = (/** @type {number} */ radius, /** @type {number} */ x, /** @type {number} */ y) => clamp(radius - Math.hypot(x, y) + 0.5, 0, 1);
  switch (shape) {
    case "disc":
      return (x, y) => disc(size / 2, x, y);
    case "ring":
      return (x, y) => disc(size / 2, x, y) - disc((size / 2) * (1 - RING), x, y);
    case "grating":
      return (x, y) => Math.cos((2 * Math.PI * (x * cos + y * sin)) / size);
    case "edge":
      return (x, y) => clamp(2 * (x * cos + y * sin), -1, 1);
    default:
      return () => 0;
  }
}

/**
 * A pure colour of half lightness.
 * @param {number} hue  in degrees
 * @returns {[number, number, number]}
 */
export function rgbOf(hue) {
  const channel = (/** @type {number} */ shift) => {
    const k = (shift + hue / 30) % 12;
    return WHITE * (0.5 - 0.5 * clamp(Math.min(k - 3, 9 - k), -1, 1));
  };
  return [channel(0), channel(8), channel(4)];
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

/**
 * The points of a curve on a chart 100 wide and 100 high, in the order of the slider; equal steps of sizes are equal ratios.
 * @param {[number, number][]} points  slider's value and response
 * @param {Slider} slider
 * @param {[number, number]} bounds  of the responses
 * @returns {[number, number][]}
 */
export function onChart(points, slider, [low, high]) {
  const { min, max } = RANGES[slider];
  const share = (/** @type {number} */ value) => (slider === "size" ? along([min, max], value) : (value - min) / (max - min));
  return [...points]
    .sort(([a], [b]) => a - b)
    .map(([value, response]) => [100 * share(value), high > low ? 100 - (100 * (response - low)) / (high - low) : 100]);
}
