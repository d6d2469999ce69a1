import assert from "node:assert/strict";
import { test } from "node:test";

import { page } from "./support.js";

const { sortedChannels, worthOf } = await page("ranking.js");

const COUNTS = { "1x1": 3, "3x3": 2, "5x5": 1, pool: 2 };
const NETWORK = {
  blocks: { "4b": { branches: Object.fromEntries(Object.entries(COUNTS).map(([name, channels]) => [name, { channels }])) } },
};
const WORTH = { "4b": Float32Array.of(0, 1, 2, 10, 11, 20, 30, 31) };
const CHANNELS = { count: 3, high: Float32Array.of(5, 9, 7), mean: Float32Array.of(3, 1, 2) };

test("a branch's worths are its own slice of the block's", () => {
  const told = Object.keys(COUNTS).map((branch) => Array.from(worthOf(NETWORK, "4b", branch, WORTH)));
  assert.deepEqual(told, [[0, 1, 2], [10, 11], [20], [30, 31]]);
  assert.equal(worthOf(NETWORK, "4b", "1x1", null), null);
});

test("channels are in the order that was asked for, the most important first", () => {
  const worths = Float32Array.of(-1, 0.5, 2);
  assert.deepEqual(sortedChannels(CHANNELS, worths, "worth"), [2, 1, 0]);
  assert.deepEqual(sortedChannels(CHANNELS, worths, "max"), [1, 2, 0]);
  assert.deepEqual(sortedChannels(CHANNELS, worths, "mean"), [0, 2, 1]);
  assert.deepEqual(sortedChannels(CHANNELS, worths, "number"), [0, 1, 2]);
  assert.deepEqual(sortedChannels(CHANNELS, null, "worth"), [1, 2, 0], "the highest value, as long as no worth is known");
});
