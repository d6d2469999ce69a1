/** Steps in which the student reads feature maps: brightness and evidence, preferred size, early and late blocks, worth. */

import { strongestCell } from "../maps.js";
import { BRANCHES, order, shapley } from "../numbers.js";
import { ALL_ON } from "../state.js";
import { nearest, peak, verdict } from "../stimuli.js";
import { t } from "../words.js";
import { say } from "./sentences.js";
import {
  branchOutcomes,
  brightness,
  brightnessRatio,
  byBranch,
  cellAt,
  lowShare,
  ninth,
  preferenceRatio,
  ranked,
  splitBrightness,
  strongCells,
  topClass,
} from "./measure.js";

/** @import {Block, Branch, Lens, Network, Scene} from "../types.js" */
/** @import {Tuning} from "../stimuli.js" */
/** @import {Choice, Step, StepContext} from "./types.js" */

/** Patch that every step starts from. */
export const RESET = Object.freeze({ ...ALL_ON, fill: /** @type {const} */ ("zero"), scale: /** @type {const} */ ("own"), cls: null, lens: null, deeper: null });

const BRIGHT_RATIO = 1.5; // at which a channel counts as bright at the evidence
const DARK_RATIO = 0.1;
const MAX_RATIO = 20; // larger ones are stated as "more than 20"
const VISIBLE_TILES = 5; // of each branch, on any screen
const LOOK_BLOCK = /** @type {Block} */ ("4e");
const EARLY = /** @type {Block} */ ("3a");
const LATE = /** @type {Block} */ ("5b");
const SAME_TOLERANCE = 0.05; // shares of low cells that differ by less count as the same
const DOT_BLOCKS = /** @type {Block[]} */ (["3a", "3b", "4a"]);

/** Return the loaded network, scene and answer. @param {StepContext} context @returns {{network: Network, base: Scene, cls: number}} */
export function loadedData({ data }) {
  if (!data.network || !data.base) throw new Error(t("lesson.no_photo"));
  return { network: data.network, base: data.base, cls: topClass(data.base.logits) };
}

/** Return a choice for each branch. @returns {Choice[]} */
export function branchChoices() {
  return BRANCHES.map((branch) => ({ id: branch, branch, says: say("lesson.branch", { branch: { branch } }) }));
}

/** Step 1: find a channel that is bright where the evidence lies. @type {Step} */
export const look = {
  id: "look",
  title: "lesson.look.title",
  kind: "act",
  confirm: "lesson.look.confirm",
  hidesWorth: false,
  async enter(context) {
    const { cls } = loadedData(context);
    const [evidence, channels, worth] = await Promise.all([
      context.source.evidence(context.subject, cls),
      context.source.block(context.subject, {}, LOOK_BLOCK),
      context.source.worth(context.subject, cls, LOOK_BLOCK),
    ]);
    const cells = strongCells(evidence.map);
    const splits = byBranch((branch) => {
      const { count, side, values } = channels[branch];
      const mapOf = (/** @type {number} */ i) => values.subarray(i * side * side, (i + 1) * side * side);
      return Array.from({ length: count }, (_, i) => {
        const { row, column } = strongestCell(channels[branch], i);
        const isPeakInside = cells?.[cellAt(row, side, evidence.side) * evidence.side + cellAt(column, side, evidence.side)] ?? false;
        return { ...splitBrightness(mapOf(i), side, cells ?? [], evidence.side), isPeakInside };
      });
    });
    const top = clearest(splits, worth[LOOK_BLOCK]);
    const place = cells && ninth(cells, evidence.side);
    return {
      patch: { ...RESET, block: LOOK_BLOCK, view: "sorted", sort: "worth" },
      ask: [say("lesson.look.ask", { block: LOOK_BLOCK, name: { cls } })],
      choices: [],
      weak: !isBrightThere(splits[top.branch][top.channel]),
      facts: { cls, splits, top, place, lens: { branch: top.branch, channel: top.channel, ...strongestCell(channels[top.branch], top.channel) } },
    };
  },
  read: (_, state) => (state.block === LOOK_BLOCK && state.lens ? `${state.lens.branch}:${state.lens.channel}` : null),
  async check({ facts }, answer) {
    const [branch, channel] = /** @type {[Branch, string]} */ (answer.split(":"));
    const split = facts.splits[branch][Number(channel)];
    const ratio = brightnessRatio(split);
    const values = { channel, branch: { branch }, times: ratioValue(ratio) };
    if (isBrightThere(split)) return { done: true, right: true, says: [...evidencePlace(facts), say("lesson.look.right", values)] };
    return { done: true, right: false, says: [...evidencePlace(facts), say(wrongKey(ratio), values), solution(facts)], patch: { lens: facts.lens } };
  },
  show: async ({ facts }) => ({ done: true, right: false, says: [...evidencePlace(facts), solution(facts)], patch: { lens: facts.lens } }),
};

/**
 * @typedef {object} Split  a channel's brightness inside and outside the evidence
 * @property {number} inside
 * @property {number} outside
 * @property {boolean} isPeakInside  whether its strongest cell lies inside
 */

/** Whether a channel is bright where the evidence lies. @param {Split} split */
function isBrightThere(split) {
  return split.isPeakInside && (brightnessRatio(split) ?? 0) >= BRIGHT_RATIO;
}

/** Return the sentence that says where the evidence lies, if there is any. @param {any} facts */
function evidencePlace({ cls, place }) {
  return place === null ? [] : [say("lesson.look.place", { name: { cls }, place: { word: `lesson.place_${place}` } })];
}

/** Return the key of the sentence about a wrong channel. @param {number | null} ratio */
function wrongKey(ratio) {
  if (ratio === null) return "lesson.look.silent";
  if (ratio < DARK_RATIO) return "lesson.look.dark";
  return ratio < BRIGHT_RATIO ? "lesson.look.wrong" : "lesson.look.beside";
}

/** Return the sentence about a right channel. @param {any} facts */
function solution({ top, splits }) {
  const { branch, channel } = top;
  return say("lesson.look.shown", { channel, branch: { branch }, times: ratioValue(brightnessRatio(splits[branch][channel])) });
}

/** @param {number | null} ratio @returns {import("./types.js").Value} */
function ratioValue(ratio) {
  return (ratio ?? 0) > MAX_RATIO ? { word: "lesson.many_times" } : { times: ratio ?? 0 };
}

/**
 * Return the channel with the highest contrast between the evidence and the rest, among the tiles that are visible to the
 * student; preferably one that counts as bright there.
 * @param {Record<Branch, Split[]>} splits
 * @param {Float32Array} [worth]  of the block's channels
 * @returns {{branch: Branch, channel: number}}
 */
function clearest(splits, worth) {
  let start = 0;
  const candidates = BRANCHES.flatMap((branch) => {
    const { length } = splits[branch];
    const visible = worth ? order(worth.subarray(start, start + length), VISIBLE_TILES) : order(new Float32Array(length));
    start += length;
    return visible.map((channel) => ({ branch, channel, split: splits[branch][channel] }));
  });
  /** @param {{split: Split}} candidate */
  const rating = ({ split }) => split.inside - split.outside + (isBrightThere(split) ? 255 : 0);
  const { branch, channel } = candidates.toSorted((a, b) => rating(b) - rating(a))[0];
  return { branch, channel };
}

/** Step 2: find the size of a disc to which 5×5 responds most. @type {Step} */
export const dot = {
  id: "dot",
  title: "lesson.dot.title",
  kind: "choice",
  hidesWorth: false,
  async enter(context) {
    const { state, source } = context;
    const { network } = loadedData(context);
    const tunings = await Promise.all(
      DOT_BLOCKS.map(async (block) => ({ block, tuning: /** @type {Tuning} */ (await source.tuning(state.model, block, "disc")) })),
    );
    /** @param {{tuning: Tuning}} measured */
    const isLarger = ({ tuning }) => verdict(tuning) === "larger";
    const { block, tuning } = tunings.toSorted(
      (a, b) => Number(isLarger(b)) - Number(isLarger(a)) || preferenceRatio(b.tuning) - preferenceRatio(a.tuning),
    )[0];
    return {
      patch: { ...RESET, block },
      ask: [say("lesson.dot.ask", { block, field: Math.min(network.blocks[block].branches["5x5"].field.size, network.size) })],
      choices: offeredSizes(tuning).map((size) => ({ id: String(size), says: say("lesson.dot.size", { size: { short: size } }) })),
      weak: false,
      facts: { tuning, larger: isLarger({ tuning }) },
    };
  },
  async check({ facts }, answer) {
    const { tuning, larger } = facts;
    const rightAnswer = String(peak(tuning, "5x5"));
    /** @param {Branch} branch */
    const sizeOf = (branch) => ({ short: peak(tuning, branch) });
    const sizes = { one: sizeOf("1x1"), three: sizeOf("3x3"), five: sizeOf("5x5"), pool: sizeOf("pool") };
    return {
      done: true,
      right: answer === rightAnswer,
      answer: rightAnswer,
      says: [say("lesson.dot.told", sizes), say(larger ? "lesson.dot.larger" : "lesson.dot.not_larger")],
      patch: { deeper: "dial" },
    };
  },
};

/**
 * Return four sizes to choose from: the one to which 5×5 responds most, and its multiples by powers of two.
 * @param {Tuning} tuning
 * @returns {number[]}
 */
export function offeredSizes(tuning) {
  const best = peak(tuning, "5x5");
  const targets = [1 / 4, 1 / 2, 1, 2, 4, 1 / 8, 8, 1 / 16, 16].map((factor) => best * factor);
  /** @type {number[]} */
  const offered = [best];
  for (const target of targets) {
    const size = tuning.sizes[nearest(tuning.sizes, target)];
    if (offered.length < 4 && Math.abs(Math.log(size / target)) < 0.3 && !offered.includes(size)) offered.push(size);
  }
  return offered.toSorted((a, b) => a - b);
}

/** Step 6: find the block with the larger share of low cells. @type {Step} */
export const depth = {
  id: "depth",
  title: "lesson.depth.title",
  kind: "choice",
  hidesWorth: false,
  async enter(context) {
    const { network } = loadedData(context);
    const [early, late] = await Promise.all([EARLY, LATE].map((block) => context.source.block(context.subject, {}, block)));
    const low = { early: lowShare(early), late: lowShare(late) };
    const difference = low.late - low.early;
    return {
      patch: { ...RESET, block: EARLY },
      ask: [say("lesson.depth.ask", { early: EARLY, late: LATE })],
      choices: [
        { id: EARLY, says: say("lesson.block", { block: EARLY }) },
        { id: LATE, says: say("lesson.block", { block: LATE }) },
        { id: "same", says: say("lesson.depth.same") },
      ],
      weak: false,
      facts: {
        low,
        right: Math.abs(difference) < SAME_TOLERANCE ? "same" : difference > 0 ? LATE : EARLY,
        fieldSizes: { early: network.blocks[EARLY].branches["5x5"].field.size, late: network.blocks[LATE].branches["5x5"].field.size },
        side: network.size,
      },
    };
  },
  async check({ facts }, answer) {
    const { low, right, fieldSizes, side } = facts;
    return {
      done: true,
      right: answer === right,
      answer: right,
      says: [
        say("lesson.depth.told", { early: EARLY, late: LATE, early_share: { p: low.early }, late_share: { p: low.late } }),
        say(fieldSizes.late < side ? "lesson.depth.sees" : "lesson.depth.sees_all", { early: EARLY, late: LATE, early_size: fieldSizes.early, late_size: fieldSizes.late, side }),
        ...(right === LATE ? [say("lesson.depth.why")] : []),
      ],
      patch: { block: LATE },
    };
  },
};

/** Step 7: decide whether the branch with the highest values matters most. @type {Step} */
export const bright = {
  id: "bright",
  title: "lesson.bright.title",
  kind: "choice",
  hidesWorth: true,
  async enter(context) {
    const { network, base, cls } = loadedData(context);
    const outcomes = branchOutcomes(await context.source.table(context.subject), cls, network.temperature);
    // Prefer blocks whose most important branch is not the brightest, then those with the clearest brightest branch.
    const blocks = /** @type {Block[]} */ (Object.keys(base.maps)).map((block) => {
      const mean = brightness(base, block);
      const [first, second] = ranked(mean);
      const mostImportant = outcomes.filter((outcome) => outcome.block === block).toSorted((a, b) => a.lead - b.lead)[0].branch;
      return { block, differs: mostImportant !== first, clarity: mean[first] / Math.max(mean[second], 1e-6) };
    });
    const differing = blocks.filter((entry) => entry.differs).toSorted((a, b) => b.clarity - a.clarity);
    const candidates = differing.length ? differing.slice(0, 3).map((entry) => entry.block) : [/** @type {Block} */ ("4c")];
    const measured = await Promise.all(
      candidates.map(async (block) => ({ block, worth: shapley(await context.source.votes(context.subject, block), cls), mean: brightness(base, block) })),
    );
    const chosen = measured.find(({ worth, mean }) => ranked(worth)[0] !== ranked(mean)[0]) ?? measured[0];
    const { block, worth, mean } = chosen;
    const [first, second] = ranked(mean);
    return {
      patch: { ...RESET, block },
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
      answer: right,
      says: [
        say("lesson.bright.told", { ...values, ...terms }),
        say(brightest === right ? "lesson.bright.same" : "lesson.bright.differs", values),
      ],
    };
  },
};
