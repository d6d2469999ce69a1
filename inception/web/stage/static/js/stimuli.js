/** Stimuli on grey, and the evaluation of responses to them; independent of the page. */

import { RANGES } from "./state.js";
import { clamp } from "./numbers.js";

/** @import {Lab, LabShape, Slider} from "./state.js" */
/** @import {Branch} from "./types.js" */

/**
 * @typedef {"disc" | "ring" | "grating"} Shape
 *
 * @typedef {object} BranchTuning
 * @property {number[]} response  to each size: the middle cell's absolute difference from plain grey, averaged over channels
 * @property {number | null} preferred  size in pixels; null if no channel responds
 *
 * @typedef {object} Tuning
 * @property {string} block
 * @property {Shape} shape
 * @property {number[]} sizes  in pixels of the network's input, ascending
 * @property {number} x  centre of the stimuli
 * @property {number} y
 * @property {Record<Branch, BranchTuning>} branches
 *
 * @typedef {"larger" | "smaller" | "same" | "mixed" | "unknown" | "split"} Verdict
 */

/** @type {Shape[]} */
export const SHAPES = ["disc", "ring", "grating"];
export const GREY = 128;
const WHITE = 255;
const RING_THICKNESS = 0.25; // as a share of the radius
const LUMA = [0.299, 0.587, 0.114]; // of red, green and blue
const CHROMA = 71; // of patches, in levels
const MIN_RATIO = 1.1; // sizes with a smaller ratio count as equal

/**
 * Draw a stimulus as side x side grey values, as the server shows it to the network: on grey, a white disc or ring of
 * the given diameter, or upright stripes of the given wavelength.
 * @param {Shape} shape
 * @param {number} size  in pixels
 * @param {number} side
 * @param {number} [x]  the centre, in pixels
 * @param {number} [y]
 * @returns {Uint8ClampedArray}
 */
export function stimulus(shape, size, side, x = side / 2, y = side / 2) {
  return render(side, x, y, luminanceOf(shape, size, 0));
}

/**
 * Draw a stimulus of the laboratory as side x side RGBA pixels, on mid grey; the pen's canvas is blank.
 * @param {Lab} lab
 * @param {number} side
 * @param {number} [x]  the centre, in pixels
 * @param {number} [y]
 * @returns {Uint8ClampedArray<ArrayBuffer>}
 */
export function labPixels({ shape, size, angle, hue }, side, x = side / 2, y = side / 2) {
  const pixels = new Uint8ClampedArray(4 * side * side);
  if (shape === "colour") for (let i = 0; i < side * side; i++) pixels.set([...rgbOf(hue), WHITE], 4 * i);
  else
    render(side, x, y, luminanceOf(shape, (size / 100) * side, angle)).forEach((grey, i) => pixels.set([grey, grey, grey, WHITE], 4 * i));
  return pixels;
}

/**
 * @param {number} side
 * @param {number} x  the centre, in pixels
 * @param {number} y
 * @param {(x: number, y: number) => number} luminance  by offset from the centre; 0 is grey, 1 white, -1 black
 */
function render(side, x, y, luminance) {
  const picture = new Uint8ClampedArray(side * side);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const value = luminance(column + 0.5 - x, row + 0.5 - y);
      picture[row * side + column] = value < 0 ? GREY * (1 + value) : GREY + (WHITE - GREY) * value;
    }
  }
  return picture;
}

/**
 * Return the luminance of a stimulus, a function of the offset from its centre.
 * @param {LabShape} shape
 * @param {number} size  in pixels
 * @param {number} angle  of stripes or an edge, in degrees; 0 is upright
 * @returns {(x: number, y: number) => number}
 */
function luminanceOf(shape, size, angle) {
  const [cos, sin] = [Math.cos((Math.PI * angle) / 180), Math.sin((Math.PI * angle) / 180)];
  const disc = (/** @type {number} */ radius, /** @type {number} */ x, /** @type {number} */ y) => clamp(radius - Math.hypot(x, y) + 0.5, 0, 1);
  switch (shape) {
    case "disc":
      return (x, y) => disc(size / 2, x, y);
    case "ring":
      return (x, y) => disc(size / 2, x, y) - disc((size / 2) * (1 - RING_THICKNESS), x, y);
    case "grating":
      return (x, y) => Math.cos((2 * Math.PI * (x * cos + y * sin)) / size);
    case "edge":
      return (x, y) => clamp(2 * (x * cos + y * sin), -1, 1);
    default:
      return () => 0;
  }
}

/**
 * Return the saturated colour of a hue at half lightness.
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
 * Divide responses by the highest one.
 * @param {readonly number[]} response
 * @returns {number[]}
 */
export function shares(response) {
  const highest = Math.max(...response, 0);
  return response.map((value) => (highest ? value / highest : 0));
}

/**
 * Return the size to which a branch responds most.
 * @param {Tuning} tuning
 * @param {Branch} branch
 */
export function peak({ sizes, branches }, branch) {
  const { response } = branches[branch];
  return sizes[response.indexOf(Math.max(...response))];
}

/**
 * Compare the size that 5x5 prefers with those that 1x1 and 3x3 prefer. "split": the averages of the channels'
 * preferred sizes and the peaks of the branches' mean responses disagree.
 * @param {Tuning} tuning
 * @returns {Verdict}
 */
export function verdict(tuning) {
  const { "1x1": one, "3x3": three, "5x5": five } = tuning.branches;
  if (one.preferred === null || three.preferred === null || five.preferred === null) return "unknown";
  const byChannels = compareAll(five.preferred, [one.preferred, three.preferred]);
  const byPeaks = compareAll(peak(tuning, "5x5"), [peak(tuning, "1x1"), peak(tuning, "3x3")]);
  return (byChannels === "larger") === (byPeaks === "larger") ? byChannels : "split";
}

/**
 * @param {number} size
 * @param {number[]} others
 * @returns {Verdict}
 */
function compareAll(size, others) {
  const signs = others.map((other) => compare(size, other));
  if (signs.every((sign) => sign > 0)) return "larger";
  if (signs.every((sign) => sign < 0)) return "smaller";
  return signs.every((sign) => sign === 0) ? "same" : "mixed";
}

/**
 * @param {number} a
 * @param {number} b
 */
function compare(a, b) {
  if (a > b * MIN_RATIO) return 1;
  return b > a * MIN_RATIO ? -1 : 0;
}

/**
 * Return the index of the size that is nearest to another one, by ratio.
 * @param {readonly number[]} sizes
 * @param {number} size
 */
export function nearest(sizes, size) {
  let best = 0;
  sizes.forEach((candidate, i) => {
    if (Math.abs(Math.log(candidate / size)) < Math.abs(Math.log(sizes[best] / size))) best = i;
  });
  return best;
}

/**
 * Return the position of a size between the first and the last one on a logarithmic scale, from 0 to 1.
 * @param {readonly number[]} sizes
 * @param {number} size
 */
export function logPosition(sizes, size) {
  const [first, last] = [sizes[0], sizes[sizes.length - 1]];
  return first === last ? 0 : Math.log(size / first) / Math.log(last / first);
}

/**
 * Return the points of a curve on a chart of 100 x 100, in order of the slider's value; the axis of sizes is logarithmic.
 * @param {[number, number][]} points  the slider's value and the response
 * @param {Slider} slider
 * @param {[number, number]} bounds  of the responses
 * @returns {[number, number][]}
 */
export function onChart(points, slider, [low, high]) {
  const { min, max } = RANGES[slider];
  const position = (/** @type {number} */ value) => (slider === "size" ? logPosition([min, max], value) : (value - min) / (max - min));
  return [...points]
    .sort(([a], [b]) => a - b)
    .map(([value, response]) => [100 * position(value), high > low ? 100 - (100 * (response - low)) / (high - low) : 100]);
}

/**
 * Return the colour of a patch of a tuning curve: `hue_vector` of units/stimuli.py, on the grey.
 * @param {number} hue  in degrees, in the plane of Cr and Cb
 */
export function patchColour(hue) {
  const angle = (hue * Math.PI) / 180;
  const [red, blue] = [2 * (1 - LUMA[0]) * CHROMA * Math.cos(angle), 2 * (1 - LUMA[2]) * CHROMA * Math.sin(angle)];
  const green = -(LUMA[0] * red + LUMA[2] * blue) / LUMA[1];
  return `rgb(${[red, green, blue].map((added) => Math.round(GREY + added)).join(" ")})`;
}
