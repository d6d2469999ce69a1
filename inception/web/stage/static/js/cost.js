/** What convolutions cost, and the sizes of published networks, counted layer by layer. Nothing here knows the page. */

import { BLOCKS, BRANCHES } from "./numbers.js";

/** @import {Block, BlockFacts, Layer, Network} from "./types.js" */

/**
 * @typedef {object} Cost
 * @property {number} weights  without biases
 * @property {number} multiplications  for one photo
 *
 * @typedef {object} Bottleneck
 * @property {Cost} direct
 * @property {Cost} reduced  reduction and convolution together
 * @property {number} saving  weights of `direct` over those of `reduced`; the same factor for multiplications
 *
 * @typedef {object} BlockCost
 * @property {Block} block
 * @property {Cost} naive
 * @property {Cost} reduced
 * @property {number} naiveChannels
 * @property {number} reducedChannels
 * @property {number} saving
 * @property {number} stackedChannels  if all blocks before it were naive as well
 * @property {number} stackedWeights
 *
 * @typedef {object} Size  of a whole network
 * @property {number} parameters
 * @property {number} weights  without biases
 * @property {number} linear  parameters of the linear layers
 * @property {number} multiplications  for one photo
 * @property {number} convolutions
 * @property {number} linears
 *
 * @typedef {"stem" | "block" | "linear"} Part
 * @typedef {{name: string, part: Part}} PathLayer
 */

/**
 * @param {number} from  channels in
 * @param {number} to  channels out
 * @param {number} kernel
 * @param {number} [cells]
 * @returns {Cost}
 */
export function convolution(from, to, kernel, cells = 1) {
  const weights = kernel * kernel * from * to;
  return { weights, multiplications: weights * cells };
}

/**
 * @param {...Cost} costs
 * @returns {Cost}
 */
export function total(...costs) {
  return {
    weights: costs.reduce((sum, cost) => sum + cost.weights, 0),
    multiplications: costs.reduce((sum, cost) => sum + cost.multiplications, 0),
  };
}

/**
 * A kernel x kernel convolution, directly and through a 1x1 reduction.
 * @param {number} from
 * @param {number} between
 * @param {number} to
 * @param {number} kernel
 * @param {number} [cells]
 * @returns {Bottleneck}
 */
export function bottleneck(from, between, to, kernel, cells = 1) {
  const direct = convolution(from, to, kernel, cells);
  const reduced = total(convolution(from, between, 1, cells), convolution(between, to, kernel, cells));
  return { direct, reduced, saving: direct.weights / reduced.weights };
}

/**
 * The largest number of reduced channels that still saves weights; 0 if none does. With r reduced channels there are
 * r * (from + kernel² * to) weights, without a reduction kernel² * from * to.
 * @param {number} from
 * @param {number} to
 * @param {number} kernel
 */
export function breakEven(from, to, kernel) {
  const area = kernel * kernel;
  return Math.floor((area * from * to - 1) / (from + area * to));
}

/**
 * The convolutions of a branch, in order.
 * @param {BlockFacts} block
 * @param {keyof BlockFacts["branches"]} branch
 * @returns {Layer[]}
 */
export function convolutions(block, branch) {
  return block.branches[branch].layers.filter((layer) => layer.parameters > 0);
}

/**
 * The nine blocks with their reductions, and as the naive block of the paper's figure 2a with the same input: every
 * window looks at all channels, and the pooled input is handed on as wide as it came.
 * @param {Network} network
 * @returns {BlockCost[]}
 */
export function blockCosts(network) {
  /** @type {BlockCost[]} */
  const rows = [];
  for (const name of BLOCKS) {
    const block = network.blocks[name];
    const cells = block.side * block.side;
    const wide = BRANCHES.filter((branch) => branch !== "pool").map((branch) => {
      const last = /** @type {Layer} */ (convolutions(block, branch).at(-1));
      return convolution(block.in_channels, last.out, last.kernel, cells);
    });
    const layers = BRANCHES.flatMap((branch) => convolutions(block, branch));
    const naive = total(...wide);
    const reduced = total(...layers.map((layer) => convolution(layer.in, layer.out, layer.kernel, cells)));
    const own = block.channels - block.branches.pool.channels;
    // A naive block's weights are proportional to the channels that it takes.
    const stackedIn = rows.at(-1)?.stackedChannels ?? block.in_channels;
    rows.push({
      block: name,
      naive,
      reduced,
      naiveChannels: own + block.in_channels,
      reducedChannels: block.channels,
      saving: naive.weights / reduced.weights,
      stackedChannels: own + stackedIn,
      stackedWeights: (naive.weights / block.in_channels) * stackedIn,
    });
  }
  return rows;
}

// ---------------------------------------------------------------- published networks

// Simonyan and Zisserman 2015, configuration D: channels of the 3x3 convolutions, "pool" halves the map.
/** @type {(number | "pool")[]} */
const VGG16 = [64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool", 512, 512, 512, "pool"];
const VGG16_LINEAR = [7 * 7 * 512, 4096, 4096, 1000];

// Szegedy et al. 2015, table 1: the stem as [kernel, in, out, share of the photo's side], then the blocks as
// [1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj] with the share of the photo's side.
const GOOGLENET_STEM = [
  [7, 3, 64, 2],
  [1, 64, 64, 4],
  [3, 64, 192, 4],
];
/** @type {Record<Block, number[]>} */
const GOOGLENET_BLOCKS = {
  "3a": [64, 96, 128, 16, 32, 32, 8],
  "3b": [128, 128, 192, 32, 96, 64, 8],
  "4a": [192, 96, 208, 16, 48, 64, 16],
  "4b": [160, 112, 224, 24, 64, 64, 16],
  "4c": [128, 128, 256, 24, 64, 64, 16],
  "4d": [112, 144, 288, 32, 64, 64, 16],
  "4e": [256, 160, 320, 32, 128, 128, 16],
  "5a": [256, 160, 320, 32, 128, 128, 32],
  "5b": [384, 192, 384, 48, 128, 128, 32],
};
const CLASSES = 1000;
const STEM_POOLS = 2;
const BLOCK_POOLS = 2; // between 3b and 4a, and between 4e and 5a
export const PUBLISHED_SIDE = 224;

/**
 * VGG-16 on a photo of so many pixels. Its pooling before the linear layers always gives them 7 x 7 cells.
 * @param {number} [side]
 * @returns {Size}
 */
export function vgg16(side = PUBLISHED_SIDE) {
  const size = { parameters: 0, weights: 0, linear: 0, multiplications: 0, convolutions: 0, linears: 0 };
  let [from, cells] = [3, side];
  for (const to of VGG16) {
    if (to === "pool") cells = Math.floor(cells / 2);
    else {
      add(size, convolution(from, to, 3, cells * cells), to);
      from = to;
    }
  }
  for (let i = 1; i < VGG16_LINEAR.length; i++) addLinear(size, VGG16_LINEAR[i - 1], VGG16_LINEAR[i]);
  return size;
}

/**
 * GoogLeNet of 2014 without its auxiliary classifiers, which do not answer.
 * @param {number} [side]
 * @returns {Size}
 */
export function googlenet(side = PUBLISHED_SIDE) {
  const size = { parameters: 0, weights: 0, linear: 0, multiplications: 0, convolutions: 0, linears: 0 };
  for (const [kernel, from, to, share] of GOOGLENET_STEM) {
    add(size, convolution(from, to, kernel, Math.ceil(side / share) ** 2), to);
  }
  let from = 192;
  for (const name of BLOCKS) {
    const [one, before3, three, before5, five, pool, share] = GOOGLENET_BLOCKS[name];
    const cells = Math.ceil(side / share) ** 2;
    for (const [kernel, input, to] of [
      [1, from, one],
      [1, from, before3],
      [3, before3, three],
      [1, from, before5],
      [5, before5, five],
      [1, from, pool],
    ]) {
      add(size, convolution(input, to, kernel, cells), to);
    }
    from = one + three + five + pool;
  }
  addLinear(size, from, CLASSES);
  return size;
}

/**
 * The parameters of the published GoogLeNet, counted in the ways that people count them.
 * @returns {{auxiliary: number, answer: number, weights: number, convolutions: number, convolutionWeights: number}}
 */
export function googlenetCounts() {
  const size = googlenet();
  // Each auxiliary classifier, after 4a and 4d: 4 x 4 cells, 1x1 to 128 channels, 1024 units, the classes.
  const auxiliary = ["4a", "4d"].map((name) => {
    const [one, , three, , five, pool] = GOOGLENET_BLOCKS[/** @type {Block} */ (name)];
    const aux = { parameters: 0, weights: 0, linear: 0, multiplications: 0, convolutions: 0, linears: 0 };
    add(aux, convolution(one + three + five + pool, 128, 1), 128);
    addLinear(aux, 128 * 4 * 4, 1024);
    addLinear(aux, 1024, CLASSES);
    return aux.parameters;
  });
  const linearWeights = 1024 * CLASSES;
  return {
    auxiliary: auxiliary.reduce((sum, count) => sum + count, size.parameters),
    answer: size.parameters,
    weights: size.weights,
    convolutions: size.parameters - size.linear,
    convolutionWeights: size.weights - linearWeights,
  };
}

/**
 * The longest way of a photo through GoogLeNet, in layers with weights: branches stand side by side and do not add up.
 * @returns {{layers: PathLayer[], withPools: number}}
 */
export function googlenetPath() {
  /** @type {PathLayer[]} */
  const layers = GOOGLENET_STEM.map(([kernel]) => ({ name: `${kernel}×${kernel}`, part: "stem" }));
  for (const block of BLOCKS) {
    layers.push({ name: `${block} 1×1`, part: "block" }, { name: `${block} 3×3`, part: "block" });
  }
  layers.push({ name: "linear", part: "linear" });
  const average = 1;
  return { layers, withPools: layers.length + STEM_POOLS + BLOCK_POOLS + average };
}

/**
 * @param {Size} size
 * @param {Cost} cost
 * @param {number} biases
 */
function add(size, cost, biases) {
  size.parameters += cost.weights + biases;
  size.weights += cost.weights;
  size.multiplications += cost.multiplications;
  size.convolutions += 1;
}

/**
 * @param {Size} size
 * @param {number} from
 * @param {number} to
 */
function addLinear(size, from, to) {
  size.parameters += from * to + to;
  size.weights += from * to;
  size.linear += from * to + to;
  size.multiplications += from * to;
  size.linears += 1;
}
