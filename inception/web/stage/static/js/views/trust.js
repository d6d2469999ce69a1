/** Other maps of the same evidence, and tests of whether a map can be trusted. */

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
 * @typedef {Curves & {random: Curves[], insertion_beats_random: boolean, deletion_beats_random: boolean,
 *   randomised: {stage: string, correlation: number | null}[]}} Trust
 */

/** @type {Method[]} */
const METHODS = ["evidence", "grad_cam", "occlusion", "integrated_gradients"];
const SIZE = 336;
const CHART = { width: 260, height: 130, pad: 6 };

/** @param {Source} source */
export function createTrust(source) {
  const root = h("section", { class: "trust" });
  const map = h("div");
  const tests = h("div");
  const askMap = latestOnly();
  const askTests = latestOnly();
  /** @type {Method} */
  let method = "grad_cam";
  /** @type {{subject: Subject, block: Block, cls: number, name: string, photo: HTMLCanvasElement} | null} */
  let about = null;
  /** What the map on the page is of, in which language. */
  let drawn = "";
  /** The last tests, and what they are of. @type {{of: string, trust: Trust} | null} */
  let tested = null;

  /** @param {NonNullable<typeof about>} wanted */
  function draw(wanted) {
    const key = JSON.stringify([identity(wanted), language()]);
    if (key === drawn) return;
    drawn = key;
    about = wanted;
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
          (one) => t(`trust.${one}`),
          (one) => {
            method = one;
            if (about) draw(about);
            /** @type {HTMLElement | null} */ (root.querySelector(`[data-method=${one}]`))?.focus();
          },
          (one) => ({ dataset: { method: one } }),
        ),
        h("button", { class: "button", onclick: () => void test() }, t("trust.test")),
      ),
      h("div", { class: "trust-grid" }, map, tests),
    );
    if (tested?.of === identity(wanted)) showTests(tested.trust);
    else replace(tests, h("p", { class: "quiet" }, t("trust.what")));
    void show();
  }

  /** @param {NonNullable<typeof about>} what */
  const identity = ({ subject, block, cls }) => JSON.stringify([subject, block, cls, method]);

  async function show() {
    if (!about) return;
    const { subject, block, cls, name, photo } = about;
    replace(map, skeleton("pictures"));
    try {
      const told = await askMap(source.attribution(subject, method, block, cls));
      if (!told) return;
      const canvas = h("canvas", { width: SIZE, height: SIZE, role: "img", "aria-label": t("trust.map_alt", { method: t(`trust.${method}`), name }) });
      const bound = told.map.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      paintSigned(canvas, photo, told.map, told.side, bound);
      replace(
        map,
        h("figure", { class: "deeper-picture" }, h("figcaption", {}, t(`trust.${method}_is`, { block })), h("div", { class: "deeper-square" }, canvas), signedLegend(bound, decimalsFor([bound]))),
      );
    } catch (error) {
      drawn = ""; // the next time it is asked for again
      replace(map, failure(error));
    }
  }

  async function test() {
    if (!about) return;
    const of = identity(about);
    // Until the tests are done, the map may have become another.
    const isShown = () => about !== null && identity(about) === of;
    const { subject, block, cls } = about;
    replace(tests, skeleton());
    try {
      const told = await askTests(/** @type {Promise<Trust>} */ (source.trust(subject, method, block, cls)));
      if (!told) return;
      tested = { of, trust: told };
      if (isShown()) showTests(told);
    } catch (error) {
      if (isShown()) replace(tests, failure(error));
    }
  }

  /** @param {Trust} told */
  function showTests(told) {
    const kinds = /** @type {const} */ (["insertion", "deletion"]);
    replace(
      tests,
      h(
        "div",
        { class: "trust-charts" },
        kinds.map((kind) => {
          const words = t(told[`${kind}_beats_random`] ? `trust.${kind}_good` : `trust.${kind}_bad`, {
            area: told[`${kind}_auc`].toFixed(2),
            random: told.random.map((one) => one[`${kind}_auc`].toFixed(2)).join(", "),
          });
          return h("figure", {}, h("figcaption", {}, h("h4", {}, t(`trust.${kind}`))), chart(told[kind], told.random.map((one) => one[kind]), words), h("p", {}, words));
        }),
      ),
      h("h4", {}, t("trust.randomised")),
      h("p", { class: "quiet" }, t("trust.randomised_how")),
      h(
        "ol",
        { class: "trust-levels" },
        told.randomised.map(({ stage, correlation }) =>
          h(
            "li",
            {},
            h("span", {}, t("trust.down_to", { stage: stage.replace("inception_", "") })),
            h("span", { class: "trust-bar", "aria-hidden": "true" }, h("i", { style: { width: `${100 * Math.abs(correlation ?? 0)}%` } })),
            h("span", { class: "number" }, correlation === null ? t("trust.constant") : correlation.toFixed(2).replace("-", "−")),
          ),
        ),
      ),
    );
  }

  return { root, draw };
}

/**
 * The class's probability over the share of pixels: of the map, and of random orders in grey.
 * @param {number[]} curve
 * @param {number[][]} random
 * @param {string} words
 */
function chart(curve, random, words) {
  const { width, height, pad } = CHART;
  const line = (/** @type {number[]} */ values, /** @type {string} */ name) =>
    svg("polyline", {
      class: name,
      points: values.map((value, i) => `${pad + (i / (values.length - 1)) * (width - 2 * pad)},${height - pad - value * (height - 2 * pad)}`).join(" "),
    });
  const axis = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words, class: "trust-chart" });
  axis.append(...random.map((one) => line(one, "random")), line(curve, "map"));
  set(axis, { preserveAspectRatio: "none" });
  return axis;
}
