/** Several maps as one picture. */

import { colourTable } from "../colours.js";
import { h } from "../dom.js";

/** @import {Channels, Palette} from "../types.js" */

export const COLUMNS = 24; // channels in a row
const TILE = 28; // pixels of a channel at least

/**
 * The channels of a branch side by side in reading order.
 * @param {Channels} channels
 * @param {Palette} palette
 * @param {(channel: number) => ArrayLike<number>} valuesOf  0 to 255 for each cell
 * @param {{factor?: number, columns?: number}} [sizes]  pixels a cell, and channels in a row
 */
export function mosaic({ count, side }, palette, valuesOf, sizes = {}) {
  const table = colourTable(palette);
  const { factor = Math.max(1, Math.round(TILE / side)) } = sizes;
  const columns = Math.min(sizes.columns ?? COLUMNS, count);
  const step = side * factor + (count > 1 ? 2 : 0);
  const canvas = h("canvas", { width: columns * step, height: Math.ceil(count / columns) * step });
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  const small = h("canvas", { width: side, height: side });
  const pixels = new ImageData(side, side);
  context.imageSmoothingEnabled = false;
  for (let channel = 0; channel < count; channel++) {
    const values = valuesOf(channel);
    for (let i = 0; i < side * side; i++) {
      const at = 3 * Math.round(Math.min(Math.max(values[i], 0), 255));
      pixels.data.set([table[at], table[at + 1], table[at + 2], 255], 4 * i);
    }
    small.getContext("2d")?.putImageData(pixels, 0, 0);
    context.drawImage(small, (channel % columns) * step, Math.floor(channel / columns) * step, side * factor, side * factor);
  }
  return canvas;
}
