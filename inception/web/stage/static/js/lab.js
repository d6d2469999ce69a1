/** Stimuli of the laboratory: which sliders each has, and its form in an address. How they look: stimuli.js. */

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
