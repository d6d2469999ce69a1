/** The sentences of a step in the language of the page. */

import { percent, signed } from "../numbers.js";
import { branchName, className, language, t } from "../words.js";

/** @import {Network} from "../types.js" */
/** @import {Said, Value} from "./types.js" */

/**
 * @param {string} key
 * @param {Record<string, Value>} [values]
 * @returns {Said}
 */
export function say(key, values) {
  return { key, values };
}

/**
 * @param {Said} said
 * @param {Pick<Network, "labels">} network
 */
export function sentence({ key, values = {} }, network) {
  const written = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, write(value, network)]));
  return t(key, written);
}

/**
 * One sentence after another, as the language sets them.
 * @param {Said[]} saids
 * @param {Pick<Network, "labels">} network
 */
export function sentences(saids, network) {
  return saids.map((said) => sentence(said, network)).join(language() === "zh" ? "" : " ");
}

/**
 * @param {Value} value
 * @param {Pick<Network, "labels">} network
 * @returns {string | number}
 */
function write(value, network) {
  if (typeof value !== "object") return value;
  if ("cls" in value) return className(network, value.cls);
  if ("branch" in value) return branchName(value.branch);
  if ("p" in value) return percent(value.p);
  if ("signed" in value) return signed(value.signed);
  if ("word" in value) return t(value.word);
  return figure(value.short);
}

/**
 * A number as one says it: "0.52", "4.2", "30", "819,200".
 * @param {number} value
 */
export function figure(value) {
  const options = Math.abs(value) < 100 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 0 };
  return value.toLocaleString(language(), options).replace("-", "−");
}
