/** The eight steps of the lesson, in their order. */

import { bottleneck, flip, fool, isSameCrop, stack } from "./changing.js";
import { bright, depth, dot, look } from "./looking.js";

/** @import {Data, Start, State} from "../types.js" */
/** @import {Step} from "./types.js" */

/** @type {readonly Step[]} */
export const STEPS = [look, dot, flip, bottleneck, stack, depth, bright, fool];

const CLEAR = "honey_bee"; // one branch alone changes its answer

/**
 * The step of a number from 1.
 * @param {number} number
 */
export function stepAt(number) {
  return STEPS[number - 1] ?? null;
}

/**
 * The example that shows what the steps are about.
 * @param {Start | null} start
 */
export function clearExample(start) {
  const stems = start?.examples.map((one) => one.stem) ?? [];
  const stem = stems.includes(CLEAR) ? CLEAR : stems[0];
  return stem ? `example:${stem}` : null;
}

/**
 * Whether the data are those of the photo, square and network of the state.
 * @param {Readonly<State>} state
 * @param {Readonly<Data>} data
 */
export function isReady(state, { base, network }) {
  return base?.model === state.model && network?.name === state.model && (!state.crop || isSameCrop(state.crop, base.crop));
}
