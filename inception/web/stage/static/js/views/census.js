/** What each branch of each block is tuned to, whether branches differ by more than chance, for up to three networks. */

import { h, replace, set, svg } from "../dom.js";
import { BLOCKS, BRANCHES } from "../numbers.js";
import { branchName, joined, t } from "../words.js";
import { failure, newest, row, skeleton, table, waiting, whileOpen } from "./deeper_parts.js";
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
 * @property {Record<Block, Record<Branch, [number, number]>>} channels  how many, and how many are silent
 * @property {Record<Measure, Record<Block, Test>>} measures
 */

/** @type {Measure[]} */
const MEASURES = ["orientation", "colour", "size", "wavelength"];
/** Lengths in pixels; the others are shares of 1. @type {Measure[]} */
const LENGTHS = ["size", "wavelength"];
/** By which the channels of the unfolded block can be sorted. @type {Measure[]} */
const SORTS = ["orientation", "colour", "size"];
const MOST = 3;
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
  const ask = newest();
  /** Networks beside that of the stage. @type {string[]} */
  let others = [];

  /** @type {Parameters<typeof whileOpen>[3]} */
  function draw(state, data) {
    const models = (data.start?.models ?? []).filter((one) => one.available).map((one) => one.name);
    others = others.filter((name) => name !== state.model && models.includes(name));
    replace(head, h("h3", {}, t("census.title")), h("p", { class: "deeper-lead" }, t("census.lead")));
    replace(controls, ...(models.length > 1 ? beside(models, state.model) : []));
    if (data.network) void load([state.model, ...others]);
    else replace(result, waiting(data));
  }

  /** @param {string[]} models */
  async function load(models) {
    result.classList.add("deeper-stale");
    if (!result.childElementCount) replace(result, skeleton("pictures"));
    try {
      const told = await ask(Promise.all(models.map((model) => /** @type {Promise<Census>} */ (source.census(model)))));
      if (told) show(told);
    } catch (error) {
      result.classList.remove("deeper-stale");
      replace(result, failure(error));
    }
  }

  /**
   * Buttons for the networks to compare with.
   * @param {string[]} models
   * @param {string} model
   */
  function beside(models, model) {
    const choose = (/** @type {string} */ name) => {
      others = others.includes(name) ? others.filter((one) => one !== name) : [...others, name].slice(-(MOST - 1));
      draw(store.get(), store.data());
      /** @type {HTMLElement | null} */ (controls.querySelector(`[data-beside="${CSS.escape(name)}"]`))?.focus();
    };
    const buttons = models
      .filter((name) => name !== model)
      .map((name) => h("button", { type: "button", "aria-pressed": String(others.includes(name)), dataset: { beside: name }, onclick: () => choose(name) }, modelName(name)));
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
      h("ul", { class: "census-legend", "aria-hidden": "true" }, BRANCHES.map((branch) => h("li", { dataset: { branch } }, branchName(branch)))),
      h(
        "div",
        { class: "census-grid", style: { "--networks": censuses.length } },
        MEASURES.map((measure) => {
          const highest = highestOf(measure, censuses);
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
                  chart(measure, census, highest),
                  h("p", {}, sentence(census.measures[measure])),
                ),
              ),
            ),
          );
        }),
      ),
      h("p", { class: "quiet" }, t("census.how", { count: censuses[0].permutations.toLocaleString("en") })),
      h("details", {}, h("summary", {}, t("census.table")), censuses.flatMap(numbers)),
    );
  }

  /** @param {Census} census */
  function numbers(census) {
    const name = `${t("census.table")}: ${modelName(census.model)}`;
    const rows = MEASURES.flatMap((measure) =>
      BLOCKS.map((block) => {
        const test = census.measures[measure][block];
        const link = h("button", { type: "button", class: "deeper-link", onclick: () => visit(measure, block) }, `${t(`census.${measure}`)}, ${block}`);
        return row(link, ...BRANCHES.map((branch) => value(measure, test.branches[branch])), probability(test.p));
      }),
    );
    const silent = BLOCKS.map((block) =>
      row(`${t("census.silent")}, ${block}`, ...BRANCHES.map((branch) => census.channels[block][branch].toReversed().join(" / ")), ""),
    );
    return [h("h4", {}, modelName(census.model)), table(name, ["", ...BRANCHES.map(branchName), "p"], [...rows, ...silent])];
  }

  /**
   * The four lines of one measure over the nine blocks; blocks whose branches differ clearly stand on a band.
   * @param {Measure} measure
   * @param {Census} census
   * @param {number} highest  value at the top
   */
  function chart(measure, census, highest) {
    const { width, height, left, right, top, bottom } = CHART;
    const step = (width - left - right) / BLOCKS.length;
    const x = (/** @type {number} */ i) => left + (i + 0.5) * step;
    const y = (/** @type {number} */ amount) => height - bottom - (amount / highest) * (height - top - bottom);
    const tests = census.measures[measure];
    const element = svg(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${modelName(census.model)}, ${t(`census.${measure}`)}: ${sentence(tests)}` },
      BLOCKS.map((block, i) => {
        const test = tests[block];
        const words = BRANCHES.map((branch) => `${branchName(branch)} ${value(measure, test.branches[branch])}`).join(", ");
        return svg(
          "g",
          { class: test.clear ? "clear" : "", onclick: () => visit(measure, block) },
          svg("title", {}, `${block}: ${words}; p ${probability(test.p)}`),
          svg("rect", { x: left + i * step, width: step, y: top, height: height - top - bottom }),
          svg("text", { x: x(i), y: height - 8, "text-anchor": "middle" }, block),
        );
      }),
      [0, highest / 2, highest].map((tick) => [
        svg("line", { x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
        svg("text", { x: left - 8, y: y(tick) + 5, "text-anchor": "end" }, Math.round(10 * tick) / 10),
      ]).flat(),
      BRANCHES.map((branch) => {
        const places = BLOCKS.map((block, i) => /** @type {const} */ ([x(i), tests[block].branches[branch], block])).filter(([, amount]) => amount !== null);
        return svg(
          "g",
          { dataset: { branch } },
          svg("polyline", { points: places.map(([at, amount]) => `${at},${y(amount ?? 0)}`).join(" ") }),
          places.map(([cx, amount, block]) =>
            svg("circle", { cx, cy: y(amount ?? 0), class: tests[block].clear && tests[block].highest === branch ? "highest" : "" }),
          ),
        );
      }),
    );
    // Text keeps its size however wide the chart is drawn.
    new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width) set(element, { style: { "--unit": width / contentRect.width } });
    }).observe(element);
    return element;
  }

  /**
   * Unfold a block, its channels sorted by a measure where they can be.
   * @param {Measure} measure
   * @param {Block} block
   */
  function visit(measure, block) {
    store.update({ block, lens: null, ...(SORTS.includes(measure) ? { sort: /** @type {Sort} */ (measure) } : {}) }, { push: true });
    document.getElementById("block")?.scrollIntoView({ block: "start", behavior: "auto" });
  }

  whileOpen(store, "census", ["network", "model", "lang", "error"], draw);
}

/**
 * @param {Measure} measure
 * @param {Census[]} censuses
 */
function highestOf(measure, censuses) {
  if (!LENGTHS.includes(measure)) return 1;
  const values = censuses.flatMap((one) => BLOCKS.flatMap((block) => BRANCHES.map((branch) => one.measures[measure][block].branches[branch] ?? 0)));
  return 20 * Math.ceil(Math.max(1, ...values) / 20);
}

/**
 * Which branches are highest where, and where nothing follows.
 * @param {Record<Block, Test>} tests
 */
function sentence(tests) {
  const clear = BRANCHES.flatMap((branch) => {
    const blocks = BLOCKS.filter((block) => tests[block].clear && tests[block].highest === branch);
    return blocks.length ? [t("census.highest", { branch: branchName(branch), blocks: blocks.join(", ") })] : [];
  });
  const rest = BLOCKS.filter((block) => !tests[block].clear);
  if (rest.length === BLOCKS.length) return t("census.nothing");
  return joined([...clear, rest.length ? t("census.rest", { blocks: rest.join(", ") }) : ""]);
}

/**
 * @param {Measure} measure
 * @param {number | null} amount
 */
function value(measure, amount) {
  if (amount === null) return "–";
  return LENGTHS.includes(measure) ? `${Math.round(amount)} px` : amount.toFixed(2);
}

/** @param {number} p */
function probability(p) {
  return p < 0.001 ? "< 0.001" : p.toFixed(3);
}
