/** The tile of one channel, with its map over the photo, its number and its worth; and the legend of map colours. */

import { drawSquare, gradient, greyCopy, paintOverlay } from "../colours.js";
import { h, set } from "../dom.js";
import { channelValues, cropSquare, isSignedBlock, paletteOf, strongestCell } from "../maps.js";
import { decimalsFor, fixed, signed } from "../numbers.js";
import { firstChannel } from "../ranking.js";
import { branchName, t } from "../words.js";

/** @import {BlockChannels, Branch, Network, Palette, RGB, Scene, State} from "../types.js" */
/** @import {Range} from "../maps.js" */

const SIZE = 96; // side of a tile's canvas, in pixels
/**
 * The photo that each canvas was last requested to show; an earlier one may resolve later.
 * @type {WeakMap<HTMLCanvasElement, Promise<CanvasImageSource>>}
 */
const latestSquares = new WeakMap();

/**
 * Create the tile of a channel: a button that opens the lens.
 * @param {import("../state.js").Store} store
 * @param {{branch: Branch, channel: number, channels: BlockChannels, worth: number | null, square: Promise<CanvasImageSource>}} options
 * @param {HTMLCanvasElement} [canvas]  of a removed tile, reused because a new one takes as long to create as to paint
 */
export function createTile(store, { branch, channel, channels, worth, square }, canvas = h("canvas", { width: SIZE, height: SIZE, role: "img" })) {
  const { scale, colours, lens, block, offChannels } = store.get();
  const { network } = store.data();
  const isOff = network && offChannels[block]?.includes(firstChannel(network, block, branch) + channel);
  const palette = paletteOf(isSignedBlock(channels), colours);
  const label = [t("block.tile", { channel, branch: branchName(branch) }), isOff && t("block.off")].filter(Boolean).join(t("answer.comma"));
  // The button has no label of its own, so that worth hidden by the lesson is hidden from screen readers too.
  set(canvas, { "aria-label": label });
  latestSquares.set(canvas, square);
  const isLatest = () => latestSquares.get(canvas) === square;
  square.then(
    (photo) => isLatest() && paintOverlay(canvas, photo, channelValues(channels, branch, channel, scale), channels[branch].side, SIZE, palette),
    () => isLatest() && (canvas.width = SIZE), // clears the canvas
  );
  const hoverTile = () => store.hover({ kind: "tile", branch, channel });
  return h(
    "button",
    {
      class: isOff ? "tile off" : "tile",
      dataset: { channel },
      tabindex: -1,
      "aria-pressed": String(lens?.branch === branch && lens.channel === channel),
      onpointerenter: hoverTile,
      // Not after a click closed the lens: the pointer is elsewhere.
      onfocus: (/** @type {Event} */ { target }) => /** @type {Element} */ (target).matches(":focus-visible") && hoverTile(),
      onpointerleave: () => store.hover({ kind: "lane", branch }),
      onblur: () => store.hover({ kind: null }),
      onclick: () => store.update({ lens: { branch, channel, ...strongestCell(channels[branch], channel) } }),
    },
    canvas,
    h("span", { class: "number" }, h("span", { class: "channel-number", "aria-hidden": "true" }, `#${channel} `), worth !== null && h("b", {}, signed(worth))),
  );
}

/** @type {{key: string, square: Promise<CanvasImageSource>} | null} */
let cache = null;

/**
 * Return what the network sees of the photo in grey; that of the latest photo and crop is cached.
 * @param {import("../source.js").Source} source
 * @param {Readonly<State>} state
 * @param {Scene} base
 * @param {Network} network
 * @returns {Promise<CanvasImageSource>}
 */
export function greyPhoto(source, state, base, { margin }) {
  const key = JSON.stringify([state.photo, base.crop, margin]);
  if (cache?.key === key) return cache.square;
  const entry = { key, square: loadGreySquare(source.photoUrl(state.photo), base, margin) };
  cache = entry;
  entry.square.catch(() => {
    if (cache === entry) cache = null; // the next call tries again
  });
  return entry.square;
}

/**
 * Load a photo and return its crop in grey.
 * @param {string} url
 * @param {Scene} base
 * @param {RGB} margin
 */
async function loadGreySquare(url, base, margin) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const square = cropSquare({ width: image.naturalWidth, height: image.naturalHeight }, base.crop);
  const canvas = h("canvas", { width: SIZE, height: SIZE });
  drawSquare(canvas, image, square, margin);
  return greyCopy(canvas);
}

/**
 * Create the legend of a map's colours: a bar between its lowest and highest value.
 * @param {Range | null} range  null where each map has its own range
 * @param {Palette} palette
 */
export function legend(range, palette) {
  const decimals = range ? decimalsFor(range) : 0;
  const [low, high] = range ? range.map((value) => fixed(value, decimals)) : [t("legend.below"), t("legend.above")];
  return h(
    "span",
    { class: "legend number" },
    h("span", {}, low),
    h("i", { "aria-hidden": "true", style: { background: gradient(palette) } }, palette === "signed" && h("b", {}, "0")),
    h("span", {}, high),
  );
}
