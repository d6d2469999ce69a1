import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { page } from "./support.js";

const { answered } = await page("views/frames.js");
const { createStore } = await page("state.js");

/** Let milliseconds pass of a clock that does not run by itself. */
async function pass(milliseconds) {
  for (let passed = 0; passed < milliseconds; passed += 20) {
    mock.timers.tick(20);
    for (let i = 0; i < 5; i++) await Promise.resolve();
  }
}

/** Whether `answered` has returned, for a store, while a refresh runs that `end` ends. */
function waiting(isComplete) {
  const store = createStore();
  let end;
  const controller = { settled: () => new Promise((done) => (end = done)) };
  const told = { isOver: false };
  answered(store, controller, isComplete).then(() => (told.isOver = true));
  return { store, told, end: () => end() };
}

test("an answer is waited for as long as it takes", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { store, told } = waiting();
  store.receive({ error: "A sentence about something else." });
  await pass(20_000);
  assert.equal(told.isOver, false);
  store.receive({ base: {} });
  await pass(100);
  assert.equal(told.isOver, true);
  mock.timers.reset();
});

test("waiting ends with the refresh, also if nothing has come", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { told, end } = waiting();
  await pass(100);
  assert.equal(told.isOver, false);
  end();
  await pass(100);
  assert.equal(told.isOver, true);
  mock.timers.reset();
});

test("the rest that is wanted of a scene is waited for too", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  let isComplete = false;
  const { store, told } = waiting(() => isComplete);
  store.receive({ base: {} });
  await pass(100);
  assert.equal(told.isOver, false);
  isComplete = true;
  await pass(100);
  assert.equal(told.isOver, true);
  mock.timers.reset();
});
