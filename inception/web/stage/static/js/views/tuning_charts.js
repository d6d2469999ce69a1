/** Charts of tuning curves: rose charts for orientations and hues, line charts for sizes and wavelengths. */

import { svg } from "../dom.js";
import { logPosition, patchColour } from "../stimuli.js";
import { t } from "../words.js";
import { keepTextSize } from "./deeper_parts.js";

/**
 * @typedef {object} Curve
 * @property {number[]} values  of the stimulus, in degrees or pixels
 * @property {number[]} responses
 * @property {number | null} preferred  value with the highest response; null if there is no response
 * @property {number | null} selectivity  from 0 to 1
 */

const RADIUS = 50;
const ROSE = { width: 184, height: 140 };
const LINE = { width: 160, height: 122, margin: 8, axis: 28 };

/**
 * Draw responses around a circle. Petals of orientations point both ways along the stripes; those of hues are drawn in that hue.
 * @param {Curve} curve
 * @param {"orientation" | "colour"} feature
 * @param {string} label
 */
export function roseChart({ values, responses }, feature, label) {
  const { width, height } = ROSE;
  const highest = Math.max(...responses, 1e-9);
  const isHue = feature === "colour";
  const petals = values.flatMap((value, i) => {
    const length = (RADIUS * responses[i]) / highest;
    const halfWidth = 180 / values.length / (isHue ? 1 : 2);
    return (isHue ? [value] : [value, value + 180]).map((angle) => petal(angle, length, halfWidth, isHue ? patchColour(value) : null));
  });
  const chart = svg(
    "svg",
    { viewBox: `${-width / 2} ${-height / 2} ${width} ${height}`, role: "img", "aria-label": label, class: "unit-rose" },
    svg("circle", { r: RADIUS, class: "unit-rim" }),
    svg("circle", { r: RADIUS / 2, class: "unit-rim" }),
    petals,
    (isHue ? [0, 90, 180, 270] : [0, 90]).map(degreeMark),
    isHue ? [] : [stripes(22, -RADIUS - 11, 0), stripes(RADIUS + 18, 22, 90)],
  );
  keepTextSize(chart, width);
  return chart;
}

/** Label an angle outside the rim. @param {number} degrees  clockwise; 0 is up */
function degreeMark(degrees) {
  const [x, y] = [Math.sin((Math.PI * degrees) / 180), -Math.cos((Math.PI * degrees) / 180)].map(Math.round);
  return svg(
    "text",
    {
      x: (RADIUS + 4) * x,
      y: (RADIUS + 11) * y,
      "text-anchor": x > 0 ? "start" : x < 0 ? "end" : "middle",
      "dominant-baseline": "central",
    },
    `${degrees}°`,
  );
}

/**
 * Draw three stripes: what a petal in this direction stands for.
 * @param {number} x
 * @param {number} y
 * @param {number} degrees
 */
function stripes(x, y, degrees) {
  return svg("path", { class: "unit-stripes", d: "M-5 -6v12M0 -6v12M5 -6v12", transform: `translate(${x} ${y}) rotate(${degrees})` });
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
  const { width, height, margin, axis } = LINE;
  const highest = Math.max(...responses, 1e-9);
  const points = values.map((value, i) => [
    margin + logPosition(values, value) * (width - 2 * margin),
    height - axis - (responses[i] / highest) * (height - axis - margin),
  ]);
  const chart = svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "unit-line" },
    svg("line", { class: "unit-rim", x1: margin, x2: width - margin, y1: height - axis, y2: height - axis }),
    svg("polyline", { points: points.map((point) => point.join()).join(" ") }),
    points.map(([cx, cy]) => svg("circle", { cx, cy, r: 2.5 })),
    [0, values.length - 1].map((i) =>
      svg("text", { x: points[i][0], y: height - 8, "text-anchor": i ? "end" : "start" }, t("unit.pixels", { size: Math.round(values[i]) })),
    ),
  );
  keepTextSize(chart, width);
  return chart;
}
