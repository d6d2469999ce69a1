/** The words in both languages, and the keys by which the page's modules ask for them. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { parse } from "espree";

import { catalogue, index, none, serverCatalogue, sources } from "./support.js";

// Keys that a module puts together, t(`begin.${...}`), begin like this. What is put in is a digit, or is written
// somewhere in a module as a text; for those of the second list it is a name that the server gives.
const PUT_TOGETHER = ["block.", "branch.", "census.", "deeper.", "dial.", "kernel.", "lab.", "lesson.place_", "trust.", "unit.", "unit_image."];
const FROM_SERVER = ["deeper.about_"];

const WORDS = { en: catalogue("en"), zh: catalogue("zh") };
const KEYS = Object.keys(WORDS.en);

/** All forms of a key's text. */
const forms = (entry) => (typeof entry === "string" ? [entry] : Object.values(entry));
const placeholders = (entry) => [...new Set(forms(entry).flatMap((text) => text.match(/\{\w+\}/g) ?? []))].sort();

/** Every node of a syntax tree. */
function* nodes(tree) {
  if (!tree || typeof tree !== "object") return;
  if (typeof tree.type === "string") yield tree;
  for (const child of Object.values(tree)) yield* Array.isArray(child) ? child.flatMap((one) => [...nodes(one)]) : nodes(child);
}

const USES = Object.entries(sources()).flatMap(([file, text]) =>
  [...nodes(parse(text, { ecmaVersion: "latest", sourceType: "module", loc: true }))].map((node) => ({
    node,
    where: `${file}:${node.loc.start.line}`,
  })),
);
const CALLS = USES.filter(({ node }) => node.type === "CallExpression" && node.callee.name === "t");
const literal = (node) => (node?.type === "Literal" && typeof node.value === "string" ? node.value : null);
const LITERALS = new Set(USES.map(({ node }) => literal(node)));
const TEMPLATES = USES.filter(({ node }) => node.type === "TemplateLiteral").map(({ node, where }) => ({
  where,
  begin: node.quasis[0].value.cooked,
  pattern: new RegExp(`^${node.quasis.map((part) => part.value.cooked.replace(/[.*+?^$|()[\]{}\\]/g, "\\$&")).join("([^.]+)")}$`),
}));
const KEY_TEMPLATES = TEMPLATES.filter(({ begin }) => PUT_TOGETHER.some((prefix) => begin.startsWith(prefix)));
/** Whether a template can become a key. */
const becomes = ({ begin, pattern }, key) => {
  const put = pattern.exec(key)?.slice(1);
  return put?.every((word) => FROM_SERVER.includes(begin) || /^\d$/.test(word) || LITERALS.has(word)) ?? false;
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

test("both languages have the same places for values", () => {
  const different = KEYS.filter((key) => key in WORDS.zh && String(placeholders(WORDS.en[key])) !== String(placeholders(WORDS.zh[key])));
  none(different);
});

test("every plural has exactly the forms of its language", () => {
  for (const [language, words] of Object.entries(WORDS)) {
    const wanted = new Intl.PluralRules(language).resolvedOptions().pluralCategories.toSorted();
    const bad = Object.entries(words).filter(([, entry]) => typeof entry === "object" && String(Object.keys(entry).sort()) !== String(wanted));
    none(bad.map(([key]) => `${language} ${key}`));
  }
  const plural = (words) => KEYS.filter((key) => typeof words[key] === "object");
  assert.deepEqual(plural(WORDS.zh), plural(WORDS.en));
});

test("every key that a module asks for is there", () => {
  const missing = CALLS.filter(({ node }) => literal(node.arguments[0]) !== null && !KEYS.includes(literal(node.arguments[0])));
  none(missing.map(({ node, where }) => `${where} ${literal(node.arguments[0])}`));
});

test("keys are put together only with the beginnings that are listed here, and lead to a key", () => {
  const inCalls = CALLS.filter(({ node }) => node.arguments[0]?.type === "TemplateLiteral");
  const begins = inCalls.map(({ node, where }) => ({ begin: node.arguments[0].quasis[0].value.cooked, where }));
  const unlisted = begins.filter(({ begin }) => !PUT_TOGETHER.some((prefix) => begin.startsWith(prefix)));
  none(unlisted.map(({ begin, where }) => `${where} ${begin}`));
  const dead = KEY_TEMPLATES.filter((template) => !KEYS.some((key) => becomes(template, key)));
  none(dead.map(({ pattern, where }) => `${where} ${pattern.source}`));
  none(PUT_TOGETHER.filter((prefix) => !KEY_TEMPLATES.some(({ begin }) => begin.startsWith(prefix))));
});

test("every key is asked for", () => {
  const page = index();
  const used = (key) => LITERALS.has(key) || page.includes(`"${key}"`) || KEY_TEMPLATES.some((template) => becomes(template, key));
  none(KEYS.filter((key) => !used(key)));
});

test("every place for a value is filled where the values are written out", () => {
  const lacking = CALLS.flatMap(({ node, where }) => {
    const [key, values] = node.arguments;
    const entry = WORDS.en[literal(key)];
    const listed = values?.type === "ObjectExpression" && values.properties.every((one) => one.type === "Property" && !one.computed);
    if (!entry || (values && !listed)) return [];
    const given = new Set((values?.properties ?? []).map(({ key: name }) => `{${name.name ?? name.value}}`));
    const wanted = [...placeholders(entry), ...(typeof entry === "object" ? ["{count}"] : [])];
    return wanted.filter((name) => !given.has(name)).map((name) => `${where} ${literal(key)} ${name}`);
  });
  none(lacking);
});

test("a file that is too large is refused in the server's own sentence", () => {
  for (const language of ["en", "zh"]) assert.equal(WORDS[language]["photo.too_large"], serverCatalogue(language).guard_upload_size);
});
