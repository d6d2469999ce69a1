/** The values of maps, the same as 0 to 255 from a palette's first colour to its last, and where cells lie on the photo. */

import { BRANCHES } from "./numbers.js";

/** @import {BlockChannels, Branch, Channels, Colours, Crop, Field, MeanMap, Network, Palette, Scale, Scene} from "./types.js" */

/** @typedef {[number, number]} Range  the values that have the first and the last colour */

const FLAT = 1e-6; // a smaller difference is none
const CLIPPED = 0.995; // the share of values that differ in colour; the highest half percent has the last one

/**
 * The palette of maps: where values lie below zero it has two colours with zero between them.
 * @param {boolean} isSigned
 * @param {Colours} colours
 * @returns {Palette}
 */
export function paletteOf(isSigned, colours) {
  return isSigned ? "signed" : colours;
}

// ---------------------------------------------------------------- channels

/** @type {WeakMap<BlockChannels, {isSigned: boolean, block: Range, branch: Record<Branch, Range>}>} */
const known = new WeakMap();

/** @param {BlockChannels} block */
function rangesOf(block) {
  let ranges = known.get(block);
  if (!ranges) {
    const all = BRANCHES.map((branch) => block[branch]);
    const isSigned = all.some(hasNegative);
    const branches = BRANCHES.map((branch, i) => [branch, commonRange([all[i]], isSigned)]);
    ranges = { isSigned, block: commonRange(all, isSigned), branch: Object.fromEntries(branches) };
    known.set(block, ranges);
  }
  return ranges;
}

/** @param {Channels} channels */
export function hasNegative({ low }) {
  return low.some((value) => value < -FLAT);
}

/**
 * Whether a channel of a block has values below zero.
 * @param {BlockChannels} block
 */
export function isSignedBlock(block) {
  return rangesOf(block).isSigned;
}

/**
 * From the lowest value to the 99.5th percentile of the channels' highest; with signs, as far below zero as above.
 * @param {Channels[]} all
 * @param {boolean} isSigned
 * @returns {Range}
 */
function commonRange(all, isSigned) {
  const lows = all.flatMap(({ low }) => Array.from(low));
  const highs = all.flatMap(({ high }) => Array.from(high));
  const sorted = Float32Array.from(isSigned ? highs.map((high, i) => Math.max(high, -lows[i])) : highs).sort();
  const highest = sorted[Math.round((sorted.length - 1) * CLIPPED)];
  return isSigned ? around(highest) : [lows.reduce((a, b) => Math.min(a, b), Infinity), highest];
}

/**
 * @param {number} bound
 * @returns {Range}
 */
function around(bound) {
  return [-Math.max(bound, FLAT), Math.max(bound, FLAT)];
}

/**
 * The range of a channel: its own, that of its branch, or that of all four branches.
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
  return isSigned ? around(Math.max(high[channel], -low[channel])) : [low[channel], high[channel]];
}

/**
 * Values of 0 to 255 for each cell of a channel.
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
 * Values of 0 to 255 for each cell of a channel, on a range or on its own.
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
  // Without signs, a channel that is the same everywhere has no picture: it is dark, not bright.
  if (!isSigned && high - low < FLAT) return new Uint8Array(cells);
  if (!isSigned && !range) return bytes;
  return spread(bytes, low, high, range ?? ownRange(channels, channel, isSigned));
}

/**
 * @param {Uint8Array} bytes  from low to high
 * @param {number} low
 * @param {number} high
 * @param {Range} range
 */
function spread(bytes, low, high, [lowest, highest]) {
  const scale = 255 / (highest - lowest || 1);
  return Float32Array.from(bytes, (byte) => scale * (low + (byte / 255) * (high - low) - lowest));
}

/**
 * The value of one cell of a channel.
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
 * The cell of a channel with the highest value.
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
 * The highest cells of a map above its lowest value, highest first, none of which touches another.
 * @param {ArrayLike<number>} values  side x side
 * @param {number} side
 * @param {number} count
 * @returns {{row: number, column: number}[]}
 */
export function peaks(values, side, count) {
  const cells = Array.from({ length: side * side }, (_, i) => ({ row: Math.floor(i / side), column: i % side, value: values[i] }));
  const lowest = Math.min(...cells.map(({ value }) => value));
  /** @type {{row: number, column: number}[]} */
  const found = [];
  for (const { row, column, value } of cells.sort((a, b) => b.value - a.value)) {
    if (found.length === count || value <= lowest) break;
    if (found.every((one) => Math.abs(one.row - row) > 1 || Math.abs(one.column - column) > 1)) found.push({ row, column });
  }
  return found;
}

/**
 * The share of a channel's cells that are zero, as exactly as its 256 steps tell.
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

// ---------------------------------------------------------------- means

/**
 * Whether a mean map of a scene has values below zero.
 * @param {Pick<Scene, "maps">} scene
 */
export function isSignedScene({ maps }) {
  return Object.values(maps).some((branches) => Object.values(branches).some(({ low }) => low < -FLAT));
}

/**
 * The range of some mean maps: the highest half percent of their cells has the last colour.
 * @param {MeanMap[]} maps
 * @param {boolean} isSigned
 * @returns {Range}
 */
export function meanRange(maps, isSigned) {
  const low = Math.min(...maps.map((map) => map.low));
  if (isSigned) return around(Math.max(-low, ...maps.map((map) => map.high)));
  const highs = maps.map((map) => {
    const sorted = Uint8Array.from(map.values).sort();
    const clip = sorted[Math.round((sorted.length - 1) * CLIPPED)] / 255 || 1;
    return map.low + clip * (map.high - map.low);
  });
  return [low, Math.max(...highs)];
}

/**
 * Values of 0 to 255 for each cell of a mean map.
 * @param {MeanMap} map
 * @param {Range} range
 * @returns {ArrayLike<number>}
 */
export function meanValues({ values, low, high }, range) {
  return spread(values, low, high, range);
}

/**
 * The branch whose mean map is the highest on average, or null where all are zero.
 * @param {Record<Branch, MeanMap>} maps
 * @returns {Branch | null}
 */
export function brightest(maps) {
  const averages = BRANCHES.map((branch) => {
    const { values, low, high } = maps[branch];
    return low + (values.reduce((sum, byte) => sum + byte, 0) / values.length / 255) * (high - low);
  });
  const highest = Math.max(...averages);
  return highest > FLAT ? BRANCHES[averages.indexOf(highest)] : null;
}

// ---------------------------------------------------------------- places on the photo

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
