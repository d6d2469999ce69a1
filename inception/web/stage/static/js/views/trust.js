/** Attribution maps of other methods, and tests of whether a map can be trusted. */

import { h, replace, set, svg } from "../dom.js";
import { language, t } from "../words.js";
import { choices, failure, latestOnly, paintSigned, signedLegend, skeleton } from "./deeper_parts.js";
import { decimalsFor, fixed } from "../numbers.js";

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
 * @typedef {{stage: string, correlation: number | null, chance: number | null, exceeds_chance: boolean}} Level
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
  /** @type {{subject: Subject, block: Block, cls: number, name: string, grey: CanvasImageSource,
   *   bounds: Partial<Record<Method, number>>} | null} bounds: of the maps that are also above */
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
    const { subject, block, cls, name, grey, bounds } = shown;
    replace(map, skeleton("pictures"));
    try {
      const attribution = await latestMap(source.attribution(subject, method, block, cls));
      if (!attribution) return;
      const canvas = h("canvas", { width: SIZE, height: SIZE, role: "img", "aria-label": t("trust.map_alt", { method: t(`trust.${method}`), name }) });
      const bound = bounds[method] ?? attribution.map.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      paintSigned(canvas, grey, attribution.map, attribution.side, bound);
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
    const name = shown?.name ?? "";
    replace(
      tests,
      h("p", { class: "trust-verdict", role: "status" }, verdict(trust)),
      chartKey(),
      h(
        "div",
        { class: "trust-charts" },
        kinds.map((kind) => {
          const [area, ...random] = [trust, ...trust.random].map((curves) => curves[`${kind}_auc`]);
          const decimals = Math.max(2, decimalsFor([area, ...random])); // small areas must not look equal
          const description = t(trust[`${kind}_beats_random`] ? `trust.${kind}_good` : `trust.${kind}_bad`, {
            area: fixed(area, decimals),
            random: random.map((value) => fixed(value, decimals)).join(t("answer.joiner")),
          });
          return h(
            "figure",
            {},
            h("figcaption", {}, h("h4", {}, t(`trust.${kind}`))),
            h("small", {}, t("trust.probability", { name })),
            h(
              "div",
              { class: "trust-axes" },
              h("small", {}, t("number.percent", { value: 100 })),
              chart(
                trust[kind],
                trust.random.map((curves) => curves[kind]),
                description,
              ),
              h("small", {}, t("number.percent", { value: 0 })),
              h("small", {}, t(`trust.${kind}_axis`)),
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
            h("span", {}, stageName(stage)),
            h(
              "span",
              { class: "trust-bar", "aria-hidden": "true" },
              h("i", { style: { width: `${100 * (correlation ?? 0)}%` } }),
              chance !== null && h("em", { style: { left: `${100 * chance}%` } }),
            ),
            h(
              "span",
              { class: "number" },
              correlation === null || chance === null
                ? t("trust.constant")
                : t("trust.correlation", { value: fixed(correlation, 2), chance: fixed(chance, 2) }),
            ),
          ),
        ),
      ),
    );
  }

  return { root, draw };
}

/**
 * Say which of the three checks speak for a map, and what follows.
 * @param {Trust} trust
 */
function verdict({ insertion_beats_random: insertion, deletion_beats_random: deletion, randomised }) {
  // At the last level all weights are random.
  const isKept = randomised.at(-1)?.exceeds_chance ?? false;
  /** @type {[string, boolean][]} */
  const checks = [
    [t("trust.check_insertion"), insertion],
    [t("trust.check_deletion"), deletion],
    [t("trust.check_weights"), !isKept],
  ];
  const list = new Intl.ListFormat(language());
  const [passed, failed] = [true, false].map((isPassed) => checks.filter((check) => check[1] === isPassed).map(([check]) => check));
  if (!failed.length) return t("trust.verdict_all");
  if (!passed.length) return t("trust.verdict_none");
  return t("trust.verdict_some", { passed: list.format(passed), failed: list.format(failed) });
}

/** Explain the lines of the charts. */
function chartKey() {
  return h(
    "p",
    { class: "trust-key quiet" },
    ["map", "random"].map((order) => h("span", { class: order }, t(`trust.order_${order}`))),
  );
}

/** Name the part of the network down to which weights are random. @param {string} stage */
function stageName(stage) {
  if (stage === "head") return t("trust.head_only");
  return stage.startsWith("inception_") ? t("trust.down_to", { stage: stage.replace("inception_", "") }) : t("trust.all_weights");
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
