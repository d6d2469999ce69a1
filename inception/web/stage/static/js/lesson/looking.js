/** The steps in which the student looks at maps: what is bright where, which size, early and late, bright and important. */

import { strongestCell } from "../maps.js";
import { BRANCHES, order, shapley } from "../numbers.js";
import { ALL_ON } from "../state.js";
import { verdict } from "../stimuli.js";
import { say } from "./sentences.js";
import {
  best,
  brightness,
  brightThere,
  byBranch,
  darkShare,
  ninth,
  prefersLarger,
  ranked,
  singles,
  strongCells,
  times,
  winners,
} from "./measure.js";

/** @import {Block, Branch, Lens, Network, Scene} from "../types.js" */
/** @import {Tuning} from "../stimuli.js" */
/** @import {Choice, Scenery, Step} from "./types.js" */

/** What every step sets back. */
export const FRESH = Object.freeze({ ...ALL_ON, fill: /** @type {const} */ ("zero"), cls: null, lens: null, deeper: null });

const BRIGHT_THERE = 1.5; // times as bright there as elsewhere
const DARK_THERE = 0.1;
const MANY = 20; // times: larger factors are stated as "lesson.many_times" says
const SHOWN = 5; // tiles of a branch that any screen shows
const TILES = /** @type {Block} */ ("4e");
const EARLY = /** @type {Block} */ ("3a");
const LATE = /** @type {Block} */ ("5b");
const ALIKE = 0.05; // shares of cells that differ by less count as the same
const DOT_BLOCKS = /** @type {Block[]} */ (["3a", "3b", "4a"]);

/** @param {Scenery} scenery @returns {{network: Network, base: Scene, cls: number}} */
export function known({ data }) {
  if (!data.network || !data.base) throw new Error("The stage has no photo yet.");
  return { network: data.network, base: data.base, cls: best(data.base.logits) };
}

/** One choice for each branch. @returns {Choice[]} */
export function branchChoices() {
  return BRANCHES.map((branch) => ({ id: branch, branch, says: say("lesson.branch", { branch: { branch } }) }));
}

/** 1: a tile that is bright where the evidence lies. @type {Step} */
export const look = {
  id: "look",
  title: "lesson.look.title",
  kind: "act",
  confirm: "lesson.look.confirm",
  hidesWorth: false,
  async enter(scenery) {
    const { cls } = known(scenery);
    const [evidence, channels] = await Promise.all([
      scenery.source.evidence(scenery.subject, cls),
      scenery.source.block(scenery.subject, {}, TILES),
    ]);
    const cells = strongCells(evidence.map);
    const found = byBranch((branch) => {
      const { count, side, values } = channels[branch];
      const cellsOf = (/** @type {number} */ i) => values.subarray(i * side * side, (i + 1) * side * side);
      return Array.from({ length: count }, (_, i) => brightThere(cellsOf(i), side, cells ?? [], evidence.side));
    });
    const top = clearest(found, scenery.data.worth?.[TILES]);
    const place = cells ? ninth(cells, evidence.side) : 4;
    return {
      patch: { ...FRESH, block: TILES, view: "sorted", sort: "worth" },
      ask: [say("lesson.look.ask", { block: TILES, name: { cls } })],
      choices: [],
      weak: !cells || (times(found[top.branch][top.channel]) ?? 0) < BRIGHT_THERE,
      facts: { cls, found, top, place, lens: { branch: top.branch, channel: top.channel, ...strongestCell(channels[top.branch], top.channel) } },
    };
  },
  read: (_, state) => (state.block === TILES && state.lens ? `${state.lens.branch}:${state.lens.channel}` : null),
  async check({ facts }, answer) {
    const [branch, channel] = /** @type {[Branch, string]} */ (answer.split(":"));
    const factor = times(facts.found[branch][Number(channel)]);
    const values = { channel, branch: { branch }, times: manyTimes(factor) };
    const place = say("lesson.look.place", { name: { cls: facts.cls }, place: { word: `lesson.place_${facts.place}` } });
    if (factor !== null && factor >= BRIGHT_THERE) return { done: true, right: true, says: [say("lesson.look.right", values), place] };
    return { done: true, right: false, says: [say(missed(factor), values), shownTile(facts), place], patch: { lens: facts.lens } };
  },
  show: async ({ facts }) => ({ done: true, right: false, says: [shownTile(facts)], patch: { lens: facts.lens } }),
};

/** The sentence about a channel that is not bright there. @param {number | null} factor */
function missed(factor) {
  if (factor === null) return "lesson.look.silent";
  return factor < DARK_THERE ? "lesson.look.dark" : "lesson.look.wrong";
}

/** @param {any} facts */
function shownTile({ top, found }) {
  const { branch, channel } = top;
  return say("lesson.look.shown", { channel, branch: { branch }, times: manyTimes(times(found[branch][channel])) });
}

/** @param {number | null} factor @returns {import("./types.js").Value} */
function manyTimes(factor) {
  return (factor ?? 0) > MANY ? { word: "lesson.many_times" } : { short: factor ?? 0 };
}

/**
 * The channel with the highest contrast between the marked cells and the others, among those that the stage shows first:
 * a student could have chosen it.
 * @param {Record<Branch, {inside: number, outside: number}[]>} found
 * @param {Float32Array} [worth]  of the block's channels
 * @returns {{branch: Branch, channel: number}}
 */
function clearest(found, worth) {
  let start = 0;
  const shown = BRANCHES.flatMap((branch) => {
    const { length } = found[branch];
    const first = worth ? order(worth.subarray(start, start + length), SHOWN) : order(new Float32Array(length));
    start += length;
    return first.map((channel) => ({ branch, channel, contrast: found[branch][channel].inside - found[branch][channel].outside }));
  });
  const { branch, channel } = shown.toSorted((a, b) => b.contrast - a.contrast)[0];
  return { branch, channel };
}

/** 2: the size of dot for which 5×5 responds best. @type {Step} */
export const dot = {
  id: "dot",
  title: "lesson.dot.title",
  kind: "choice",
  hidesWorth: false,
  async enter({ state, source }) {
    const tunings = await Promise.all(
      DOT_BLOCKS.map(async (block) => ({ block, tuning: /** @type {Tuning} */ (await source.tuning(state.model, block, "disc")) })),
    );
    /** @param {{tuning: Tuning}} one */
    const isLarger = ({ tuning }) => verdict(tuning) === "larger";
    const { block, tuning } = tunings.toSorted(
      (a, b) => Number(isLarger(b)) - Number(isLarger(a)) || prefersLarger(b.tuning) - prefersLarger(a.tuning),
    )[0];
    const { offered, winning } = dotSizes(tuning);
    return {
      patch: { ...FRESH, block },
      ask: [say("lesson.dot.ask", { block })],
      choices: offered.map((size) => ({ id: String(size), says: say("lesson.dot.size", { size: { short: size } }) })),
      weak: false,
      facts: { block, tuning, winning, larger: isLarger({ tuning }) },
    };
  },
  async check({ facts }, answer) {
    const { tuning, block, winning, larger } = facts;
    const right = winning.includes(Number(answer));
    const at = tuning.sizes.indexOf(Number(answer));
    const values = { size: { short: Number(answer) }, block, winner: { branch: winners(tuning)[at].branch } };
    /** @param {Branch} branch */
    const preferred = (branch) => (tuning.branches[branch].preferred ? { short: tuning.branches[branch].preferred } : "–");
    const sizes = { block, one: preferred("1x1"), three: preferred("3x3"), five: preferred("5x5"), pool: preferred("pool") };
    return {
      done: true,
      right,
      says: [
        say(right ? "lesson.dot.right" : "lesson.dot.wrong", values),
        say("lesson.dot.told", sizes),
        say(larger ? "lesson.dot.larger" : "lesson.dot.not_larger"),
      ],
      patch: { deeper: "dial" },
    };
  },
};

/**
 * Four sizes to choose from, and those of them at which 5×5 is ahead.
 * @param {Tuning} tuning
 * @returns {{offered: number[], winning: number[]}}
 */
export function dotSizes(tuning) {
  const won = winners(tuning);
  const five = tuning.sizes.map((size, i) => ({ size, ahead: won[i].branch === "5x5" ? won[i].ahead : -1 }));
  const top = five.toSorted((a, b) => b.ahead - a.ahead)[0];
  // Halves and doubles of the size at which 5×5 is furthest ahead, as far as they were measured.
  const wished = [1 / 4, 1 / 2, 1, 2, 4, 1 / 8, 8, 1 / 16, 16].map((times) => top.size * times);
  /** @type {number[]} */
  const offered = [top.size];
  for (const wish of wished) {
    const nearest = tuning.sizes.toSorted((a, b) => Math.abs(Math.log(a / wish)) - Math.abs(Math.log(b / wish)))[0];
    if (offered.length < 4 && Math.abs(Math.log(nearest / wish)) < 0.3 && !offered.includes(nearest)) offered.push(nearest);
  }
  const winning = five.filter(({ size, ahead }) => offered.includes(size) && ahead >= 0).map(({ size }) => size);
  return { offered: offered.toSorted((a, b) => a - b), winning };
}

/** 6: in which block more of the cells are dark. @type {Step} */
export const depth = {
  id: "depth",
  title: "lesson.depth.title",
  kind: "choice",
  hidesWorth: false,
  async enter(scenery) {
    const { network } = known(scenery);
    const [early, late] = await Promise.all([EARLY, LATE].map((block) => scenery.source.block(scenery.subject, {}, block)));
    const dark = { early: darkShare(early), late: darkShare(late) };
    const difference = dark.late - dark.early;
    return {
      patch: { ...FRESH, block: EARLY },
      ask: [say("lesson.depth.ask", { early: EARLY, late: LATE })],
      choices: [
        { id: EARLY, says: say("lesson.block", { block: EARLY }) },
        { id: LATE, says: say("lesson.block", { block: LATE }) },
        { id: "same", says: say("lesson.depth.same") },
      ],
      weak: false,
      facts: {
        dark,
        right: Math.abs(difference) < ALIKE ? "same" : difference > 0 ? LATE : EARLY,
        sees: { early: network.blocks[EARLY].branches["5x5"].field.size, late: network.blocks[LATE].branches["5x5"].field.size },
        side: network.size,
      },
    };
  },
  async check({ facts }, answer) {
    const { dark, right, sees, side } = facts;
    return {
      done: true,
      right: answer === right,
      says: [
        say("lesson.depth.told", { early: EARLY, late: LATE, early_share: { p: dark.early }, late_share: { p: dark.late } }),
        say(sees.late < side ? "lesson.depth.sees" : "lesson.depth.sees_all", { early: EARLY, late: LATE, early_size: sees.early, late_size: sees.late, side }),
        ...(right === LATE ? [say("lesson.depth.why")] : []),
      ],
      patch: { block: LATE },
    };
  },
};

/** 7: whether the branch with the highest values is the one that matters. @type {Step} */
export const bright = {
  id: "bright",
  title: "lesson.bright.title",
  kind: "choice",
  hidesWorth: true,
  async enter(scenery) {
    const { network, base, cls } = known(scenery);
    const outcomes = singles(await scenery.source.table(scenery.subject), cls, network.temperature);
    // Blocks where the branch whose loss hurts most is not the brightest one; those with the clearest brightest branch first.
    const blocks = /** @type {Block[]} */ (Object.keys(base.maps)).map((block) => {
      const mean = brightness(base, block);
      const [first, second] = ranked(mean);
      const missed = outcomes.filter((one) => one.block === block).toSorted((a, b) => a.lead - b.lead)[0].branch;
      return { block, differs: missed !== first, clear: mean[first] / Math.max(mean[second], 1e-6) };
    });
    const likely = blocks.filter((one) => one.differs).toSorted((a, b) => b.clear - a.clear);
    const tried = likely.length ? likely.slice(0, 3).map((one) => one.block) : [/** @type {Block} */ ("4c")];
    const found = await Promise.all(
      tried.map(async (block) => ({ block, worth: shapley(await scenery.source.votes(scenery.subject, block), cls), mean: brightness(base, block) })),
    );
    const chosen = found.find(({ worth, mean }) => ranked(worth)[0] !== ranked(mean)[0]) ?? found[0];
    const { block, worth, mean } = chosen;
    const [first, second] = ranked(mean);
    return {
      patch: { ...FRESH, block },
      ask: [
        say("lesson.bright.ask", { block, bright: { branch: first }, mean: { short: mean[first] }, second: { branch: second }, second_mean: { short: mean[second] } }),
        say("lesson.bright.question", { name: { cls } }),
      ],
      choices: branchChoices(),
      weak: false,
      facts: { cls, worth, bright: first, right: ranked(worth)[0] },
    };
  },
  async check({ facts }, answer) {
    const { cls, worth, bright: brightest, right } = facts;
    const terms = Object.fromEntries(BRANCHES.map((branch) => [`worth_${branch}`, { signed: worth[branch] }]));
    const values = { name: { cls }, bright: { branch: brightest }, best: { branch: right } };
    return {
      done: true,
      right: answer === right,
      says: [
        say("lesson.bright.told", { ...values, ...terms }),
        say(brightest === right ? "lesson.bright.same" : "lesson.bright.differs", values),
      ],
    };
  },
};
