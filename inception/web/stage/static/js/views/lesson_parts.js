/** Parts of the lesson's bar: its buttons, and the list of results. */

import { h } from "../dom.js";
import { STEPS } from "../lesson/steps.js";
import { ALL_ON } from "../state.js";
import { t } from "../words.js";

/** @import {Verdict} from "../lesson/types.js" */
/** @import {State} from "../types.js" */

/**
 * @typedef {object} Result  of a step
 * @property {"right" | "found" | "shown" | "wrong" | "open"} kind  right: at the first try; found: at a later one
 * @property {number} tries
 */

/** @type {Result} */
const OPEN = { kind: "open", tries: 0 };

/**
 * Create a button of the lesson.
 * @param {string} text
 * @param {() => void} onclick
 * @param {Record<string, any>} [attributes]
 */
export function button(text, onclick, attributes = {}) {
  return h("button", { onclick, ...attributes, class: `lesson-button ${attributes.class ?? ""}` }, text);
}

/**
 * Return the result of a step after another verdict; the first final verdict counts.
 * @param {Result | undefined} result
 * @param {Verdict} verdict
 * @param {boolean} isShown  whether the student asked for the answer
 * @returns {Result}
 */
export function resultAfter(result = OPEN, { done, right }, isShown) {
  if (result.kind !== "open") return result;
  if (isShown) return { kind: "shown", tries: result.tries };
  const tries = result.tries + 1;
  if (!done) return { kind: "open", tries };
  if (!right) return { kind: "wrong", tries };
  return { kind: tries === 1 ? "right" : "found", tries };
}

/**
 * Return the result of a step.
 * @param {Map<string, Result>} results
 * @param {string} id  of a step
 */
export function resultOf(results, id) {
  return results.get(id) ?? OPEN;
}

/**
 * Return the patch that restores what the student left for the lesson, as far as it fits the photo and the network of now.
 * @param {Readonly<State>} before
 * @param {Readonly<State>} now
 * @returns {Partial<State>}
 */
export function restoring(before, now) {
  const { photo, model, block, crop, off, offChannels, fill, cls, lens, view, sort, scale, deeper } = before;
  if (photo !== now.photo) return { view, sort, scale, deeper, ...ALL_ON, lens: null };
  const isSameNetwork = !model || model === now.model; // a link to a step need not name one
  const ofNetwork = isSameNetwork ? { offChannels, cls, lens } : { offChannels: {}, cls: null, lens: null };
  return { block, crop, off, fill, view, sort, scale, deeper, ...ofNetwork };
}

/**
 * Create the list of all steps with their results; each links back to its step.
 * @param {Map<string, Result>} results
 * @param {(step: number) => void} revisit
 */
export function scoreList(results, revisit) {
  const labels = {
    right: "lesson.score_right",
    found: "lesson.score_found",
    shown: "lesson.score_shown",
    wrong: "lesson.score_wrong",
    open: "lesson.score_open",
  };
  const items = STEPS.map(({ id, title }, i) => {
    const { kind, tries } = resultOf(results, id);
    return h(
      "li",
      {},
      h(
        "button",
        { class: `lesson-plain ${kind}`, onclick: () => revisit(i + 1) },
        `${i + 1}. ${t(title)} `,
        h("small", {}, t(labels[kind], { tries })),
      ),
    );
  });
  return h("ol", { class: "lesson-score" }, items);
}
