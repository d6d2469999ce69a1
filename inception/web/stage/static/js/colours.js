/** Colour maps, and painting of feature maps on canvases. */

/** @import {Palette, RGB} from "./types.js" */

// Stops of matplotlib's colour maps for linear interpolation, accurate to 7 of 255.
/** @type {Record<Palette, string>} */
const STOPS = {
  inferno: "000004 0b0724 210c4a 3d0965 57106e 71196e 8a226a a32c61 bc3754 d24644 e45a31 f1731d f98e09 fcac11 f9cb35 f2ea69 fcffa4",
  viridis: "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c 1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725",
  magma: "000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 d0416f e75263 f56b5c fc8961 fea772 fec488 fde2a3 fcfdbf",
  cividis:
    "00224e 002b62 083370 243c6e 35456c 434e6c 4f576c 5b606e 666970 727274 7d7c78 888578 948e77 a19975 aea371 bcae6c c8b866 d6c35d e5cf52 f3db42 fee838",
  grey: "000000 ffffff",
  signed: "053061 2065ab 4393c3 90c4dd d1e5f0 f7f6f6 fddbc7 f3a481 d6604d b1182b 67001f", // below zero, zero, above zero
};

/** @type {Partial<Record<Palette, Uint8ClampedArray>>} */
const tables = {};

/**
 * Return the 256 colours of a colour map, as red, green and blue.
 * @param {Palette} name
 * @returns {Uint8ClampedArray}
 */
export function colourTable(name) {
  return (tables[name] ??= interpolate(STOPS[name].split(" ")));
}

/**
 * Return a colour map from left to right as a CSS gradient.
 * @param {Palette} name
 */
export function gradient(name) {
  const table = colourTable(name);
  const stops = [0, 32, 64, 96, 128, 160, 192, 224, 255].map((i) => `rgb(${table.subarray(3 * i, 3 * i + 3).join(" ")})`);
  return `linear-gradient(to right, ${stops.join(", ")})`;
}

/** @param {string[]} stops */
function interpolate(stops) {
  const table = new Uint8ClampedArray(256 * 3);
  for (let i = 0; i < 256; i++) {
    const position = (i / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(position), stops.length - 2);
    for (let channel = 0; channel < 3; channel++) {
      const [from, to] = [stops[low], stops[low + 1]].map((stop) => parseInt(stop.slice(2 * channel, 2 * channel + 2), 16));
      table[3 * i + channel] = from + (to - from) * (position - low);
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
 * @param {Palette} [palette]
 */
export function paintMap(canvas, values, width, height, palette = "inferno") {
  const pixels = new ImageData(width, height);
  const table = colourTable(palette);
  const { data } = pixels;
  for (let i = 0; i < width * height; i++) {
    const offset = 3 * Math.round(Math.min(Math.max(values[i], 0), 255));
    for (let channel = 0; channel < 3; channel++) data[4 * i + channel] = table[offset + channel];
    data[4 * i + 3] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
}

/**
 * Draw a square of a photo over a whole canvas as the network receives it: on white, and with a margin beyond the photo.
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLImageElement} image
 * @param {{left: number, top: number, side: number}} square
 * @param {RGB} [margin]
 */
export function drawSquare(canvas, image, { left, top, side }, margin = [128, 128, 128]) {
  const size = canvas.width;
  const context = canvas.getContext("2d");
  if (!context) return;
  const toCanvas = (/** @type {number} */ value, /** @type {number} */ origin) => ((value - origin) / side) * size;
  const [x, y] = [left, top].map((origin) => Math.ceil(toCanvas(0, origin))); // no white beyond the photo's border
  context.fillStyle = `rgb(${margin.join()})`;
  context.fillRect(0, 0, size, size);
  context.fillStyle = "white";
  context.fillRect(x, y, Math.floor(toCanvas(image.naturalWidth, left)) - x, Math.floor(toCanvas(image.naturalHeight, top)) - y);
  context.imageSmoothingQuality = "high";
  context.drawImage(image, left, top, side, side, 0, 0, size, size);
}

/**
 * Return a copy of a square picture in slightly darkened grey, as the background of maps.
 * @param {HTMLCanvasElement} picture
 */
export function greyCopy(picture) {
  const size = picture.width;
  const canvas = new OffscreenCanvas(size, size);
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  context.drawImage(picture, 0, 0);
  const pixels = context.getImageData(0, 0, size, size);
  const { data } = pixels;
  for (let i = 0; i < data.length; i += 4) {
    data.fill(0.9 * (0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2]), i, i + 3);
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/** Canvas for a map at one pixel per cell, before it is enlarged. @type {OffscreenCanvas | null} */
let scratch = null;

/**
 * Paint values of 0 to 255 over a grey photo. Opacity grows with the value, or for signed values with the distance from
 * zero.
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasImageSource} photo  square and grey, drawn over the whole canvas
 * @param {ArrayLike<number>} values
 * @param {number} side  of the map, in cells
 * @param {number} size  of the canvas, in pixels
 * @param {Palette} [palette]
 */
export function paintOverlay(canvas, photo, values, side, size, palette = "inferno") {
  if (canvas.width !== size || canvas.height !== size) canvas.width = canvas.height = size;
  const context = canvas.getContext("2d", { alpha: false });
  if (!context) return;
  context.imageSmoothingQuality = "medium";
  context.drawImage(photo, 0, 0, size, size);
  const table = colourTable(palette);
  const pixels = new ImageData(side, side);
  const { data } = pixels;
  for (let i = 0; i < side * side; i++) {
    const value = Math.min(Math.max(values[i], 0), 255);
    const offset = 3 * Math.round(value);
    const opacity = palette === "signed" ? Math.abs(2 * value - 255) : value;
    for (let channel = 0; channel < 3; channel++) data[4 * i + channel] = table[offset + channel];
    data[4 * i + 3] = Math.min(230, opacity * 1.25);
  }
  if (scratch?.width !== side) scratch = new OffscreenCanvas(side, side);
  scratch.getContext("2d", { willReadFrequently: true })?.putImageData(pixels, 0, 0);
  context.drawImage(scratch, 0, 0, size, size);
}
