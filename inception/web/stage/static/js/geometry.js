/** Where things lie on the photo: the square that the network sees, and the input pixels of a cell. */

/** @import {Crop, Field, Network} from "./types.js" */

/**
 * The square that the network sees, in pixels of the photo.
 * @param {{width: number, height: number}} photo
 * @param {Crop | null} crop
 */
export function cropSquare(photo, crop) {
  const shorter = Math.min(photo.width, photo.height);
  if (!crop) return { left: (photo.width - shorter) / 2, top: (photo.height - shorter) / 2, side: shorter };
  const [left, top, side] = crop;
  return { left: left * photo.width, top: top * photo.height, side: side * shorter };
}

/**
 * Where a photo lies within a square frame of 100 x 100 that it fills as far as its shape allows.
 * @param {{width: number, height: number}} photo
 */
export function fitted(photo) {
  const scale = 100 / Math.max(photo.width, photo.height);
  const width = photo.width * scale;
  const height = photo.height * scale;
  return { left: (100 - width) / 2, top: (100 - height) / 2, width, height, scale };
}

/**
 * The input pixels that a cell of a branch's map sees.
 * @param {Field} field
 * @param {number} row
 * @param {number} column
 */
export function cellSquare(field, row, column) {
  const left = field.start + column * field.stride;
  const top = field.start + row * field.stride;
  return { left, top, right: left + field.size, bottom: top + field.size };
}

/**
 * The part of a cell's square that lies within the input.
 * @param {{left: number, top: number, right: number, bottom: number}} square
 * @param {Pick<Network, "size">} network
 */
export function visible(square, network) {
  return {
    left: Math.max(0, square.left),
    top: Math.max(0, square.top),
    right: Math.min(network.size, square.right),
    bottom: Math.min(network.size, square.bottom),
  };
}
