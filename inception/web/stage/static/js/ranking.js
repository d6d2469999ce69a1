/** The order of a branch's channels. */

import { BRANCHES, order } from "./numbers.js";

/** @import {Block, Branch, Channels, Data, Network, Sort, State, Worth} from "./types.js" */

/**
 * The number of a branch's first channel in its block's output.
 * @param {Network} network
 * @param {Block} block
 * @param {Branch} branch
 */
export function firstChannel(network, block, branch) {
  let start = 0;
  for (const [name, facts] of Object.entries(network.blocks[block].branches)) {
    if (name === branch) break;
    start += facts.channels;
  }
  return start;
}

/**
 * The branch of a channel of a block's output, and the channel's number in it.
 * @param {Network} network
 * @param {Block} block
 * @param {number} number
 * @returns {{branch: Branch, channel: number}}
 */
export function placeOf(network, block, number) {
  let channel = number;
  for (const branch of BRANCHES) {
    const { channels } = network.blocks[block].branches[branch];
    if (channel < channels) return { branch, channel };
    channel -= channels;
  }
  return { branch: "pool", channel };
}

/**
 * The part of a branch of what is known for each channel of a block's output.
 * @param {Network} network
 * @param {Block} block
 * @param {Branch} branch
 * @param {Float32Array} values
 */
export function partOf(network, block, branch, values) {
  const start = firstChannel(network, block, branch);
  return values.subarray(start, start + network.blocks[block].branches[branch].channels);
}

/**
 * Worth of each channel of a branch.
 * @param {Network} network
 * @param {Block} block
 * @param {Branch} branch
 * @param {Worth | null} worth
 * @returns {Float32Array | null}
 */
export function worthOf(network, block, branch, worth) {
  const values = worth?.[block];
  return values ? partOf(network, block, branch, values) : null;
}

/**
 * The rank of a value among several, 1 for the highest.
 * @param {Float32Array} values
 * @param {number} value
 */
export function rankOf(values, value) {
  return values.reduce((rank, one) => rank + Number(one > value), 1);
}

/**
 * What a sort by reading or tuning needs of a branch's channels, if it is there.
 * @param {Pick<State, "block" | "model" | "sort">} state
 * @param {Pick<Data, "network" | "tuned">} data
 * @param {Branch} branch
 * @returns {Float32Array | null}
 */
export function measuredFor({ block, model, sort }, { network, tuned }, branch) {
  if (!network) return null;
  if (sort === "reading") return partOf(network, block, branch, network.blocks[block].reading);
  if (sort !== "orientation" && sort !== "colour" && sort !== "size") return null;
  return tuned?.block === block && tuned.model === model ? partOf(network, block, branch, tuned[sort]) : null;
}

/**
 * Channels of a branch from the most important to the least; without worths by their highest value.
 * @param {Channels} channels
 * @param {Float32Array | null} worths
 * @param {Sort} sort
 * @param {Float32Array | null} measured  what `sort` names, where it is not known of the channels themselves
 * @returns {number[]}
 */
export function sortedChannels(channels, worths, sort, measured) {
  if (sort === "number") return Array.from({ length: channels.count }, (_, i) => i);
  if (sort === "worth" && worths) return order(worths);
  if (measured) return order(measured);
  return order(sort === "mean" ? channels.mean : channels.high);
}
