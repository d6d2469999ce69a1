/** Stimuli of the laboratory: what each looks like, which sliders it has, and its form in an address. */

/**
 * @typedef {"disc" | "ring" | "grating" | "edge" | "colour" | "pen"} LabShape
 * @typedef {"size" | "angle" | "hue"} Slider
 *
 * @typedef {object} Lab
 * @property {LabShape} shape  pen: what the visitor has drawn
 * @property {number} size  diameter, wavelength or width of the pen, in percent of the input's side
 * @property {number} angle  of stripes or of an edge, in degrees; 0 is upright
 * @property {number} hue  in degrees; 0 is red
 */

/** @type {LabShape[]} */
export const LAB_SHAPES = ["disc", "ring", "grating", "edge", "colour", "pen"];
/** @type {Record<LabShape, Slider[]>} */
export const SLIDERS = { disc: ["size"], ring: ["size"], grating: ["size", "angle"], edge: ["angle"], colour: ["hue"], pen: ["size"] };
/** @type {Record<Slider, {min: number, max: number, step: number}>} */
export const RANGES = {
  size: { min: 2, max: 100, step: 1 },
  angle: { min: 0, max: 175, step: 5 },
  hue: { min: 0, max: 355, step: 5 },
};
/** The sizes, angles and hues of a sweep. @type {Record<Slider, number[]>} */
export const SWEEPS = {
  size: [3, 4, 5, 6, 8, 10, 13, 17, 22, 28, 36, 47, 60, 78, 100],
  angle: Array.from({ length: 12 }, (_, i) => 15 * i),
  hue: Array.from({ length: 24 }, (_, i) => 15 * i),
};
/** @type {Readonly<Lab>} */
export const FIRST_LAB = Object.freeze({ shape: "disc", size: 20, angle: 0, hue: 0 });

const GREY = 128;
const WHITE = 255;
const RING = 0.25; // thickness, as a share of the radius

/**
 * A stimulus as side x side RGBA pixels, on mid grey; a pen's sheet is blank.
 * @param {Lab} lab
 * @param {number} side
 * @param {number} [x]  the centre, in pixels
 * @param {number} [y]
 * @returns {Uint8ClampedArray<ArrayBuffer>}
 */
export function labPixels(lab, side, x = side / 2, y = side / 2) {
  const pixels = new Uint8ClampedArray(4 * side * side);
  const light = lightOf(lab, side);
  const colour = lab.shape === "colour" ? rgbOf(lab.hue) : null;
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const value = light(column + 0.5 - x, row + 0.5 - y);
      const grey = value < 0 ? GREY * (1 + value) : GREY + (WHITE - GREY) * value;
      pixels.set([...(colour ?? [grey, grey, grey]), 255], 4 * (row * side + column));
    }
  }
  return pixels;
}

/**
 * How light a point is, by its distance from the centre in pixels: 0 is grey, 1 white, -1 black.
 * @param {Lab} lab
 * @param {number} side
 * @returns {(x: number, y: number) => number}
 */
function lightOf({ shape, size, angle }, side) {
  const pixels = (size / 100) * side;
  const radians = (Math.PI * angle) / 180;
  const across = (/** @type {number} */ x, /** @type {number} */ y) => x * Math.cos(radians) + y * Math.sin(radians);
  const disc = (/** @type {number} */ radius, /** @type {number} */ distance) => clip(radius - distance + 0.5, 0);
  switch (shape) {
    case "disc":
      return (x, y) => disc(pixels / 2, Math.hypot(x, y));
    case "ring":
      return (x, y) => disc(pixels / 2, Math.hypot(x, y)) - disc((pixels / 2) * (1 - RING), Math.hypot(x, y));
    case "grating":
      return (x, y) => Math.cos((2 * Math.PI * across(x, y)) / pixels);
    case "edge":
      return (x, y) => clip(2 * across(x, y), -1);
    default:
      return () => 0;
  }
}

/**
 * @param {number} value
 * @param {number} lowest
 */
function clip(value, lowest) {
  return Math.min(Math.max(value, lowest), 1);
}

/**
 * A pure colour of half lightness.
 * @param {number} hue  in degrees
 * @returns {[number, number, number]}
 */
export function rgbOf(hue) {
  const channel = (/** @type {number} */ shift) => {
    const k = (shift + hue / 30) % 12;
    return 255 * (0.5 - 0.5 * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
  };
  return [channel(0), channel(8), channel(4)];
}

/**
 * "grating:15:45:0": shape, size, angle, hue.
 * @param {Lab} lab
 */
export function labText({ shape, size, angle, hue }) {
  return [shape, size, angle, hue].join(":");
}

/**
 * The same back; null if it makes no sense.
 * @param {string | null} text
 * @returns {Lab | null}
 */
export function labOf(text) {
  const [shape, ...rest] = text?.split(":") ?? [];
  const values = rest.map(Number);
  const names = /** @type {Slider[]} */ (Object.keys(RANGES));
  if (!LAB_SHAPES.includes(/** @type {LabShape} */ (shape)) || values.length !== names.length) return null;
  const isFine = names.every((name, i) => Number.isInteger(values[i]) && values[i] >= RANGES[name].min && values[i] <= RANGES[name].max);
  return isFine ? { shape: /** @type {LabShape} */ (shape), size: values[0], angle: values[1], hue: values[2] } : null;
}

/**
 * A sheet of paper 100 wide and 100 high on which points are a line, with its lowest and highest value.
 * @param {[number, number][]} points  slider's value and response
 * @param {Slider} slider
 * @param {[number, number]} bounds  of the responses
 * @returns {[number, number][]}
 */
export function onChart(points, slider, [low, high]) {
  const { min, max } = RANGES[slider];
  const along = slider === "size" ? (/** @type {number} */ v) => Math.log(v / min) / Math.log(max / min) : (/** @type {number} */ v) => (v - min) / (max - min);
  return [...points]
    .sort(([a], [b]) => a - b)
    .map(([value, response]) => [100 * along(value), high > low ? 100 - (100 * (response - low)) / (high - low) : 100]);
}
