/** Feature maps tiled into one image. */

import { colourTable } from "../colours.js";
import { h } from "../dom.js";

/** @import {Channels, Palette} from "../types.js" */

export const COLUMNS = 24; // channels per row
const MIN_TILE = 28; // smallest side of a channel's tile, in pixels

/**
 * Draw the channels of a branch on a canvas, in reading order.
 * @param {Channels} channels
 * @param {Palette} palette
 * @param {(channel: number) => ArrayLike<number>} valuesOf  values from 0 to 255, one per cell
 * @param {{factor?: number, columns?: number}} [sizes]  pixels per cell, and channels per row
 */
export function mosaic({ count, side }, palette, valuesOf, sizes = {}) {
  const table = colourTable(palette);
  const { factor = Math.max(1, Math.round(MIN_TILE / side)) } = sizes;
  const columns = Math.min(sizes.columns ?? COLUMNS, count);
  const step = side * factor + (count > 1 ? 2 : 0);
  const canvas = h("canvas", { width: columns * step, height: Math.ceil(count / columns) * step });
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  const tile = h("canvas", { width: side, height: side });
  const pixels = new ImageData(side, side);
  context.imageSmoothingEnabled = false;
  for (let channel = 0; channel < count; channel++) {
    const values = valuesOf(channel);
    for (let i = 0; i < side * side; i++) {
      const offset = 3 * Math.round(Math.min(Math.max(values[i], 0), 255));
      pixels.data.set([table[offset], table[offset + 1], table[offset + 2], 255], 4 * i);
    }
    tile.getContext("2d")?.putImageData(pixels, 0, 0);
    context.drawImage(tile, (channel % columns) * step, Math.floor(channel / columns) * step, side * factor, side * factor);
  }
  return canvas;
}
