/** Values of feature maps, also scaled to 0 to 255 over a palette, and the positions of their cells on the photo. */

import { BRANCHES } from "./numbers.js";

/** @import {BlockChannels, Branch, Channels, Colours, Crop, Field, MeanMap, Network, Palette, Scale, Scene} from "./types.js" */

/** @typedef {[number, number]} Range  the values with the first and the last colour */

const EPSILON = 1e-6; // smaller differences count as none
const CLIP_QUANTILE = 0.995; // values above it have the last colour

/**
 * Return the palette of maps: diverging around zero if they have negative values.
 * @param {boolean} isSigned
 * @param {Colours} colours
 * @returns {Palette}
 */
export function paletteOf(isSigned, colours) {
  return isSigned ? "signed" : colours;
}

// ---------------------------------------------------------------- channels

/** @type {WeakMap<BlockChannels, {isSigned: boolean, block: Range, branch: Record<Branch, Range>}>} */
const rangeCache = new WeakMap();

/** Return the ranges of a block and of its branches. @param {BlockChannels} block */
function rangesOf(block) {
  let ranges = rangeCache.get(block);
  if (!ranges) {
    const channels = BRANCHES.map((branch) => block[branch]);
    const isSigned = channels.some(hasNegative);
    const branches = BRANCHES.map((branch, i) => [branch, commonRange([channels[i]], isSigned)]);
    ranges = { isSigned, block: commonRange(channels, isSigned), branch: Object.fromEntries(branches) };
    rangeCache.set(block, ranges);
  }
  return ranges;
}

/** Whether any of the channels has negative values. @param {Channels} channels */
export function hasNegative({ low }) {
  return low.some((value) => value < -EPSILON);
}

/**
 * Whether any channel of a block has negative values.
 * @param {BlockChannels} block
 */
export function isSignedBlock(block) {
  return rangesOf(block).isSigned;
}

/**
 * Return the range from the lowest value to the 99.5th percentile of the channels' maxima; symmetric if it is signed.
 * @param {Channels[]} branches
 * @param {boolean} isSigned
 * @returns {Range}
 */
function commonRange(branches, isSigned) {
  const lows = branches.flatMap(({ low }) => Array.from(low));
  const highs = branches.flatMap(({ high }) => Array.from(high));
  const sorted = Float32Array.from(isSigned ? highs.map((high, i) => Math.max(high, -lows[i])) : highs).sort();
  const highest = sorted[Math.round((sorted.length - 1) * CLIP_QUANTILE)];
  return isSigned ? symmetricRange(highest) : [lows.reduce((a, b) => Math.min(a, b), Infinity), highest];
}

/**
 * Return the range that reaches equally far below and above zero.
 * @param {number} bound
 * @returns {Range}
 */
function symmetricRange(bound) {
  return [-Math.max(bound, EPSILON), Math.max(bound, EPSILON)];
}

/**
 * Return the range on which a channel is drawn: its own, that of its branch, or that of all four branches.
 * @param {BlockChannels} block
 * @param {Branch} branch
 * @param {number} channel
 * @param {Scale} scale
 * @returns {Range}
 */
export function rangeOf(block, branch, channel, scale) {
  const ranges = rangesOf(block);
  if (scale === "block") return ranges.block;
  return scale === "branch" ? ranges.branch[branch] : ownRange(block[branch], channel, ranges.isSigned);
}

/**
 * @param {Channels} channels
 * @param {number} channel
 * @param {boolean} isSigned
 * @returns {Range}
 */
function ownRange({ low, high }, channel, isSigned) {
  return isSigned ? symmetricRange(Math.max(high[channel], -low[channel])) : [low[channel], high[channel]];
}

/**
 * Scale the cells of a channel to 0 to 255.
 * @param {BlockChannels} block
 * @param {Branch} branch
 * @param {number} channel
 * @param {Scale} scale
 * @returns {ArrayLike<number>}
 */
export function channelValues(block, branch, channel, scale) {
  const { isSigned } = rangesOf(block);
  return valuesIn(block[branch], channel, isSigned, scale === "own" ? null : rangeOf(block, branch, channel, scale));
}

/**
 * Scale the cells of a channel to 0 to 255 on the given range, or on its own.
 * @param {Channels} channels
 * @param {number} channel
 * @param {boolean} isSigned
 * @param {Range | null} [range]
 * @returns {ArrayLike<number>}
 */
export function valuesIn(channels, channel, isSigned, range = null) {
  const cells = channels.side * channels.side;
  const bytes = channels.values.subarray(channel * cells, (channel + 1) * cells);
  const [low, high] = [channels.low[channel], channels.high[channel]];
  // An unsigned channel that is constant is drawn dark.
  if (!isSigned && high - low < EPSILON) return new Uint8Array(cells);
  if (!isSigned && !range) return bytes;
  return rescale(bytes, low, high, range ?? ownRange(channels, channel, isSigned));
}

/**
 * Rescale quantised values from their own range to another one.
 * @param {Uint8Array} bytes  from low to high
 * @param {number} low
 * @param {number} high
 * @param {Range} range
 */
function rescale(bytes, low, high, [lowest, highest]) {
  const scale = 255 / (highest - lowest || 1);
  return Float32Array.from(bytes, (byte) => scale * (low + (byte / 255) * (high - low) - lowest));
}

/**
 * Return the value of one cell of a channel.
 * @param {Channels} channels
 * @param {number} channel
 * @param {number} row
 * @param {number} column
 */
export function cellValue(channels, channel, row, column) {
  const byte = channels.values[(channel * channels.side + row) * channels.side + column];
  return channels.low[channel] + (byte / 255) * (channels.high[channel] - channels.low[channel]);
}

/**
 * Return the cell of a channel with the highest value.
 * @param {Channels} channels
 * @param {number} channel
 */
export function strongestCell(channels, channel) {
  const cells = channels.side * channels.side;
  let best = 0;
  for (let i = 0; i < cells; i++) {
    if (channels.values[channel * cells + i] > channels.values[channel * cells + best]) best = i;
  }
  return { row: Math.floor(best / channels.side), column: best % channels.side };
}

/**
 * Return the highest cells of a map, the highest first: no adjacent ones, and none with the map's lowest value.
 * @param {ArrayLike<number>} values  side x side
 * @param {number} side
 * @param {number} count
 * @returns {{row: number, column: number}[]}
 */
export function peaks(values, side, count) {
  const cells = Array.from({ length: side * side }, (_, i) => ({ row: Math.floor(i / side), column: i % side, value: values[i] }));
  const lowest = Math.min(...cells.map(({ value }) => value));
  /** @type {{row: number, column: number}[]} */
  const selected = [];
  for (const { row, column, value } of cells.sort((a, b) => b.value - a.value)) {
    if (selected.length === count || value <= lowest) break;
    if (selected.every((other) => Math.abs(other.row - row) > 1 || Math.abs(other.column - column) > 1)) selected.push({ row, column });
  }
  return selected;
}

/**
 * Return the share of a channel's cells that are zero, as precisely as 8 bits tell.
 * @param {Channels} channels
 * @param {number} channel
 */
export function zeroShare({ side, values, low, high }, channel) {
  const cells = side * side;
  const step = (high[channel] - low[channel]) / 255;
  let zeros = 0;
  for (let i = channel * cells; i < (channel + 1) * cells; i++) zeros += Number(Math.abs(low[channel] + values[i] * step) <= step / 2);
  return zeros / cells;
}

// ---------------------------------------------------------------- mean maps

/**
 * Whether any mean map of a scene has negative values.
 * @param {Pick<Scene, "maps">} scene
 */
export function isSignedScene({ maps }) {
  return Object.values(maps).some((branches) => Object.values(branches).some(({ low }) => low < -EPSILON));
}

/**
 * Return the common range of mean maps; the highest half percent of a map's cells is clipped.
 * @param {MeanMap[]} maps
 * @param {boolean} isSigned
 * @returns {Range}
 */
export function meanRange(maps, isSigned) {
  const low = Math.min(...maps.map((map) => map.low));
  if (isSigned) return symmetricRange(Math.max(-low, ...maps.map((map) => map.high)));
  const highs = maps.map((map) => {
    const sorted = Uint8Array.from(map.values).sort();
    const clip = sorted[Math.round((sorted.length - 1) * CLIP_QUANTILE)] / 255 || 1;
    return map.low + clip * (map.high - map.low);
  });
  return [low, Math.max(...highs)];
}

/**
 * Scale the cells of a mean map to 0 to 255.
 * @param {MeanMap} map
 * @param {Range} range
 * @returns {ArrayLike<number>}
 */
export function meanValues({ values, low, high }, range) {
  return rescale(values, low, high, range);
}

/** Return the average value of a mean map. @param {MeanMap} map */
export function meanOf({ values, low, high }) {
  return low + (values.reduce((sum, byte) => sum + byte, 0) / values.length / 255) * (high - low);
}

/**
 * Return the branch whose mean map has the highest average, or null if all are zero.
 * @param {Record<Branch, MeanMap>} maps
 * @returns {Branch | null}
 */
export function brightest(maps) {
  const averages = BRANCHES.map((branch) => meanOf(maps[branch]));
  const highest = Math.max(...averages);
  return highest > EPSILON ? BRANCHES[averages.indexOf(highest)] : null;
}

// ---------------------------------------------------------------- positions on the photo

/**
 * Return the square that the network sees, in pixels of the photo.
 * @param {{width: number, height: number}} photo
 * @param {Crop | null} crop
 */
export function cropSquare(photo, crop) {
  const shorter = Math.min(photo.width, photo.height);
  if (!crop) return { left: (photo.width - shorter) / 2, top: (photo.height - shorter) / 2, side: shorter };
  const [left, top, side] = crop;
  return { left: left * photo.width, top: top * photo.height, side: side * shorter };
}

/** Side of the smallest crop that means the whole photo, in shorter sides: with a side of 1, the network's square lies in it. */
const MIN_WHOLE_SIDE = 1.001;

/**
 * Return the crop that means the whole photo, padded to a square.
 * @param {{width: number, height: number}} photo
 * @returns {Crop}
 */
export function wholeCrop({ width, height }) {
  const longer = Math.max(width, height);
  return [(width - longer) / 2 / width, (height - longer) / 2 / height, Math.max(longer / Math.min(width, height), MIN_WHOLE_SIDE)];
}

/**
 * Fit a photo into a square frame of 100 x 100, and return its position and scale.
 * @param {{width: number, height: number}} photo
 */
export function fitted(photo) {
  const scale = 100 / Math.max(photo.width, photo.height);
  const width = photo.width * scale;
  const height = photo.height * scale;
  return { left: (100 - width) / 2, top: (100 - height) / 2, width, height, scale };
}

/**
 * Return the receptive field of a cell of a branch, in pixels of the input; it may extend beyond it.
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
 * Clip a receptive field to the input.
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
