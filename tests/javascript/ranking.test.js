import assert from "node:assert/strict";
import { test } from "node:test";

import { page } from "./support.js";

const { firstTile, measuredFor, placeOf, rankOf, sortedChannels, worthOf } = await page("ranking.js");

const COUNTS = { "1x1": 3, "3x3": 2, "5x5": 1, pool: 2 };
const NETWORK = {
  blocks: { "4b": { branches: Object.fromEntries(Object.entries(COUNTS).map(([name, channels]) => [name, { channels }])) } },
};
const WORTH = { "4b": Float32Array.of(0, 1, 2, 10, 11, 20, 30, 31) };
const CHANNELS = { count: 3, high: Float32Array.of(5, 9, 7), mean: Float32Array.of(3, 1, 2) };

test("a branch's worths are its own slice of the block's", () => {
  const slices = Object.keys(COUNTS).map((branch) => Array.from(worthOf(NETWORK, "4b", branch, WORTH)));
  assert.deepEqual(slices, [[0, 1, 2], [10, 11], [20], [30, 31]]);
  assert.equal(worthOf(NETWORK, "4b", "1x1", null), null);
});

test("channels are sorted by the chosen measure, the most important first", () => {
  const worths = Float32Array.of(-1, 0.5, 2);
  assert.deepEqual(sortedChannels(CHANNELS, worths, "worth"), [2, 1, 0]);
  assert.deepEqual(sortedChannels(CHANNELS, worths, "max"), [1, 2, 0]);
  assert.deepEqual(sortedChannels(CHANNELS, worths, "mean"), [0, 2, 1]);
  assert.deepEqual(sortedChannels(CHANNELS, worths, "number"), [0, 1, 2]);
  assert.deepEqual(sortedChannels(CHANNELS, worths, "reading", Float32Array.of(2, 1, 3)), [2, 0, 1]);
  assert.deepEqual(sortedChannels(CHANNELS, null, "worth"), [1, 2, 0], "by the highest value, as long as no worth is known");
});

test("channels are sorted by their tuning once it is available", () => {
  const tuned = { model: "m", block: "4b", orientation: Float32Array.of(0.1, 0.3, 0.2, 0, 1, 0, 0, 0) };
  const state = { model: "m", block: "4b", sort: "orientation" };
  assert.deepEqual(measuredFor(state, { network: NETWORK, tuned }, "3x3"), Float32Array.of(0, 1));
  assert.deepEqual(sortedChannels(CHANNELS, null, "orientation", measuredFor(state, { network: NETWORK, tuned }, "1x1")), [1, 2, 0]);
  assert.equal(measuredFor({ ...state, model: "other" }, { network: NETWORK, tuned }, "3x3"), null);
  assert.equal(measuredFor({ ...state, sort: "mean" }, { network: NETWORK, tuned }, "3x3"), null);
  assert.equal(measuredFor(state, { network: NETWORK, tuned: null }, "3x3"), null);
});

test("a channel of a block's output has a branch, and an index in it", () => {
  const places = Array.from({ length: 8 }, (_, i) => placeOf(NETWORK, "4b", i));
  assert.deepEqual(places.map(({ branch, channel }) => `${branch} ${channel}`), ["1x1 0", "1x1 1", "1x1 2", "3x3 0", "3x3 1", "5x5 0", "pool 0", "pool 1"]);
});

test("the highest value has rank 1, and equal values have the same", () => {
  const values = Float32Array.of(2, 5, 5, 1);
  assert.deepEqual(Array.from(values, (value) => rankOf(values, value)), [3, 1, 1, 4]);
});

test("the first tile is of the branch that adds most, but of 3x3 in the lesson, which may ask for that branch", () => {
  const layout = { channels: 1, layers: [] };
  const network = { blocks: { "3a": { branches: { "1x1": layout, "3x3": layout, "5x5": layout, pool: layout } } } };
  const channels = () => ({ count: 1, side: 1, values: new Uint8Array(1), low: [0], high: [1], mean: [1] });
  const baseChannels = { "1x1": channels(), "3x3": channels(), "5x5": channels(), pool: channels() };
  // Only pool, the fourth bit, adds to the class.
  const subsets = { block: "3a", classes: 1, logits: Float32Array.from({ length: 16 }, (_, subset) => (subset & 8 ? 1 : 0)) };
  const data = { network, baseChannels, subsets, worth: { "3a": new Float32Array(4) }, moving: false };
  const state = { block: "3a", model: "m", sort: "worth", step: 0 };
  assert.equal(firstTile(state, data, 0).branch, "pool");
  assert.equal(firstTile({ ...state, step: 7 }, data, 0).branch, "3x3");
  assert.equal(firstTile(state, { ...data, subsets: null }, 0), null);
});
