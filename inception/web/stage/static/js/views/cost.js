/** The cost view: what the 1x1 reductions save in the unfolded block and in all nine, a calculator, and network sizes. */

import { blockCosts, bottleneck, breakEven, convolutions } from "../cost.js";
import { h, replace, set } from "../dom.js";
import { grouped, millions, parseInteger, times } from "../numbers.js";
import { branchName, inWords, t } from "../words.js";
import { createCostMaps } from "./cost_maps.js";
import { networkSections } from "./cost_network.js";
import { placeholder, table, whileOpen } from "./deeper_parts.js";

/** @import {Block, Branch, Network} from "../types.js" */
/** @import {BlockCost, Bottleneck} from "../cost.js" */
/** @import {Store} from "../state.js" */
/** @import {Source} from "../source.js" */
/** @import {Row} from "./deeper_parts.js" */

/** Branches with a reduction before a larger kernel. @type {Branch[]} */
const REDUCED_BRANCHES = ["3x3", "5x5"];

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @param {Source} source
 */
export function createCost(root, store, source) {
  const blockBox = h("div");
  const mapsBox = h("div");
  const allBlocksBox = h("div");
  const calculatorBox = h("div");
  const networkBox = h("div");
  root.append(blockBox, mapsBox, allBlocksBox, calculatorBox, networkBox);
  /** What the calculator was last preset for. @type {{block: Block, model: string} | null} */
  let preset = null;

  /** @type {Parameters<typeof whileOpen>[3]} */
  function draw({ block, model }, data) {
    const { network } = data;
    if (!network) return replace(blockBox, placeholder(data));
    const costs = blockCosts(network);
    replace(blockBox, blockSection(network, block));
    replace(allBlocksBox, allBlocksSection(costs, block, network.size, store));
    // Keep the visitor's values until the block or network changes.
    if (preset?.block !== block || preset.model !== model) values = valuesOf(network, block, "5x5");
    preset = { block, model };
    drawCalculator(network, block);
    replace(networkBox, networkSections(network));
  }

  let values = { in: 1, between: 1, out: 1, kernel: 3, side: 1 };

  /**
   * @param {Network} network
   * @param {Block} block
   */
  function drawCalculator(network, block) {
    const result = h("div", { "aria-live": "polite" });
    const update = () => replace(result, ...calculatorResult(values));
    const fields = CALCULATOR_FIELDS.map(({ name, max, step }) => calculatorField(name, max, step, values, update));
    const presetButtons = REDUCED_BRANCHES.map((branch) =>
      h(
        "button",
        {
          type: "button",
          class: "button",
          dataset: { branch },
          onclick: () => {
            values = valuesOf(network, block, branch);
            drawCalculator(network, block);
            /** @type {HTMLElement | null} */ (calculatorBox.querySelector(`button[data-branch="${branch}"]`))?.focus();
          },
        },
        t("deeper.cost_as_in", { branch: branchName(branch), block }),
      ),
    );
    replace(
      calculatorBox,
      h("h3", {}, t("deeper.cost_calculator")),
      h("div", { class: "deeper-controls" }, presetButtons),
      h("div", { class: "cost-calculator" }, h("div", { class: "cost-fields" }, fields), result),
    );
    update();
  }

  whileOpen(store, "cost", ["network", "block", "lang", "error"], draw);
  createCostMaps(mapsBox, store, source);
}

// ---------------------------------------------------------------- the unfolded block

/**
 * Compare each reduced branch of a block with a direct convolution.
 * @param {Network} network
 * @param {Block} block
 */
function blockSection(network, block) {
  const { in_channels: channels, side } = network.blocks[block];
  const cells = side * side;
  return [
    h("h3", {}, t("deeper.cost_title", { block })),
    h("p", { class: "deeper-lead" }, t("deeper.cost_lead", { channels, side })),
    h(
      "div",
      { class: "deeper-pair" },
      REDUCED_BRANCHES.map((branch) => {
        const [reduction, convolution] = convolutions(network.blocks[block], branch);
        const cost = bottleneck(channels, reduction.out, convolution.out, convolution.kernel, cells);
        const kernelText = `${convolution.kernel}×${convolution.kernel}`;
        const maxWeights = Math.max(cost.direct.weights, cost.reduced.weights);
        return h(
          "div",
          { dataset: { branch }, class: "cost-branch" },
          h("h4", {}, branchName(branch)),
          costBar(
            t("deeper.cost_without"),
            `${kernelText}: ${channels} → ${convolution.out}`,
            maxWeights,
            cost.direct,
            "naive",
          ),
          costBar(
            t("deeper.cost_with"),
            `1×1: ${channels} → ${reduction.out}, ${kernelText}: ${reduction.out} → ${convolution.out}`,
            maxWeights,
            cost.reduced,
            "reduced",
          ),
          h("p", {}, h("strong", {}, savingText(cost))),
        );
      }),
    ),
    h("p", { class: "quiet" }, t("deeper.cost_same_factor")),
  ];
}

/**
 * Create a labelled bar of a cost.
 * @param {string} name
 * @param {string} detail
 * @param {number} max  weights of a full bar
 * @param {import("../cost.js").Cost} cost
 * @param {"naive" | "reduced"} kind
 */
function costBar(name, detail, max, cost, kind) {
  const share = `${(100 * cost.weights) / max}%`;
  return h(
    "div",
    { class: "cost-bar" },
    h("span", {}, h("b", {}, name), " ", h("small", {}, detail)),
    h("span", { class: `cost-track ${kind}`, "aria-hidden": "true" }, h("i", { style: { width: share } })),
    h(
      "span",
      { class: "number" },
      t("deeper.cost_numbers", { weights: grouped(cost.weights), multiplications: inWords(cost.multiplications) }),
    ),
  );
}

/** Describe what a reduction saves. @param {Bottleneck} cost */
function savingText({ direct, reduced, saving }) {
  if (direct.weights === reduced.weights) return t("deeper.cost_equal");
  return saving > 1 ? t("deeper.cost_fewer", { times: times(saving) }) : t("deeper.cost_more", { times: times(1 / saving) });
}

// ---------------------------------------------------------------- all nine

/**
 * @param {BlockCost[]} costs
 * @param {Block} unfolded
 * @param {number} size  of the network's input
 * @param {Store} store
 */
function allBlocksSection(costs, unfolded, size, store) {
  const maxWeights = Math.max(...costs.map((cost) => cost.naive.weights));
  const title = t("deeper.cost_blocks");
  /** @type {Row[]} */
  const rows = costs.map((cost) => ({
    cells: [
      h(
        "button",
        {
          type: "button",
          class: "deeper-link",
          "aria-current": cost.block === unfolded ? "true" : null,
          onclick: () => store.update({ block: cost.block, lens: null }, { push: true }),
        },
        cost.block,
      ),
      barPair(cost.naive.weights, cost.reduced.weights, maxWeights),
      valuePair(grouped(cost.naive.weights), grouped(cost.reduced.weights)),
      valuePair(millions(cost.naive.multiplications), millions(cost.reduced.multiplications)),
      valuePair(grouped(cost.naiveChannels), grouped(cost.reducedChannels)),
      times(cost.saving),
    ],
    attributes: cost.block === unfolded ? { class: "chosen" } : {},
  }));
  const sum = (/** @type {(cost: BlockCost) => number} */ valueOf) => costs.reduce((total, cost) => total + valueOf(cost), 0);
  const [naive, reduced] = [sum((cost) => cost.naive.weights), sum((cost) => cost.reduced.weights)];
  rows.push({
    cells: [
      t("deeper.cost_all_nine"),
      "",
      valuePair(grouped(naive), grouped(reduced)),
      valuePair(millions(sum((cost) => cost.naive.multiplications)), millions(sum((cost) => cost.reduced.multiplications))),
      "",
      times(naive / reduced),
    ],
    attributes: { class: "total" },
  });
  const heads = ["block", "two", "weights", "multiplications", "channels_out", "times"].map((head) => t(`deeper.cost_head_${head}`));
  const last = costs[costs.length - 1];
  const stackedWeights = sum((cost) => cost.stackedWeights);
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
        weights: grouped(stackedWeights),
        reduced_weights: grouped(reduced),
        times: times(stackedWeights / reduced),
      }),
    ),
  ];
}

/**
 * @param {string} naive
 * @param {string} reduced
 */
function valuePair(naive, reduced) {
  return [h("span", { class: "cost-naive" }, naive), h("span", {}, reduced)];
}

/**
 * @param {number} naive
 * @param {number} reduced
 * @param {number} max  value of a full bar
 */
function barPair(naive, reduced, max) {
  const line = (/** @type {string} */ kind, /** @type {number} */ value) =>
    h("span", { class: `cost-track ${kind}`, "aria-hidden": "true" }, h("i", { style: { width: `${(100 * value) / max}%` } }));
  return [
    line("naive", naive),
    line("reduced", reduced),
    h("span", { class: "unseen" }, [t("deeper.cost_naive"), t("deeper.cost_reduced")].join(t("answer.comma"))),
  ];
}

// ---------------------------------------------------------------- calculator

/** @typedef {{in: number, between: number, out: number, kernel: number, side: number}} Values  of the calculator */

/** The sliders and their ranges, from 1 to `max`. */
const CALCULATOR_FIELDS = /** @type {const} */ ([
  { name: "in", max: 1024, step: 1 },
  { name: "between", max: 512, step: 1 },
  { name: "out", max: 1024, step: 1 },
  { name: "kernel", max: 11, step: 2 },
  { name: "side", max: 112, step: 1 },
]);
const MAX_TYPED = 4096;

/**
 * Return the calculator's values for a branch.
 * @param {Network} network
 * @param {Block} block
 * @param {Branch} branch
 * @returns {Values}
 */
function valuesOf(network, block, branch) {
  const { side, in_channels } = network.blocks[block];
  const [reduction, convolution] = convolutions(network.blocks[block], branch);
  return { in: in_channels, between: reduction.out, out: convolution.out, kernel: convolution.kernel, side };
}

/**
 * Create a slider with a number field, which accepts larger values than the slider.
 * @param {keyof Values} name
 * @param {number} max
 * @param {number} step
 * @param {Values} values
 * @param {() => void} update
 */
function calculatorField(name, max, step, values, update) {
  const label = t(`deeper.cost_${name}`);
  const maxTyped = name === "kernel" ? max : name === "side" ? 2 * max : MAX_TYPED;
  const slider = h("input", { type: "range", min: 1, max, step, value: values[name], "aria-label": label });
  const numberField = h("input", { type: "number", min: 1, max: maxTyped, step, value: values[name], "aria-label": label });
  const status = h("p", { class: "deeper-told", role: "status" });
  slider.addEventListener("input", () => {
    values[name] = Number(slider.value);
    numberField.value = slider.value;
    set(numberField, { "aria-invalid": null });
    status.textContent = "";
    update();
  });
  numberField.addEventListener("input", () => {
    const value = parseInteger(numberField.value, 1, maxTyped);
    set(numberField, { "aria-invalid": String(value === null) });
    status.textContent = value === null ? t("deeper.not_within", { what: label, low: 1, high: maxTyped }) : "";
    if (value === null) return;
    values[name] = value;
    slider.value = String(value);
    update();
  });
  return h("div", { class: "cost-field" }, h("span", { "aria-hidden": "true" }, label), slider, numberField, status);
}

/** Create the calculator's result: two bars, what is saved, and a table of kernel sizes. @param {Values} values */
function calculatorResult({ in: from, between, out, kernel, side }) {
  const cells = side * side;
  const cost = bottleneck(from, between, out, kernel, cells);
  const maxWeights = Math.max(cost.direct.weights, cost.reduced.weights);
  const kernelText = `${kernel}×${kernel}`;
  const kernels = [...new Set([3, 5, kernel])].sort((a, b) => a - b);
  const name = t("deeper.cost_windows", { from, between, out });
  return [
    costBar(t("deeper.cost_without"), `${kernelText} × ${from} × ${out}`, maxWeights, cost.direct, "naive"),
    costBar(
      t("deeper.cost_with"),
      `1×1 × ${from} × ${between} + ${kernelText} × ${between} × ${out}`,
      maxWeights,
      cost.reduced,
      "reduced",
    ),
    h("p", {}, h("strong", {}, savingText(cost))),
    table(
      name,
      ["window", "direct", "reduced", "times", "limit"].map((head) => t(`deeper.cost_head_${head}`)),
      kernels.map((size) => {
        const sizeCost = bottleneck(from, between, out, size);
        const limit = breakEven(from, out, size);
        return {
          cells: [
            `${size}×${size}`,
            grouped(sizeCost.direct.weights),
            grouped(sizeCost.reduced.weights),
            times(sizeCost.saving),
            limit ? grouped(limit) : t("deeper.cost_never"),
          ],
          attributes: size === kernel ? { class: "chosen" } : {},
        };
      }),
    ),
  ];
}
