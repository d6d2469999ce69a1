/** Steps in which the student changes something: a branch, the block, the order of branches, the square. */

import { wholeCrop } from "../maps.js";
import { BLOCKS, BRANCHES, grouped, softmax } from "../numbers.js";
import { ALL_ON, allOff, isAnythingOff } from "../state.js";
import { t } from "../words.js";
import { blockToSearch, branchOutcomes, places, squeezes, topClass } from "./measure.js";
import { branchChoices, loadedData, RESET } from "./looking.js";
import { say } from "./sentences.js";

/** @import {Block, Branch, Crop} from "../types.js" */
/** @import {BranchOutcome, Squeeze} from "./measure.js" */
/** @import {Step, StepContext, Verdict} from "./types.js" */

/** The settings that the sentences on an ablation are about. */
const CLEAN = Object.freeze({ ...ALL_ON, fill: /** @type {const} */ ("zero") });
const STACK_BLOCK = /** @type {Block} */ ("4b");

/** Step 3: find the branch that changes the answer when it is off. @type {Step} */
export const flip = {
  id: "flip",
  title: "lesson.flip.title",
  kind: "act",
  hidesWorth: true,
  async enter(context) {
    const { network, base, cls } = loadedData(context);
    const table = await context.source.table(context.subject);
    const { flips, strongest, outcomes } = blockToSearch(branchOutcomes(table, cls, network.temperature));
    const block = strongest.block;
    return {
      patch: { ...RESET, block },
      ask: [
        flips
          ? say("lesson.flip.ask", { block, before: { cls }, after: { cls: strongest.after } })
          : say("lesson.flip.ask_weak", { block, name: { cls } }),
      ],
      choices: [],
      weak: !flips,
      facts: { block, flips, strongest, outcomes, cls, p: softmax(base.logits, network.temperature)[cls] },
    };
  },
  // The branch that was turned off last.
  read({ facts }, state, _, previous) {
    const off = state.off[/** @type {Block} */ (facts.block)] ?? [];
    return off.find((branch) => branch !== previous) ?? off[0] ?? null;
  },
  async check({ facts }, answer) {
    const { block, flips, strongest, cls, p } = facts;
    const outcome = /** @type {BranchOutcome} */ (facts.outcomes.find((/** @type {BranchOutcome} */ candidate) => candidate.branch === answer));
    const right = flips ? outcome.lead < 0 : answer === strongest.branch;
    const values = outcomeValues(outcome, cls, p);
    const patch = { ...CLEAN, off: { [block]: [outcome.branch] } };
    if (right) return { done: true, right, says: [say(flips ? "lesson.flip.right" : "lesson.flip.right_weak", values), ablationNote(block)], patch };
    return { done: false, right, says: [say("lesson.flip.retry", values)], patch };
  },
  async show({ facts }) {
    const { block, flips, strongest, cls, p } = facts;
    const key = flips ? "lesson.flip.shown" : "lesson.flip.shown_weak";
    return { done: true, right: false, says: [{ key, values: outcomeValues(strongest, cls, p) }, ablationNote(block)], patch: { ...CLEAN, off: { [block]: [strongest.branch] } } };
  },
};

/** Return the sentence on how later layers compute without a branch. @param {Block} block */
function ablationNote(block) {
  return say(block === BLOCKS.at(-1) ? "lesson.flip.told_last" : "lesson.flip.told");
}

/**
 * @param {BranchOutcome} outcome
 * @param {number} cls
 * @param {number} p
 */
function outcomeValues(outcome, cls, p) {
  return {
    branch: { branch: outcome.branch },
    before: { cls },
    p_before: { p },
    after: { cls: outcome.after },
    p_after: { p: outcome.p },
    left: { p: outcome.left },
  };
}

/** Step 4: find the block whose 5×5 branch has the strongest reduction. @type {Step} */
export const bottleneck = {
  id: "bottleneck",
  title: "lesson.bottleneck.title",
  kind: "act",
  confirm: "lesson.bottleneck.confirm",
  hidesWorth: false,
  async enter(context) {
    const sorted = squeezes(loadedData(context).network, "5x5");
    if (!sorted.length) throw new Error(t("lesson.no_bottleneck"));
    // Do not begin in the block that is the answer.
    const start = BLOCKS.find((block) => sorted.every((entry) => entry.block !== block || entry.ratio < sorted[0].ratio)) ?? "3a";
    return { patch: { ...RESET, block: start }, ask: [say("lesson.bottleneck.ask")], choices: [], weak: false, facts: { sorted } };
  },
  read: (_, state) => state.block,
  async check({ facts }, answer) {
    const chosen = facts.sorted.find((/** @type {{block: Block}} */ entry) => entry.block === answer);
    const strongest = facts.sorted[0];
    const right = chosen?.ratio === strongest.ratio;
    const says = right || !chosen ? [] : [say("lesson.bottleneck.wrong", squeezeValues(chosen))];
    const described = right ? chosen : strongest;
    return { done: true, right, says: [...says, say("lesson.bottleneck.told", squeezeValues(described)), say("lesson.bottleneck.why")], patch: { block: described.block } };
  },
};

/** @param {Squeeze & {block: Block}} entry */
function squeezeValues({ block, from, to, out, ratio, direct, through }) {
  return { block, from, to, out, ratio: { short: ratio }, direct: { short: direct }, through: { short: through }, times: { short: direct / through } };
}

/** Step 5: order the branches as in a block's output. @type {Step} */
export const stack = {
  id: "stack",
  title: "lesson.stack.title",
  kind: "order",
  hidesWorth: false,
  async enter(context) {
    const facts = loadedData(context).network.blocks[STACK_BLOCK];
    const shuffled = /** @type {Branch[]} */ (["pool", "3x3", "1x1", "5x5"]);
    const choices = shuffled.map((branch) => ({ ...branchChoices()[BRANCHES.indexOf(branch)], size: facts.branches[branch].channels }));
    return {
      patch: { ...RESET, block: STACK_BLOCK },
      ask: [say("lesson.stack.ask", { block: STACK_BLOCK, count: facts.channels })],
      choices,
      weak: false,
      facts: { places: places(facts), total: facts.channels, next: BLOCKS[BLOCKS.indexOf(STACK_BLOCK) + 1] },
    };
  },
  async check({ facts }, answer) {
    const values = Object.fromEntries(
      BRANCHES.map((branch) => [`at_${branch}`, `${facts.places[branch].first}–${facts.places[branch].last}`]),
    );
    return {
      done: true,
      right: answer === BRANCHES.join(),
      says: [
        say("lesson.stack.told", values),
        say("lesson.stack.next", { total: facts.total, next: facts.next }),
      ],
    };
  },
};

/** Step 8: change the answer by moving the square or switching branches off. @type {Step} */
export const fool = {
  id: "fool",
  title: "lesson.fool.title",
  kind: "act",
  hidesWorth: false,
  keepsCrop: true,
  async enter(context) {
    const { cls } = loadedData(context);
    return {
      patch: { ...RESET },
      ask: [say("lesson.fool.ask", { name: { cls } })],
      choices: [],
      weak: false,
      facts: { cls, crop: context.state.crop },
    };
  },
  // Another answer counts only if the student changed something, and after the scene with this change has been loaded.
  read({ facts }, state, { now }) {
    const off = allOff(state);
    const isChanged = isAnythingOff(off) || !isSameCrop(state.crop, facts.crop);
    const isCurrent = now && JSON.stringify(now.off) === JSON.stringify(off) && (!state.crop || isSameCrop(state.crop, now.crop));
    if (!isChanged || !now || !isCurrent) return null;
    const answer = topClass(now.logits);
    return answer === facts.cls ? null : String(answer);
  },
  async check({ facts }, answer, context) {
    const { network } = loadedData(context);
    const now = /** @type {import("../types.js").Scene} */ (context.data.now);
    const p = softmax(now.logits, network.temperature)[Number(answer)];
    const values = { before: { cls: facts.cls }, after: { cls: Number(answer) }, p: { p } };
    return { done: true, right: true, says: [say("lesson.fool.right", values), ...answerNotes(network, p)] };
  },
  async show({ facts }, context) {
    const { network } = loadedData(context);
    const { subject } = context;
    for (const crop of alternativeCrops(context)) {
      const { logits } = await context.source.scene({ ...subject, crop }, {});
      const after = topClass(logits);
      if (after === facts.cls) continue;
      const p = softmax(logits, network.temperature)[after];
      return solution("lesson.fool.shown_crop", { after: { cls: after }, p: { p } }, { ...CLEAN, crop }, answerNotes(network, p));
    }
    const table = await context.source.table({ ...subject, crop: facts.crop });
    const { flips, strongest } = blockToSearch(branchOutcomes(table, facts.cls, network.temperature));
    const { block, branch, after, p } = strongest;
    if (!flips) return solution("lesson.fool.none", { name: { cls: facts.cls }, count: alternativeCrops(context).length }, {}, []);
    const values = { block, branch: { branch }, after: { cls: after }, p: { p } };
    return solution("lesson.fool.shown_off", values, { ...CLEAN, crop: facts.crop, off: { [block]: [branch] }, block }, answerNotes(network, p));
  },
};

/**
 * Return the verdict that shows the answer.
 * @param {string} key
 * @param {Record<string, import("./types.js").Value>} values
 * @param {Partial<import("../types.js").State>} patch
 * @param {import("./types.js").Sentence[]} notes
 * @returns {Verdict}
 */
function solution(key, values, patch, notes) {
  return { done: true, right: false, says: [{ key, values }, ...notes], patch };
}

/**
 * Return the notes on an answer: that the network always names one of its classes, and that the page rejects it, if so.
 * @param {import("../types.js").Network} network
 * @param {number} p
 * @returns {import("./types.js").Sentence[]}
 */
function answerNotes({ labels, threshold }, p) {
  const forced = say("lesson.fool.must", { count: grouped(labels.length) });
  return threshold !== null && p < threshold ? [forced, say("lesson.fool.unsure", { threshold: { p: threshold } })] : [forced];
}

/**
 * Return other squares to try: the centre, the whole photo, and the square moved to its corners and edges.
 * @param {StepContext} context
 * @returns {(Crop | null)[]}
 */
export function alternativeCrops({ data, state }) {
  const { width, height } = data.base?.photo ?? { width: 1, height: 1 };
  const side = data.base?.crop[2] ?? 1;
  const shorter = Math.min(width, height);
  /** @type {(Crop | null)[]} */
  const crops = [null, wholeCrop({ width, height })];
  if (side <= 1) {
    for (const [x, y] of [[0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0], [0.5, 1], [0, 0.5], [1, 0.5]]) {
      crops.push([x * (1 - (side * shorter) / width), y * (1 - (side * shorter) / height), side]);
    }
  }
  const current = state.crop ?? data.base?.crop ?? null;
  return crops.filter((crop, i) => {
    const isTried = crops.slice(0, i).some((other) => isSameCrop(other, crop));
    return !isTried && !isSameCrop(crop, state.crop) && !isSameCrop(crop, current);
  });
}

/**
 * Whether two crops are equal, apart from rounding.
 * @param {Crop | null} a
 * @param {Crop | null} b
 */
export function isSameCrop(a, b) {
  return a === b || (a !== null && b !== null && a.every((value, i) => Math.abs(value - b[i]) < 0.002));
}
