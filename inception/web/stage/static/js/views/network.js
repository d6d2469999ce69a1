/** The network: nine blocks of four live maps each; lines as thick as their branches have channels. */

import { paintMap } from "../colours.js";
import { h, replace, set, svg } from "../dom.js";
import { brightest, isSignedScene, meanRange, meanValues, paletteOf } from "../maps.js";
import { BLOCKS, BRANCHES } from "../numbers.js";
import { isOff } from "../state.js";
import { branchName, t } from "../words.js";

/** @import {Block, Branch, MeanMap} from "../types.js" */

const WIDEST = 9; // pixels, of the branch with most channels
const CHANGED = 2; // of 255, mean difference of a map that counts as changed

/**
 * @param {HTMLElement} root
 * @param {import("../state.js").Store} store
 * @param {Pick<import("../controller.js").Controller, "prefetch" | "refresh">} controller
 */
export function createNetwork(root, store, controller) {
  const flow = svg("svg", { "aria-hidden": "true" });
  const strip = h("div", { class: "strip", role: "tablist", onkeydown: move });
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
        onclick: () => choose(block),
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
  strip.prepend(flow);

  /** @param {Block} block */
  function choose(block) {
    const { channels, error } = store.data();
    if (block !== store.get().block) store.update({ block, lens: null }, { push: true });
    else if (!channels && error) void controller.refresh(); // it is tried again
  }

  /** Arrow keys go from block to block. @param {KeyboardEvent} event */
  function move(event) {
    const at = BLOCKS.indexOf(store.get().block);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: BLOCKS.length - 1 }[event.key];
    if (to === undefined || !BLOCKS[to]) return;
    event.preventDefault();
    choose(BLOCKS[to]);
    nodes[BLOCKS[to]].node.focus();
  }

  function drawChoice() {
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
        const before = base.maps[block][branch];
        const dark = isOff(off, block, branch);
        // On the scale of the unchanged run: what becomes weaker becomes darker.
        paintMap(canvas, meanValues(map, meanRange([before], isSigned)), map.side, map.side, paletteOf(isSigned, colours));
        box.classList.toggle("off", dark);
        isChanged ||= !dark && differs(map, before);
      }
      nodes[block].node.classList.toggle("changed", isChanged);
    }
    drawWords();
  }

  function drawWords() {
    const { network, now } = store.data();
    set(root, { "aria-label": t("network.title"), title: t("network.lead") });
    caption.textContent = t("network.thicker");
    set(strip, { "aria-label": t("network.choose") });
    for (const block of BLOCKS) {
      const facts = network?.blocks[block];
      const { node } = nodes[block];
      const label = facts
        ? t("network.block_label", { block, channels: facts.channels, side: facts.side })
        : t("network.block", { block });
      const pool = facts?.pool_before ? `. ${t("network.pool_before", { block })}` : "";
      const changed = node.classList.contains("changed") ? `, ${t("network.changed")}` : "";
      const branch = now && brightest(now.maps[block]);
      const bright = branch ? `, ${t("network.brightest", { branch: branchName(branch) })}` : "";
      set(node, { "aria-label": label + bright + changed, title: label + pool });
    }
  }

  /** Lines from each branch to the place where the four are joined, and from there to the next block. */
  function drawFlow() {
    const { network } = store.data();
    if (!network) return;
    const frame = strip.getBoundingClientRect();
    if (!frame.width) return;
    const most = Math.max(...BLOCKS.flatMap((block) => BRANCHES.map((branch) => network.blocks[block].branches[branch].channels)));
    /** @param {Block} block @param {Branch} branch */
    const place = (block, branch) => {
      const box = nodes[block].tiles[branch].box.getBoundingClientRect();
      return { left: box.left - frame.left, right: box.right - frame.left, y: box.top + box.height / 2 - frame.top };
    };
    replace(flow);
    set(flow, { viewBox: `0 0 ${frame.width} ${frame.height}` });
    BLOCKS.forEach((block, i) => {
      const next = BLOCKS[i + 1];
      if (!next) return;
      const middle = (place(block, "3x3").y + place(block, "5x5").y) / 2;
      for (const branch of BRANCHES) {
        const from = place(block, branch);
        const to = place(next, branch);
        const width = Math.max(0.8, (network.blocks[block].branches[branch].channels / most) * WIDEST);
        const x = (from.right + to.left) / 2;
        const line = (/** @type {string} */ d, /** @type {number} */ thick, /** @type {Block} */ of) =>
          svg("path", { class: "flow", d, stroke: `var(--b-${branch})`, "stroke-width": thick, dataset: { from: block, of, branch } });
        flow.append(
          line(`M${from.right},${from.y} C${x},${from.y} ${x},${middle} ${x},${middle}`, width, block),
          line(`M${x},${middle} C${x},${middle} ${x},${to.y} ${to.left},${to.y}`, 1.2, next),
        );
      }
    });
    drawLight();
  }

  /** A hovered lane or block lights its lines and maps; a branch that is off sends nothing on. */
  function drawLight() {
    const { block, off } = store.get();
    const hover = store.hovered();
    const lit = hover.kind === "block" ? hover.block : hover.branch ? block : null;
    for (const path of /** @type {NodeListOf<SVGPathElement>} */ (flow.querySelectorAll(".flow"))) {
      const { from, of, branch } = path.dataset;
      const own = of === from;
      path.classList.toggle("lit", of === lit && (hover.kind === "block" || branch === hover.branch));
      path.classList.toggle("dead", own && isOff(off, /** @type {Block} */ (from), /** @type {Branch} */ (branch)));
    }
    for (const name of BLOCKS) {
      for (const branch of BRANCHES) {
        const isLit = name === block && hover.kind !== "block" && hover.branch === branch;
        nodes[name].tiles[branch].box.classList.toggle("lit", isLit);
      }
    }
  }

  new ResizeObserver(drawFlow).observe(strip);
  store.onHover(drawLight);
  store.subscribe((_, __, changed) => {
    if (changed.has("block")) drawChoice();
    if (changed.has("now") || changed.has("base") || changed.has("off") || changed.has("colours")) drawMaps();
    if (changed.has("network")) drawFlow();
    if (changed.has("off")) drawLight();
    if (changed.has("lang") || changed.has("network")) drawWords();
  });
  drawChoice();
  drawWords();
}

/**
 * @param {MeanMap} one
 * @param {MeanMap} other
 */
function differs(one, other) {
  if (one === other) return false;
  const scale = 255 / (other.high - other.low || 1);
  let sum = 0;
  for (let i = 0; i < one.values.length; i++) {
    const a = one.low + (one.values[i] / 255) * (one.high - one.low);
    const b = other.low + (other.values[i] / 255) * (other.high - other.low);
    sum += Math.abs(a - b) * scale;
  }
  return sum / one.values.length > CHANGED;
}
