/** The census view: what the branches of every block are tuned to, and whether they differ by more than chance. */

import { h, replace, svg } from "../dom.js";
import { BLOCKS, BRANCHES } from "../numbers.js";
import { branchName, joined, language, t } from "../words.js";
import { failure, keepTextSize, latestOnly, placeholder, row, skeleton, table, whileOpen } from "./deeper_parts.js";
import { modelName } from "./header.js";

/** @import {Block, Branch, Sort} from "../types.js" */
/** @import {Store} from "../state.js" */
/** @import {Source} from "../source.js" */

/**
 * @typedef {"orientation" | "colour" | "size" | "wavelength"} Measure
 * @typedef {{branches: Record<Branch, number | null>, p: number, clear: boolean, highest: Branch | "", lowest: Branch | ""}} Test
 * @typedef {object} Census
 * @property {string} model
 * @property {number} permutations
 * @property {Record<Block, Record<Branch, [number, number]>>} channels  numbers of all and of silent channels
 * @property {Record<Measure, Record<Block, Test>>} measures
 */

/** @type {Measure[]} */
const MEASURES = ["orientation", "colour", "size", "wavelength"];
/** Measures in pixels; the others go from 0 to 1. @type {Measure[]} */
const LENGTHS = ["size", "wavelength"];
/** Measures by which the unfolded block can sort its channels. @type {Measure[]} */
const SORTABLE = ["orientation", "colour", "size"];
const MAX_NETWORKS = 3;
const CHART = { width: 560, height: 230, left: 44, right: 14, top: 12, bottom: 30 };

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @param {Source} source
 */
export function createCensus(root, store, source) {
  const head = h("div");
  const controls = h("div", { class: "deeper-controls" });
  const result = h("div");
  root.append(head, controls, result);
  const latestCensuses = latestOnly();
  /** Networks to compare with that of the stage. @type {string[]} */
  let others = [];

  /** @type {Parameters<typeof whileOpen>[3]} */
  function draw(state, data) {
    const models = (data.start?.models ?? []).filter((model) => model.available).map((model) => model.name);
    others = others.filter((name) => name !== state.model && models.includes(name));
    replace(head, h("h3", {}, t("census.title")), h("p", { class: "deeper-lead" }, t("census.lead")));
    replace(controls, ...(models.length > 1 ? comparisonButtons(models, state.model) : []));
    if (data.network) void load([state.model, ...others]);
    else replace(result, placeholder(data));
  }

  /** @param {string[]} models */
  async function load(models) {
    result.classList.add("deeper-stale");
    if (!result.childElementCount) replace(result, skeleton("pictures"));
    try {
      const censuses = await latestCensuses(Promise.all(models.map((model) => /** @type {Promise<Census>} */ (source.census(model)))));
      if (censuses) show(censuses);
    } catch (error) {
      result.classList.remove("deeper-stale");
      replace(result, failure(error));
    }
  }

  /**
   * Create the buttons of the networks to compare with.
   * @param {string[]} models
   * @param {string} model  on the stage
   */
  function comparisonButtons(models, model) {
    const toggle = (/** @type {string} */ name) => {
      others = others.includes(name) ? others.filter((other) => other !== name) : [...others, name].slice(-(MAX_NETWORKS - 1));
      draw(store.get(), store.data());
      /** @type {HTMLElement | null} */ (controls.querySelector(`[data-beside="${CSS.escape(name)}"]`))?.focus();
    };
    const buttons = models
      .filter((name) => name !== model)
      .map((name) =>
        h(
          "button",
          { type: "button", "aria-pressed": String(others.includes(name)), dataset: { beside: name }, onclick: () => toggle(name) },
          modelName(name),
        ),
      );
    return [
      h("span", { class: "quiet", "aria-hidden": "true" }, t("census.beside")),
      h("div", { class: "deeper-choices", role: "group", "aria-label": t("census.beside") }, buttons),
    ];
  }

  /** @param {Census[]} censuses */
  function show(censuses) {
    result.classList.remove("deeper-stale");
    replace(
      result,
      h(
        "ul",
        { class: "census-legend", "aria-hidden": "true" },
        BRANCHES.map((branch) => h("li", { dataset: { branch } }, branchName(branch))),
      ),
      h(
        "div",
        { class: "census-grid", style: { "--networks": censuses.length } },
        MEASURES.map((measure) => {
          const axisMax = axisMaximum(measure, censuses);
          return h(
            "section",
            {},
            h("h4", {}, t(`census.${measure}`)),
            h("p", { class: "quiet" }, t(`census.${measure}_is`)),
            h(
              "div",
              { class: "census-row" },
              censuses.map((census) =>
                h(
                  "figure",
                  {},
                  censuses.length > 1 && h("figcaption", {}, modelName(census.model)),
                  chart(measure, census, axisMax),
                  h("p", {}, summary(census.measures[measure])),
                ),
              ),
            ),
          );
        }),
      ),
      h("p", { class: "quiet" }, t("census.how", { count: censuses[0].permutations.toLocaleString("en") })),
      h("details", {}, h("summary", {}, t("census.table")), censuses.flatMap(numbersTable)),
    );
  }

  /** Create the table of a network's numbers, with its heading. @param {Census} census */
  function numbersTable(census) {
    const name = joined([t("answer.sentence", { text: t("census.table") }), modelName(census.model)]);
    const rows = MEASURES.flatMap((measure) =>
      BLOCKS.map((block) => {
        const test = census.measures[measure][block];
        const link = h(
          "button",
          { type: "button", class: "deeper-link", onclick: () => openBlock(measure, block) },
          [t(`census.${measure}`), block].join(t("answer.comma")),
        );
        return row(link, ...BRANCHES.map((branch) => formatValue(measure, test.branches[branch])), formatP(test.p));
      }),
    );
    const silent = BLOCKS.map((block) =>
      row(
        [t("census.silent"), block].join(t("answer.comma")),
        ...BRANCHES.map((branch) => census.channels[block][branch].toReversed().join(" / ")),
        "",
      ),
    );
    return [h("h4", {}, modelName(census.model)), table(name, ["", ...BRANCHES.map(branchName), "p"], [...rows, ...silent])];
  }

  /**
   * Create a chart of one measure: a line for each branch over the nine blocks. A band marks blocks whose branches differ
   * by more than chance.
   * @param {Measure} measure
   * @param {Census} census
   * @param {number} axisMax  value at the top
   */
  function chart(measure, census, axisMax) {
    const { width, height, left, right, top, bottom } = CHART;
    const step = (width - left - right) / BLOCKS.length;
    const x = (/** @type {number} */ i) => left + (i + 0.5) * step;
    const y = (/** @type {number} */ value) => height - bottom - (value / axisMax) * (height - top - bottom);
    const tests = census.measures[measure];
    const element = svg(
      "svg",
      {
        viewBox: `0 0 ${width} ${height}`,
        role: "img",
        "aria-label": t("census.chart", { network: modelName(census.model), measure: t(`census.${measure}`), summary: summary(tests) }),
      },
      BLOCKS.map((block, i) => {
        const test = tests[block];
        const values = BRANCHES.map((branch) => `${branchName(branch)} ${formatValue(measure, test.branches[branch])}`);
        return svg(
          "g",
          { class: test.clear ? "clear" : "", onclick: () => openBlock(measure, block) },
          svg("title", {}, t("census.values", { block, values: values.join(t("answer.joiner")), p: formatP(test.p) })),
          svg("rect", { x: left + i * step, width: step, y: top, height: height - top - bottom }),
          svg("text", { x: x(i), y: height - 8, "text-anchor": "middle" }, block),
        );
      }),
      [0, axisMax / 2, axisMax].map((tick) => [
        svg("line", { x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
        svg("text", { x: left - 8, y: y(tick) + 5, "text-anchor": "end" }, Math.round(10 * tick) / 10),
      ]).flat(),
      BRANCHES.map((branch) => {
        const points = BLOCKS.map((block, i) => /** @type {const} */ ([x(i), tests[block].branches[branch], block])).filter(
          ([, value]) => value !== null,
        );
        return svg(
          "g",
          { dataset: { branch } },
          svg("polyline", { points: points.map(([cx, value]) => `${cx},${y(value ?? 0)}`).join(" ") }),
          points.map(([cx, value, block]) =>
            svg("circle", { cx, cy: y(value ?? 0), class: tests[block].clear && tests[block].highest === branch ? "highest" : "" }),
          ),
        );
      }),
    );
    keepTextSize(element, width);
    return element;
  }

  /**
   * Show a block on the stage, sorted by the measure if possible.
   * @param {Measure} measure
   * @param {Block} block
   */
  function openBlock(measure, block) {
    store.update({ block, lens: null, ...(SORTABLE.includes(measure) ? { sort: /** @type {Sort} */ (measure) } : {}) }, { push: true });
    document.getElementById("block")?.scrollIntoView({ block: "start", behavior: "auto" });
  }

  whileOpen(store, "census", ["network", "model", "lang", "error"], draw);
}

/**
 * Return the highest value of a measure's axis, the same for all networks.
 * @param {Measure} measure
 * @param {Census[]} censuses
 */
function axisMaximum(measure, censuses) {
  if (!LENGTHS.includes(measure)) return 1;
  const values = censuses.flatMap((census) =>
    BLOCKS.flatMap((block) => BRANCHES.map((branch) => census.measures[measure][block].branches[branch] ?? 0)),
  );
  return 20 * Math.ceil(Math.max(1, ...values) / 20);
}

/**
 * Summarise in which blocks a branch is highest, and in which the branches do not differ clearly.
 * @param {Record<Block, Test>} tests
 */
function summary(tests) {
  const list = new Intl.ListFormat(language());
  const clear = BRANCHES.flatMap((branch) => {
    const blocks = BLOCKS.filter((block) => tests[block].clear && tests[block].highest === branch);
    return blocks.length ? [t("census.highest", { branch: branchName(branch), blocks: list.format(blocks) })] : [];
  });
  const unclear = BLOCKS.filter((block) => !tests[block].clear);
  if (unclear.length === BLOCKS.length) return t("census.nothing");
  return joined([...clear, unclear.length ? t("census.rest", { blocks: list.format(unclear) }) : ""]);
}

/**
 * @param {Measure} measure
 * @param {number | null} value
 */
function formatValue(measure, value) {
  if (value === null) return "–";
  return LENGTHS.includes(measure) ? t("unit.pixels", { size: Math.round(value) }) : value.toFixed(2);
}

/** @param {number} p */
function formatP(p) {
  return p < 0.001 ? "< 0.001" : p.toFixed(3);
}
