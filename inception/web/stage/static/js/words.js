/** The words of the page: one catalogue a language, loaded when it is chosen. */

/** @import {Branch, Language, Network} from "./types.js" */

/**
 * @typedef {Record<string, string | Record<string, string>>} Catalogue
 * @typedef {Pick<Network, "labels"> & Partial<Pick<Network, "chinese">>} Names  of a network's classes
 */

/** @type {Language} */
let current = "en";
/** @type {Partial<Record<Language, Catalogue>>} */
const catalogues = {};
/** The last language that was asked for. @type {Language} */
let wish = "en";
/** A space that a text leaves for a word of another script ("1×1"), between two Chinese characters. */
const BETWEEN_CHINESE = /([\p{Script=Han}，。：；（）“”]) (?=[\p{Script=Han}，。：；（）“”])/gu;
/** How often each name is used, by a network's labels and the language. @type {WeakMap<string[], Partial<Record<Language, Map<string, number>>>>} */
const uses = new WeakMap();

/** The language of the browser. @returns {Language} */
export function preferredLanguage() {
  return navigator.languages.find((one) => /^(zh|en)/.test(one))?.startsWith("zh") ? "zh" : "en";
}

/** @returns {Language} */
export function language() {
  return current;
}

/**
 * Load the words of a language and use them from now on, unless another was asked for meanwhile.
 * @param {Language} wanted
 */
export async function loadWords(wanted) {
  wish = wanted;
  if (!catalogues[wanted]) {
    const answer = await fetch(new URL(`../words/${wanted}.json`, import.meta.url));
    if (!answer.ok) throw new Error(`${wanted}.json: ${answer.status}`);
    catalogues[wanted] = await answer.json();
  }
  if (wish !== wanted) return;
  current = wanted;
  document.documentElement.lang = wanted === "zh" ? "zh-CN" : "en";
}

/**
 * @param {Language} name
 * @param {Catalogue} catalogue
 */
export function useWords(name, catalogue) {
  catalogues[name] = catalogue;
  current = name;
}

/**
 * The words for a key, with `{name}` replaced by `values.name`; the plural form is that of `values.count`. A key that
 * is missing is shown as it is. In Chinese, the space beside a value goes where the value is Chinese.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function t(key, values = {}) {
  const entry = catalogues[current]?.[key] ?? catalogues.en?.[key] ?? key;
  const text = typeof entry === "string" ? entry : plural(entry, Number(values.count ?? 0));
  const filled = text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  return current === "zh" ? filled.replace(BETWEEN_CHINESE, "$1") : filled;
}

/**
 * @param {Record<string, string>} forms
 * @param {number} count
 */
function plural(forms, count) {
  return forms[new Intl.PluralRules(current).select(count)] ?? forms.other ?? "";
}

/**
 * What a class is called: the first name of its label ("goldfish, Carassius auratus"); with its number where another class
 * of the network is called the same.
 * @param {Names} network
 * @param {number} index
 */
export function className(network, index) {
  const name = nameOf(network, network.labels[index] ?? String(index));
  return (usesOf(network).get(name) ?? 0) > 1 ? t("answer.numbered", { name, number: index }) : name;
}

/**
 * @param {Names} network
 * @param {string} label
 */
function nameOf({ chinese }, label) {
  return (current === "zh" && chinese?.[label]) || label.split(",")[0];
}

/** @param {Names} network */
function usesOf(network) {
  const { labels } = network;
  let told = uses.get(labels);
  if (!told) uses.set(labels, (told = {}));
  let counts = told[current];
  if (!counts) {
    counts = told[current] = new Map();
    for (const name of labels.map((label) => nameOf(network, label))) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

/**
 * What stands beside a Chinese name of a class: the English one, or that there is no Chinese one. Empty in English, and for
 * networks without Chinese names.
 * @param {Names} network
 * @param {number} index
 */
export function englishName({ labels, chinese = {} }, index) {
  if (current !== "zh" || !Object.keys(chinese).length) return "";
  const label = labels[index] ?? "";
  return chinese[label] ? label.split(",")[0] : t("answer.only_english");
}

/**
 * Sentences one after the other, with a space between them where the language has one.
 * @param {string[]} sentences  empty ones are left out
 */
export function joined(sentences) {
  return sentences.filter(Boolean).join(current === "zh" ? "" : " ");
}

/**
 * What went wrong, in a sentence.
 * @param {unknown} error
 */
export function sentenceOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * A branch as people write it.
 * @param {Branch} branch
 */
export function branchName(branch) {
  return branch === "pool" ? t("branch.name_pool") : branch.replace("x", "×");
}
