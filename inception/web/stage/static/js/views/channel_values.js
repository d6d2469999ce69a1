/** The map of one channel, scaled as the visitor chose. */

/** @import {Channels, Scale} from "../types.js" */

/**
 * Values of 0 to 255 for each cell of a channel: from its own lowest to its own highest value, or on the scale of the
 * whole branch, whose brightest half percent of channels is clipped.
 * @param {Channels} channels
 * @param {number} channel
 * @param {Scale} scale
 * @returns {ArrayLike<number>}
 */
export function channelValues(channels, channel, scale) {
  const cells = channels.side * channels.side;
  const own = channels.values.subarray(channel * cells, (channel + 1) * cells);
  const low = channels.low[channel];
  const high = channels.high[channel];
  // A channel that is the same everywhere has no picture: it is dark, not bright.
  if (high - low < 1e-6) return new Uint8Array(cells);
  if (scale === "own") return own;
  const [lowest, highest] = branchLimits(channels);
  return Float32Array.from(own, (byte) => (255 * (low + (byte / 255) * (high - low) - lowest)) / (highest - lowest || 1));
}

/** @type {WeakMap<Channels, [number, number]>} */
const limits = new WeakMap();

/**
 * Lowest value, and the 99.5th percentile of the channels' highest values.
 * @param {Channels} channels
 * @returns {[number, number]}
 */
function branchLimits(channels) {
  let found = limits.get(channels);
  if (!found) {
    const highest = Float32Array.from(channels.high).sort();
    found = [Math.min(...channels.low), highest[Math.round((highest.length - 1) * 0.995)]];
    limits.set(channels, found);
  }
  return found;
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
