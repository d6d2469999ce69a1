import assert from "node:assert/strict";
import { test } from "node:test";

import { page } from "./support.js";

const maps = await page("maps.js");
const { cellSquare, cropSquare, fitted, visible, wholeCrop } = maps;
const { BRANCHES } = await page("numbers.js");

/** Channels of four cells, evenly spaced from the lowest to the highest value of each pair. */
function channels(...limits) {
  const part = (i) => Float32Array.from(limits, (pair) => pair[i]);
  return { count: limits.length, side: 2, low: part(0), high: part(1), mean: part(0), values: Uint8Array.from(limits.flatMap(() => [0, 85, 170, 255])) };
}
const block = (one, three, five, pool) => Object.fromEntries([one, three, five, pool].map((limits, i) => [BRANCHES[i], channels(...limits)]));
const rounded = (values) => Array.from(values, (value) => Math.round(value));

const PLAIN = block([[0, 1]], [[0, 2]], [[0, 4]], [[0, 8]]);
const SIGNED = block([[-1, 2]], [[0, 2]], [[-4, 1]], [[0, 0]]);

test("a channel is scaled by its own range, that of its branch, or that of its block", () => {
  const twoChannels = { ...PLAIN, "1x1": channels([0, 1], [0, 2]) };
  assert.deepEqual(rounded(maps.channelValues(twoChannels, "1x1", 0, "own")), [0, 85, 170, 255]);
  assert.deepEqual(rounded(maps.channelValues(twoChannels, "1x1", 0, "branch")), [0, 43, 85, 128]);
  assert.deepEqual(rounded(maps.channelValues(twoChannels, "1x1", 0, "block")), [0, 11, 21, 32]);
  assert.deepEqual(rounded(maps.channelValues(twoChannels, "pool", 0, "block")), [0, 85, 170, 255]);
  assert.deepEqual(maps.rangeOf(twoChannels, "1x1", 0, "block"), [0, 8]);
});

test("one channel that is much higher than all others does not darken them", () => {
  const many = channels(...Array.from({ length: 300 }, () => [0, 1]), [0, 1000]);
  assert.deepEqual(maps.rangeOf({ ...PLAIN, "3x3": many }, "3x3", 0, "branch"), [0, 1]);
});

test("scales of a block with negative values are centred on zero", () => {
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

test("a constant channel of a block without negative values is dark", () => {
  assert.deepEqual(rounded(maps.valuesIn(channels([3, 3]), 0, false)), [0, 0, 0, 0]);
});

test("the share of zero cells counts zeros, not the lowest values", () => {
  assert.equal(maps.zeroShare(channels([0, 3]), 0), 0.25);
  assert.equal(maps.zeroShare(channels([1, 3]), 0), 0);
  assert.equal(maps.zeroShare(channels([-1, 2]), 0), 0.25);
  assert.equal(maps.zeroShare(channels([0, 3], [0, 0]), 1), 1);
  assert.equal(maps.zeroShare(channels([2, 2]), 0), 0);
});

const mean = (low, high, values = Uint8Array.of(0, 85, 170, 255)) => ({ low, high, values, side: 2 });

test("two mean maps share a scale on request", () => {
  assert.deepEqual(maps.meanRange([mean(0, 2)], false), [0, 2]);
  assert.deepEqual(maps.meanRange([mean(0, 2), mean(1, 4)], false), [0, 4]);
  assert.deepEqual(maps.meanRange([mean(-1, 2), mean(0, 4)], true), [-4, 4]);
  assert.deepEqual(rounded(maps.meanValues(mean(0, 2), [0, 4])), [0, 43, 85, 128]);
});

test("a scene is signed if one of its mean maps is", () => {
  const all = (map) => Object.fromEntries(BRANCHES.map((branch) => [branch, map]));
  assert.equal(maps.isSignedScene({ maps: { "3a": all(mean(0, 1)), "3b": all(mean(0, 2)) } }), false);
  assert.equal(maps.isSignedScene({ maps: { "3a": all(mean(0, 1)), "3b": { ...all(mean(0, 2)), pool: mean(-1, 1) } } }), true);
});

test("the mean of a map is that of its values", () => {
  assert.ok(Math.abs(maps.meanOf({ low: -1, high: 3, values: Uint8Array.from([0, 255, 255, 0]), side: 2 }) - 1) < 1e-12);
});

test("the brightest branch is the one with the highest average, not with the highest cell", () => {
  const peak = mean(0, 9, Uint8Array.of(0, 0, 0, 255));
  assert.equal(maps.brightest({ "1x1": mean(0, 1), "3x3": mean(0, 8), "5x5": peak, pool: mean(0, 2) }), "3x3");
  const dark = mean(0, 0, new Uint8Array(4));
  assert.equal(maps.brightest({ "1x1": dark, "3x3": dark, "5x5": dark, pool: dark }), null);
});

test("peaks are the highest cells, and are never adjacent", () => {
  const { peaks } = maps;
  const values = [9, 8, 0, 0, 7, 0, 0, 0, 0, 0, 0, 5, 0, 0, 6, 0];
  assert.deepEqual(peaks(values, 4, 9), [{ row: 0, column: 0 }, { row: 3, column: 2 }]);
  assert.deepEqual(peaks(values, 4, 1), [{ row: 0, column: 0 }]);
  assert.deepEqual(peaks([3, 3, 3, 3], 2, 9), []);
});

test("the square is centred without a crop, and given by its fractions of the photo with one", () => {
  assert.deepEqual(cropSquare({ width: 400, height: 300 }, null), { left: 50, top: 0, side: 300 });
  assert.deepEqual(cropSquare({ width: 300, height: 400 }, null), { left: 0, top: 50, side: 300 });
  assert.deepEqual(cropSquare({ width: 400, height: 200 }, [0.25, 0.5, 0.5]), { left: 100, top: 100, side: 100 });
});

test("the crop of a whole photo covers it, and has a side above 1 even after rounding", () => {
  for (const photo of [{ width: 400, height: 200 }, { width: 300, height: 400 }, { width: 224, height: 224 }, { width: 2000, height: 1999 }]) {
    const crop = wholeCrop(photo);
    assert.ok(Number(crop[2].toFixed(3)) > 1);
    const { left, top, side } = cropSquare(photo, crop);
    assert.ok(left <= 0 && top <= 0 && left + side >= photo.width && top + side >= photo.height);
  }
  assert.deepEqual(wholeCrop({ width: 400, height: 200 }), [0, -0.5, 2]);
});

test("a photo is fitted into its frame and centred", () => {
  assert.deepEqual(fitted({ width: 400, height: 200 }), { left: 0, top: 25, width: 100, height: 50, scale: 0.25 });
  assert.deepEqual(fitted({ width: 50, height: 100 }), { left: 25, top: 0, width: 50, height: 100, scale: 1 });
});

test("the square of a cell has the size of its receptive field, and moves by the stride", () => {
  const field = { size: 11, stride: 8, start: -4 };
  assert.deepEqual(cellSquare(field, 0, 0), { left: -4, top: -4, right: 7, bottom: 7 });
  assert.deepEqual(cellSquare(field, 2, 5), { left: 36, top: 12, right: 47, bottom: 23 });
});

test("the visible part of a cell's square lies within the input", () => {
  assert.deepEqual(visible({ left: -4, top: 10, right: 7, bottom: 230 }, { size: 224 }), { left: 0, top: 10, right: 7, bottom: 224 });
});
