import assert from "node:assert/strict";
import { test } from "node:test";

import { page } from "./support.js";

const { FIRST_LAB, LAB_SHAPES, RANGES, SLIDERS, SWEEPS, labOf, labText } = await page("state.js");
const { labPixels, onChart, rgbOf, stimulus } = await page("stimuli.js");

const SIDE = 64;
const reds = (pixels) => Array.from({ length: pixels.length / 4 }, (_, i) => pixels[4 * i]);

test("discs, rings and vertical stripes are those of the size dial", () => {
  for (const shape of ["disc", "ring", "grating"]) {
    const drawn = reds(labPixels({ ...FIRST_LAB, shape, size: 25 }, SIDE));
    assert.deepEqual(drawn, [...stimulus(shape, SIDE / 4, SIDE)], shape);
  }
});

test("a rotated stimulus is the rotated picture", () => {
  for (const shape of ["grating", "edge"]) {
    const upright = reds(labPixels({ ...FIRST_LAB, shape, size: 25, angle: 0 }, SIDE));
    const rotated = reds(labPixels({ ...FIRST_LAB, shape, size: 25, angle: 90 }, SIDE));
    for (let row = 0; row < SIDE; row++) {
      for (let column = 0; column < SIDE; column++) assert.equal(rotated[column * SIDE + row], upright[row * SIDE + column]);
    }
  }
});

test("a stimulus moves with its centre", () => {
  const values = reds(labPixels({ ...FIRST_LAB, shape: "disc", size: 20 }, SIDE, 20, 40));
  const moments = values.reduce((sum, value, i) => sum.map((moment, axis) => moment + (value - 128) * (axis ? Math.floor(i / SIDE) : i % SIDE)), [0, 0]);
  const mass = values.reduce((sum, value) => sum + value - 128, 0);
  assert.ok(Math.abs(moments[0] / mass + 0.5 - 20) < 0.01);
  assert.ok(Math.abs(moments[1] / mass + 0.5 - 40) < 0.01);
});

test("a colour fills the picture", () => {
  const known = { 0: [255, 0, 0], 60: [255, 255, 0], 120: [0, 255, 0], 240: [0, 0, 255], 300: [255, 0, 255] };
  for (const [hue, rgb] of Object.entries(known)) {
    assert.deepEqual(rgbOf(Number(hue)).map(Math.round), rgb);
    const pixels = labPixels({ ...FIRST_LAB, shape: "colour", hue: Number(hue) }, 2);
    assert.deepEqual([...pixels], Array(4).fill([...rgb, 255]).flat());
  }
});

test("the sheet for drawing is blank", () => {
  assert.ok(reds(labPixels({ ...FIRST_LAB, shape: "pen" }, 8)).every((value) => value === 128));
});

test("a stimulus survives its address, and malformed ones are rejected", () => {
  for (const shape of LAB_SHAPES) {
    const lab = { shape, size: 15, angle: 45, hue: 200 };
    assert.deepEqual(labOf(labText(lab)), lab);
  }
  for (const text of [null, "", "disc", "disc:1:0:0", "disc:101:0:0", "disc:20:0", "disc:20:0:0:0", "star:20:0:0", "disc:a:0:0", "disc:2.5:0:0", "grating:20:180:0"]) {
    assert.equal(labOf(text), null, String(text));
  }
});

test("a sweep stays within the range of its slider", () => {
  for (const [slider, values] of Object.entries(SWEEPS)) {
    const { min, max } = RANGES[slider];
    assert.ok(values.every((value, i) => value >= min && value <= max && (i === 0 || value > values[i - 1])), slider);
  }
  assert.deepEqual(new Set(Object.values(SLIDERS).flat()), new Set(Object.keys(RANGES)));
});

test("a chart spans the lowest to the highest value, with sizes on a logarithmic axis", () => {
  assert.deepEqual(onChart([[175, 3], [0, 1]], "angle", [1, 3]), [[0, 100], [100, 0]]);
  const [[start], [middle], [end]] = onChart([[2, 0], [100, 0], [Math.sqrt(200), 0]], "size", [0, 0]);
  assert.deepEqual([start, Math.round(middle), end], [0, 50, 100]);
});
