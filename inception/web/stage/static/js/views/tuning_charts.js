/** Charts of tuning curves: rose charts for orientations and hues, line charts for sizes and wavelengths. */

import { svg } from "../dom.js";
import { logPosition } from "../stimuli.js";
import { t } from "../words.js";

/**
 * @typedef {object} Curve
 * @property {number[]} values  of the stimulus, in degrees or pixels
 * @property {number[]} responses
 * @property {number | null} preferred  value with the highest response; null if there is no response
 * @property {number | null} selectivity  from 0 to 1
 */

const RADIUS = 50;
const WIDTH = 140;
const HEIGHT = 100;

/**
 * Draw responses around a circle. Petals of orientations point both ways logPosition the stripes; those of hues are drawn in that hue.
 * @param {Curve} curve
 * @param {"orientation" | "colour"} feature
 * @param {string} label
 */
export function roseChart({ values, responses }, feature, label) {
  const highest = Math.max(...responses, 1e-9);
  const isHue = feature === "colour";
  const petals = values.flatMap((value, i) => {
    const length = (RADIUS * responses[i]) / highest;
    return (isHue ? [value] : [value, value + 180]).map((angle) => petal(angle, length, 180 / values.length / (isHue ? 1 : 2), isHue ? `hsl(${value} 90% 50%)` : null));
  });
  return svg(
    "svg",
    { viewBox: `${-RADIUS - 4} ${-RADIUS - 4} ${2 * RADIUS + 8} ${2 * RADIUS + 8}`, role: "img", "aria-label": label, class: "unit-rose" },
    svg("circle", { r: RADIUS, class: "unit-rim" }),
    svg("circle", { r: RADIUS / 2, class: "unit-rim" }),
    petals,
  );
}

/**
 * Draw a wedge of a circle.
 * @param {number} angle  of its middle, clockwise in degrees; 0 is up
 * @param {number} length
 * @param {number} halfWidth  in degrees
 * @param {string | null} colour
 */
function petal(angle, length, halfWidth, colour) {
  const point = (/** @type {number} */ degrees) => {
    const radians = (Math.PI * degrees) / 180;
    return `${(length * Math.sin(radians)).toFixed(2)},${(-length * Math.cos(radians)).toFixed(2)}`;
  };
  return svg("polygon", {
    points: `0,0 ${point(angle - halfWidth)} ${point(angle)} ${point(angle + halfWidth)}`,
    ...(colour ? { style: { fill: colour } } : {}),
  });
}

/**
 * Draw responses over sizes or wavelengths on a logarithmic axis.
 * @param {Curve} curve
 * @param {string} label
 */
export function lineChart({ values, responses }, label) {
  const highest = Math.max(...responses, 1e-9);
  const points = values.map((value, i) => [
    8 + logPosition(values, value) * (WIDTH - 16),
    HEIGHT - 22 - (responses[i] / highest) * (HEIGHT - 30),
  ]);
  return svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, class: "unit-line" },
    svg("line", { class: "unit-rim", x1: 8, x2: WIDTH - 8, y1: HEIGHT - 22, y2: HEIGHT - 22 }),
    svg("polyline", { points: points.map((point) => point.join()).join(" ") }),
    points.map(([cx, cy]) => svg("circle", { cx, cy, r: 2.5 })),
    [0, values.length - 1].map((i) =>
      svg(
        "text",
        { x: points[i][0], y: HEIGHT - 6, "text-anchor": i ? "end" : "start" },
        t("unit.pixels", { size: Math.round(values[i]) }),
      ),
    ),
  );
}
