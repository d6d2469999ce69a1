/** Costs of convolutions, and sizes of published networks, counted layer by layer; independent of the page. */

import { BLOCKS, BRANCHES } from "./numbers.js";

/** @import {Block, BlockFacts, Layer, Network} from "./types.js" */

/**
 * @typedef {object} Cost
 * @property {number} weights  without biases
 * @property {number} multiplications  for one photo
 *
 * @typedef {object} Bottleneck
 * @property {Cost} direct
 * @property {Cost} reduced  reduction plus convolution
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
 * Return the cost of a convolution.
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
 * Add up costs.
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
 * Compare a kernel x kernel convolution with and without a 1x1 reduction.
 * @param {number} from
 * @param {number} between  reduced channels
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
 * Return the largest number of reduced channels that still saves weights; 0 if none does. With r reduced channels there
 * are r * (from + kernel² * to) weights, without a reduction kernel² * from * to.
 * @param {number} from
 * @param {number} to
 * @param {number} kernel
 */
export function breakEven(from, to, kernel) {
  const area = kernel * kernel;
  return Math.floor((area * from * to - 1) / (from + area * to));
}

/**
 * Return the convolutions of a branch, in order.
 * @param {BlockFacts} block
 * @param {keyof BlockFacts["branches"]} branch
 * @returns {Layer[]}
 */
export function convolutions(block, branch) {
  return block.branches[branch].layers.filter((layer) => layer.parameters > 0);
}

/**
 * Compare the nine blocks with the naive block of the paper's figure 2a on the same input: there, every convolution
 * reads all channels, and the pooled input keeps its width.
 * @param {Network} network
 * @returns {BlockCost[]}
 */
export function blockCosts(network) {
  /** @type {BlockCost[]} */
  const rows = [];
  for (const name of BLOCKS) {
    const block = network.blocks[name];
    const cells = block.side * block.side;
    const naiveConvolutions = BRANCHES.filter((branch) => branch !== "pool").map((branch) => {
      const last = /** @type {Layer} */ (convolutions(block, branch).at(-1));
      return convolution(block.in_channels, last.out, last.kernel, cells);
    });
    const layers = BRANCHES.flatMap((branch) => convolutions(block, branch));
    const naive = total(...naiveConvolutions);
    const reduced = total(...layers.map((layer) => convolution(layer.in, layer.out, layer.kernel, cells)));
    const convolved = block.channels - block.branches.pool.channels;
    // A naive block's weights are proportional to its input channels.
    const stackedIn = rows.at(-1)?.stackedChannels ?? block.in_channels;
    rows.push({
      block: name,
      naive,
      reduced,
      naiveChannels: convolved + block.in_channels,
      reducedChannels: block.channels,
      saving: naive.weights / reduced.weights,
      stackedChannels: convolved + stackedIn,
      stackedWeights: (naive.weights / block.in_channels) * stackedIn,
    });
  }
  return rows;
}

// ---------------------------------------------------------------- published networks

// Simonyan and Zisserman 2015, configuration D: output channels of the 3x3 convolutions; "pool" halves the map.
/** @type {(number | "pool")[]} */
const VGG16 = [64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool", 512, 512, 512, "pool"];
const VGG16_LINEAR = [7 * 7 * 512, 4096, 4096, 1000];

// Szegedy et al. 2015, table 1: the stem as [kernel, in, out, stride], then the blocks as
// [1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj, stride]; strides are relative to the photo.
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
 * Count the parameters and multiplications of VGG-16. The pooling before its linear layers always outputs 7 x 7 cells.
 * @param {number} [side]  of the photo, in pixels
 * @returns {Size}
 */
export function vgg16(side = PUBLISHED_SIDE) {
  const size = { parameters: 0, weights: 0, linear: 0, multiplications: 0, convolutions: 0, linears: 0 };
  let [from, cells] = [3, side];
  for (const to of VGG16) {
    if (to === "pool") cells = Math.floor(cells / 2);
    else {
      addConvolution(size, convolution(from, to, 3, cells * cells), to);
      from = to;
    }
  }
  for (let i = 1; i < VGG16_LINEAR.length; i++) addLinear(size, VGG16_LINEAR[i - 1], VGG16_LINEAR[i]);
  return size;
}

/**
 * Count those of the GoogLeNet of 2014, without its auxiliary classifiers, which inference does not use.
 * @param {number} [side]  of the photo, in pixels
 * @returns {Size}
 */
export function googlenet(side = PUBLISHED_SIDE) {
  const size = { parameters: 0, weights: 0, linear: 0, multiplications: 0, convolutions: 0, linears: 0 };
  for (const [kernel, from, to, stride] of GOOGLENET_STEM) {
    addConvolution(size, convolution(from, to, kernel, Math.ceil(side / stride) ** 2), to);
  }
  let from = 192;
  for (const name of BLOCKS) {
    const [out1, reduce3, out3, reduce5, out5, pool, stride] = GOOGLENET_BLOCKS[name];
    const cells = Math.ceil(side / stride) ** 2;
    for (const [kernel, input, to] of [
      [1, from, out1],
      [1, from, reduce3],
      [3, reduce3, out3],
      [1, from, reduce5],
      [5, reduce5, out5],
      [1, from, pool],
    ]) {
      addConvolution(size, convolution(input, to, kernel, cells), to);
    }
    from = out1 + out3 + out5 + pool;
  }
  addLinear(size, from, CLASSES);
  return size;
}

/**
 * Count the parameters of the published GoogLeNet in the ways that are common in the literature.
 * @returns {{auxiliary: number, answer: number, weights: number, convolutions: number, convolutionWeights: number}}
 */
export function googlenetCounts() {
  const size = googlenet();
  // An auxiliary classifier, after 4a and after 4d: 4 x 4 cells, 1x1 convolution to 128 channels, 1024 units, classes.
  const auxiliary = ["4a", "4d"].map((name) => {
    const [out1, , out3, , out5, pool] = GOOGLENET_BLOCKS[/** @type {Block} */ (name)];
    const aux = { parameters: 0, weights: 0, linear: 0, multiplications: 0, convolutions: 0, linears: 0 };
    addConvolution(aux, convolution(out1 + out3 + out5 + pool, 128, 1), 128);
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
 * Return the longest path through GoogLeNet, in layers with weights; parallel branches do not add up.
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
function addConvolution(size, cost, biases) {
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
