/** The network: nine blocks of four mean maps each, joined by lines whose width shows the number of channels. */

import { paintMap } from "../colours.js";
import { h, replace, set, svg } from "../dom.js";
import { brightest, isSignedScene, meanRange, meanValues, paletteOf } from "../maps.js";
import { BLOCKS, BRANCHES } from "../numbers.js";
import { isOff } from "../state.js";
import { branchName, joined, t } from "../words.js";

/** @import {Block, Branch, MeanMap} from "../types.js" */

const MAX_LINE_WIDTH = 9; // in pixels, for the branch with the most channels
const CHANGE_THRESHOLD = 2; // mean difference above which a map counts as changed, of 255

/**
 * @param {HTMLElement} root
 * @param {import("../state.js").Store} store
 * @param {Pick<import("../controller.js").Controller, "prefetch" | "refresh">} controller
 */
export function createNetwork(root, store, controller) {
  const flow = svg("svg", { "aria-hidden": "true" });
  const strip = h("div", { class: "strip", role: "tablist", onkeydown: moveSelection });
  const names = h("div", { class: "strip-names", "aria-hidden": "true" });
  const caption = h("p", { class: "quiet caption" });
  root.append(strip, caption);

  /** @type {Record<string, {node: HTMLButtonElement, tiles: Record<string, {box: HTMLElement, canvas: HTMLCanvasElement}>}>} */
  const nodes = {};
  for (const block of BLOCKS) {
    /** @type {Record<string, {box: HTMLElement, canvas: HTMLCanvasElement}>} */
    const tiles = {};
    for (const branch of BRANCHES) {
      const canvas = h("canvas");
      tiles[branch] = { box: h("span", { class: "tile", dataset: { branch } }, canvas), canvas };
    }
    const node = h(
      "button",
      {
        class: "node",
        role: "tab",
        style: { "--place": BLOCKS.indexOf(block) },
        dataset: { block },
        onclick: () => selectBlock(block),
        onpointerenter: () => {
          controller.prefetch(block);
          store.hover({ kind: "block", block });
        },
        onpointerleave: () => store.hover({ kind: null }),
        onfocus: () => controller.prefetch(block),
      },
      h("b", {}, block),
      BRANCHES.map((branch) => tiles[branch].box),
    );
    nodes[block] = { node, tiles };
    strip.append(node);
  }
  strip.prepend(flow, names);

  /** @param {Block} block */
  function selectBlock(block) {
    const { channels, error } = store.data();
    if (block !== store.get().block) store.update({ block, lens: null }, { push: true });
    else if (!channels && error) void controller.refresh(); // retry after an error
  }

  /** Move the selection with the arrow keys. @param {KeyboardEvent} event */
  function moveSelection(event) {
    const index = BLOCKS.indexOf(store.get().block);
    const target = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: BLOCKS.length - 1 }[event.key];
    if (target === undefined || !BLOCKS[target]) return;
    event.preventDefault();
    selectBlock(BLOCKS[target]);
    nodes[BLOCKS[target]].node.focus();
  }

  function drawSelection() {
    const { block } = store.get();
    for (const name of BLOCKS) {
      set(nodes[name].node, { "aria-selected": String(name === block), tabindex: name === block ? 0 : -1 });
    }
  }

  function drawMaps() {
    const { off, colours } = store.get();
    const { base, now } = store.data();
    if (!base || !now) return;
    const isSigned = isSignedScene(base);
    for (const block of BLOCKS) {
      let isChanged = false;
      for (const branch of BRANCHES) {
        const { box, canvas } = nodes[block].tiles[branch];
        const map = now.maps[block][branch];
        const baseMap = base.maps[block][branch];
        const isBranchOff = isOff(off, block, branch);
        // On the scale of the unchanged run, so that weaker maps look darker.
        paintMap(canvas, meanValues(map, meanRange([baseMap], isSigned)), map.side, map.side, paletteOf(isSigned, colours));
        box.classList.toggle("off", isBranchOff);
        isChanged ||= !isBranchOff && differs(map, baseMap);
      }
      nodes[block].node.classList.toggle("changed", isChanged);
    }
    drawWords();
  }

  function drawWords() {
    const { network, now } = store.data();
    set(root, { "aria-label": t("network.title") });
    replace(names, BRANCHES.map((branch) => h("span", { dataset: { branch } }, branchName(branch))));
    const isAnyChanged = BLOCKS.some((block) => nodes[block].node.classList.contains("changed"));
    caption.textContent = joined([t("network.lead"), isAnyChanged ? t("network.delta") : ""]);
    set(strip, { "aria-label": t("network.choose") });
    for (const block of BLOCKS) {
      const facts = network?.blocks[block];
      const { node } = nodes[block];
      const label = facts
        ? t("network.block_label", { block, channels: facts.channels, side: facts.side })
        : t("network.block", { block });
      const poolText = facts?.pool_before ? t("network.pool_before", { block }) : "";
      const changedText = node.classList.contains("changed") ? t("network.changed") : "";
      const brightestBranch = now && brightest(now.maps[block]);
      const brightestText = brightestBranch ? t("network.brightest", { branch: branchName(brightestBranch) }) : "";
      const name = [label, brightestText, changedText].filter(Boolean).join(t("answer.comma"));
      const shown = [label, changedText].filter(Boolean).join(t("answer.comma"));
      set(node, { "aria-label": name, title: poolText ? joined([t("answer.sentence", { text: shown }), poolText]) : shown });
    }
  }

  /** Draw lines from each branch to the point where the four are concatenated, and from there to the next block. */
  function drawFlow() {
    const { network } = store.data();
    if (!network) return;
    const frame = strip.getBoundingClientRect();
    if (!frame.width) return;
    const maxChannels = Math.max(...BLOCKS.flatMap((block) => BRANCHES.map((branch) => network.blocks[block].branches[branch].channels)));
    /** @param {Block} block @param {Branch} branch */
    const tileBox = (block, branch) => {
      const box = nodes[block].tiles[branch].box.getBoundingClientRect();
      return { left: box.left - frame.left, right: box.right - frame.left, y: box.top + box.height / 2 - frame.top };
    };
    replace(flow);
    set(flow, { viewBox: `0 0 ${frame.width} ${frame.height}` });
    BLOCKS.forEach((block, i) => {
      const next = BLOCKS[i + 1];
      if (!next) return;
      const joinY = (tileBox(block, "3x3").y + tileBox(block, "5x5").y) / 2;
      for (const branch of BRANCHES) {
        const from = tileBox(block, branch);
        const to = tileBox(next, branch);
        const width = Math.max(0.8, (network.blocks[block].branches[branch].channels / maxChannels) * MAX_LINE_WIDTH);
        const x = (from.right + to.left) / 2;
        const line = (/** @type {string} */ d, /** @type {number} */ thickness, /** @type {Block} */ owner) =>
          svg("path", {
            class: "flow",
            d,
            stroke: `var(--b-${branch})`,
            "stroke-width": thickness,
            dataset: { from: block, of: owner, branch },
          });
        flow.append(
          line(`M${from.right},${from.y} C${x},${from.y} ${x},${joinY} ${x},${joinY}`, width, block),
          line(`M${x},${joinY} C${x},${joinY} ${x},${to.y} ${to.left},${to.y}`, 1.2, next),
        );
      }
    });
    drawHighlight();
  }

  /** Highlight the lines and maps of the hovered lane or block, and dim the lines of branches that are off. */
  function drawHighlight() {
    const { block, off } = store.get();
    const hover = store.hovered();
    const litBlock = hover.kind === "block" ? hover.block : hover.branch ? block : null;
    for (const path of /** @type {NodeListOf<SVGPathElement>} */ (flow.querySelectorAll(".flow"))) {
      const { from, of, branch } = path.dataset;
      const isOutput = of === from;
      path.classList.toggle("lit", of === litBlock && (hover.kind === "block" || branch === hover.branch));
      path.classList.toggle("dead", isOutput && isOff(off, /** @type {Block} */ (from), /** @type {Branch} */ (branch)));
    }
    for (const name of BLOCKS) {
      for (const branch of BRANCHES) {
        const isLit = name === block && hover.kind !== "block" && hover.branch === branch;
        nodes[name].tiles[branch].box.classList.toggle("lit", isLit);
      }
    }
  }

  new ResizeObserver(drawFlow).observe(strip);
  store.onHover(drawHighlight);
  store.subscribe((_, __, changed) => {
    if (changed.has("block")) drawSelection();
    if (changed.has("now") || changed.has("base") || changed.has("off") || changed.has("colours")) drawMaps();
    if (changed.has("network")) drawFlow();
    if (changed.has("off")) drawHighlight();
    if (changed.has("lang") || changed.has("network")) drawWords();
  });
  drawSelection();
  drawWords();
}

/**
 * Whether a map differs visibly from a reference, on the scale of the reference.
 * @param {MeanMap} map
 * @param {MeanMap} reference
 */
function differs(map, reference) {
  if (map === reference) return false;
  const scale = 255 / (reference.high - reference.low || 1);
  let sum = 0;
  for (let i = 0; i < map.values.length; i++) {
    const a = map.low + (map.values[i] / 255) * (map.high - map.low);
    const b = reference.low + (reference.values[i] / 255) * (reference.high - reference.low);
    sum += Math.abs(a - b) * scale;
  }
  return sum / map.values.length > CHANGE_THRESHOLD;
}
