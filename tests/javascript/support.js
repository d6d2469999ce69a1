/** Shared helpers. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";

const STATIC = new URL("../../inception/web/stage/static/", import.meta.url);

/** Import a module of the page by its path in js/. */
export const page = (name) => import(new URL(`js/${name}`, STATIC));

/** Return the page's words in a language. */
export const catalogue = (language) => JSON.parse(readFileSync(new URL(`words/${language}.json`, STATIC), "utf8"));

/** Return the server's sentences in a language. */
export const serverCatalogue = (language) =>
  JSON.parse(readFileSync(new URL(`../../inception/web/words/${language}.json`, import.meta.url), "utf8"));

/** Return the source of every module of the page, by its path in js/. */
export function sources() {
  const folder = new URL("js/", STATIC);
  const names = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".js"));
  return Object.fromEntries(names.map((name) => [name, readFileSync(new URL(name, folder), "utf8")]));
}

/** Return the HTML of the page. */
export const index = () => readFileSync(new URL("index.html", STATIC), "utf8");

/** Return a style sheet of the page. */
export const style = (name) => readFileSync(new URL(`css/${name}.css`, STATIC), "utf8");

/** Return a seeded generator of numbers from 0 to 1: mulberry32. */
export function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Whether two numbers are equal up to rounding. */
export const close = (actual, expected, tolerance = 1e-12) => Math.abs(actual - expected) <= tolerance * Math.max(1, Math.abs(expected));

/** Fail if there are any items, and list them. */
export const none = (items) => assert.ok(items.length === 0, ["found:", ...items].join("\n"));
