import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { page } from "./support.js";

const { waitForScene } = await page("views/frames.js");
const { createStore } = await page("state.js");

/** Advance the mocked clock. */
async function pass(milliseconds) {
  for (let passed = 0; passed < milliseconds; passed += 20) {
    mock.timers.tick(20);
    for (let i = 0; i < 5; i++) await Promise.resolve();
  }
}

/** Call `waitForScene` during a refresh, which `end` ends; `status` says whether it has returned. */
function waiting(isComplete) {
  const store = createStore();
  let end;
  const controller = { settled: () => new Promise((done) => (end = done)) };
  const status = { isOver: false };
  waitForScene(store, controller, isComplete).then(() => (status.isOver = true));
  return { store, status, end: () => end() };
}

test("waits for an answer without a timeout", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { store, status } = waiting();
  store.receive({ error: "A sentence about something else." });
  await pass(20_000);
  assert.equal(status.isOver, false);
  store.receive({ base: {} });
  await pass(100);
  assert.equal(status.isOver, true);
  mock.timers.reset();
});

test("stops waiting at the end of the refresh, even without a new scene", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { status, end } = waiting();
  await pass(100);
  assert.equal(status.isOver, false);
  end();
  await pass(100);
  assert.equal(status.isOver, true);
  mock.timers.reset();
});

test("waits until the scene is complete", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  let isComplete = false;
  const { store, status } = waiting(() => isComplete);
  store.receive({ base: {} });
  await pass(100);
  assert.equal(status.isOver, false);
  isComplete = true;
  await pass(100);
  assert.equal(status.isOver, true);
  mock.timers.reset();
});
