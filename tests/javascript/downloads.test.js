/* global TextDecoder, TextEncoder */

import assert from "node:assert/strict";
import { test } from "node:test";

import { page, style } from "./support.js";

const { COLOURS, COLUMNS, crc32, csv, escapeFormula, json, npy, statistics, zip } = await page("downloads.js");

const CHANNELS = {
  count: 2,
  side: 2,
  low: Float32Array.of(0, 0),
  high: Float32Array.of(0, 2),
  mean: Float32Array.of(0, 1),
  values: Uint8Array.of(0, 0, 0, 0, 0, 255, 51, 204),
};
const BRANCHES = { "1x1": CHANNELS, "3x3": CHANNELS, "5x5": CHANNELS, pool: CHANNELS };
const NETWORK = { labels: ["bee", 'a "fly", small', "=SUM(A1)"], chinese: { bee: "蜜蜂" }, temperature: 1, threshold: 0.5, rejection: { threshold: 0.5, caught: 0.9 } };
const SCENE = { logits: Float32Array.of(1, 3, 2) };

test("the statistics of a branch cover all its channels", () => {
  assert.deepEqual(statistics(CHANNELS), { channels: 2, height: 2, width: 2, lowest: 0, highest: 2, mean: 0.5, silent: 1, zero_share: 0.625 });
});

test("the table has a row for each class, the most probable first, and one for each branch", () => {
  const text = csv(SCENE, NETWORK, { "4c": BRANCHES });
  assert.ok(text.startsWith("\ufeff"));
  const lines = text.slice(1).trimEnd().split("\r\n");
  assert.equal(lines[0], COLUMNS.join(","));
  assert.equal(lines.length, 1 + 3 + 4);
  assert.ok(lines[1].startsWith('class,1,"a ""fly"", small",,3,'));
  assert.ok(lines[2].startsWith("class,2,'=SUM(A1),,2,"));
  assert.ok(lines[3].startsWith("class,0,bee,蜜蜂,1,"));
  assert.equal(lines[4], "branch,,,,,,4c,1x1,2,2,2,0,2,0.5,1,0.625");
});

test("a spreadsheet cannot mistake a name for a formula", () => {
  for (const name of ["=1", " +1", "-1", "@a", "＝1"]) assert.equal(escapeFormula(name), `'${name}`);
  assert.equal(escapeFormula("bee = insect"), "bee = insect");
});

test("the JSON starts with its metadata, and states whether the answer is rejected", () => {
  const table = JSON.parse(json(SCENE, NETWORK, { "4c": BRANCHES }, { model: "m" }));
  assert.equal(Object.keys(table)[0], "model");
  assert.equal(table.not_sure, false);
  assert.equal(table.temperature, 1);
  assert.deepEqual(table.rule, NETWORK.rejection);
  assert.equal(table.classes[0].class, 1);
  assert.equal(table.blocks["4c"].pool.silent, 1);
  const withoutRule = JSON.parse(json(SCENE, { ...NETWORK, threshold: null, rejection: null }, {}, {}));
  assert.deepEqual([withoutRule.not_sure, withoutRule.rule], [null, null]);
});

test("an NPY file has a header padded to a multiple of 64 bytes, then the values", () => {
  const file = npy(CHANNELS);
  const length = file[8] + 256 * file[9];
  assert.equal((10 + length) % 64, 0);
  const header = new TextDecoder("latin1").decode(file.subarray(10, 10 + length));
  assert.match(header, /'descr': '<f4', 'fortran_order': False, 'shape': \(2, 2, 2\), \} *\n$/);
  const values = new Float32Array(file.slice(10 + length).buffer);
  assert.deepEqual([...values], [0, 0, 0, 0, 0, 2, Math.fround(0.4), Math.fround(1.6)]);
});

test("the checksum is CRC-32, as in zip files", () => {
  assert.equal(crc32(new TextEncoder().encode("123456789")), 0xcbf43926);
  assert.equal(crc32(new Uint8Array()), 0);
});

test("the directory of a zip has the offset of each file", () => {
  const data = new TextEncoder().encode("hello");
  const file = zip([["a.txt", data], ["b/é.txt", data]]);
  const view = new DataView(file.buffer);
  const end = file.length - 22;
  assert.equal(view.getUint32(end, true), 0x06054b50);
  assert.equal(view.getUint16(end + 10, true), 2);
  let entry = view.getUint32(end + 16, true);
  for (const name of ["a.txt", "b/é.txt"]) {
    assert.equal(view.getUint32(entry, true), 0x02014b50);
    const nameLength = view.getUint16(entry + 28, true);
    assert.equal(new TextDecoder().decode(file.subarray(entry + 46, entry + 46 + nameLength)), name);
    const local = view.getUint32(entry + 42, true);
    assert.equal(view.getUint32(local, true), 0x04034b50);
    const start = local + 30 + view.getUint16(local + 26, true);
    assert.equal(new TextDecoder().decode(file.subarray(start, start + view.getUint32(local + 18, true))), "hello");
    assert.equal(view.getUint32(local + 14, true), crc32(data));
    entry += 46 + nameLength;
  }
});

test("branches have the colours of the page", () => {
  const [light] = style("tokens").split("@media");
  const tokens = Object.fromEntries(Array.from(light.matchAll(/--b-(\w+): (#\w+);/g), ([, branch, colour]) => [branch, colour]));
  assert.deepEqual(COLOURS, tokens);
});
