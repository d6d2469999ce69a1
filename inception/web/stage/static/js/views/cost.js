/** What the 1x1 reductions save: in the unfolded block, in all nine, beside VGG-16; and a calculator. */

import { blockCosts, bottleneck, breakEven, convolutions } from "../cost.js";
import { h, replace, set } from "../dom.js";
import { grouped, millions, parseInteger, times } from "../numbers.js";
import { branchName, t } from "../words.js";
import { createCostMaps } from "./cost_maps.js";
import { wholeNetwork } from "./cost_network.js";
import { table, waiting, whileOpen } from "./deeper_parts.js";

/** @import {Block, Branch, Network} from "../types.js" */
/** @import {BlockCost, Bottleneck} from "../cost.js" */
/** @import {Store} from "../state.js" */
/** @import {Source} from "../source.js" */
/** @import {Row} from "./deeper_parts.js" */

/** @type {Branch[]} */
const REDUCED = ["3x3", "5x5"];

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @param {Source} source
 */
export function createCost(root, store, source) {
  const facts = h("div");
  const maps = h("div");
  const blocks = h("div");
  const calculator = h("div");
  const whole = h("div");
  root.append(facts, maps, blocks, calculator, whole);
  /** @type {{block: Block, model: string} | null} */
  let shown = null;

  /** @type {Parameters<typeof whileOpen>[3]} */
  function draw({ block, model }, data) {
    const { network } = data;
    if (!network) return replace(facts, waiting(data));
    const costs = blockCosts(network);
    replace(facts, ofBlock(network, block));
    replace(blocks, ofBlocks(costs, block, network.size, store));
    // What a visitor has set stays until another block is chosen.
    if (shown?.block !== block || shown.model !== model) values = valuesOf(network, block, "5x5");
    shown = { block, model };
    drawCalculator(network, block);
    replace(whole, wholeNetwork(network));
  }

  let values = { in: 1, between: 1, out: 1, kernel: 3, side: 1 };

  /**
   * @param {Network} network
   * @param {Block} block
   */
  function drawCalculator(network, block) {
    const answer = h("div", { "aria-live": "polite" });
    const work = () => replace(answer, ...worked(values));
    const fields = CALCULATOR.map(({ name, most, step }) => slider(name, most, step, values, work));
    const presets = REDUCED.map((branch) =>
      h(
        "button",
        {
          type: "button",
          class: "button",
          dataset: { branch },
          onclick: () => {
            values = valuesOf(network, block, branch);
            drawCalculator(network, block);
            /** @type {HTMLElement | null} */ (calculator.querySelector(`button[data-branch="${branch}"]`))?.focus();
          },
        },
        t("deeper.cost_as_in", { branch: branchName(branch), block }),
      ),
    );
    replace(
      calculator,
      h("h3", {}, t("deeper.cost_calculator")),
      h("div", { class: "deeper-controls" }, presets),
      h("div", { class: "cost-calculator" }, h("div", { class: "cost-fields" }, fields), answer),
    );
    work();
  }

  whileOpen(store, "cost", ["network", "block", "lang", "error"], draw);
  createCostMaps(maps, store, source);
}

// ---------------------------------------------------------------- the unfolded block

/**
 * @param {Network} network
 * @param {Block} block
 */
function ofBlock(network, block) {
  const { in_channels: channels, side } = network.blocks[block];
  const cells = side * side;
  return [
    h("h3", {}, t("deeper.cost_title", { block })),
    h("p", { class: "deeper-lead" }, t("deeper.cost_lead", { channels, side })),
    h(
      "div",
      { class: "deeper-pair" },
      REDUCED.map((branch) => {
        const [reduce, wide] = convolutions(network.blocks[block], branch);
        const cost = bottleneck(channels, reduce.out, wide.out, wide.kernel, cells);
        const window = `${wide.kernel}×${wide.kernel}`;
        return h(
          "div",
          { dataset: { branch }, class: "cost-branch" },
          h("h4", {}, branchName(branch)),
          bar(t("deeper.cost_without"), `${window}: ${channels} → ${wide.out}`, cost.direct.weights, cost.direct, "naive"),
          bar(
            t("deeper.cost_with"),
            `1×1: ${channels} → ${reduce.out}, ${window}: ${reduce.out} → ${wide.out}`,
            cost.direct.weights,
            cost.reduced,
            "reduced",
          ),
          h("p", {}, h("strong", {}, verdict(cost))),
        );
      }),
    ),
    h("p", { class: "quiet" }, t("deeper.cost_same_factor")),
  ];
}

/**
 * @param {string} name
 * @param {string} detail
 * @param {number} most
 * @param {import("../cost.js").Cost} cost
 * @param {"naive" | "reduced"} kind
 */
function bar(name, detail, most, cost, kind) {
  const share = `${(100 * cost.weights) / Math.max(most, cost.weights)}%`;
  return h(
    "div",
    { class: "cost-bar" },
    h("span", {}, h("b", {}, name), " ", h("small", {}, detail)),
    h("span", { class: `cost-track ${kind}`, "aria-hidden": "true" }, h("i", { style: { width: share } })),
    h(
      "span",
      { class: "number" },
      t("deeper.cost_numbers", { weights: grouped(cost.weights), millions: millions(cost.multiplications) }),
    ),
  );
}

/** @param {Bottleneck} cost */
function verdict({ direct, reduced, saving }) {
  if (direct.weights === reduced.weights) return t("deeper.cost_equal");
  return saving > 1 ? t("deeper.cost_fewer", { times: times(saving) }) : t("deeper.cost_more", { times: times(1 / saving) });
}

// ---------------------------------------------------------------- all nine

/**
 * @param {BlockCost[]} costs
 * @param {Block} chosen
 * @param {number} size
 * @param {Store} store
 */
function ofBlocks(costs, chosen, size, store) {
  const most = Math.max(...costs.map((cost) => cost.naive.weights));
  const title = t("deeper.cost_blocks");
  /** @type {Row[]} */
  const rows = costs.map((cost) => ({
    cells: [
      h(
        "button",
        {
          type: "button",
          class: "deeper-link",
          "aria-current": cost.block === chosen ? "true" : null,
          onclick: () => store.update({ block: cost.block, lens: null }, { push: true }),
        },
        cost.block,
      ),
      twoBars(cost.naive.weights, cost.reduced.weights, most),
      two(grouped(cost.naive.weights), grouped(cost.reduced.weights)),
      two(millions(cost.naive.multiplications), millions(cost.reduced.multiplications)),
      two(grouped(cost.naiveChannels), grouped(cost.reducedChannels)),
      times(cost.saving),
    ],
    attributes: cost.block === chosen ? { class: "chosen" } : {},
  }));
  const sum = (/** @type {(cost: BlockCost) => number} */ of) => costs.reduce((total, cost) => total + of(cost), 0);
  const [naive, reduced] = [sum((cost) => cost.naive.weights), sum((cost) => cost.reduced.weights)];
  rows.push({
    cells: [
      t("deeper.cost_all_nine"),
      "",
      two(grouped(naive), grouped(reduced)),
      two(millions(sum((cost) => cost.naive.multiplications)), millions(sum((cost) => cost.reduced.multiplications))),
      "",
      times(naive / reduced),
    ],
    attributes: { class: "total" },
  });
  const heads = ["block", "two", "weights", "multiplications", "channels_out", "times"].map((head) => t(`deeper.cost_head_${head}`));
  const last = costs[costs.length - 1];
  const stacked = sum((cost) => cost.stackedWeights);
  return [
    h("h3", {}, title),
    h("p", { class: "deeper-lead" }, t("deeper.cost_blocks_lead", { size })),
    table(title, heads, rows),
    h(
      "p",
      {},
      t("deeper.cost_stacked", {
        channels: grouped(last.stackedChannels),
        reduced_channels: grouped(last.reducedChannels),
        weights: grouped(stacked),
        reduced_weights: grouped(reduced),
        times: times(stacked / reduced),
      }),
    ),
  ];
}

/**
 * @param {string} naive
 * @param {string} reduced
 */
function two(naive, reduced) {
  return [h("span", { class: "cost-naive" }, naive), h("span", {}, reduced)];
}

/**
 * @param {number} naive
 * @param {number} reduced
 * @param {number} most
 */
function twoBars(naive, reduced, most) {
  const line = (/** @type {string} */ kind, /** @type {number} */ value) =>
    h("span", { class: `cost-track ${kind}`, "aria-hidden": "true" }, h("i", { style: { width: `${(100 * value) / most}%` } }));
  return [
    line("naive", naive),
    line("reduced", reduced),
    h("span", { class: "unseen" }, `${t("deeper.cost_naive")}, ${t("deeper.cost_reduced")}`),
  ];
}

// ---------------------------------------------------------------- calculator

/** @typedef {{in: number, between: number, out: number, kernel: number, side: number}} Values */

const CALCULATOR = /** @type {const} */ ([
  { name: "in", most: 1024, step: 1 },
  { name: "between", most: 512, step: 1 },
  { name: "out", most: 1024, step: 1 },
  { name: "kernel", most: 11, step: 2 },
  { name: "side", most: 112, step: 1 },
]);
const MOST_TYPED = 4096;

/**
 * @param {Network} network
 * @param {Block} block
 * @param {Branch} branch
 * @returns {Values}
 */
function valuesOf(network, block, branch) {
  const { side, in_channels } = network.blocks[block];
  const [reduce, wide] = convolutions(network.blocks[block], branch);
  return { in: in_channels, between: reduce.out, out: wide.out, kernel: wide.kernel, side };
}

/**
 * A slider with its number, which may also be typed and then be larger.
 * @param {keyof Values} name
 * @param {number} most
 * @param {number} step
 * @param {Values} values
 * @param {() => void} work
 */
function slider(name, most, step, values, work) {
  const label = t(`deeper.cost_${name}`);
  const typedMost = name === "kernel" ? most : name === "side" ? 2 * most : MOST_TYPED;
  const range = h("input", { type: "range", min: 1, max: most, step, value: values[name], "aria-label": label });
  const typed = h("input", { type: "number", min: 1, max: typedMost, step, value: values[name], "aria-label": label });
  const told = h("p", { class: "deeper-told", role: "status" });
  range.addEventListener("input", () => {
    values[name] = Number(range.value);
    typed.value = range.value;
    set(typed, { "aria-invalid": null });
    told.textContent = "";
    work();
  });
  typed.addEventListener("input", () => {
    const wanted = parseInteger(typed.value, 1, typedMost);
    set(typed, { "aria-invalid": String(wanted === null) });
    told.textContent = wanted === null ? t("deeper.not_within", { what: label, low: 1, high: typedMost }) : "";
    if (wanted === null) return;
    values[name] = wanted;
    range.value = String(wanted);
    work();
  });
  return h("div", { class: "cost-field" }, h("span", { "aria-hidden": "true" }, label), range, typed, told);
}

/** @param {Values} values */
function worked({ in: from, between, out, kernel, side }) {
  const cells = side * side;
  const cost = bottleneck(from, between, out, kernel, cells);
  const most = Math.max(cost.direct.weights, cost.reduced.weights);
  const window = `${kernel}×${kernel}`;
  const windows = [...new Set([3, 5, kernel])].sort((a, b) => a - b);
  const name = t("deeper.cost_windows", { from, between, out });
  return [
    bar(t("deeper.cost_without"), `${window} × ${from} × ${out}`, most, cost.direct, "naive"),
    bar(t("deeper.cost_with"), `1×1 × ${from} × ${between} + ${window} × ${between} × ${out}`, most, cost.reduced, "reduced"),
    h("p", {}, h("strong", {}, verdict(cost))),
    table(
      name,
      ["window", "direct", "reduced", "times", "limit"].map((head) => t(`deeper.cost_head_${head}`)),
      windows.map((one) => {
        const of = bottleneck(from, between, out, one);
        const limit = breakEven(from, out, one);
        return {
          cells: [
            `${one}×${one}`,
            grouped(of.direct.weights),
            grouped(of.reduced.weights),
            times(of.saving),
            limit ? grouped(limit) : t("deeper.cost_never"),
          ],
          attributes: one === kernel ? { class: "chosen" } : {},
        };
      }),
    ),
  ];
}
