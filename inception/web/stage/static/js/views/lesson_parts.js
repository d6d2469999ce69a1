/** Small parts of the lesson's bar: a button, and the list of results. */

import { h } from "../dom.js";
import { STEPS } from "../lesson/steps.js";
import { t } from "../words.js";

/** @typedef {"right" | "wrong" | "open"} Result */

/**
 * @param {string} text
 * @param {() => void} onclick
 * @param {Record<string, any>} [more]
 */
export function button(text, onclick, more = {}) {
  return h("button", { onclick, ...more, class: `lesson-button ${more.class ?? ""}` }, text);
}

/**
 * @param {Map<string, boolean>} results
 * @param {string} id  of a step
 * @returns {Result}
 */
export function resultOf(results, id) {
  const isRight = results.get(id);
  if (isRight === undefined) return "open";
  return isRight ? "right" : "wrong";
}

/**
 * All steps with their results, each a way back to it.
 * @param {Map<string, boolean>} results
 * @param {(step: number) => void} revisit
 */
export function scoreList(results, revisit) {
  const words = { right: t("lesson.score_right"), wrong: t("lesson.score_wrong"), open: t("lesson.score_open") };
  const items = STEPS.map(({ id, title }, i) => {
    const result = resultOf(results, id);
    return h(
      "li",
      {},
      h("button", { class: `lesson-plain ${result}`, onclick: () => revisit(i + 1) }, `${i + 1}. ${t(title)} `, h("small", {}, words[result])),
    );
  });
  return h("ol", { class: "lesson-score" }, items);
}
