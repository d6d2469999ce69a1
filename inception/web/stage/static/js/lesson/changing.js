/** The steps in which the student changes something: a branch, the block, the order, the square. */

import { BLOCKS, BRANCHES, softmax } from "../numbers.js";
import { allOff, isAnythingOff } from "../state.js";
import { best, blockToSearch, places, singles, squeezes } from "./measure.js";
import { branchChoices, FRESH, known } from "./looking.js";
import { say } from "./sentences.js";

/** @import {Block, Branch, Crop} from "../types.js" */
/** @import {Single, Squeeze} from "./measure.js" */
/** @import {Scenery, Step, Verdict} from "./types.js" */

const STACK = /** @type {Block} */ ("4b");

/** 3: the branch without which the answer is another. @type {Step} */
export const flip = {
  id: "flip",
  title: "lesson.flip.title",
  kind: "act",
  hidesWorth: true,
  async enter(scenery) {
    const { network, base, cls } = known(scenery);
    const table = await scenery.source.table(scenery.subject);
    const { flips, strongest, outcomes } = blockToSearch(singles(table, cls, network.temperature));
    const block = strongest.block;
    return {
      patch: { ...FRESH, block },
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
  read({ facts }, state, _, before) {
    const off = state.off[/** @type {Block} */ (facts.block)] ?? [];
    return off.find((branch) => branch !== before) ?? off[0] ?? null;
  },
  async check({ facts }, answer) {
    const { block, flips, strongest, cls, p } = facts;
    const outcome = /** @type {Single} */ (facts.outcomes.find((/** @type {Single} */ one) => one.branch === answer));
    const right = flips ? outcome.lead < 0 : answer === strongest.branch;
    const values = outcomeValues(outcome, cls, p);
    const patch = { off: { [block]: [outcome.branch] } };
    if (right) return { done: true, right, says: [say(flips ? "lesson.flip.right" : "lesson.flip.right_weak", values), turnedOff(block)], patch };
    return { done: false, right, says: [say("lesson.flip.retry", values)], patch };
  },
  async show({ facts }) {
    const { block, flips, strongest, cls, p } = facts;
    const key = flips ? "lesson.flip.shown" : "lesson.flip.shown_weak";
    return { done: true, right: false, says: [{ key, values: outcomeValues(strongest, cls, p) }, turnedOff(block)], patch: { off: { [block]: [strongest.branch] } } };
  },
};

/** What being off means for what follows the block. @param {Block} block */
function turnedOff(block) {
  return say(block === BLOCKS.at(-1) ? "lesson.flip.told_last" : "lesson.flip.told");
}

/**
 * @param {Single} outcome
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

/** 4: the block whose 5×5 branch is squeezed most. @type {Step} */
export const bottleneck = {
  id: "bottleneck",
  title: "lesson.bottleneck.title",
  kind: "act",
  confirm: "lesson.bottleneck.confirm",
  hidesWorth: false,
  async enter(scenery) {
    const found = squeezes(known(scenery).network, "5x5");
    if (!found.length) throw new Error("No block of this network has a bottleneck.");
    // Do not begin on the block that is the answer.
    const start = BLOCKS.find((block) => found.every((one) => one.block !== block || one.ratio < found[0].ratio)) ?? "3a";
    return { patch: { ...FRESH, block: start }, ask: [say("lesson.bottleneck.ask")], choices: [], weak: false, facts: { found } };
  },
  read: (_, state) => state.block,
  async check({ facts }, answer) {
    const chosen = facts.found.find((/** @type {{block: Block}} */ one) => one.block === answer);
    const strongest = facts.found[0];
    const right = chosen?.ratio === strongest.ratio;
    const says = right || !chosen ? [] : [say("lesson.bottleneck.wrong", squeezeValues(chosen))];
    const told = right ? chosen : strongest;
    return { done: true, right, says: [...says, say("lesson.bottleneck.told", squeezeValues(told)), say("lesson.bottleneck.why")], patch: { block: told.block } };
  },
};

/** @param {Squeeze & {block: Block}} one */
function squeezeValues({ block, from, to, out, ratio, direct, through }) {
  return { block, from, to, out, ratio: { short: ratio }, direct: { short: direct }, through: { short: through }, times: { short: direct / through } };
}

/** 5: the order of the branches in a block's output. @type {Step} */
export const stack = {
  id: "stack",
  title: "lesson.stack.title",
  kind: "order",
  hidesWorth: false,
  async enter(scenery) {
    const facts = known(scenery).network.blocks[STACK];
    const shuffled = /** @type {Branch[]} */ (["pool", "3x3", "1x1", "5x5"]);
    const choices = shuffled.map((branch) => ({ ...branchChoices()[BRANCHES.indexOf(branch)], size: facts.branches[branch].channels }));
    return {
      patch: { ...FRESH, block: STACK },
      ask: [say("lesson.stack.ask", { block: STACK, count: facts.channels })],
      choices,
      weak: false,
      facts: { places: places(facts), total: facts.channels, next: BLOCKS[BLOCKS.indexOf(STACK) + 1] },
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

/** 8: another answer, by the square or by switches. @type {Step} */
export const fool = {
  id: "fool",
  title: "lesson.fool.title",
  kind: "act",
  hidesWorth: false,
  keepsCrop: true,
  async enter(scenery) {
    const { cls } = known(scenery);
    return {
      patch: { ...FRESH },
      ask: [say("lesson.fool.ask", { name: { cls } })],
      choices: [],
      weak: false,
      facts: { cls, crop: scenery.state.crop },
    };
  },
  // Another answer counts only if the student changed something, and once the network has answered for that change.
  read({ facts }, state, { now }) {
    const off = allOff(state);
    const isChanged = isAnythingOff(off) || !isSameCrop(state.crop, facts.crop);
    const isCurrent = now && JSON.stringify(now.off) === JSON.stringify(off) && (!state.crop || isSameCrop(state.crop, now.crop));
    if (!isChanged || !now || !isCurrent) return null;
    const answer = best(now.logits);
    return answer === facts.cls ? null : String(answer);
  },
  async check({ facts }, answer, scenery) {
    const { network } = known(scenery);
    const now = /** @type {import("../types.js").Scene} */ (scenery.data.now);
    const p = softmax(now.logits, network.temperature)[Number(answer)];
    const values = { before: { cls: facts.cls }, after: { cls: Number(answer) }, p: { p } };
    return { done: true, right: true, says: [say("lesson.fool.right", values), ...mustAnswer(network, p)] };
  },
  async show({ facts }, scenery) {
    const { network } = known(scenery);
    const { subject } = scenery;
    for (const crop of tries(scenery)) {
      const { logits } = await scenery.source.scene({ ...subject, crop }, {});
      const after = best(logits);
      if (after === facts.cls) continue;
      const p = softmax(logits, network.temperature)[after];
      return shown("lesson.fool.shown_crop", { after: { cls: after }, p: { p } }, { crop, off: {} }, mustAnswer(network, p));
    }
    const table = await scenery.source.table({ ...subject, crop: facts.crop });
    const { flips, strongest } = blockToSearch(singles(table, facts.cls, network.temperature));
    const { block, branch, after, p } = strongest;
    if (!flips) return shown("lesson.fool.none", { name: { cls: facts.cls }, count: tries(scenery).length }, {}, []);
    const values = { block, branch: { branch }, after: { cls: after }, p: { p } };
    return shown("lesson.fool.shown_off", values, { crop: facts.crop, off: { [block]: [branch] }, block }, mustAnswer(network, p));
  },
};

/**
 * @param {string} key
 * @param {Record<string, import("./types.js").Value>} values
 * @param {Partial<import("../types.js").State>} patch
 * @param {import("./types.js").Said[]} more
 * @returns {Verdict}
 */
function shown(key, values, patch, more) {
  return { done: true, right: false, says: [{ key, values }, ...more], patch };
}

/**
 * The network has to name one of its classes, and the page says when it doubts the name.
 * @param {import("../types.js").Network} network
 * @param {number} p
 * @returns {import("./types.js").Said[]}
 */
function mustAnswer({ labels, threshold }, p) {
  const must = say("lesson.fool.must", { count: labels.length });
  return threshold !== null && p < threshold ? [must, say("lesson.fool.unsure", { threshold: { p: threshold } })] : [must];
}

/**
 * Other squares to try: the whole photo, the centre, and nine places of the square.
 * @param {Scenery} scenery
 * @returns {(Crop | null)[]}
 */
export function tries({ data, state }) {
  const { width, height } = data.base?.photo ?? { width: 1, height: 1 };
  const side = data.base?.crop[2] ?? 1;
  const shorter = Math.min(width, height);
  const longer = Math.max(width, height);
  /** @type {(Crop | null)[]} */
  const all = [null, [(width - longer) / 2 / width, (height - longer) / 2 / height, longer / shorter]];
  if (side <= 1) {
    for (const [x, y] of [[0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0], [0.5, 1], [0, 0.5], [1, 0.5]]) {
      all.push([x * (1 - (side * shorter) / width), y * (1 - (side * shorter) / height), side]);
    }
  }
  return all.filter((crop) => !isSameCrop(crop, state.crop));
}

/**
 * @param {Crop | null} one
 * @param {Crop | null} other
 */
export function isSameCrop(one, other) {
  return one === other || (one !== null && other !== null && one.every((value, i) => Math.abs(value - other[i]) < 0.002));
}
