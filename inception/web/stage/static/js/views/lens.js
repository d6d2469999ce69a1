/** One channel at large, beside its tile: its cells with their values, its worth, what a cell sees. */

import { classOf } from "../controller.js";
import { paintOverlay } from "../colours.js";
import { h, replace, set } from "../dom.js";
import { cellValue, channelValues, isSignedBlock, paletteOf, strongestCell, zeroShare } from "../maps.js";
import { clamp, percent, short, signed } from "../numbers.js";
import { firstChannel, partOf, rankOf, worthOf } from "../ranking.js";
import { channelSwitched } from "../state.js";
import { branchName, className, t } from "../words.js";
import { greyPhoto } from "./tile.js";

/** @import {BlockChannels, BlockFacts, Lens} from "../types.js" */

const SIZE = 260;

/**
 * @param {HTMLElement} root  the card of the block, within which the lens floats
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 */
export function createLens(root, store, source) {
  const canvas = h("canvas", { width: SIZE, height: SIZE });
  const mark = h("i", { class: "cell-mark" });
  const map = h(
    "div",
    { class: "lens-map", tabindex: 0, role: "application", onpointermove: point, onclick: choose, onpointerleave: leave, onkeydown: move },
    canvas,
    mark,
  );
  const list = h("div", { class: "lens-facts" });
  const sight = h("div", { class: "lens-sight" });
  const panel = h("div", { class: "lens", role: "dialog", hidden: true }, h("div", { class: "lens-left" }, map, sight), list);
  root.append(panel);
  /** The channel that is shown. */
  let shown = "";

  /** @param {PointerEvent | MouseEvent} event */
  function cellAt(event) {
    const { lens } = store.get();
    const { channels } = store.data();
    if (!lens || !channels) return null;
    const box = map.getBoundingClientRect();
    const side = channels[lens.branch].side;
    return {
      row: clamp(Math.floor(((event.clientY - box.top) / box.height) * side), 0, side - 1),
      column: clamp(Math.floor(((event.clientX - box.left) / box.width) * side), 0, side - 1),
    };
  }

  /** @param {PointerEvent} event */
  function point(event) {
    const { lens } = store.get();
    const cell = cellAt(event);
    if (!lens || !cell) return;
    store.hover({ kind: "cell", branch: lens.branch, channel: lens.channel, ...cell });
    drawFacts(cell);
  }

  function leave() {
    store.hover({ kind: null });
    drawFacts();
  }

  /** @param {MouseEvent} event */
  function choose(event) {
    const { lens } = store.get();
    const cell = cellAt(event);
    if (lens && cell) store.update({ lens: { ...lens, ...cell } });
  }

  /** @param {KeyboardEvent} event */
  function move(event) {
    const { lens } = store.get();
    const { channels } = store.data();
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!lens || !channels || !step) return;
    event.preventDefault();
    event.stopPropagation();
    const last = channels[lens.branch].side - 1;
    const row = clamp(lens.row + step[0], 0, last);
    const column = clamp(lens.column + step[1], 0, last);
    store.update({ lens: { ...lens, row, column } });
    // For those who listen: the focus stays on the map, whose new name is not read everywhere.
    const live = document.getElementById("live");
    if (live) live.textContent = valueOf(channels, { ...lens, row, column });
  }

  /**
   * @param {BlockChannels} channels
   * @param {Lens} lens
   */
  function valueOf(channels, { branch, channel, row, column }) {
    return t("channel.value", { row, column, value: short(cellValue(channels[branch], channel, row, column)) });
  }

  function draw() {
    const state = store.get();
    const { channels, base, network } = store.data();
    const { lens } = state;
    if (lens && !channels && !panel.hidden) return; // the next photo's are on their way
    // While the channel is shown below, the lens would cover that.
    const isBelow = state.deeper === "cell" || state.deeper === "unit";
    const isThere = Boolean(lens && !isBelow && channels && base && network && lens.channel < channels[lens.branch].count);
    if (!isThere) release(lens === null);
    panel.hidden = !isThere;
    const isOther = isThere && shown !== `${lens?.branch} ${lens?.channel}`;
    shown = isThere ? `${lens?.branch} ${lens?.channel}` : "";
    if (!lens || !channels || !base || !network || !isThere) return;
    set(panel, { dataset: { branch: lens.branch }, "aria-label": t("channel.title", { channel: lens.channel, branch: branchName(lens.branch) }) });
    set(map, { "aria-label": valueOf(channels, lens) });
    const palette = paletteOf(isSignedBlock(channels), state.colours);
    const values = channelValues(channels, lens.branch, lens.channel, state.scale);
    greyPhoto(source, state, base).then(
      (photo) => paintOverlay(canvas, photo, values, channels[lens.branch].side, SIZE, palette),
      () => undefined,
    );
    drawFacts();
    put();
    // Chosen by key, the channel is reached by key too.
    if (isOther && root.querySelector(".lanes .tile:focus-visible")) map.focus({ preventScroll: true });
  }

  /** @param {{row: number, column: number}} [hovered] */
  function drawFacts(hovered) {
    const state = store.get();
    const { channels, network, worth, field } = store.data();
    const { lens, block } = state;
    if (!lens || !channels || !network) return;
    const { row, column } = hovered ?? lens;
    const branch = channels[lens.branch];
    const share = 100 / branch.side;
    set(mark, { style: { left: `${column * share}%`, top: `${row * share}%`, width: `${share}%`, height: `${share}%` } });
    const name = className(network, classOf(state, store.data()));
    const worths = worthOf(network, block, lens.branch, worth);
    const ofBlock = worth?.[block];
    const core = field?.[lens.branch];
    const facts = network.blocks[block];
    const seen = facts.branches[lens.branch].field.size;
    const { low, high, mean } = branch;
    const channel = lens.channel;
    const number = firstChannel(network, block, lens.branch) + channel;
    const isOff = state.offChannels[block]?.includes(number) ?? false;
    replace(
      sight,
      h("p", { class: "quiet" }, seen >= network.size ? t("channel.field_all", { size: seen }) : t("channel.field", { size: seen })),
      core && h("p", { class: "quiet" }, t("channel.effective", { size: `${core.right - core.left}×${core.bottom - core.top}` })),
    );
    replace(
      list,
      h(
        "div",
        { class: "lens-head" },
        h("b", {}, t("channel.title", { channel, branch: branchName(lens.branch) })),
        h("button", { class: "plain", "aria-label": t("channel.close"), onclick: () => store.update({ lens: null }) }, "✕"),
      ),
      h("p", { class: "quiet" }, t("channel.number", { number, count: facts.channels })),
      h("p", { class: "lens-value number" }, valueOf(channels, { ...lens, row, column })),
      isOff ? h("p", {}, t("channel.off")) : high[channel] === 0 && low[channel] === 0 && h("p", {}, t("channel.silent")),
      h(
        "p",
        { class: "quiet number" },
        t("channel.range", { low: short(low[channel]), high: short(high[channel]), mean: short(mean[channel]), zeros: zeros(zeroShare(branch, channel)) }),
      ),
      worths &&
        ofBlock &&
        h(
          "p",
          { class: "number tells-worth" },
          t("channel.worth", { worth: signed(worths[channel]), name }),
          h("span", { class: "quiet" }, t("channel.rank", { rank: rankOf(ofBlock, worths[channel]), count: facts.channels })),
        ),
      h("p", { class: "quiet number" }, readingLine(facts, partOf(network, block, lens.branch, facts.reading)[channel])),
      h("p", { class: "note" }, t("channel.gradient_note")),
      h(
        "div",
        { class: "lens-actions" },
        h("button", { class: "button", onclick: () => store.update({ lens: { ...lens, ...strongestCell(branch, channel) } }) }, t("channel.strongest")),
        h("button", { class: "button", onclick: () => store.update({ deeper: "unit" }, { push: true }) }, t("channel.unit")),
        h("button", { class: "button", onclick: () => store.update({ deeper: "cell" }) }, t("channel.kernel")),
        h("button", { class: "button", onclick: () => turn(number) }, t(isOff ? "channel.turn_on" : "channel.turn_off")),
      ),
    );
  }

  /** @param {number} number  of a channel, in the block's output */
  function turn(number) {
    const { offChannels, block } = store.get();
    store.update({ offChannels: channelSwitched(offChannels, block, number) }, { push: true });
  }

  /**
   * Before the lens goes: its tile has the focus that the lens had.
   * @param {boolean} isClosed  the channel is no longer chosen
   */
  function release(isClosed) {
    const pressed = /** @type {HTMLElement[]} */ ([...root.querySelectorAll('.tile[aria-pressed="true"]')]);
    if (panel.contains(document.activeElement)) {
      // It may be none of those in the lanes.
      const other = /** @type {HTMLElement | null} */ (root.querySelector('.lanes [tabindex="0"]'));
      (pressed.find((tile) => tile.closest(".lanes")) ?? other)?.focus({ preventScroll: true });
    }
    if (isClosed) for (const tile of pressed) set(tile, { "aria-pressed": "false" });
  }

  /**
   * @param {string} branch
   * @param {number} channel
   * @returns {HTMLElement | null}
   */
  const tileOf = (branch, channel) => root.querySelector(`[data-lane="${branch}"] [data-channel="${channel}"]`);

  /** Put the lens beside its tile, within the card and above the lesson; on a phone it is a sheet at the bottom. */
  function put() {
    const { lens } = store.get();
    if (!lens) return;
    const tile = tileOf(lens.branch, lens.channel);
    const frame = root.getBoundingClientRect();
    const box = (tile ?? root.querySelector(`[data-lane="${lens.branch}"]`))?.getBoundingClientRect();
    if (!box) return;
    const width = panel.offsetWidth;
    const right = box.right - frame.left + 10;
    const left = tile ? (right + width <= frame.width - 8 ? right : Math.max(8, box.left - frame.left - width - 10)) : frame.width / 2;
    const lesson = document.querySelector("#lesson:not([hidden])")?.getBoundingClientRect();
    const bottom = Math.min(frame.bottom, lesson?.top ?? Infinity) - frame.top;
    // Only the lesson may push it over what lies above the card, as the answer.
    const highest = lesson ? 8 - frame.top : 8;
    const top = clamp(box.top - frame.top - 40, 8 - frame.top, Math.max(highest, bottom - panel.offsetHeight - 8));
    set(panel, { style: { left: `${left}px`, top: `${top}px` } });
    for (const one of root.querySelectorAll(".tile[aria-pressed]")) one.setAttribute("aria-pressed", String(one === tile));
  }

  store.subscribe((_, __, changed) => {
    if (["lens", "deeper", "offChannels", "channels", "worth", "field", "scale", "colours", "lang", "network"].some((name) => changed.has(/** @type {any} */ (name)))) draw();
  });
  draw();
}

/** A share of cells; what is none or all is said without "less than". @param {number} share */
function zeros(share) {
  return share === 0 || share === 1 ? t("number.percent", { value: 100 * share }) : percent(share);
}

/**
 * How strongly the weights of the next layer read a channel, and its rank in the block.
 * @param {BlockFacts} facts
 * @param {number} strength
 */
function readingLine({ reading, reader }, strength) {
  const values = { strength: short(strength), rank: rankOf(reading, strength), count: reading.length };
  return reader === "classifier" ? t("channel.reading_classifier", values) : t("channel.reading", values);
}
