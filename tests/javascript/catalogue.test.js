/** The words in both languages, and the keys that the page's modules use. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { parse } from "espree";

import { catalogue, index, none, serverCatalogue, sources } from "./support.js";

// Prefixes of keys that a module builds: t(`prefix.${...}`). The inserted part is a digit, or a string literal of some
// module; for the prefixes of the second list it is a name from the server.
const BUILT_PREFIXES = ["block.", "branch.", "census.", "deeper.", "dial.", "kernel.", "lab.", "lesson.place_", "trust.", "unit.", "unit_image.",
  "photo.example_"];
const SERVER_PREFIXES = ["deeper.about_", "photo.example_"];

const WORDS = { en: catalogue("en"), zh: catalogue("zh") };
const KEYS = Object.keys(WORDS.en);

/** All forms of a key's text. */
const forms = (entry) => (typeof entry === "string" ? [entry] : Object.values(entry));
const placeholders = (entry) => [...new Set(forms(entry).flatMap((text) => text.match(/\{\w+\}/g) ?? []))].sort();

test("a line never ends between a number and its unit", () => {
  for (const key of KEYS) for (const text of forms(WORDS.en[key])) assert.doesNotMatch(text, /[\d}] (%|px\b)/, key);
});

/** Every node of a syntax tree. */
function* nodes(tree) {
  if (!tree || typeof tree !== "object") return;
  if (typeof tree.type === "string") yield tree;
  for (const child of Object.values(tree)) yield* Array.isArray(child) ? child.flatMap((item) => [...nodes(item)]) : nodes(child);
}

const ALL_NODES = Object.entries(sources()).flatMap(([file, text]) =>
  [...nodes(parse(text, { ecmaVersion: "latest", sourceType: "module", loc: true }))].map((node) => ({
    node,
    location: `${file}:${node.loc.start.line}`,
  })),
);
const CALLS = ALL_NODES.filter(({ node }) => node.type === "CallExpression" && node.callee.name === "t");
const literal = (node) => (node?.type === "Literal" && typeof node.value === "string" ? node.value : null);
const LITERALS = new Set(ALL_NODES.map(({ node }) => literal(node)));
const TEMPLATES = ALL_NODES.filter(({ node }) => node.type === "TemplateLiteral").map(({ node, location }) => ({
  location,
  start: node.quasis[0].value.cooked,
  pattern: new RegExp(`^${node.quasis.map((part) => part.value.cooked.replace(/[.*+?^$|()[\]{}\\]/g, "\\$&")).join("([^.]+)")}$`),
}));
const KEY_TEMPLATES = TEMPLATES.filter(({ start }) => BUILT_PREFIXES.some((prefix) => start.startsWith(prefix)));
/** Whether a template can produce a key. */
const matchesKey = ({ start, pattern }, key) => {
  const inserted = pattern.exec(key)?.slice(1);
  return inserted?.every((word) => SERVER_PREFIXES.includes(start) || /^\d$/.test(word) || LITERALS.has(word)) ?? false;
};

test("both languages have the same keys, of the form area.name", () => {
  assert.deepEqual(Object.keys(WORDS.zh).sort(), [...KEYS].sort());
  none(KEYS.filter((key) => !/^[a-z]\w*(\.\w+)+$/.test(key)));
});

test("no text is empty", () => {
  for (const [language, words] of Object.entries(WORDS)) {
    const bad = Object.entries(words).filter(([, entry]) => !forms(entry).every((text) => typeof text === "string" && text.trim()));
    none(bad.map(([key]) => `${language} ${key}`));
  }
});

test("both languages have the same placeholders", () => {
  const different = KEYS.filter((key) => key in WORDS.zh && String(placeholders(WORDS.en[key])) !== String(placeholders(WORDS.zh[key])));
  none(different);
});

test("every plural has exactly the forms of its language", () => {
  for (const [language, words] of Object.entries(WORDS)) {
    const categories = new Intl.PluralRules(language).resolvedOptions().pluralCategories.toSorted();
    const bad = Object.entries(words).filter(([, entry]) => typeof entry === "object" && String(Object.keys(entry).sort()) !== String(categories));
    none(bad.map(([key]) => `${language} ${key}`));
  }
  const plural = (words) => KEYS.filter((key) => typeof words[key] === "object");
  assert.deepEqual(plural(WORDS.zh), plural(WORDS.en));
});

test("every key that a module uses exists", () => {
  const missing = CALLS.filter(({ node }) => literal(node.arguments[0]) !== null && !KEYS.includes(literal(node.arguments[0])));
  none(missing.map(({ node, location }) => `${location} ${literal(node.arguments[0])}`));
});

test("built keys have a prefix that is listed here, and can produce a key", () => {
  const inCalls = CALLS.filter(({ node }) => node.arguments[0]?.type === "TemplateLiteral");
  const templates = inCalls.map(({ node, location }) => ({ start: node.arguments[0].quasis[0].value.cooked, location }));
  const unlisted = templates.filter(({ start }) => !BUILT_PREFIXES.some((prefix) => start.startsWith(prefix)));
  none(unlisted.map(({ start, location }) => `${location} ${start}`));
  const unmatched = KEY_TEMPLATES.filter((template) => !KEYS.some((key) => matchesKey(template, key)));
  none(unmatched.map(({ pattern, location }) => `${location} ${pattern.source}`));
  none(BUILT_PREFIXES.filter((prefix) => !KEY_TEMPLATES.some(({ start }) => start.startsWith(prefix))));
});

test("every key is used", () => {
  const page = index();
  const used = (key) => LITERALS.has(key) || page.includes(`"${key}"`) || KEY_TEMPLATES.some((template) => matchesKey(template, key));
  none(KEYS.filter((key) => !used(key)));
});

test("every placeholder has a value where the values are written as an object", () => {
  const missing = CALLS.flatMap(({ node, location }) => {
    const [key, values] = node.arguments;
    const entry = WORDS.en[literal(key)];
    const listed = values?.type === "ObjectExpression" && values.properties.every((property) => property.type === "Property" && !property.computed);
    if (!entry || (values && !listed)) return [];
    const provided = new Set((values?.properties ?? []).map(({ key: name }) => `{${name.name ?? name.value}}`));
    const required = [...placeholders(entry), ...(typeof entry === "object" ? ["{count}"] : [])];
    return required.filter((name) => !provided.has(name)).map((name) => `${location} ${literal(key)} ${name}`);
  });
  none(missing);
});

test("a file that is too large is rejected with the server's sentence", () => {
  for (const language of ["en", "zh"]) assert.equal(WORDS[language]["photo.too_large"], serverCatalogue(language).guard_upload_size);
});
