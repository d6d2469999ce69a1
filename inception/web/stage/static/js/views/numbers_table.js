/** The numbers behind the stage as tables, and downloads. */

import { classOf, subjectOf, withFill, worthFor } from "../controller.js";
import { h, replace } from "../dom.js";
import { classRows, statistics } from "../downloads.js";
import { BLOCKS, BRANCHES, decimalsFor, fixed, grouped, percent, roundToTotal, shapley, softmax, term } from "../numbers.js";
import { allOff, isAnythingOff } from "../state.js";
import { branchName, className, joined, t } from "../words.js";
import { focusLane } from "./block.js";
import { createDownloads } from "./downloads.js";
import { failure, latestOnly, placeholder, row, signedBar, skeleton, table, whileOpen } from "./deeper_parts.js";

/** @import {Block, BlockChannels, Branch, Data, Network, Scene, State, Subsets} from "../types.js" */
/** @import {Store} from "../state.js" */
/** @import {Source} from "../source.js" */

const CLASS_COUNT = 10;
const MAX_HEAT = 55; // largest share of colour in a cell, in per cent; above it, the number is hard to read

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @param {Source} source
 */
export function createNumbers(root, store, source) {
  const numbers = h("div");
  const ablations = h("div");
  const files = h("div");
  root.append(numbers, ablations, files);
  const latestAblations = latestOnly();
  let areAblationsOpen = false;
  let areSubsetsOpen = false;

  /** @type {Parameters<typeof whileOpen>[3]} */
  function draw(state, data) {
    const { network, base, now, channels, subsets } = data;
    if (!network || !base || !now || !channels || !subsets) return replace(numbers, placeholder(data));
    const cls = classOf(state, data);
    const name = className(network, cls);
    const isChanged = isAnythingOff(allOff(state));
    replace(
      numbers,
      h("h3", {}, t("deeper.numbers_block", { block: state.block })),
      isChanged && h("p", { class: "deeper-note" }, t("deeper.numbers_off")),
      branchTable(channels, state.block),
      ribbon(channels, worthFor(cls, data)?.[state.block], name, isChanged),
      h(
        "div",
        { class: "deeper-pair" },
        h("div", {}, h("h3", {}, t("deeper.numbers_top", { count: CLASS_COUNT })), classTable(now, base, network)),
        h("div", { class: "tells-worth" }, votes(subsets, cls, name, state.block, isChanged), subsetDetails(subsets, cls, network.temperature)),
      ),
    );
    drawAblations(state, data);
  }

  /**
   * Create the collapsible table of all 16 subsets of branches; it stays open when it is redrawn.
   * @param {Subsets} subsets
   * @param {number} cls
   * @param {number} temperature
   */
  function subsetDetails(subsets, cls, temperature) {
    const details = h(
      "details",
      { open: areSubsetsOpen, ontoggle: () => (areSubsetsOpen = details.open) },
      h("summary", {}, t("deeper.votes_table")),
      subsetTable(subsets, cls, temperature),
    );
    return details;
  }

  /**
   * Draw the collapsible table of every branch ablated alone. It costs 36 forward passes, so it loads when it is opened.
   * @param {Readonly<State>} state
   * @param {Readonly<Data>} data
   */
  function drawAblations(state, data) {
    const body = h("div");
    const details = h(
      "details",
      {
        class: "tells-worth",
        open: areAblationsOpen,
        ontoggle: () => {
          areAblationsOpen = details.open;
          if (areAblationsOpen) void fill();
        },
      },
      h("summary", {}, t("deeper.glance_title")),
      body,
    );
    replace(ablations, details);

    async function fill() {
      const { network, base } = data;
      if (!network || !base || body.childElementCount) return;
      const cls = classOf(state, data);
      replace(body, skeleton());
      try {
        const response = await latestAblations(source.table(withFill(subjectOf(state), state.fill)));
        if (response) replace(body, ...ablationTable(response, base, network, cls, state.block, store));
      } catch (error) {
        replace(body, failure(error));
      }
    }
  }

  createDownloads(files, store, source);
  whileOpen(store, "numbers", ["network", "now", "channels", "subsets", "worth", "block", "cls", "lang", "error"], draw);
}

/**
 * Create the table of statistics of each branch.
 * @param {BlockChannels} channels
 * @param {Block} block
 */
function branchTable(channels, block) {
  const summaries = BRANCHES.map((branch) => statistics(channels[branch]));
  const decimals = decimalsFor(summaries.flatMap((summary) => [summary.lowest, summary.highest, summary.mean]));
  return table(
    t("deeper.numbers_block", { block }),
    ["branch", "channels", "lowest", "highest", "mean", "silent"].map((head) => t(`deeper.numbers_${head}`)),
    BRANCHES.map((branch, i) => ({
      cells: [
        h("span", { class: "deeper-branch" }, branchName(branch)),
        grouped(summaries[i].channels),
        fixed(summaries[i].lowest, decimals),
        fixed(summaries[i].highest, decimals),
        fixed(summaries[i].mean, decimals),
        grouped(summaries[i].silent),
      ],
      attributes: { dataset: { branch } },
    })),
  );
}

/**
 * Create the ribbon: all channels in the order of the concatenated output, coloured by mean value and by worth.
 * @param {BlockChannels} channels
 * @param {Float32Array | undefined} worth
 * @param {string} name
 * @param {boolean} isChanged  whether anything is off
 */
function ribbon(channels, worth, name, isChanged) {
  const counts = BRANCHES.map((branch) => channels[branch].count);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const means = BRANCHES.flatMap((branch) => Array.from(channels[branch].mean, Math.abs));
  let start = 0;
  const headings = BRANCHES.map((branch, i) => {
    const first = start;
    start += counts[i];
    return h(
      "span",
      { dataset: { branch }, style: { "flex-grow": counts[i] } },
      `${branchName(branch)} `,
      h("small", {}, `${first}–${start - 1}`),
    );
  });
  const ribbonRow = (/** @type {string} */ label, /** @type {number[]} */ values, extraClass = "") => {
    const canvas = h("canvas", {
      width: total,
      height: 1,
      role: "img",
      "aria-label": t("deeper.ribbon_alt", { what: label, count: total }),
    });
    const draw = () => drawStripes(canvas, values, counts);
    requestAnimationFrame(draw);
    return h("div", { class: `ribbon-row ${extraClass}` }, h("span", {}, label), canvas);
  };
  return h(
    "div",
    { class: "ribbon" },
    h("h4", {}, t("deeper.ribbon_title", { count: total })),
    h("div", { class: "ribbon-heads" }, headings),
    ribbonRow(t("deeper.ribbon_mean"), means),
    worth && ribbonRow(t(isChanged ? "deeper.ribbon_worth_all_on" : "deeper.ribbon_worth", { name }), Array.from(worth, Math.abs), "tells-worth"),
  );
}

/**
 * Draw a stripe for each channel in the colour of its branch; the largest value is opaque.
 * @param {HTMLCanvasElement} canvas
 * @param {number[]} values
 * @param {number[]} counts
 */
function drawStripes(canvas, values, counts) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const largest = Math.max(...values) || 1;
  const style = getComputedStyle(canvas);
  let channel = 0;
  BRANCHES.forEach((branch, i) => {
    context.fillStyle = style.getPropertyValue(`--b-${branch}`).trim() || "#555";
    for (let end = channel + counts[i]; channel < end; channel++) {
      context.globalAlpha = Math.sqrt(values[channel] / largest);
      context.fillRect(channel, 0, 1, 1);
    }
  });
}

/**
 * Create the table of the most probable classes, and of their values with everything on.
 * @param {Scene} now
 * @param {Scene} base
 * @param {Network} network
 */
function classTable(now, base, network) {
  const rows = classRows(now, network).slice(0, CLASS_COUNT);
  const isChanged = now !== base;
  const baseProbabilities = softmax(base.logits, network.temperature);
  const columns = ["class", "probability", "logit", ...(isChanged ? ["before"] : [])];
  return table(
    t("deeper.numbers_top", { count: CLASS_COUNT }),
    columns.map((head) => t(`deeper.numbers_${head}`)),
    rows.map((entry) =>
      row(
        className(network, entry.class),
        percent(entry.probability),
        fixed(entry.logit, 2),
        ...(isChanged ? [`${percent(baseProbabilities[entry.class])} · ${fixed(base.logits[entry.class], 2)}`] : []),
      ),
    ),
  );
}

/**
 * Create the bars of each branch's Shapley value, and their sum.
 * @param {Subsets} subsets
 * @param {number} cls
 * @param {string} name
 * @param {Block} block
 * @param {boolean} isChanged  whether anything is off
 */
function votes(subsets, cls, name, block, isChanged) {
  const shapleyValues = shapley(subsets, cls);
  const branchWorths = BRANCHES.map((branch) => shapleyValues[branch]);
  const decimals = 3; // one more than in the lanes, so that values rounded to add up agree with those
  const shown = roundToTotal([shapleyValues.baseline, ...branchWorths], shapleyValues.logit, decimals);
  const bound = Math.max(...[shapleyValues.baseline, ...branchWorths].map(Math.abs));
  const items = [null, ...BRANCHES].map((branch, i) =>
    h(
      "li",
      { dataset: branch ? { branch } : {} },
      h("span", { class: "name" }, branch ? branchName(branch) : t("deeper.votes_baseline")),
      signedBar(shown[i], bound),
      h("span", { class: "number" }, i ? term(shown[i], decimals) : fixed(shown[i], decimals)),
    ),
  );
  return [
    h("h3", {}, t(isChanged ? "deeper.votes_title_all_on" : "deeper.votes_title", { block, name })),
    h("ul", { class: "deeper-bars" }, items),
    h(
      "p",
      { class: "deeper-total" },
      h("strong", { class: "number" }, t("deeper.votes_sum", { logit: fixed(shapleyValues.logit, decimals), name })),
    ),
    h("p", { class: "quiet" }, joined([t("deeper.votes_what"), t(`deeper.off_${subsets.fill}`)])),
  ];
}

/**
 * Create the table of all 16 subsets of branches, smallest subsets first.
 * @param {Subsets} subsets
 * @param {number} cls
 * @param {number} temperature
 */
function subsetTable({ logits, classes }, cls, temperature) {
  const isOn = (/** @type {number} */ subset, /** @type {number} */ i) => Boolean(subset & (1 << i));
  const count = (/** @type {number} */ subset) => BRANCHES.filter((_, i) => isOn(subset, i)).length;
  const all = Array.from({ length: 1 << BRANCHES.length }, (_, subset) => subset).sort((a, b) => count(a) - count(b) || a - b);
  return table(
    t("deeper.votes_table"),
    [t("deeper.votes_set"), ...BRANCHES.map(branchName), t("deeper.numbers_logit"), t("deeper.numbers_probability")],
    all.map((subset) => {
      const subsetLogits = logits.subarray(subset * classes, (subset + 1) * classes);
      return row(
        t("deeper.votes_count", { count: count(subset) }),
        ...BRANCHES.map((branch, i) => h("span", { class: isOn(subset, i) ? "is-on" : "is-off", dataset: { branch } }, t(isOn(subset, i) ? "block.on" : "block.off"))),
        fixed(subsetLogits[cls], 2),
        percent(softmax(subsetLogits, temperature)[cls]),
      );
    }),
  );
}

/**
 * Create the table of how much the logit of the class falls when one branch of one block is ablated.
 * @param {Record<Block, {logits: Float32Array, classes: number}>} ablatedLogits
 * @param {Scene} base
 * @param {Network} network
 * @param {number} cls
 * @param {Block} currentBlock
 * @param {Store} store
 */
function ablationTable(ablatedLogits, base, network, cls, currentBlock, store) {
  const name = className(network, cls);
  const logit = base.logits[cls];
  const falls = BLOCKS.map((block) => BRANCHES.map((_, i) => logit - ablatedLogits[block].logits[i * ablatedLogits[block].classes + cls]));
  const largest = Math.max(...falls.flat().map(Math.abs));
  let strongest = { block: BLOCKS[0], branch: BRANCHES[0], fall: 0 };
  BLOCKS.forEach((block, r) =>
    BRANCHES.forEach((branch, c) => {
      if (Math.abs(falls[r][c]) > Math.abs(strongest.fall)) strongest = { block, branch, fall: falls[r][c] };
    }),
  );
  /** @param {Block} block @param {Branch} branch @param {number} fall */
  const cell = (block, branch, fall) => {
    const button = h(
      "button",
      {
        type: "button",
        class: fall < 0 ? "glance-against" : "glance-for",
        style: { "--heat": `${largest ? (MAX_HEAT * Math.abs(fall)) / largest : 0}%` },
        "aria-label": t(fall < 0 ? "deeper.glance_cell_rise" : "deeper.glance_cell", { block, branch: branchName(branch), change: fixed(Math.abs(fall), 2) }),
        onclick: () => {
          store.update({ block, lens: null }, { push: true });
          focusLane(branch);
        },
      },
      fixed(fall, 2),
    );
    return button;
  };
  const key = strongest.fall >= 0 ? "deeper.glance_falls" : "deeper.glance_rises";
  return [
    h("p", { class: "deeper-lead" }, t("deeper.glance_lead", { name, logit: fixed(logit, 2) })),
    h(
      "p",
      {},
      h(
        "strong",
        {},
        t(key, { block: strongest.block, branch: branchName(strongest.branch), name, amount: fixed(Math.abs(strongest.fall), 2) }),
      ),
    ),
    table(
      t("deeper.glance_title"),
      [t("deeper.cost_head_block"), ...BRANCHES.map(branchName)],
      BLOCKS.map((block, r) => ({
        cells: [block, ...BRANCHES.map((branch, c) => cell(block, branch, falls[r][c]))],
        attributes: { class: `glance${block === currentBlock ? " chosen" : ""}` },
      })),
    ),
    h("p", { class: "quiet" }, t("deeper.glance_limits")),
  ];
}
