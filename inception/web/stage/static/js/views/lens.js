/** An enlarged view of one channel beside its tile: cells and their values, worth, and receptive field. */

import { classOf, worthFor } from "../controller.js";
import { paintOverlay } from "../colours.js";
import { h, replace, set } from "../dom.js";
import { cellSquare, cellValue, channelValues, isSignedBlock, paletteOf, strongestCell, visible, zeroShare } from "../maps.js";
import { clamp, percent, short, signed } from "../numbers.js";
import { firstChannel, partOf, rankOf, worthOf } from "../ranking.js";
import { allOff, channelSwitched, isAnythingOff, showsChannel } from "../state.js";
import { branchName, className, joined, t } from "../words.js";
import { greyPhoto } from "./tile.js";

/** @import {BlockChannels, BlockFacts, Lens} from "../types.js" */

const SIZE = 260; // side of the map, in pixels

/**
 * @param {HTMLElement} root  the card of the block, within which the lens floats
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 */
export function createLens(root, store, source) {
  const canvas = h("canvas", { width: SIZE, height: SIZE });
  const cellMark = h("i", { class: "cell-mark" });
  const map = h(
    "div",
    {
      class: "lens-map",
      tabindex: 0,
      role: "application",
      onpointermove: hoverCell,
      onclick: selectCell,
      onpointerleave: clearHover,
      onkeydown: moveCell,
    },
    canvas,
    cellMark,
  );
  const factList = h("div", { class: "lens-facts" });
  const fieldFacts = h("div", { class: "lens-sight" });
  // Below the map, so that the texts beside it do not move it.
  const toggle = h("button", { class: "button", onclick: toggleChannel });
  const panel = h("div", { class: "lens", role: "dialog", hidden: true }, h("div", { class: "lens-left" }, map, toggle, fieldFacts), factList);
  root.append(panel);
  /** Branch and number of the channel on display; empty while the lens is hidden. */
  let shownChannel = "";
  let placedHeight = 0; // of the panel when it was positioned, in pixels
  /** The photo requested last; an earlier one may resolve later. @type {Promise<CanvasImageSource> | null} */
  let latestPhoto = null;

  /** Return the cell under the pointer. @param {PointerEvent | MouseEvent} event */
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
  function hoverCell(event) {
    const { lens } = store.get();
    const cell = cellAt(event);
    if (!lens || !cell) return;
    store.hover({ kind: "cell", branch: lens.branch, channel: lens.channel, ...cell });
    drawFacts(cell);
  }

  function clearHover() {
    store.hover({ kind: null });
    drawFacts();
  }

  /** @param {MouseEvent} event */
  function selectCell(event) {
    const { lens } = store.get();
    const cell = cellAt(event);
    if (lens && cell) store.update({ lens: { ...lens, ...cell } });
  }

  /** @param {KeyboardEvent} event */
  function moveCell(event) {
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
    // Not every screen reader announces the new label of an element that keeps the focus, so the live region repeats it.
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
    if (lens && !channels && !panel.hidden) return; // those of the next photo are in flight
    // The lens would cover the view below the stage that shows the same channel.
    const isShownBelow = state.deeper !== null && showsChannel(state.deeper);
    const isVisible = Boolean(lens && !isShownBelow && channels && base && network && lens.channel < channels[lens.branch].count);
    if (!isVisible) release(lens === null);
    panel.hidden = !isVisible;
    const isNewChannel = isVisible && shownChannel !== `${lens?.branch} ${lens?.channel}`;
    shownChannel = isVisible ? `${lens?.branch} ${lens?.channel}` : "";
    if (!lens || !channels || !base || !network || !isVisible) return;
    set(panel, { dataset: { branch: lens.branch }, "aria-label": t("channel.title", { channel: lens.channel, branch: branchName(lens.branch) }) });
    set(map, { "aria-label": valueOf(channels, lens) });
    const palette = paletteOf(isSignedBlock(channels), state.colours);
    const values = channelValues(channels, lens.branch, lens.channel, state.scale);
    const photoRequest = (latestPhoto = greyPhoto(source, state, base, network));
    photoRequest.then(
      (photo) => photoRequest === latestPhoto && paintOverlay(canvas, photo, values, channels[lens.branch].side, SIZE, palette),
      () => undefined,
    );
    drawFacts();
    markTile(lens);
    // It stays where it is while the switch below its map changes the block.
    if (isNewChannel || panel.offsetHeight !== placedHeight) positionPanel(lens);
    // A channel opened by keyboard gets the keyboard focus.
    if (isNewChannel && root.querySelector(".lanes .tile:focus-visible")) map.focus({ preventScroll: true });
  }

  /** @param {{row: number, column: number}} [hovered] */
  function drawFacts(hovered) {
    const state = store.get();
    const { channels, network, field } = store.data();
    const { lens, block } = state;
    if (!lens || !channels || !network) return;
    const { row, column } = hovered ?? lens;
    const branch = channels[lens.branch];
    const cellPercent = 100 / branch.side;
    set(cellMark, {
      style: { left: `${column * cellPercent}%`, top: `${row * cellPercent}%`, width: `${cellPercent}%`, height: `${cellPercent}%` },
    });
    const cls = classOf(state, store.data());
    const name = className(network, cls);
    const worth = worthFor(cls, store.data());
    const branchWorth = worthOf(network, block, lens.branch, worth);
    const blockWorth = worth?.[block];
    const effectiveField = field?.[lens.branch];
    const facts = network.blocks[block];
    const { field: seen } = facts.branches[lens.branch];
    const { left, top, right, bottom } = visible(cellSquare(seen, row, column), network);
    const [width, height] = [right - left, bottom - top];
    const { low, high, mean } = branch;
    const channel = lens.channel;
    const blockChannel = firstChannel(network, block, lens.branch) + channel;
    const isOff = state.offChannels[block]?.includes(blockChannel) ?? false;
    toggle.textContent = t(isOff ? "channel.turn_on" : "channel.turn_off");
    replace(
      fieldFacts,
      h(
        "p",
        { class: "quiet" },
        joined([
          t("channel.field", { width, height }),
          width < seen.size || height < seen.size ? t("deeper.cell_clipped", { size: seen.size }) : "",
        ]),
      ),
      effectiveField &&
        h(
          "p",
          { class: "quiet" },
          t("channel.effective", {
            share: percent(effectiveField.share),
            size: `${effectiveField.right - effectiveField.left}×${effectiveField.bottom - effectiveField.top}`,
          }),
        ),
    );
    replace(
      factList,
      h(
        "div",
        { class: "lens-head" },
        h("b", {}, t("channel.title", { channel, branch: branchName(lens.branch) })),
        h("button", { class: "plain", "aria-label": t("channel.close"), onclick: () => store.update({ lens: null }) }, "✕"),
      ),
      h("p", { class: "quiet" }, t("channel.number", { number: blockChannel, count: facts.channels })),
      h("p", { class: "lens-value number" }, valueOf(channels, { ...lens, row, column })),
      h(
        "p",
        { class: "quiet number lens-range" },
        isOff
          ? t("channel.off")
          : high[channel] === 0 && low[channel] === 0
            ? t("channel.silent")
            : t("channel.range", {
                low: short(low[channel]),
                high: short(high[channel]),
                mean: short(mean[channel]),
                zeros: zeroShareText(zeroShare(branch, channel)),
              }),
      ),
      branchWorth &&
        blockWorth &&
        h(
          "p",
          { class: "number tells-worth" },
          t(isAnythingOff(allOff(store.get())) ? "channel.worth_all_on" : "channel.worth", { worth: signed(branchWorth[channel]), name }),
          h("span", { class: "quiet" }, t("channel.rank", { rank: rankOf(blockWorth, branchWorth[channel]), count: facts.channels })),
        ),
      h("p", { class: "quiet number" }, readoutText(facts, partOf(network, block, lens.branch, facts.reading)[channel])),
      h("p", { class: "note" }, t("channel.gradient_note")),
      h(
        "div",
        { class: "lens-actions" },
        h("button", { class: "button", onclick: () => store.update({ lens: { ...lens, ...strongestCell(branch, channel) } }) }, t("channel.strongest")),
        h("button", { class: "button", onclick: () => store.update({ deeper: "unit" }, { push: true }) }, t("channel.unit")),
        h("button", { class: "button", onclick: () => store.update({ deeper: "cell" }, { push: true }) }, t("channel.kernel")),
      ),
    );
  }

  function toggleChannel() {
    const { lens, block, offChannels } = store.get();
    const { network } = store.data();
    if (!lens || !network) return;
    const channel = firstChannel(network, block, lens.branch) + lens.channel;
    store.update({ offChannels: channelSwitched(offChannels, block, channel) }, { push: true });
  }

  /**
   * Before the lens is hidden, move the focus from it to its tile.
   * @param {boolean} isClosed  whether the channel is no longer selected
   */
  function release(isClosed) {
    const pressed = /** @type {HTMLElement[]} */ ([...root.querySelectorAll('.tile[aria-pressed="true"]')]);
    if (panel.contains(document.activeElement)) {
      // The lanes may not show the tile.
      const firstInTabOrder = /** @type {HTMLElement | null} */ (root.querySelector('.lanes [tabindex="0"]'));
      (pressed.find((tile) => tile.closest(".lanes")) ?? firstInTabOrder)?.focus({ preventScroll: true });
    }
    if (isClosed) for (const tile of pressed) set(tile, { "aria-pressed": "false" });
  }

  /**
   * @param {string} branch
   * @param {number} channel
   * @returns {HTMLElement | null}
   */
  const tileOf = (branch, channel) => root.querySelector(`[data-lane="${branch}"] [data-channel="${channel}"]`);

  /** @param {Lens} lens */
  function markTile(lens) {
    const tile = tileOf(lens.branch, lens.channel);
    for (const other of root.querySelectorAll(".tile[aria-pressed]")) other.setAttribute("aria-pressed", String(other === tile));
  }

  /**
   * Position the lens beside its tile, within the card and the visible part of the window; on a phone, CSS makes it a bottom sheet.
   * @param {Lens} lens
   */
  function positionPanel(lens) {
    const bar = document.querySelector("#lesson:not([hidden]), #lab:not([hidden])");
    const windowBottom = bar?.getBoundingClientRect().top ?? innerHeight;
    set(panel, { style: { "--room": `${windowBottom - 16}px` } });
    placedHeight = panel.offsetHeight;
    const tile = tileOf(lens.branch, lens.channel);
    const frame = root.getBoundingClientRect();
    const box = (tile ?? root.querySelector(`[data-lane="${lens.branch}"]`))?.getBoundingClientRect();
    if (!box) return;
    const width = panel.offsetWidth;
    const right = box.right - frame.left + 10;
    const last = frame.width - width - 8;
    const left = tile ? (right <= last ? right : box.left - frame.left - width - 10) : frame.width / 2;
    const lowest = windowBottom - placedHeight - 8;
    // The lens may extend above the card only where the window leaves too little room.
    const top = clamp(box.top - 40, 8, Math.min(lowest, Math.max(frame.top + 8, frame.bottom - placedHeight - 8)));
    set(panel, { style: { left: `${clamp(left, 8, last)}px`, top: `${top - frame.top - root.clientTop}px` } });
  }

  addEventListener("resize", () =>
    setTimeout(() => {
      const { lens } = store.get();
      if (lens && !panel.hidden) positionPanel(lens);
    }), // after the lanes have drawn the tiles for which there is room
  );
  store.subscribe((_, __, changed) => {
    if (["lens", "deeper", "offChannels", "channels", "worth", "field", "scale", "colours", "lang", "network"].some((name) => changed.has(/** @type {any} */ (name)))) draw();
  });
  draw();
}

/** Return a share of cells as a percentage; 0 and 1 are exact, without "<" or ">". @param {number} share */
function zeroShareText(share) {
  return share === 0 || share === 1 ? t("number.percent", { value: 100 * share }) : percent(share);
}

/**
 * Return how strongly the next layer's weights read a channel, and its rank in the block.
 * @param {BlockFacts} facts
 * @param {number} strength
 */
function readoutText({ reading, reader }, strength) {
  const values = { strength: short(strength), rank: rankOf(reading, strength), count: reading.length };
  return reader === "classifier" ? t("channel.reading_classifier", values) : t("channel.reading", values);
}
