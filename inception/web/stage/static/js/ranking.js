/** Ranking of a branch's channels. */

import { strongestCell } from "./maps.js";
import { BRANCHES, order, shapley } from "./numbers.js";

/** @import {Block, Branch, Channels, Data, Lens, Network, Sort, State, Worth} from "./types.js" */

/**
 * Return the index of a branch's first channel in its block's output.
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
 * Return the branch of a channel of a block's output, and the channel's index within the branch.
 * @param {Network} network
 * @param {Block} block
 * @param {number} index
 * @returns {{branch: Branch, channel: number}}
 */
export function placeOf(network, block, index) {
  let channel = index;
  for (const branch of BRANCHES) {
    const { channels } = network.blocks[block].branches[branch];
    if (channel < channels) return { branch, channel };
    channel -= channels;
  }
  return { branch: "pool", channel };
}

/**
 * Return a branch's part of the values of a block's output channels.
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
 * Return the worth of each channel of a branch, if it is loaded.
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
 * Return the rank of a value among several, 1 for the highest.
 * @param {Float32Array} values
 * @param {number} value
 */
export function rankOf(values, value) {
  return values.reduce((rank, other) => rank + Number(other > value), 1);
}

/**
 * Return the readout or tuning of a branch's channels, if they are sorted by it and it is loaded.
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
 * Sort the channels of a branch from the most important to the least; by maximum while the requested values are missing.
 * @param {Channels} channels
 * @param {Float32Array | null} worths
 * @param {Sort} sort
 * @param {Float32Array | null} measured  values of `sort`, if they are not part of `channels`
 * @returns {number[]}
 */
export function sortedChannels(channels, worths, sort, measured) {
  if (sort === "number") return Array.from({ length: channels.count }, (_, i) => i);
  if (sort === "worth" && worths) return order(worths);
  if (measured) return order(measured);
  return order(sort === "mean" ? channels.mean : channels.high);
}

/**
 * Return the strongest cell of the channel on the first tile of the branch that adds most to a class; null until it is known.
 * @param {Readonly<State>} state
 * @param {Readonly<Data>} data
 * @param {number} cls
 * @returns {Lens | null}
 */
export function firstTile(state, data, cls) {
  const { block, sort, step } = state;
  const { network, baseChannels, subsets, worth, moving } = data;
  if (!network || !baseChannels) return null;
  /** @type {Branch} */
  let branch = "3x3"; // worth is not computed for a stream, and may be a question of the lesson
  if (!moving && !step) {
    if (!worth?.[block] || subsets?.block !== block) return null;
    const votes = shapley(subsets, cls);
    branch = BRANCHES[order(BRANCHES.map((name) => votes[name]), 1)[0]];
  }
  const channels = baseChannels[branch];
  const [channel] = sortedChannels(channels, worthOf(network, block, branch, worth), sort, measuredFor(state, data, branch));
  return { branch, channel, ...strongestCell(channels, channel) };
}
