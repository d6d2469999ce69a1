/** The unfolded block: a lane for each branch, with its layers, most important channels, worth and switch. */

import { classOf, worthFor } from "../controller.js";
import { h, isStill, replace, set } from "../dom.js";
import { isSignedBlock, paletteOf, rangeOf } from "../maps.js";
import { BRANCHES, fixed, forAndAgainst, shapley, shownVotes, signed, term } from "../numbers.js";
import { measuredFor, sortedChannels, worthOf } from "../ranking.js";
import { allOff, CHOICES, isAnythingOff, isOff, switched } from "../state.js";
import { branchName, className, joined, t } from "../words.js";
import { createTile, greyPhoto, legend } from "./tile.js";

/** @import {Branch, Layer, State} from "../types.js" */

const GAP = 5; // pixels between tiles
const MIN_MORE_WIDTH = 58; // pixels, of the button behind the tiles
/** Settings with a menu below the lanes. */
const SETTINGS = /** @type {const} */ (["sort", "scale", "colours", "fill"]);

/**
 * @param {HTMLElement} root
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 */
export function createBlock(root, store, source) {
  const title = h("h2");
  const lead = h("p", { class: "quiet lead" });
  const tools = h("div", { class: "block-tools" });
  const worthHead = h("span", { class: "quiet worth-head" });
  const switchHead = h("span", { class: "quiet switch-head" });
  const lanes = h("div", { class: "lanes", onkeydown: moveFocus });
  const bestBranch = h("p", { class: "carried" });
  const voteSum = h("p", { class: "quiet sum" });
  const opposing = h("p", { class: "quiet sum" });
  const scaleLegend = h("p", { class: "quiet" });
  root.append(
    h("div", { class: "block-head" }, h("div", { class: "block-title" }, title, lead), worthHead, switchHead),
    lanes,
    h("div", { class: "block-foot" }, h("div", { class: "block-sums" }, bestBranch, voteSum, opposing), scaleLegend, tools),
  );

  const parts = BRANCHES.map((branch) => {
    const name = h("b", { class: "lane-name" });
    const layers = h("div", { class: "layers" });
    const tiles = h("div", { class: "tiles" });
    const worth = h("div", { class: "worth" });
    const toggle = h("button", {
      class: "switch",
      role: "switch",
      dataset: { switch: branch },
      onclick: () => store.update({ off: switched(store.get().off, store.get().block, branch) }),
    });
    const lane = h(
      "div",
      {
        class: "lane",
        role: "group",
        dataset: { lane: branch },
        onpointerenter: () => store.hover({ kind: "lane", branch }),
        onpointerleave: () => store.hover({ kind: null }),
      },
      h("div", { class: "lane-head" }, name, layers),
      tiles,
      worth,
      toggle,
    );
    lanes.append(lane);
    return { branch, lane, name, layers, tiles, worth, toggle };
  });

  let wordsKey = ""; // what the words were last drawn for
  function drawWords() {
    const state = store.get();
    const { network } = store.data();
    const { lang, block, sort, scale, colours, fill } = state;
    const key = JSON.stringify([lang, block, network?.name, sort, scale, colours, fill]);
    if (key === wordsKey) return;
    wordsKey = key;
    set(root, { "aria-label": t("network.block", { block: state.block }) });
    title.textContent = t("block.title", { block: state.block });
    switchHead.textContent = t("block.on_off");
    replace(
      tools,
      // Only networks with branch means offer a choice of what replaces the channels that are off.
      SETTINGS.filter((setting) => setting !== "fill" || network?.has_means).map((setting) =>
        h(
          "label",
          { class: "quiet", title: helpOf(setting, state) },
          t(`block.${setting}`),
          " ",
          h(
            "select",
            {
              onchange: (/** @type {Event} */ event) =>
                store.update({ [setting]: /** @type {HTMLSelectElement} */ (event.target).value }),
            },
            CHOICES[setting].map((value) => h("option", { value, selected: value === state[setting] }, t(`block.${setting}_${value}`))),
          ),
        ),
      ),
    );
    if (!network) return;
    const facts = network.blocks[state.block];
    const counts = BRANCHES.map((branch) => facts.branches[branch].channels);
    const sentences = [
      ...(state.sort === "worth" ? [t("block.lead_worth")] : []),
      t("block.lead", { side: facts.side, channels: facts.in_channels, sum: counts.join(" + "), total: facts.channels }),
    ];
    // A sentence for which the line has no room is left out.
    replace(lead, sentences.map((sentence) => h("span", {}, sentence)));
    lead.title = joined(sentences);
    for (const part of parts) drawLayers(part);
  }

  /** @param {typeof parts[number]} part */
  function drawLayers({ branch, lane, name, layers, toggle }) {
    const { network } = store.data();
    const { block } = store.get();
    if (!network) return;
    const facts = network.blocks[block].branches[branch];
    const fullName = t("block.switch", { branch: branchName(branch), block });
    set(lane, { "aria-label": fullName });
    set(toggle, { "aria-label": fullName });
    // torchvision's network has a 3x3 kernel in the branch that the paper calls 5x5.
    const runs3x3 = branch === "5x5" && facts.layers.at(-1)?.kernel === 3;
    replace(name, branchName(branch), runs3x3 && h("small", {}, " ", t("branch.runs_3x3")));
    set(name, { title: t(runs3x3 ? "branch.5x5_runs_3x3" : `branch.${branch}`) });
    replace(
      layers,
      facts.layers.flatMap((layer, i) => [i > 0 && h("i", { "aria-hidden": "true" }, "→"), layerLabel(layer, facts.layers)]),
    );
  }

  function drawSwitches() {
    const { off, block } = store.get();
    for (const { branch, lane, toggle } of parts) {
      const isDisabled = isOff(off, block, branch);
      set(toggle, { "aria-checked": String(!isDisabled) });
      lane.classList.toggle("off", isDisabled);
    }
  }

  function drawWorth() {
    const state = store.get();
    const { network, subsets, base } = store.data();
    const hover = store.hovered();
    const cls = hover.kind === "class" && hover.cls !== undefined ? hover.cls : classOf(state, store.data());
    const name = network ? className(network, cls) : "";
    const isChanged = isAnythingOff(allOff(state)); // worth is always that of the run with everything on
    worthHead.textContent = network && t(isChanged ? "block.worth_all_on" : "block.worth", { name });
    worthHead.title = network ? t("block.worth_help", { name }) : "";
    root.classList.toggle("no-votes", !subsets);
    if (!subsets || !base || subsets.block !== state.block) return;
    const votes = shownVotes(shapley(subsets, cls));
    // The lanes share zero and scale.
    const lowest = Math.min(0, ...BRANCHES.map((branch) => votes[branch]));
    const range = Math.max(0, ...BRANCHES.map((branch) => votes[branch])) - lowest || 1;
    for (const { branch, worth } of parts) {
      const vote = votes[branch];
      const style = { left: `${(100 * (Math.min(0, vote) - lowest)) / range}%`, width: `${(100 * Math.abs(vote)) / range}%` };
      replace(
        worth,
        h("span", { class: "worth-bar", style: { "--zero": `${(-100 * lowest) / range}%` } }, h("i", { class: vote < 0 ? "negative" : "", style })),
        h("span", { class: "number" }, signed(vote)),
      );
    }
    const { best, against } = forAndAgainst(votes);
    bestBranch.textContent = best
      ? t(isChanged ? "block.carries_all_on" : "block.carries", { branch: branchName(best), worth: signed(votes[best]) })
      : t("deeper.evidence_no_branch", { name });
    voteSum.textContent = t("block.sum", { baseline: fixed(votes.baseline, 2), sum: term(votes.sum, 2), logit: fixed(votes.logit, 2) });
    const list = against.map((branch) => `${branchName(branch)} ${signed(votes[branch])}`).join(t("answer.joiner"));
    opposing.textContent = list && t("block.against", { list, name });
  }

  /** Draw a legend where all maps share a scale or the palette is signed. */
  function drawLegend() {
    const { scale, colours } = store.get();
    const { channels } = store.data();
    const isSigned = Boolean(channels && isSignedBlock(channels));
    const range = channels && scale === "block" ? rangeOf(channels, "1x1", 0, "block") : null;
    replace(scaleLegend, (range || isSigned) && legend(range, paletteOf(isSigned, colours)));
  }

  /** After a failed request, clear what is left of the block shown before. */
  function clearStale() {
    const { channels, error, busy } = store.data();
    if (channels || !error || busy) return;
    for (const { tiles, worth } of parts) replace(tiles), replace(worth);
    for (const text of [bestBranch, voteSum, opposing, scaleLegend]) text.textContent = "";
  }

  let drawnBlock = "";
  let columns = 0; // tiles in a lane; 0 until measured
  function drawTiles() {
    const state = store.get();
    const { network, channels, worth, base } = store.data();
    if (!network || !channels || !base) return;
    const square = greyPhoto(source, state, base, network);
    columns ||= measureColumns();
    // Tiles keep their order when something is switched off.
    const baseChannels = store.data().baseChannels ?? channels;
    for (const { branch, tiles } of parts) {
      const worths = worthOf(network, state.block, branch, worth);
      const shown = sortedChannels(baseChannels[branch], worths, state.sort, measuredFor(state, store.data(), branch)).slice(0, columns);
      const focusedChannel =
        document.activeElement instanceof HTMLElement && tiles.contains(document.activeElement)
          ? document.activeElement.dataset.channel
          : undefined;
      const canvases = [...tiles.querySelectorAll("canvas")];
      replace(
        tiles,
        shown.map((channel, i) => createTile(store, { branch, channel, channels, worth: worths?.[channel] ?? null, square }, canvases[i])),
        h(
          "button",
          {
            class: "more plain",
            tabindex: "-1",
            "aria-label": t("block.more_label", { count: channels[branch].count - shown.length, branch: branchName(branch) }),
            onclick: () => {
              store.update({ view: "all" });
              root.querySelector(`dialog.all [data-branch="${branch}"]`)?.scrollIntoView();
            },
          },
          t("block.more", { count: channels[branch].count - shown.length }),
        ),
      );
      if (focusedChannel) /** @type {HTMLElement | null} */ (tiles.querySelector(`[data-channel="${focusedChannel}"]`))?.focus();
    }
    drawLegend();
    const focusedTile = document.activeElement?.closest(".tile, .more") ?? null;
    setTabStop(lanes.contains(focusedTile) ? focusedTile : null);
    animateUnfolding(state.block);
  }

  /** Return how many tiles fit into a lane at the current text size. */
  function measureColumns() {
    const { tiles } = parts[0];
    const tile = h("button", { class: "tile" });
    const more = h("button", { class: "more plain" }, t("block.more", { count: 999 }));
    tiles.append(tile, more);
    const count = Math.floor((tiles.clientWidth - Math.max(MIN_MORE_WIDTH, more.offsetWidth)) / (tile.offsetWidth + GAP));
    tile.remove();
    more.remove();
    return Math.max(2, count);
  }

  /** Animate the lanes of a newly chosen block from its place in the network strip. @param {string} block */
  function animateUnfolding(block) {
    if (block === drawnBlock) return;
    drawnBlock = block;
    const node = document.querySelector(`[data-block="${block}"]`);
    if (!node || isStill()) return;
    const from = node.getBoundingClientRect();
    const to = lanes.getBoundingClientRect();
    const x = from.left + from.width / 2 - (to.left + to.width / 2);
    lanes.animate(
      [
        { transform: `translate(${x * 0.35}px, -40px) scale(0.72, 0.6)`, opacity: 0.2, transformOrigin: "top" },
        { transform: "none", opacity: 1, transformOrigin: "top" },
      ],
      { duration: 350, easing: "cubic-bezier(0.2, 0.8, 0.2, 1)" },
    );
  }

  /**
   * Keep a single tile or "N more" button in the tab order.
   * @param {Element | null} target  null: the first
   */
  function setTabStop(target) {
    const tiles = /** @type {HTMLElement[]} */ ([...lanes.querySelectorAll(".tile, .more")]);
    const tabStop = target ?? tiles[0];
    for (const tile of tiles) tile.tabIndex = tile === tabStop ? 0 : -1;
  }

  /** Move the focus between tiles and lanes by arrow keys. @param {KeyboardEvent} event */
  function moveFocus(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const lane = target.closest(".lane");
    if (!lane || !event.key.startsWith("Arrow")) return;
    const rows = parts.map(({ tiles }) => /** @type {HTMLElement[]} */ ([...tiles.children]));
    const row = parts.findIndex((part) => part.lane === lane);
    const column = rows[row].indexOf(target);
    if (column < 0) return;
    const next = {
      ArrowRight: rows[row][column + 1],
      ArrowLeft: rows[row][column - 1],
      ArrowDown: rows[row + 1]?.[Math.min(column, rows[row + 1].length - 1)],
      ArrowUp: rows[row - 1]?.[Math.min(column, rows[row - 1].length - 1)],
    }[event.key];
    if (!next) return;
    event.preventDefault();
    setTabStop(next);
    next.focus();
  }

  let measuredSize = "";
  new ResizeObserver(([{ contentRect }]) => {
    // The size of tiles depends on the lesson and on the text size. The height of lanes is irrelevant.
    const style = getComputedStyle(lanes);
    const size = `${contentRect.width} ${style.getPropertyValue("--tile")} ${style.fontSize}`;
    if (size === measuredSize) return;
    measuredSize = size;
    columns = 0;
    drawTiles();
  }).observe(lanes);
  store.onHover((hover) => (hover.kind === "class" || hover.kind === null) && drawWorth());
  store.subscribe((state, data, changed) => {
    /** @param {...string} names */
    const hasChanged = (...names) => names.some((name) => changed.has(/** @type {any} */ (name)));
    if (hasChanged("lang", "block", "network", "sort", "scale", "colours", "fill")) drawWords();
    if (hasChanged("off", "block")) drawSwitches();
    if (hasChanged("lang", "network", "subsets", "cls", "block", "base", "off", "offChannels")) drawWorth();
    // Until the worth for another class arrives, the tiles keep the order by that of the class before, without its numbers.
    if (hasChanged("worth", "cls", "base")) root.classList.toggle("no-worth", !worthFor(classOf(state, data), data));
    if (hasChanged("error", "busy")) clearStale();
    if (hasChanged("lang", "channels", "worth", "sort", "tuned", "scale", "colours", "baseChannels", "offChannels")) drawTiles();
  });
  drawWords();
  drawSwitches();
}

/**
 * Focus the switch of a branch's lane, and mark the lane until the switch loses focus.
 * @param {Branch} branch
 */
export function focusLane(branch) {
  const lane = /** @type {HTMLElement | null} */ (document.querySelector(`[data-lane="${branch}"]`));
  const toggle = /** @type {HTMLElement | null} */ (lane?.querySelector("[data-switch]"));
  if (!lane || !toggle) return;
  lane.classList.add("marked");
  toggle.addEventListener("blur", () => lane.classList.remove("marked"), { once: true });
  toggle.focus({ preventScroll: true });
  lane.scrollIntoView({ block: "center" });
}

/**
 * Return the tooltip of a setting, or null.
 * @param {typeof SETTINGS[number]} setting
 * @param {Readonly<State>} state
 */
function helpOf(setting, { scale, sort }) {
  if (setting === "sort") return sort === "orientation" || sort === "colour" || sort === "size" ? t(`block.sort_${sort}_help`) : null;
  if (setting === "scale") return t(`block.scale_${scale}_help`);
  return setting === "fill" ? t("block.fill_help") : null;
}

/**
 * Build the label of a layer, with its explanation as tooltip.
 * @param {Layer} layer
 * @param {Layer[]} layers  of the branch
 */
function layerLabel(layer, layers) {
  const { kernel, parameters } = layer;
  const values = { kernel, in: layer.in, out: layer.out, parameters: parameters.toLocaleString("en") };
  const isPool = parameters === 0;
  const isReduction = kernel === 1 && layers.length > 1 && layers[0] === layer;
  const text = isPool ? t("block.layer_pool", values) : t("block.layer_conv", values);
  const help = isPool
    ? t("block.layer_pool_help", values)
    : isReduction
      ? t("block.layer_reduce_help", { ...values, kernel: layers[1].kernel })
      : t("block.layer_help", values);
  return h("span", { class: "layer", title: help }, text);
}
