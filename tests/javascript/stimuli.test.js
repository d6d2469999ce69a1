import assert from "node:assert/strict";
import { test } from "node:test";

import { close, page } from "./support.js";

const { GREY, logPosition, nearest, patchColour, peak, shares, SHAPES, stimulus, verdict } = await page("stimuli.js");

const SIDE = 64;
const paintedPixels = (picture) => picture.filter((value) => value !== GREY).length;
const SIZES = [4, 8, 16, 32];
/** Preferred sizes of 1x1, 3x3 and 5x5, and the indices in SIZES of their peaks. */
const tuning = (one, three, five, peaks = [0, 0, 0]) => {
  const branch = (preferred, index) => ({ preferred, response: SIZES.map((_, i) => 1 / (1 + Math.abs(i - index))) });
  const [first, second, third] = peaks;
  return {
    sizes: SIZES,
    branches: { "1x1": branch(one, first), "3x3": branch(three, second), "5x5": branch(five, third), pool: branch(1, 0) },
  };
};

test("a disc has the area of its diameter, a ring the area between its two circles", () => {
  for (const size of [8, 16, 40]) {
    const area = stimulus("disc", size, SIDE).reduce((sum, value) => sum + (value - GREY) / (255 - GREY), 0);
    assert.ok(close(area, (Math.PI * size ** 2) / 4, 0.03), `${size}: ${area}`);
    const ring = stimulus("ring", size, SIDE).reduce((sum, value) => sum + (value - GREY) / (255 - GREY), 0);
    assert.ok(close(ring, ((Math.PI * size ** 2) / 4) * (1 - 0.75 ** 2), 0.05), `${size}: ${ring}`);
  }
});

test("shapes are white on grey, centred or at a given position", () => {
  const disc = stimulus("disc", 10, SIDE);
  assert.equal(disc[0], GREY);
  assert.equal(disc[(SIDE / 2) * SIDE + SIDE / 2], 255);
  assert.equal(stimulus("disc", 10, SIDE, 5, 60)[60 * SIDE + 5], 255);
  assert.equal(stimulus("ring", 40, SIDE)[(SIDE / 2) * SIDE + SIDE / 2], GREY);
});

test("a grating goes from black to white, repeats with its wavelength, and is the same in every row", () => {
  const grating = stimulus("grating", 16, SIDE);
  assert.ok(Math.max(...grating) > 250);
  assert.ok(Math.min(...grating) < 5);
  for (let column = 0; column + 16 < SIDE; column++) {
    assert.ok(Math.abs(grating[column] - grating[column + 16]) <= 1);
    assert.equal(grating[column], grating[10 * SIDE + column]);
  }
});

test("every shape can be drawn", () => {
  for (const shape of SHAPES) assert.ok(paintedPixels(stimulus(shape, 20, SIDE)) > 0);
});

test("responses are shares of the highest, also if all are zero", () => {
  assert.deepEqual(shares([1, 4, 2]), [0.25, 1, 0.5]);
  assert.deepEqual(shares([0, 0]), [0, 0]);
});

test("the peak is the size with the highest response", () => {
  assert.equal(peak(tuning(1, 1, 1, [0, 3, 1]), "3x3"), 32);
});

test("the verdict compares the measured size of 5x5 with the others", () => {
  assert.equal(verdict(tuning(14.1, 14.9, 29.4, [1, 1, 2])), "larger");
  assert.equal(verdict(tuning(30, 24, 12)), "smaller");
  assert.equal(verdict(tuning(20, 21, 20.5)), "same");
  assert.equal(verdict(tuning(10, 40, 20)), "mixed");
  assert.equal(verdict(tuning(10, 20, 20)), "mixed");
  assert.equal(verdict(tuning(14.1, 14.9, 29.4, [1, 2, 2])), "split");
  assert.equal(verdict(tuning(48, 41.9, 45.5, [1, 1, 2])), "split");
  assert.equal(verdict(tuning(10, null, 20)), "unknown");
  assert.equal(verdict(tuning(10, 12, null)), "unknown");
});

test("the axis of sizes is logarithmic", () => {
  const sizes = [4, 8, 16, 32, 64];
  assert.ok(close(logPosition(sizes, 16), 0.5));
  assert.equal(logPosition(sizes, 4), 0);
  assert.ok(close(logPosition(sizes, 64), 1));
  assert.equal(logPosition([5], 5), 0);
  assert.equal(nearest(sizes, 11), 1);
  assert.equal(nearest(sizes, 12), 2);
  assert.equal(nearest(sizes, 1000), 4);
});

test("a patch has the colour that the server shows to the network", () => {
  const drawn = { 0: [228, 77, 128], 90: [128, 104, 254], 180: [28, 179, 128], 240: [78, 175, 19] }; // by units/stimuli.py
  for (const [hue, rgb] of Object.entries(drawn)) {
    const colour = patchColour(Number(hue)).match(/\d+/g).map(Number);
    assert.ok(rgb.every((level, i) => Math.abs(level - colour[i]) <= 1), `${hue}: ${colour}`);
  }
});
