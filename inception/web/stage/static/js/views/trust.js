/** Attribution maps of other methods, and tests of whether a map can be trusted. */

import { h, replace, set, svg } from "../dom.js";
import { language, t } from "../words.js";
import { choices, failure, latestOnly, paintSigned, signedLegend, skeleton } from "./deeper_parts.js";
import { decimalsFor } from "../numbers.js";

/** @import {Block, Subject} from "../types.js" */
/** @import {Source} from "../source.js" */

/**
 * @typedef {"grad_cam" | "evidence" | "occlusion" | "integrated_gradients"} Method
 *
 * @typedef {object} Curves
 * @property {number[]} insertion
 * @property {number[]} deletion
 * @property {number} insertion_auc
 * @property {number} deletion_auc
 *
 * @typedef {{stage: string, correlation: number | null, chance: number | null}} Level
 *
 * @typedef {Curves & {random: Curves[], insertion_beats_random: boolean, deletion_beats_random: boolean,
 *   randomised: Level[]}} Trust
 */

/** @type {Method[]} */
const METHODS = ["evidence", "grad_cam", "occlusion", "integrated_gradients"];
const SIZE = 336; // side of the map, in pixels
const CHART = { width: 260, height: 130, pad: 6 };

/** @param {Source} source */
export function createTrust(source) {
  const root = h("section", { class: "trust" });
  const map = h("div");
  const tests = h("div");
  const latestMap = latestOnly();
  const latestTests = latestOnly();
  /** @type {Method} */
  let method = "grad_cam";
  /** @type {{subject: Subject, block: Block, cls: number, name: string, photo: HTMLCanvasElement} | null} */
  let shown = null;
  /** Key of the map on the page, and of the language in which it was drawn. */
  let drawnKey = "";
  /** The latest tests, and the key of the map that they belong to. @type {{key: string, trust: Trust} | null} */
  let lastTests = null;
  /** Key of the map whose tests are in flight. */
  let pendingKey = "";

  /** @param {NonNullable<typeof shown>} next */
  function draw(next) {
    const key = JSON.stringify([keyOf(next), language()]);
    if (key === drawnKey) return;
    drawnKey = key;
    shown = next;
    replace(
      root,
      h("h3", {}, t("trust.title")),
      h("p", { class: "deeper-lead" }, t("trust.lead")),
      h(
        "div",
        { class: "deeper-controls" },
        choices(
          t("trust.method"),
          METHODS,
          method,
          (option) => t(`trust.${option}`),
          (option) => {
            method = option;
            if (shown) draw(shown);
            /** @type {HTMLElement | null} */ (root.querySelector(`[data-method=${option}]`))?.focus();
          },
          (option) => ({ dataset: { method: option } }),
        ),
        h("button", { class: "button", onclick: () => void runTests() }, t("trust.test")),
      ),
      h("div", { class: "trust-grid" }, map, tests),
    );
    if (lastTests?.key === keyOf(next)) showTests(lastTests.trust);
    else if (pendingKey === keyOf(next)) replace(tests, skeleton());
    else replace(tests, h("p", { class: "quiet" }, t("trust.what")));
    void showMap();
  }

  /** Return the key of a map. @param {NonNullable<typeof shown>} input */
  const keyOf = ({ subject, block, cls }) => JSON.stringify([subject, block, cls, method]);

  async function showMap() {
    if (!shown) return;
    const { subject, block, cls, name, photo } = shown;
    replace(map, skeleton("pictures"));
    try {
      const attribution = await latestMap(source.attribution(subject, method, block, cls));
      if (!attribution) return;
      const canvas = h("canvas", { width: SIZE, height: SIZE, role: "img", "aria-label": t("trust.map_alt", { method: t(`trust.${method}`), name }) });
      const bound = attribution.map.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      paintSigned(canvas, photo, attribution.map, attribution.side, bound);
      replace(
        map,
        h("figure", { class: "deeper-picture" }, h("figcaption", {}, t(`trust.${method}_is`, { block })), h("div", { class: "deeper-square" }, canvas), signedLegend(bound, decimalsFor([bound]))),
      );
    } catch (error) {
      drawnKey = ""; // so that the next `draw` requests it again
      replace(map, failure(error));
    }
  }

  async function runTests() {
    if (!shown) return;
    const key = keyOf(shown);
    // The map may change while the tests run.
    const isShown = () => shown !== null && keyOf(shown) === key;
    const { subject, block, cls } = shown;
    pendingKey = key;
    replace(tests, skeleton());
    try {
      const trust = await latestTests(/** @type {Promise<Trust>} */ (source.trust(subject, method, block, cls)));
      if (!trust) return;
      lastTests = { key, trust };
      if (isShown()) showTests(trust);
    } catch (error) {
      if (isShown()) replace(tests, failure(error));
    } finally {
      if (pendingKey === key) pendingKey = "";
    }
  }

  /** @param {Trust} trust */
  function showTests(trust) {
    const kinds = /** @type {const} */ (["insertion", "deletion"]);
    replace(
      tests,
      h(
        "div",
        { class: "trust-charts" },
        kinds.map((kind) => {
          const description = t(trust[`${kind}_beats_random`] ? `trust.${kind}_good` : `trust.${kind}_bad`, {
            area: trust[`${kind}_auc`].toFixed(2),
            random: trust.random.map((curves) => curves[`${kind}_auc`].toFixed(2)).join(", "),
          });
          return h(
            "figure",
            {},
            h("figcaption", {}, h("h4", {}, t(`trust.${kind}`))),
            chart(
              trust[kind],
              trust.random.map((curves) => curves[kind]),
              description,
            ),
            h("p", {}, description),
          );
        }),
      ),
      h("h4", {}, t("trust.randomised")),
      h("p", { class: "quiet" }, t("trust.randomised_how")),
      h(
        "ol",
        { class: "trust-levels" },
        trust.randomised.map(({ stage, correlation, chance }) =>
          h(
            "li",
            {},
            h("span", {}, t("trust.down_to", { stage: stage.replace("inception_", "") })),
            h("span", { class: "trust-bar", "aria-hidden": "true" }, h("i", { style: { width: `${100 * (correlation ?? 0)}%` } })),
            h("span", { class: "number" }, correlation === null || chance === null ? t("trust.constant") : t("trust.correlation", { value: correlation.toFixed(2), chance: chance.toFixed(2) })),
          ),
        ),
      ),
    );
  }

  return { root, draw };
}

/**
 * Draw the class's probability over the share of pixels, in the order of the map and, in grey, in random orders.
 * @param {number[]} curve
 * @param {number[][]} random
 * @param {string} description
 */
function chart(curve, random, description) {
  const { width, height, pad } = CHART;
  const line = (/** @type {number[]} */ values, /** @type {string} */ name) =>
    svg("polyline", {
      class: name,
      points: values.map((value, i) => `${pad + (i / (values.length - 1)) * (width - 2 * pad)},${height - pad - value * (height - 2 * pad)}`).join(" "),
    });
  const axis = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": description, class: "trust-chart" });
  axis.append(...random.map((values) => line(values, "random")), line(curve, "map"));
  set(axis, { preserveAspectRatio: "none" });
  return axis;
}
