/** Parts of the lesson's bar: its buttons, and the list of results. */

import { h } from "../dom.js";
import { STEPS } from "../lesson/steps.js";
import { t } from "../words.js";

/** @typedef {"right" | "wrong" | "open"} Result */

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
 * Return the result of a step.
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
 * Create the list of all steps with their results; each links back to its step.
 * @param {Map<string, boolean>} results
 * @param {(step: number) => void} revisit
 */
export function scoreList(results, revisit) {
  const labels = { right: t("lesson.score_right"), wrong: t("lesson.score_wrong"), open: t("lesson.score_open") };
  const items = STEPS.map(({ id, title }, i) => {
    const result = resultOf(results, id);
    return h(
      "li",
      {},
      h(
        "button",
        { class: `lesson-plain ${result}`, onclick: () => revisit(i + 1) },
        `${i + 1}. ${t(title)} `,
        h("small", {}, labels[result]),
      ),
    );
  });
  return h("ol", { class: "lesson-score" }, items);
}
