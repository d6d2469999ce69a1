/** The order of a branch's channels. */

import { order } from "./numbers.js";

/** @import {Block, Branch, Channels, Network, Sort, Worth} from "./types.js" */

/**
 * Worth of each channel of a branch, which is a slice of its block's output.
 * @param {Network} network
 * @param {Block} block
 * @param {Branch} branch
 * @param {Worth | null} worth
 * @returns {Float32Array | null}
 */
export function worthOf(network, block, branch, worth) {
  if (!worth) return null;
  let start = 0;
  for (const [name, facts] of Object.entries(network.blocks[block].branches)) {
    if (name === branch) return worth[block].subarray(start, start + facts.channels);
    start += facts.channels;
  }
  return null;
}

/**
 * Channels of a branch from the most important to the least; without worths by their highest value.
 * @param {Channels} channels
 * @param {Float32Array | null} worths
 * @param {Sort} sort
 * @returns {number[]}
 */
export function sortedChannels(channels, worths, sort) {
  if (sort === "number") return Array.from({ length: channels.count }, (_, i) => i);
  if (sort === "worth" && worths) return order(worths);
  return order(sort === "mean" ? channels.mean : channels.high);
}
