import assert from "node:assert/strict";
import { test } from "node:test";

import { page } from "./support.js";

const { cellSquare, cropSquare, fitted, visible } = await page("geometry.js");

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
