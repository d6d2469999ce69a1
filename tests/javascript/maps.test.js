import assert from "node:assert/strict";
import { test } from "node:test";

import { page } from "./support.js";

const maps = await page("maps.js");
const { cellSquare, cropSquare, fitted, visible } = maps;
const { BRANCHES } = await page("numbers.js");

/** A channel of four cells for each pair of its lowest and highest value, the cells evenly from one to the other. */
function channels(...limits) {
  const part = (i) => Float32Array.from(limits, (pair) => pair[i]);
  return { count: limits.length, side: 2, low: part(0), high: part(1), mean: part(0), values: Uint8Array.from(limits.flatMap(() => [0, 85, 170, 255])) };
}
const block = (one, three, five, pool) => Object.fromEntries([one, three, five, pool].map((all, i) => [BRANCHES[i], channels(...all)]));
const rounded = (values) => Array.from(values, (value) => Math.round(value));

const PLAIN = block([[0, 1]], [[0, 2]], [[0, 4]], [[0, 8]]);
const SIGNED = block([[-1, 2]], [[0, 2]], [[-4, 1]], [[0, 0]]);

test("a channel has its own brightness, that of its branch, or that of all four branches", () => {
  const two = { ...PLAIN, "1x1": channels([0, 1], [0, 2]) };
  assert.deepEqual(rounded(maps.channelValues(two, "1x1", 0, "own")), [0, 85, 170, 255]);
  assert.deepEqual(rounded(maps.channelValues(two, "1x1", 0, "branch")), [0, 43, 85, 128]);
  assert.deepEqual(rounded(maps.channelValues(two, "1x1", 0, "block")), [0, 11, 21, 32]);
  assert.deepEqual(rounded(maps.channelValues(two, "pool", 0, "block")), [0, 85, 170, 255]);
  assert.deepEqual(maps.rangeOf(two, "1x1", 0, "block"), [0, 8]);
});

test("one channel that is much higher than all others does not make them dark", () => {
  const many = channels(...Array.from({ length: 300 }, () => [0, 1]), [0, 1000]);
  assert.deepEqual(maps.rangeOf({ ...PLAIN, "3x3": many }, "3x3", 0, "branch"), [0, 1]);
});

test("where a block has values below zero, zero is in the middle of every scale", () => {
  assert.equal(maps.isSignedBlock(PLAIN), false);
  assert.equal(maps.isSignedBlock(SIGNED), true);
  assert.equal(maps.paletteOf(maps.isSignedBlock(SIGNED), "grey"), "signed");
  assert.equal(maps.paletteOf(maps.isSignedBlock(PLAIN), "grey"), "grey");
  assert.deepEqual(maps.rangeOf(SIGNED, "1x1", 0, "own"), [-2, 2]);
  assert.deepEqual(rounded(maps.channelValues(SIGNED, "1x1", 0, "own")), [64, 128, 191, 255]);
  assert.deepEqual(rounded(maps.channelValues(SIGNED, "5x5", 0, "own")), [0, 53, 106, 159]);
  assert.deepEqual(maps.rangeOf(SIGNED, "1x1", 0, "block"), [-4, 4]);
  assert.deepEqual(rounded(maps.channelValues(SIGNED, "3x3", 0, "block")), [128, 149, 170, 191]);
  assert.deepEqual(rounded(maps.channelValues(SIGNED, "pool", 0, "own")), [128, 128, 128, 128], "zero everywhere");
});

test("without signs, a channel that is the same everywhere is dark", () => {
  assert.deepEqual(rounded(maps.valuesIn(channels([3, 3]), 0, false)), [0, 0, 0, 0]);
});

test("the share of zero cells counts what is zero, not what is lowest", () => {
  assert.equal(maps.zeroShare(channels([0, 3]), 0), 0.25);
  assert.equal(maps.zeroShare(channels([1, 3]), 0), 0);
  assert.equal(maps.zeroShare(channels([-1, 2]), 0), 0.25);
  assert.equal(maps.zeroShare(channels([0, 3], [0, 0]), 1), 1);
  assert.equal(maps.zeroShare(channels([2, 2]), 0), 0);
});

const mean = (low, high, values = Uint8Array.of(0, 85, 170, 255)) => ({ low, high, values, side: 2 });

test("two mean maps have one scale if that is asked for", () => {
  assert.deepEqual(maps.meanRange([mean(0, 2)], false), [0, 2]);
  assert.deepEqual(maps.meanRange([mean(0, 2), mean(1, 4)], false), [0, 4]);
  assert.deepEqual(maps.meanRange([mean(-1, 2), mean(0, 4)], true), [-4, 4]);
  assert.deepEqual(rounded(maps.meanValues(mean(0, 2), [0, 4])), [0, 43, 85, 128]);
});

test("a scene has signs if one of its mean maps has", () => {
  const all = (map) => Object.fromEntries(BRANCHES.map((branch) => [branch, map]));
  assert.equal(maps.isSignedScene({ maps: { "3a": all(mean(0, 1)), "3b": all(mean(0, 2)) } }), false);
  assert.equal(maps.isSignedScene({ maps: { "3a": all(mean(0, 1)), "3b": { ...all(mean(0, 2)), pool: mean(-1, 1) } } }), true);
});

test("the brightest branch is the one with the highest average, not with the highest cell", () => {
  const peak = mean(0, 9, Uint8Array.of(0, 0, 0, 255));
  assert.equal(maps.brightest({ "1x1": mean(0, 1), "3x3": mean(0, 8), "5x5": peak, pool: mean(0, 2) }), "3x3");
  const dark = mean(0, 0, new Uint8Array(4));
  assert.equal(maps.brightest({ "1x1": dark, "3x3": dark, "5x5": dark, pool: dark }), null);
});

test("peaks are the highest cells, none beside another", () => {
  const { peaks } = maps;
  const values = [9, 8, 0, 0, 7, 0, 0, 0, 0, 0, 0, 5, 0, 0, 6, 0];
  assert.deepEqual(peaks(values, 4, 9), [{ row: 0, column: 0 }, { row: 3, column: 2 }]);
  assert.deepEqual(peaks(values, 4, 1), [{ row: 0, column: 0 }]);
  assert.deepEqual(peaks([3, 3, 3, 3], 2, 9), []);
});

test("without a crop the square is the middle one, with one it is in fractions of the photo", () => {
  assert.deepEqual(cropSquare({ width: 400, height: 300 }, null), { left: 50, top: 0, side: 300 });
  assert.deepEqual(cropSquare({ width: 300, height: 400 }, null), { left: 0, top: 50, side: 300 });
  assert.deepEqual(cropSquare({ width: 400, height: 200 }, [0.25, 0.5, 0.5]), { left: 100, top: 100, side: 100 });
});

test("a photo fills its frame as far as its shape allows, and lies in the middle", () => {
  assert.deepEqual(fitted({ width: 400, height: 200 }), { left: 0, top: 25, width: 100, height: 50, scale: 0.25 });
  assert.deepEqual(fitted({ width: 50, height: 100 }), { left: 25, top: 0, width: 50, height: 100, scale: 1 });
});

test("a cell sees as many pixels as its field is large, each cell a step further", () => {
  const field = { size: 11, stride: 8, start: -4 };
  assert.deepEqual(cellSquare(field, 0, 0), { left: -4, top: -4, right: 7, bottom: 7 });
  assert.deepEqual(cellSquare(field, 2, 5), { left: 36, top: 12, right: 47, bottom: 23 });
});

test("of a cell's square only what lies within the input can be seen", () => {
  assert.deepEqual(visible({ left: -4, top: 10, right: 7, bottom: 230 }, { size: 224 }), { left: 0, top: 10, right: 7, bottom: 224 });
});
