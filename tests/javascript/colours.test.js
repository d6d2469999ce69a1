import assert from "node:assert/strict";
import { test } from "node:test";

import { page } from "./support.js";

const { colourTable, gradient, paintMap } = await page("colours.js");

test("colour maps become brighter from end to end, apart from rounding, and grey is linear", () => {
  const brightness = (table, i) => 0.2126 * table[3 * i] + 0.7152 * table[3 * i + 1] + 0.0722 * table[3 * i + 2];
  for (const name of ["inferno", "magma", "viridis", "cividis", "grey"]) {
    const table = colourTable(name);
    assert.equal(table.length, 3 * 256);
    for (let i = 1; i < 256; i++) assert.ok(brightness(table, i) > brightness(table, i - 1) - 1, `${name} at ${i}`);
  }
  const grey = colourTable("grey");
  for (let i = 0; i < 256; i++) assert.ok(Math.abs(grey[3 * i] - i) <= 1);
});

/** A fake canvas with the parts that `paintMap` uses. */
function fakeCanvas() {
  const painted = { width: 0, height: 0, pixels: null };
  return Object.assign(painted, { getContext: () => ({ putImageData: (image) => (painted.pixels = image) }) });
}

test("values are painted in their colours, row by row, and clamped to the ends of the map", (context) => {
  globalThis.ImageData = class {
    constructor(width, height) {
      Object.assign(this, { width, height, data: new Uint8ClampedArray(4 * width * height) });
    }
  };
  context.after(() => delete globalThis.ImageData);
  const values = [-20, 0, 127.6, 128, 255, 300];
  const target = fakeCanvas();
  paintMap(target, values, 3, 2, "viridis");
  assert.deepEqual([target.width, target.height], [3, 2]);
  assert.deepEqual([target.pixels.width, target.pixels.height], [3, 2]);
  const table = colourTable("viridis");
  const expected = [0, 0, 128, 128, 255, 255].flatMap((i) => [...table.slice(3 * i, 3 * i + 3), 255]);
  assert.deepEqual(Array.from(target.pixels.data), expected);
});

test("the signed map is blue below zero, nearly white at zero, red above, and equally dark at both ends", () => {
  const table = colourTable("signed");
  const colourAt = (i) => [...table.slice(3 * i, 3 * i + 3)];
  assert.ok(Math.min(...colourAt(127), ...colourAt(128)) > 240);
  for (let i = 1; i < 100; i++) {
    const [[redBelow, , blueBelow], [redAbove, , blueAbove]] = [colourAt(i), colourAt(255 - i)];
    assert.ok(blueBelow > redBelow && redAbove > blueAbove, `${i} from the ends`);
  }
  const sum = (i) => colourAt(i).reduce((total, value) => total + value);
  assert.ok(Math.abs(sum(0) - sum(255)) < 80);
});

test("a legend has the colours of its map, from the first to the last", () => {
  assert.match(gradient("grey"), /^linear-gradient\(to right, rgb\(0 0 0\), .*, rgb\(255 255 255\)\)$/);
});
