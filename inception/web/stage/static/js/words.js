/** Translations of the page: one catalogue per language, loaded when the language is chosen. */

/** @import {Branch, Language, Network} from "./types.js" */

/**
 * @typedef {Record<string, string | Record<string, string>>} Catalogue
 * @typedef {Pick<Network, "labels"> & Partial<Pick<Network, "chinese">>} Names  class names of a network
 */

/** @type {Language} */
let current = "en";
/** @type {Partial<Record<Language, Catalogue>>} */
const catalogues = {};
/** The language requested last. @type {Language} */
let requested = "en";
/** A space between Chinese characters: texts have one beside each placeholder, for values in another script ("1×1"). */
const BETWEEN_CHINESE = /([\p{Script=Han}，。：；（）“”]) (?=[\p{Script=Han}，。：；（）“”])/gu;
/** Number of classes with each name, by labels and language. @type {WeakMap<string[], Partial<Record<Language, Map<string, number>>>>} */
const nameCounts = new WeakMap();

/** Return the language of the page that the browser prefers. @returns {Language} */
export function preferredLanguage() {
  return navigator.languages.find((tag) => /^(zh|en)/.test(tag))?.startsWith("zh") ? "zh" : "en";
}

/** Return the current language. @returns {Language} */
export function language() {
  return current;
}

/**
 * Load the catalogue of a language and switch to it, unless another language is requested meanwhile.
 * @param {Language} name
 */
export async function loadWords(name) {
  requested = name;
  if (!catalogues[name]) {
    const response = await fetch(new URL(`../words/${name}.json`, import.meta.url));
    if (!response.ok) throw new Error(`${name}.json: ${response.status}`);
    catalogues[name] = await response.json();
  }
  if (requested !== name) return;
  current = name;
  document.documentElement.lang = name === "zh" ? "zh-CN" : "en";
}

/**
 * Switch to a language with the given catalogue.
 * @param {Language} name
 * @param {Catalogue} catalogue
 */
export function useWords(name, catalogue) {
  catalogues[name] = catalogue;
  current = name;
}

/**
 * Translate a key, with `{name}` replaced by `values.name` and the plural form of `values.count`. A missing key is
 * returned unchanged. In Chinese, the space beside a value is removed if the value is Chinese.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function t(key, values = {}) {
  const entry = catalogues[current]?.[key] ?? catalogues.en?.[key] ?? key;
  const text = typeof entry === "string" ? entry : plural(entry, Number(values.count ?? 0));
  const filled = text.replace(/\{(\w+)\}/g, (placeholder, name) => (name in values ? String(values[name]) : placeholder));
  return current === "zh" ? filled.replace(BETWEEN_CHINESE, "$1") : filled;
}

/**
 * Translate a key that the server names, or return the fallback if the catalogue does not have it.
 * @param {string} key
 * @param {string} fallback
 */
export function known(key, fallback) {
  const text = t(key);
  return text === key ? fallback : text;
}

/**
 * Return the display name of an example photo.
 * @param {string} stem  of its file
 */
export function exampleName(stem) {
  return known(`photo.example_${stem}`, stem.replaceAll("_", " "));
}

/**
 * Choose the plural form of a count.
 * @param {Record<string, string>} forms
 * @param {number} count
 */
function plural(forms, count) {
  return forms[new Intl.PluralRules(current).select(count)] ?? forms.other ?? "";
}

/**
 * Return the display name of a class: the first name of its label ("goldfish, Carassius auratus"), with the class's number
 * if another class of the network has the same name.
 * @param {Names} network
 * @param {number} index
 */
export function className(network, index) {
  const name = nameOf(network, network.labels[index] ?? String(index));
  return (nameCountsOf(network).get(name) ?? 0) > 1 ? t("answer.numbered", { name, number: index }) : name;
}

/**
 * @param {Names} network
 * @param {string} label
 */
function nameOf({ chinese }, label) {
  return (current === "zh" && chinese?.[label]) || label.split(",")[0];
}

/** @param {Names} network */
function nameCountsOf(network) {
  const { labels } = network;
  let byLanguage = nameCounts.get(labels);
  if (!byLanguage) nameCounts.set(labels, (byLanguage = {}));
  let counts = byLanguage[current];
  if (!counts) {
    counts = byLanguage[current] = new Map();
    for (const name of labels.map((label) => nameOf(network, label))) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

/**
 * Return the text beside a class's Chinese name: the English name, or a note that there is no Chinese one. Empty in English,
 * and for networks without Chinese names.
 * @param {Names} network
 * @param {number} index
 */
export function englishName({ labels, chinese = {} }, index) {
  if (current !== "zh" || !Object.keys(chinese).length) return "";
  const label = labels[index] ?? "";
  return chinese[label] ? label.split(",")[0] : t("answer.only_english");
}

/**
 * Return the class whose name fits a text best: exactly, by its last word, a word, the start of a word, or any part; shown
 * names come before other names of the label. -1 if none fits.
 * @param {Names} network
 * @param {string} text
 */
export function findClass(network, text) {
  const escaped = text.trim().replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const shownNames = network.labels.map((_, index) => [className(network, index)]);
  const allNames = network.labels.map((label) => [label, ...label.split(", ")]);
  // Between Chinese characters, \b never matches; there the last two find words.
  for (const pattern of [`^${escaped}$`, `\\b${escaped}$`, `\\b${escaped}\\b`, `\\b${escaped}`, `${escaped}$`, escaped]) {
    const regex = new RegExp(pattern, "i");
    for (const candidates of [shownNames, allNames]) {
      const index = candidates.findIndex((names) => names.some((name) => regex.test(name)));
      if (index >= 0) return index;
    }
  }
  return -1;
}

/** Return what stands between two sentences: a space, if the language has one. */
export function gap() {
  return current === "zh" ? "" : " ";
}

/**
 * Join sentences.
 * @param {string[]} sentences  empty ones are omitted
 */
export function joined(sentences) {
  return sentences.filter(Boolean).join(gap());
}

/**
 * Write a large count with four digits and a word: "231.2 million", "2.312 亿".
 * @param {number} value
 */
export function inWords(value) {
  const text = value.toLocaleString(current, { notation: "compact", compactDisplay: "long", maximumSignificantDigits: 4 });
  return text.replace(/(\d)(?=\p{Script=Han})/u, "$1 ");
}

/**
 * Return the message of an error.
 * @param {unknown} error
 */
export function sentenceOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Return the display name of a branch: "1×1".
 * @param {Branch} branch
 */
export function branchName(branch) {
  return branch === "pool" ? t("branch.name_pool") : branch.replace("x", "×");
}
