/** Colour maps, and maps of numbers painted on a canvas. */

/** @import {Colours} from "./types.js" */

// Nine stops of matplotlib's maps, between which is interpolated.
/** @type {Record<Colours, string>} */
const STOPS = {
  inferno: "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4",
  viridis: "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
  grey: "000000 1c1c1c 393939 555555 717171 8e8e8e aaaaaa c6c6c6 e3e3e3 ffffff",
};

/** @type {Partial<Record<Colours, Uint8ClampedArray>>} */
const tables = {};

/**
 * The 256 colours of a map, as red, green and blue.
 * @param {Colours} name
 * @returns {Uint8ClampedArray}
 */
export function colourTable(name) {
  return (tables[name] ??= interpolated(STOPS[name].split(" ")));
}

/** @param {string[]} stops */
function interpolated(stops) {
  const table = new Uint8ClampedArray(256 * 3);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    for (let channel = 0; channel < 3; channel++) {
      const [from, to] = [stops[low], stops[low + 1]].map((stop) => parseInt(stop.slice(2 * channel, 2 * channel + 2), 16));
      table[3 * i + channel] = from + (to - from) * (at - low);
    }
  }
  return table;
}

/**
 * Paint values of 0 to 255 as a picture of width x height pixels; CSS enlarges it.
 * @param {HTMLCanvasElement} canvas
 * @param {ArrayLike<number>} values
 * @param {number} width
 * @param {number} height
 * @param {Colours} [colours]
 */
export function paintMap(canvas, values, width, height, colours = "inferno") {
  const pixels = new ImageData(width, height);
  const table = colourTable(colours);
  for (let i = 0; i < width * height; i++) {
    const at = 3 * Math.round(Math.min(Math.max(values[i], 0), 255));
    pixels.data.set([table[at], table[at + 1], table[at + 2], 255], 4 * i);
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
}

/**
 * Paint values of 0 to 255 as light over a grey photo: where the map is low the photo stays, where it is high the
 * colour covers it.
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasImageSource} photo  square, drawn over the whole canvas
 * @param {ArrayLike<number>} values
 * @param {number} side  of the map, in cells
 * @param {number} size  of the canvas, in pixels
 * @param {Colours} [colours]
 */
export function paintOverlay(canvas, photo, values, side, size, colours = "inferno") {
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d");
  if (!context) return;
  context.filter = "grayscale(1) brightness(0.9)";
  context.drawImage(photo, 0, 0, size, size);
  context.filter = "none";
  const table = colourTable(colours);
  const pixels = new ImageData(side, side);
  for (let i = 0; i < side * side; i++) {
    const value = Math.min(Math.max(values[i], 0), 255);
    const at = 3 * Math.round(value);
    pixels.data.set([table[at], table[at + 1], table[at + 2], Math.min(230, value * 1.25)], 4 * i);
  }
  const small = new OffscreenCanvas(side, side);
  small.getContext("2d")?.putImageData(pixels, 0, 0);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, size, size);
}
