/** One channel: its map over the photo, its number and its worth; and the legend of its colours. */

import { gradient, greySquare, paintOverlay } from "../colours.js";
import { h, set } from "../dom.js";
import { channelValues, cropSquare, isSignedBlock, paletteOf, strongestCell } from "../maps.js";
import { decimalsFor, fixed, signed } from "../numbers.js";
import { firstChannel } from "../ranking.js";
import { branchName, t } from "../words.js";

/** @import {BlockChannels, Branch, Palette, Scene, State} from "../types.js" */
/** @import {Range} from "../maps.js" */

const SIZE = 96; // pixels of a tile's canvas, and of the photo below it
/** The photo that each canvas was last to be painted with: an earlier one may arrive later. @type {WeakMap<HTMLCanvasElement, Promise<CanvasImageSource>>} */
const squares = new WeakMap();

/**
 * @param {import("../state.js").Store} store
 * @param {{branch: Branch, channel: number, channels: BlockChannels, worth: number | null, square: Promise<CanvasImageSource>}} what
 * @param {HTMLCanvasElement} [canvas]  of a tile that goes: a new one takes as long as what is painted on it
 */
export function createTile(store, { branch, channel, channels, worth, square }, canvas = h("canvas", { width: SIZE, height: SIZE, role: "img" })) {
  const { scale, colours, lens, block, offChannels } = store.get();
  const { network } = store.data();
  const isOff = network && offChannels[block]?.includes(firstChannel(network, block, branch) + channel);
  const palette = paletteOf(isSignedBlock(channels), colours);
  const label = [t("block.tile", { channel, branch: branchName(branch) }), isOff && t("block.off")].filter(Boolean).join(", ");
  // The button's name comes from its content: worth that the lesson hides is then hidden from screen readers too.
  set(canvas, { "aria-label": label });
  squares.set(canvas, square);
  const isLatest = () => squares.get(canvas) === square;
  square.then(
    (photo) => isLatest() && paintOverlay(canvas, photo, channelValues(channels, branch, channel, scale), channels[branch].side, SIZE, palette),
    () => isLatest() && (canvas.width = SIZE), // blank
  );
  const look = () => store.hover({ kind: "tile", branch, channel });
  return h(
    "button",
    {
      class: isOff ? "tile off" : "tile",
      dataset: { channel },
      tabindex: -1,
      "aria-pressed": String(lens?.branch === branch && lens.channel === channel),
      onpointerenter: look,
      onfocus: look,
      onpointerleave: () => store.hover({ kind: "lane", branch }),
      onblur: () => store.hover({ kind: null }),
      onclick: () => store.update({ lens: { branch, channel, ...strongestCell(channels[branch], channel) } }),
    },
    canvas,
    h("span", { class: "number" }, h("span", { class: "channel-number", "aria-hidden": "true" }, `#${channel} `), worth !== null && h("b", {}, signed(worth))),
  );
}

/** @type {{key: string, square: Promise<CanvasImageSource>} | null} */
let latest = null;

/**
 * The square of the photo that the network sees, in grey; made once for a photo and square.
 * @param {import("../source.js").Source} source
 * @param {Readonly<State>} state
 * @param {Scene} base
 * @returns {Promise<CanvasImageSource>}
 */
export function greyPhoto(source, state, base) {
  const key = JSON.stringify([state.photo, base.crop]);
  if (latest?.key === key) return latest.square;
  const mine = { key, square: cut(source.photoUrl(state.photo), base) };
  latest = mine;
  mine.square.catch(() => {
    if (latest === mine) latest = null; // it is tried again
  });
  return mine.square;
}

/**
 * @param {string} address
 * @param {Scene} base
 */
async function cut(address, base) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const square = cropSquare({ width: image.naturalWidth, height: image.naturalHeight }, base.crop);
  return greySquare(image, square, SIZE);
}

/**
 * The legend of a map's colours: a bar between the two values at its ends.
 * @param {Range | null} range  null where each map has its own
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
