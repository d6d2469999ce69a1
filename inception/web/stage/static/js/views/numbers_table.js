/** The numbers behind the stage as tables, and files to take away. */

import { classOf, subjectOf, withFill } from "../controller.js";
import { h, replace } from "../dom.js";
import { classRows, statistics } from "../downloads.js";
import { BLOCKS, BRANCHES, decimalsFor, fixed, grouped, percent, roundToTotal, shapley, softmax, term } from "../numbers.js";
import { allOff, isAnythingOff } from "../state.js";
import { branchName, className, joined, t } from "../words.js";
import { reachLane } from "./block.js";
import { createDownloads } from "./downloads.js";
import { failure, newest, row, signedBar, skeleton, table, waiting, whileOpen } from "./deeper_parts.js";

/** @import {Block, BlockChannels, Branch, Data, Network, Scene, State, Subsets} from "../types.js" */
/** @import {Store} from "../state.js" */
/** @import {Source} from "../source.js" */

const CLASSES = 10;
const HEAT = 55; // per cent of a cell's colour at most: more would leave its number hard to read

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @param {Source} source
 */
export function createNumbers(root, store, source) {
  const numbers = h("div");
  const glance = h("div");
  const files = h("div");
  root.append(numbers, glance, files);
  const ask = newest();
  let isGlanceOpen = false;
  let areSetsOpen = false;

  /** @type {Parameters<typeof whileOpen>[3]} */
  function draw(state, data) {
    const { network, base, now, channels, subsets } = data;
    if (!network || !base || !now || !channels || !subsets) return replace(numbers, waiting(data));
    const cls = classOf(state, data);
    const name = className(network, cls);
    replace(
      numbers,
      h("h3", {}, t("deeper.numbers_block", { block: state.block })),
      isAnythingOff(allOff(state)) && h("p", { class: "deeper-note" }, t("deeper.numbers_off")),
      branchTable(channels, state.block),
      ribbon(channels, data.worth?.[state.block], name),
      h(
        "div",
        { class: "deeper-pair" },
        h("div", {}, h("h3", {}, t("deeper.numbers_top", { count: CLASSES })), classTable(now, base, network)),
        h("div", { class: "tells-worth" }, votes(subsets, cls, name, state.block), sets(subsets, cls, network.temperature)),
      ),
    );
    drawGlance(state, data);
  }

  /**
   * All sixteen sets of branches, behind a heading that stays open when the table is drawn again.
   * @param {Subsets} subsets
   * @param {number} cls
   * @param {number} temperature
   */
  function sets(subsets, cls, temperature) {
    const details = h(
      "details",
      { open: areSetsOpen, ontoggle: () => (areSetsOpen = details.open) },
      h("summary", {}, t("deeper.votes_table")),
      subsetTable(subsets, cls, temperature),
    );
    return details;
  }

  /**
   * Every branch of every block off alone: 36 runs of the network, asked for only when somebody wants to see them.
   * @param {Readonly<State>} state
   * @param {Readonly<Data>} data
   */
  function drawGlance(state, data) {
    const body = h("div");
    const details = h(
      "details",
      {
        class: "tells-worth",
        open: isGlanceOpen,
        ontoggle: () => {
          isGlanceOpen = details.open;
          if (isGlanceOpen) void fill();
        },
      },
      h("summary", {}, t("deeper.glance_title")),
      body,
    );
    replace(glance, details);

    async function fill() {
      const { network, base } = data;
      if (!network || !base || body.childElementCount) return;
      const cls = classOf(state, data);
      replace(body, skeleton());
      try {
        const told = await ask(source.table(withFill(subjectOf(state), state.fill)));
        if (told) replace(body, ...glanceTable(told, base, network, cls, state.block, store));
      } catch (error) {
        replace(body, failure(error));
      }
    }
  }

  createDownloads(files, store, source);
  whileOpen(store, "numbers", ["network", "now", "channels", "subsets", "worth", "block", "cls", "lang", "error"], draw);
}

/**
 * @param {BlockChannels} channels
 * @param {Block} block
 */
function branchTable(channels, block) {
  const told = BRANCHES.map((branch) => statistics(channels[branch]));
  const decimals = decimalsFor(told.flatMap((one) => [one.lowest, one.highest, one.mean]));
  return table(
    t("deeper.numbers_block", { block }),
    ["branch", "channels", "lowest", "highest", "mean", "silent"].map((head) => t(`deeper.numbers_${head}`)),
    BRANCHES.map((branch, i) => ({
      cells: [
        h("span", { class: "deeper-branch" }, branchName(branch)),
        grouped(told[i].channels),
        fixed(told[i].lowest, decimals),
        fixed(told[i].highest, decimals),
        fixed(told[i].mean, decimals),
        grouped(told[i].silent),
      ],
      attributes: { dataset: { branch } },
    })),
  );
}

/**
 * The channels of the block's output side by side, as they are joined: how high each is on average, and its worth.
 * @param {BlockChannels} channels
 * @param {Float32Array | undefined} worth
 * @param {string} name
 */
function ribbon(channels, worth, name) {
  const counts = BRANCHES.map((branch) => channels[branch].count);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const means = BRANCHES.flatMap((branch) => Array.from(channels[branch].mean, Math.abs));
  let start = 0;
  const heads = BRANCHES.map((branch, i) => {
    const from = start;
    start += counts[i];
    return h("span", { dataset: { branch }, style: { "flex-grow": counts[i] } }, `${branchName(branch)} `, h("small", {}, `${from}–${start - 1}`));
  });
  const line = (/** @type {string} */ words, /** @type {number[]} */ values, more = "") => {
    const canvas = h("canvas", { width: total, height: 1, role: "img", "aria-label": t("deeper.ribbon_alt", { what: words, count: total }) });
    const draw = () => stripes(canvas, values, counts);
    requestAnimationFrame(draw);
    return h("div", { class: `ribbon-row ${more}` }, h("span", {}, words), canvas);
  };
  return h(
    "div",
    { class: "ribbon" },
    h("h4", {}, t("deeper.ribbon_title", { count: total })),
    h("div", { class: "ribbon-heads" }, heads),
    line(t("deeper.ribbon_mean"), means),
    worth && line(t("deeper.ribbon_worth", { name }), Array.from(worth, Math.abs), "tells-worth"),
  );
}

/**
 * A stripe for each channel in its branch's colour, opaque for the largest.
 * @param {HTMLCanvasElement} canvas
 * @param {number[]} values
 * @param {number[]} counts
 */
function stripes(canvas, values, counts) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const largest = Math.max(...values) || 1;
  const style = getComputedStyle(canvas);
  let at = 0;
  BRANCHES.forEach((branch, i) => {
    context.fillStyle = style.getPropertyValue(`--b-${branch}`).trim() || "#555";
    for (let end = at + counts[i]; at < end; at++) {
      context.globalAlpha = Math.sqrt(values[at] / largest);
      context.fillRect(at, 0, 1, 1);
    }
  });
}

/**
 * @param {Scene} now
 * @param {Scene} base
 * @param {Network} network
 */
function classTable(now, base, network) {
  const rows = classRows(now, network).slice(0, CLASSES);
  const isChanged = now !== base;
  const before = softmax(base.logits, network.temperature);
  const heads = ["class", "probability", "logit", ...(isChanged ? ["before"] : [])];
  return table(
    t("deeper.numbers_top", { count: CLASSES }),
    heads.map((head) => t(`deeper.numbers_${head}`)),
    rows.map((one) =>
      row(
        className(network, one.class),
        percent(one.probability),
        fixed(one.logit, 2),
        ...(isChanged ? [`${percent(before[one.class])} · ${fixed(base.logits[one.class], 2)}`] : []),
      ),
    ),
  );
}

/**
 * @param {Subsets} subsets
 * @param {number} cls
 * @param {string} name
 * @param {Block} block
 */
function votes(subsets, cls, name, block) {
  const told = shapley(subsets, cls);
  const parts = BRANCHES.map((branch) => told[branch]);
  const decimals = 3; // one more than the lanes: rounded to add up, they still agree with them
  const shown = roundToTotal([told.baseline, ...parts], told.logit, decimals);
  const bound = Math.max(...[told.baseline, ...parts].map(Math.abs));
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
    h("h3", {}, t("deeper.votes_title", { block, name })),
    h("ul", { class: "deeper-bars" }, items),
    h("p", { class: "deeper-total" }, h("strong", { class: "number" }, t("deeper.votes_sum", { logit: fixed(told.logit, decimals), name }))),
    h("p", { class: "quiet" }, joined([t("deeper.votes_what"), t(`deeper.off_${subsets.fill}`)])),
  ];
}

/**
 * All sixteen sets of branches, those with fewer branches first.
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
      const own = logits.subarray(subset * classes, (subset + 1) * classes);
      return row(
        t("deeper.votes_count", { count: count(subset) }),
        ...BRANCHES.map((branch, i) => h("span", { class: isOn(subset, i) ? "is-on" : "is-off", dataset: { branch } }, t(isOn(subset, i) ? "block.on" : "block.off"))),
        fixed(own[cls], 2),
        percent(softmax(own, temperature)[cls]),
      );
    }),
  );
}

/**
 * How much the logit of the class falls when one branch of one block is off alone.
 * @param {Record<Block, {logits: Float32Array, classes: number}>} told
 * @param {Scene} base
 * @param {Network} network
 * @param {number} cls
 * @param {Block} chosen
 * @param {Store} store
 */
function glanceTable(told, base, network, cls, chosen, store) {
  const name = className(network, cls);
  const logit = base.logits[cls];
  const falls = BLOCKS.map((block) => BRANCHES.map((_, i) => logit - told[block].logits[i * told[block].classes + cls]));
  const reach = Math.max(...falls.flat().map(Math.abs));
  let best = { block: BLOCKS[0], branch: BRANCHES[0], fall: 0 };
  BLOCKS.forEach((block, r) =>
    BRANCHES.forEach((branch, c) => {
      if (Math.abs(falls[r][c]) > Math.abs(best.fall)) best = { block, branch, fall: falls[r][c] };
    }),
  );
  /** @param {Block} block @param {Branch} branch @param {number} fall */
  const cell = (block, branch, fall) => {
    const button = h(
      "button",
      {
        type: "button",
        class: fall < 0 ? "glance-against" : "glance-for",
        style: { "--heat": `${reach ? (HEAT * Math.abs(fall)) / reach : 0}%` },
        "aria-label": t("deeper.glance_cell", { block, branch: branchName(branch), fall: fixed(fall, 2) }),
        onclick: () => {
          store.update({ block, lens: null }, { push: true });
          reachLane(branch);
        },
      },
      fixed(fall, 2),
    );
    return button;
  };
  const key = best.fall >= 0 ? "deeper.glance_falls" : "deeper.glance_rises";
  return [
    h("p", { class: "deeper-lead" }, t("deeper.glance_lead", { name, logit: fixed(logit, 2) })),
    h("p", {}, h("strong", {}, t(key, { block: best.block, branch: branchName(best.branch), name, amount: fixed(Math.abs(best.fall), 2) }))),
    table(
      t("deeper.glance_title"),
      [t("deeper.cost_head_block"), ...BRANCHES.map(branchName)],
      BLOCKS.map((block, r) => ({
        cells: [block, ...BRANCHES.map((branch, c) => cell(block, branch, falls[r][c]))],
        attributes: { class: `glance${block === chosen ? " chosen" : ""}` },
      })),
    ),
    h("p", { class: "quiet" }, t("deeper.glance_limits")),
  ];
}
