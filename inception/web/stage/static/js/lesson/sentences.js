/** Translation of the lesson's sentences into the page's language. */

import { percent, signed } from "../numbers.js";
import { branchName, className, gap, language, t } from "../words.js";

/** @import {Network} from "../types.js" */
/** @import {Sentence, Value} from "./types.js" */

/**
 * Create a sentence.
 * @param {string} key
 * @param {Record<string, Value>} [values]
 * @returns {Sentence}
 */
export function say(key, values) {
  return { key, values };
}

/**
 * Translate a sentence.
 * @param {Sentence} untranslated
 * @param {Pick<Network, "labels">} network
 */
export function sentence({ key, values = {} }, network) {
  const texts = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, format(value, network)]));
  return t(key, texts);
}

/**
 * Translate and join sentences.
 * @param {Sentence[]} untranslated
 * @param {Pick<Network, "labels">} network
 */
export function sentences(untranslated, network) {
  return untranslated.map((part) => sentence(part, network)).join(gap());
}

/**
 * Format the value of a placeholder.
 * @param {Value} value
 * @param {Pick<Network, "labels">} network
 * @returns {string | number}
 */
function format(value, network) {
  if (typeof value !== "object") return value;
  if ("cls" in value) return className(network, value.cls);
  if ("branch" in value) return branchName(value.branch);
  if ("p" in value) return percent(value.p);
  if ("signed" in value) return signed(value.signed);
  if ("times" in value) return t("lesson.times", { times: figure(value.times) });
  if ("word" in value) return t(value.word);
  return figure(value.short);
}

/**
 * Format a number with two significant digits, or as a whole number from 100 on: "0.52", "4.2", "30", "819,200".
 * @param {number} value
 */
export function figure(value) {
  const options = Math.abs(value) < 100 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 0 };
  return value.toLocaleString(language(), options).replace("-", "−");
}
