/** Calculations of the lesson's steps: pure functions. */

import { meanOf } from "../maps.js";
import { BLOCKS, BRANCHES, order, softmax } from "../numbers.js";

/** @import {Block, BlockChannels, BlockFacts, Branch, BranchFacts, Network, Scene} from "../types.js" */
/** @import {Tuning} from "../stimuli.js" */

/**
 * Return the average value of each branch of a block.
 * @param {Scene} scene
 * @param {Block} block
 * @returns {Record<Branch, number>}
 */
export function brightness(scene, block) {
  return byBranch((branch) => meanOf(scene.maps[block][branch]));
}

/**
 * Compute a value for each branch.
 * @template T
 * @param {(branch: Branch) => T} value
 * @returns {Record<Branch, T>}
 */
export function byBranch(value) {
  return /** @type {Record<Branch, T>} */ (Object.fromEntries(BRANCHES.map((branch) => [branch, value(branch)])));
}

/** Sort the branches by value, the largest first. @param {Record<Branch, number>} values */
export function ranked(values) {
  return BRANCHES.toSorted((a, b) => values[b] - values[a]);
}

/** Return the most probable class. @param {ArrayLike<number>} logits */
export function topClass(logits) {
  return order(logits, 1)[0];
}

/**
 * Return the difference between a class's logit and the highest other one; negative if another class is the answer.
 * @param {ArrayLike<number>} logits
 * @param {number} cls
 */
export function lead(logits, cls) {
  let highestOther = -Infinity;
  for (let i = 0; i < logits.length; i++) if (i !== cls && logits[i] > highestOther) highestOther = logits[i];
  return logits[cls] - highestOther;
}

/**
 * @typedef {object} BranchOutcome  the answer with one branch off
 * @property {Block} block
 * @property {Branch} branch
 * @property {number} after  the most probable class
 * @property {number} p  its probability
 * @property {number} left  probability of the original class
 * @property {number} lead  of the original class over all others, in logits
 *
 * Return the outcome of turning off each of the 36 branches alone.
 * @param {Record<Block, {logits: Float32Array, classes: number}>} table
 * @param {number} cls
 * @param {number} temperature
 * @returns {BranchOutcome[]}
 */
export function branchOutcomes(table, cls, temperature) {
  return BLOCKS.flatMap((block) =>
    BRANCHES.map((branch, i) => {
      const { logits: rows, classes } = table[block];
      const logits = rows.subarray(i * classes, (i + 1) * classes);
      const after = topClass(logits);
      const p = softmax(logits, temperature);
      return { block, branch, after, p: p[after], left: p[cls], lead: lead(logits, cls) };
    }),
  );
}

/**
 * Choose the block in which the student looks for the branch that changes the answer. Prefer a block where exactly one
 * branch changes it, then the most certain new answer, then the latest block. If no branch changes the answer, choose the
 * block with the smallest remaining lead.
 * @param {BranchOutcome[]} outcomes
 * @returns {{flips: boolean, strongest: BranchOutcome, outcomes: BranchOutcome[]}}
 */
export function blockToSearch(outcomes) {
  const candidates = BLOCKS.map((block) => {
    const ofBlock = outcomes.filter((outcome) => outcome.block === block).toSorted((a, b) => a.lead - b.lead);
    return { count: ofBlock.filter((outcome) => outcome.lead < 0).length, strongest: ofBlock[0], outcomes: ofBlock };
  });
  // A candidate's sort key, compared element by element; larger is better.
  /** @param {typeof candidates[number]} candidate */
  const rating = ({ count, strongest }) => {
    if (!count) return [0, -strongest.lead];
    return [count === 1 ? 2 : 1, Math.round(10 * strongest.p), BLOCKS.indexOf(strongest.block)];
  };
  const [{ count, ...chosen }] = candidates.toSorted((a, b) => {
    const [first, second] = [rating(a), rating(b)];
    const index = first.findIndex((value, i) => value !== second[i]);
    return index < 0 ? 0 : second[index] - first[index];
  });
  return { flips: count > 0, ...chosen };
}

/**
 * @typedef {object} Squeeze  the 1×1 reduction before a branch's last convolution
 * @property {number} from  channels before the reduction
 * @property {number} to  channels after the reduction
 * @property {number} out  channels of the branch
 * @property {number} ratio  `from` over `to`
 * @property {number} direct  weights of the last convolution without the reduction
 * @property {number} through  weights of both layers
 *
 * Return the squeeze of a branch, or null if it has no reduction.
 * @param {BranchFacts} branch
 * @returns {Squeeze | null}
 */
export function squeeze(branch) {
  const layers = branch.layers.filter((layer) => layer.out > 0 && layer.in > 0);
  const last = layers.at(-1);
  const reduction = layers.at(-2);
  if (!last || !reduction || reduction.kernel !== 1 || last.kernel === 1) return null;
  const area = last.kernel ** 2;
  return {
    from: reduction.in,
    to: reduction.out,
    out: last.out,
    ratio: reduction.in / reduction.out,
    direct: area * reduction.in * last.out,
    through: reduction.in * reduction.out + area * reduction.out * last.out,
  };
}

/**
 * Return the squeezes of a branch in all blocks, the strongest first.
 * @param {Network} network
 * @param {Branch} branch
 * @returns {(Squeeze & {block: Block})[]}
 */
export function squeezes(network, branch) {
  return BLOCKS.flatMap((block) => {
    const ofBlock = squeeze(network.blocks[block].branches[branch]);
    return ofBlock ? [{ block, ...ofBlock }] : [];
  }).sort((a, b) => b.ratio - a.ratio);
}

/**
 * Return the range of each branch's channels in a block's output.
 * @param {BlockFacts} facts
 * @returns {Record<Branch, {first: number, last: number}>}
 */
export function places(facts) {
  let next = 0;
  return byBranch((branch) => {
    const first = next;
    next += facts.branches[branch].channels;
    return { first, last: next - 1 };
  });
}

/**
 * Mark the cells of a map with at least half of the largest evidence.
 * @param {ArrayLike<number>} map
 * @returns {boolean[] | null}  null if there is no evidence for the class
 */
export function strongCells(map) {
  const values = Array.from(map);
  const largest = Math.max(...values);
  return largest > 0 ? values.map((value) => value >= largest / 2) : null;
}

/**
 * Return the ninth of the square where the centroid of the marked cells lies: 0 is upper left, 4 the middle, 8 lower right.
 * @param {boolean[]} cells
 * @param {number} side
 */
export function ninth(cells, side) {
  let rowSum = 0;
  let columnSum = 0;
  let count = 0;
  cells.forEach((marked, i) => {
    if (!marked) return;
    rowSum += Math.floor(i / side) + 0.5;
    columnSum += (i % side) + 0.5;
    count += 1;
  });
  /** @param {number} sum */
  const third = (sum) => Math.min(2, Math.floor((3 * sum) / count / side));
  return 3 * third(rowSum) + third(columnSum);
}

/**
 * Return the row or column, in a grid over the same square, where the middle of a map's row or column lies.
 * @param {number} index
 * @param {number} side  of the map
 * @param {number} gridSide
 */
export function cellAt(index, side, gridSide) {
  return Math.floor(((index + 0.5) / side) * gridSide);
}

/**
 * Return a channel's average brightness, from 0 to 255 as drawn, inside and outside the marked cells.
 * @param {ArrayLike<number>} bytes  side x side
 * @param {number} side
 * @param {boolean[]} cells  of a coarser or finer grid over the same square
 * @param {number} cellsSide
 * @returns {{inside: number, outside: number}}
 */
export function splitBrightness(bytes, side, cells, cellsSide) {
  const sum = [0, 0];
  const count = [0, 0];
  for (let i = 0; i < side * side; i++) {
    const row = cellAt(Math.floor(i / side), side, cellsSide);
    const column = cellAt(i % side, side, cellsSide);
    const inside = cells[row * cellsSide + column] ? 1 : 0;
    sum[inside] += bytes[i];
    count[inside] += 1;
  }
  return { inside: sum[1] / Math.max(count[1], 1), outside: sum[0] / Math.max(count[0], 1) };
}

/**
 * Return the ratio of brightness inside to outside; null for a channel that is dark everywhere.
 * @param {{inside: number, outside: number}} brightness
 * @returns {number | null}
 */
export function brightnessRatio({ inside, outside }) {
  return inside + outside > 0 ? inside / Math.max(outside, 1) : null;
}

/**
 * Return the share of a block's cells that are low: in the lowest tenth of their channel's range, or in a constant channel.
 * @param {BlockChannels} channels
 */
export function lowShare(channels) {
  let lowCells = 0;
  let total = 0;
  for (const branch of BRANCHES) {
    const { count, side, low, high, values } = channels[branch];
    const cells = side * side;
    total += count * cells;
    for (let channel = 0; channel < count; channel++) {
      if (high[channel] === low[channel]) {
        lowCells += cells;
        continue;
      }
      for (let i = channel * cells; i < (channel + 1) * cells; i++) if (values[i] < 25.5) lowCells += 1;
    }
  }
  return lowCells / total;
}

/**
 * Return the ratio of the size that 5×5 prefers to the larger one of 1×1 and 3×3; 0 if one of the three does not respond.
 * @param {Tuning} tuning
 */
export function preferenceRatio({ branches }) {
  const [one, three, five] = [branches["1x1"].preferred, branches["3x3"].preferred, branches["5x5"].preferred];
  return one && three && five ? five / Math.max(one, three) : 0;
}
