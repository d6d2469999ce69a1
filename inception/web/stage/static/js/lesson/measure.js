/** What the steps of the lesson compute from the network's numbers: pure functions. */

import { BLOCKS, BRANCHES, order, softmax } from "../numbers.js";
import { shares } from "../stimuli.js";

/** @import {Block, BlockChannels, BlockFacts, Branch, BranchFacts, MeanMap, Network, Scene} from "../types.js" */
/** @import {Tuning} from "../stimuli.js" */

/** The value that a map has on average. @param {MeanMap} map */
export function meanOf(map) {
  let sum = 0;
  for (const byte of map.values) sum += byte;
  return map.low + (sum / map.values.length / 255) * (map.high - map.low);
}

/**
 * The average of each branch of a block.
 * @param {Scene} scene
 * @param {Block} block
 * @returns {Record<Branch, number>}
 */
export function brightness(scene, block) {
  return byBranch((branch) => meanOf(scene.maps[block][branch]));
}

/**
 * @template T
 * @param {(branch: Branch) => T} value
 * @returns {Record<Branch, T>}
 */
export function byBranch(value) {
  return /** @type {Record<Branch, T>} */ (Object.fromEntries(BRANCHES.map((branch) => [branch, value(branch)])));
}

/** The branches, the one with the largest value first. @param {Record<Branch, number>} values */
export function ranked(values) {
  return BRANCHES.toSorted((a, b) => values[b] - values[a]);
}

/** The most probable class. @param {ArrayLike<number>} logits */
export function best(logits) {
  return order(logits, 1)[0];
}

/**
 * By how much a class leads the best of the others, in logits; negative if another class is the answer.
 * @param {ArrayLike<number>} logits
 * @param {number} cls
 */
export function lead(logits, cls) {
  let other = -Infinity;
  for (let i = 0; i < logits.length; i++) if (i !== cls && logits[i] > other) other = logits[i];
  return logits[cls] - other;
}

/**
 * @typedef {object} Single  what becomes of the answer without one branch
 * @property {Block} block
 * @property {Branch} branch
 * @property {number} after  the most probable class now
 * @property {number} p  its probability
 * @property {number} left  probability of the class that was the answer
 * @property {number} lead  of that class over all others, in logits
 *
 * Each of the 36 branches turned off alone.
 * @param {Record<Block, {logits: Float32Array, classes: number}>} table
 * @param {number} cls
 * @param {number} temperature
 * @returns {Single[]}
 */
export function singles(table, cls, temperature) {
  return BLOCKS.flatMap((block) =>
    BRANCHES.map((branch, i) => {
      const { logits: all, classes } = table[block];
      const logits = all.subarray(i * classes, (i + 1) * classes);
      const after = best(logits);
      const p = softmax(logits, temperature);
      return { block, branch, after, p: p[after], left: p[cls], lead: lead(logits, cls) };
    }),
  );
}

/**
 * The block in which to look for the branch that changes the answer. Prefer a block where exactly one branch changes the
 * answer, then the surest new answer, then the latest block; otherwise the block whose strongest branch brings another class
 * nearest.
 * @param {Single[]} outcomes
 * @returns {{flips: boolean, strongest: Single, outcomes: Single[]}}
 */
export function blockToSearch(outcomes) {
  const candidates = BLOCKS.map((block) => {
    const own = outcomes.filter((one) => one.block === block).toSorted((a, b) => a.lead - b.lead);
    return { count: own.filter((one) => one.lead < 0).length, strongest: own[0], outcomes: own };
  });
  // Compared number by number; the larger one is better.
  /** @param {typeof candidates[number]} one */
  const merits = ({ count, strongest }) => {
    if (!count) return [0, -strongest.lead];
    return [count === 1 ? 2 : 1, Math.round(10 * strongest.p), BLOCKS.indexOf(strongest.block)];
  };
  const [{ count, ...found }] = candidates.toSorted((a, b) => {
    const [first, second] = [merits(a), merits(b)];
    const at = first.findIndex((value, i) => value !== second[i]);
    return at < 0 ? 0 : second[at] - first[at];
  });
  return { flips: count > 0, ...found };
}

/**
 * @typedef {object} Squeeze  the 1×1 convolution before a branch's window
 * @property {number} from  channels that go in
 * @property {number} to  channels that the window gets
 * @property {number} out  channels of the branch
 * @property {number} ratio
 * @property {number} direct  weights of the window if it took all that goes in
 * @property {number} through  weights of both layers
 *
 * @param {BranchFacts} branch
 * @returns {Squeeze | null}  null where a branch has no such layer
 */
export function squeeze(branch) {
  const layers = branch.layers.filter((layer) => layer.out > 0 && layer.in > 0);
  const window = layers.at(-1);
  const first = layers.at(-2);
  if (!window || !first || first.kernel !== 1 || window.kernel === 1) return null;
  const area = window.kernel ** 2;
  return {
    from: first.in,
    to: first.out,
    out: window.out,
    ratio: first.in / first.out,
    direct: area * first.in * window.out,
    through: first.in * first.out + area * first.out * window.out,
  };
}

/**
 * The squeeze of a branch in every block, the strongest first.
 * @param {Network} network
 * @param {Branch} branch
 * @returns {(Squeeze & {block: Block})[]}
 */
export function squeezes(network, branch) {
  return BLOCKS.flatMap((block) => {
    const found = squeeze(network.blocks[block].branches[branch]);
    return found ? [{ block, ...found }] : [];
  }).sort((a, b) => b.ratio - a.ratio);
}

/**
 * Where each branch's channels lie in a block's output.
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
 * The cells of a map that hold much of the evidence: those with at least half of the largest amount.
 * @param {ArrayLike<number>} map
 * @returns {boolean[] | null}  null where nothing speaks for the class
 */
export function strongCells(map) {
  const values = Array.from(map);
  const most = Math.max(...values);
  return most > 0 ? values.map((value) => value >= most / 2) : null;
}

/**
 * In which ninth of the square most of the marked cells lie: 0 is upper left, 4 the middle, 8 lower right.
 * @param {boolean[]} cells
 * @param {number} side
 */
export function ninth(cells, side) {
  let row = 0;
  let column = 0;
  let count = 0;
  cells.forEach((marked, i) => {
    if (!marked) return;
    row += Math.floor(i / side) + 0.5;
    column += (i % side) + 0.5;
    count += 1;
  });
  /** @param {number} sum */
  const third = (sum) => Math.min(2, Math.floor((3 * sum) / count / side));
  return 3 * third(row) + third(column);
}

/**
 * How bright a channel is on the marked cells and on the others, as it is drawn, from 0 to 255.
 * @param {ArrayLike<number>} bytes  side x side
 * @param {number} side
 * @param {boolean[]} cells  of a coarser or finer grid over the same square
 * @param {number} cellsSide
 * @returns {{inside: number, outside: number}}
 */
export function brightThere(bytes, side, cells, cellsSide) {
  const sum = [0, 0];
  const count = [0, 0];
  for (let i = 0; i < side * side; i++) {
    const row = Math.floor(((Math.floor(i / side) + 0.5) / side) * cellsSide);
    const column = Math.floor((((i % side) + 0.5) / side) * cellsSide);
    const inside = cells[row * cellsSide + column] ? 1 : 0;
    sum[inside] += bytes[i];
    count[inside] += 1;
  }
  return { inside: sum[1] / Math.max(count[1], 1), outside: sum[0] / Math.max(count[0], 1) };
}

/**
 * How many times as bright it is there; null for a channel that is dark everywhere.
 * @param {{inside: number, outside: number}} bright
 * @returns {number | null}
 */
export function times({ inside, outside }) {
  return inside + outside > 0 ? inside / Math.max(outside, 1) : null;
}

/**
 * How large a part of all cells of a block is dark: below a tenth of their channel's range, or zero everywhere.
 * @param {BlockChannels} channels
 */
export function darkShare(channels) {
  let dark = 0;
  let all = 0;
  for (const branch of BRANCHES) {
    const { count, side, low, high, values } = channels[branch];
    const cells = side * side;
    all += count * cells;
    for (let channel = 0; channel < count; channel++) {
      if (high[channel] === low[channel]) {
        dark += cells;
        continue;
      }
      for (let i = channel * cells; i < (channel + 1) * cells; i++) if (values[i] < 25.5) dark += 1;
    }
  }
  return dark / all;
}

/**
 * The branch that is nearest to its own strongest response, at each size, and by how much.
 * @param {Tuning} tuning
 * @returns {{branch: Branch, ahead: number}[]}
 */
export function winners(tuning) {
  const curves = byBranch((branch) => shares(tuning.branches[branch].response));
  return tuning.sizes.map((_, i) => {
    const share = byBranch((branch) => curves[branch][i]);
    const [first, second] = ranked(share);
    return { branch: first, ahead: share[first] - share[second] };
  });
}

/**
 * How many times as large a pattern 5×5 prefers as 1×1 and 3×3 do; 0 if one of them responds to none.
 * @param {Tuning} tuning
 */
export function prefersLarger({ branches }) {
  const [one, three, five] = [branches["1x1"].preferred, branches["3x3"].preferred, branches["5x5"].preferred];
  return one && three && five ? five / Math.max(one, three) : 0;
}
