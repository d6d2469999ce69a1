/** What several tests need. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";

const STATIC = new URL("../../inception/web/stage/static/", import.meta.url);

/** The page's own module, by its name in js/. */
export const page = (name) => import(new URL(`js/${name}`, STATIC));

/** A catalogue of words. */
export const catalogue = (language) => JSON.parse(readFileSync(new URL(`words/${language}.json`, STATIC), "utf8"));

/** The sentences of the server. */
export const serverCatalogue = (language) =>
  JSON.parse(readFileSync(new URL(`../../inception/web/words/${language}.json`, import.meta.url), "utf8"));

/** The text of every module of the page, by its path in js/. */
export function sources() {
  const folder = new URL("js/", STATIC);
  const names = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".js"));
  return Object.fromEntries(names.map((name) => [name, readFileSync(new URL(name, folder), "utf8")]));
}

/** The text of the page itself. */
export const index = () => readFileSync(new URL("index.html", STATIC), "utf8");

/** A style sheet of the page. */
export const style = (name) => readFileSync(new URL(`css/${name}.css`, STATIC), "utf8");

/** Numbers from 0 to 1, the same ones every time: mulberry32. */
export function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Whether two numbers are equal but for rounding. */
export const close = (one, other, tolerance = 1e-12) => Math.abs(one - other) <= tolerance * Math.max(1, Math.abs(other));

/** Fail if anything was found, with a line for each. */
export const none = (found) => assert.ok(found.length === 0, ["found:", ...found].join("\n"));
