/** Tuning curves: around a circle for orientations and hues, along a line for lengths. */

import { svg } from "../dom.js";
import { logPosition } from "../stimuli.js";

/**
 * @typedef {object} Curve
 * @property {number[]} values  degrees or pixels
 * @property {number[]} responses
 * @property {number | null} preferred
 * @property {number | null} selectivity  from 0 to 1
 */

const RADIUS = 50;
const WIDTH = 140;
const HEIGHT = 100;

/**
 * Responses around a circle. Of orientations, each petal points along the stripes, both ways; of hues, it has its colour.
 * @param {Curve} curve
 * @param {"orientation" | "colour"} feature
 * @param {string} words
 */
export function rose({ values, responses }, feature, words) {
  const highest = Math.max(...responses, 1e-9);
  const isHue = feature === "colour";
  const petals = values.flatMap((value, i) => {
    const length = (RADIUS * responses[i]) / highest;
    return (isHue ? [value] : [value, value + 180]).map((angle) => petal(angle, length, 180 / values.length / (isHue ? 1 : 2), isHue ? `hsl(${value} 90% 50%)` : null));
  });
  return svg(
    "svg",
    { viewBox: `${-RADIUS - 4} ${-RADIUS - 4} ${2 * RADIUS + 8} ${2 * RADIUS + 8}`, role: "img", "aria-label": words, class: "unit-rose" },
    svg("circle", { r: RADIUS, class: "unit-rim" }),
    svg("circle", { r: RADIUS / 2, class: "unit-rim" }),
    petals,
  );
}

/**
 * A wedge of a circle. At 0 degrees it points up, and turns clockwise.
 * @param {number} angle  of its middle
 * @param {number} length
 * @param {number} half  of its width, in degrees
 * @param {string | null} colour
 */
function petal(angle, length, half, colour) {
  const point = (/** @type {number} */ degrees) => {
    const radians = (Math.PI * degrees) / 180;
    return `${(length * Math.sin(radians)).toFixed(2)},${(-length * Math.cos(radians)).toFixed(2)}`;
  };
  return svg("polygon", { points: `0,0 ${point(angle - half)} ${point(angle)} ${point(angle + half)}`, ...(colour ? { style: { fill: colour } } : {}) });
}

/**
 * Responses over rising lengths, with equal steps for equal ratios.
 * @param {Curve} curve
 * @param {string} words
 */
export function lineChart({ values, responses }, words) {
  const highest = Math.max(...responses, 1e-9);
  const places = values.map((value, i) => [8 + logPosition(values, value) * (WIDTH - 16), HEIGHT - 22 - (responses[i] / highest) * (HEIGHT - 30)]);
  return svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words, class: "unit-line" },
    svg("line", { class: "unit-rim", x1: 8, x2: WIDTH - 8, y1: HEIGHT - 22, y2: HEIGHT - 22 }),
    svg("polyline", { points: places.map((place) => place.join()).join(" ") }),
    places.map(([cx, cy]) => svg("circle", { cx, cy, r: 2.5 })),
    [0, values.length - 1].map((i) =>
      svg("text", { x: places[i][0], y: HEIGHT - 6, "text-anchor": i ? "end" : "start" }, `${Math.round(values[i])} px`),
    ),
  );
}
