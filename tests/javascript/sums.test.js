import assert from "node:assert/strict";
import { test } from "node:test";

import { close, page, randomNumbers } from "./support.js";

const { addingUp, decimalsFor, fixed, grouped, millions, settled, term, times } = await page("sums.js");
const { diverging } = await page("signed.js");

test("the largest value gets its significant figures", () => {
  assert.equal(decimalsFor([0.001234, -12.3]), 1);
  assert.equal(decimalsFor([0.0123]), 4);
  assert.equal(decimalsFor([1234]), 0);
  assert.equal(decimalsFor([0, 0]), 2);
  assert.equal(decimalsFor([1e-30]), 9);
  assert.equal(decimalsFor([]), 2);
  assert.equal(decimalsFor([NaN]), 2);
});

test("a minus is a real one, and no zero has one", () => {
  assert.equal(fixed(-1.25, 1), "−1.3");
  assert.equal(fixed(-0.004, 2), "0.00");
  assert.equal(term(-1.5, 1), "− 1.5");
  assert.equal(term(1.5, 1), "+ 1.5");
  assert.equal(term(-0.001, 1), "+ 0.0");
});

test("parts add up to the total as shown, and none is off by more than a unit", () => {
  const random = randomNumbers(7);
  for (let round = 0; round < 200; round++) {
    const parts = Array.from({ length: 1 + Math.floor(random() * 8) }, () => 20 * random() - 10);
    const total = parts.reduce((sum, part) => sum + part, 0);
    const shown = addingUp(parts, total, 2);
    const sum = shown.reduce((before, part) => before + Math.round(part * 100), 0);
    assert.equal(sum, Math.round(total * 100));
    shown.forEach((part, i) => assert.ok(Math.abs(part - parts[i]) <= 0.0101));
  }
});

test("parts that do not come to the total are only rounded", () => {
  assert.deepEqual(addingUp([1.234, 2], 9, 1), [1.2, 2]);
});

test("of two nearly equal numbers the observed one is told", () => {
  assert.equal(settled(1.2349, 1.2351, 2), 1.2351);
  assert.equal(settled(1.2, 1.3, 2), 1.2);
});

test("large numbers are easy to read", () => {
  assert.equal(grouped(138357544), "138,357,544");
  assert.equal(millions(15470264320), "15,470.3");
  assert.equal(times(8.44), "8.4");
  assert.equal(times(12.6), "13");
});

test("red is above zero, blue below, and zero is transparent", () => {
  assert.equal(diverging(0)[3], 0);
  assert.ok(diverging(1)[0] > diverging(1)[2]);
  assert.ok(diverging(-1)[0] < diverging(-1)[2]);
  assert.deepEqual(diverging(3), diverging(1));
  assert.ok(diverging(0.5)[3] < diverging(1)[3]);
  assert.ok(close(diverging(-0.5)[3], diverging(0.5)[3]));
});
