/** The eight steps of the lesson, in order. */

import { bottleneck, flip, fool, isSameCrop, stack } from "./changing.js";
import { bright, depth, dot, look } from "./looking.js";

/** @import {Data, Start, State} from "../types.js" */
/** @import {Step} from "./types.js" */

/** @type {readonly Step[]} */
export const STEPS = [look, dot, flip, bottleneck, stack, depth, bright, fool];

const CLEAR_EXAMPLE = "honey_bee"; // turning off a single branch changes its answer

/**
 * Return the step of a number from 1, or null.
 * @param {number} number
 */
export function stepAt(number) {
  return STEPS[number - 1] ?? null;
}

/**
 * Return the example photo that shows the subjects of the steps clearly.
 * @param {Start | null} start
 */
export function clearExample(start) {
  const stems = start?.examples.map((example) => example.stem) ?? [];
  const stem = stems.includes(CLEAR_EXAMPLE) ? CLEAR_EXAMPLE : stems[0];
  return stem ? `example:${stem}` : null;
}

/**
 * Whether the loaded data match the photo, square and network of the state.
 * @param {Readonly<State>} state
 * @param {Readonly<Data>} data
 */
export function isReady(state, { base, network }) {
  return base?.model === state.model && network?.name === state.model && (!state.crop || isSameCrop(state.crop, base.crop));
}
