import assert from "node:assert/strict";
import { test } from "node:test";

import { page } from "./support.js";

const { addKeys } = await page("keys.js");
const { createStore } = await page("state.js");

/** Return a store with the keys added, and a function that presses a key; `shown` are selectors of what the page shows. */
function stage(shown = [], state = {}) {
  const store = createStore(state);
  let press;
  globalThis.addEventListener = (_, listener) => (press = listener);
  globalThis.document = { querySelector: (selector) => (shown.includes(selector) ? {} : null) };
  addKeys(store);
  const event = { target: { closest: () => null }, preventDefault: () => undefined };
  return { store, press: (key, properties = {}) => press({ ...event, key, ...properties }) };
}

test("a key switches a branch or chooses a block", () => {
  const { store, press } = stage();
  press("q");
  press("9");
  assert.deepEqual(store.get().off, { "4c": ["1x1"] });
  assert.equal(store.get().block, "5b");
});

test("a key that is held down counts once", () => {
  const { store, press } = stage();
  press("q");
  press("q", { repeat: true });
  assert.deepEqual(store.get().off, { "4c": ["1x1"] });
});

test("nothing happens behind an open dialog", () => {
  const { store, press } = stage(["dialog[open]"]);
  press("q");
  press("9");
  assert.deepEqual(store.get().off, {});
  assert.equal(store.get().block, "4c");
});

test("Escape closes the lens, but keeps the channel that only a view below shows", () => {
  const lens = { branch: "1x1", channel: 0, row: 0, column: 0 };
  const hidden = stage([], { lens, deeper: "cell" });
  hidden.press("Escape");
  assert.deepEqual(hidden.store.get().lens, lens);
  const visible = stage([".lens:not([hidden])"], { lens });
  visible.press("Escape");
  assert.equal(visible.store.get().lens, null);
});
