import assert from "node:assert/strict";
import { test } from "node:test";

import { none, page, randomNumbers } from "./support.js";

const { FRAME, INITIAL, addressOf, allOff, channelSwitched, createStore, historyState, isAnythingOff, isOff, offList, stateOf, switched } = await page("state.js");
const { BLOCKS, BRANCHES } = await page("numbers.js");

const EXAMPLE = Object.freeze({
  photo: "example:bison",
  crop: [0.125, 0, 0.5],
  model: "googlenet",
  block: "4b",
  off: { "4b": ["1x1", "3x3"], "5a": ["pool"] },
  offChannels: { "3a": [0], "4b": [3, 117] },
  fill: "mean",
  cls: 12,
  lens: { branch: "5x5", channel: 17, row: 3, column: 4 },
  view: "all",
  sort: "number",
  scale: "branch",
  colours: "grey",
  top: 8,
  lang: "zh",
  step: 3,
  deeper: "cost",
  lab: { shape: "grating", size: 15, angle: 45, hue: 0 },
});

const restored = (state) => ({ ...INITIAL, ...stateOf(`?${addressOf(state)}`) });

test("a state survives its address", () => {
  assert.deepEqual(restored(EXAMPLE), EXAMPLE);
  assert.deepEqual(restored({ ...INITIAL, model: "tiny-imagenet" }), { ...INITIAL, model: "tiny-imagenet" });
});

test("an address is readable: its colons and commas are not escaped", () => {
  const address = addressOf(EXAMPLE);
  assert.match(address, /(^|&)photo=bison(&|$)/);
  assert.match(address, /(^|&)lens=5x5:17:3:4(&|$)/);
  assert.match(address, /(^|&)off=4b:1x1.*,5a:pool(&|$)/);
  assert.match(address, /(^|&)channels=3a:0,4b:3.*117(&|$)/);
  assert.doesNotMatch(addressOf({ ...INITIAL, photo: "example:bison" }), /view|sort|scale|colours|top|lang|step|deeper|class|lens|off|channels|fill|lab/);
});

test("random states survive their addresses", () => {
  const random = randomNumbers(5);
  const pick = (values) => values[Math.floor(random() * values.length)];
  const integerBelow = (below) => Math.floor(random() * below);
  for (let run = 0; run < 500; run++) {
    let off = {};
    for (let i = integerBelow(8); i > 0; i--) off = switched(off, pick(BLOCKS), pick(BRANCHES));
    let offChannels = {};
    for (let i = integerBelow(20); i > 0; i--) offChannels = channelSwitched(offChannels, pick(BLOCKS), integerBelow(1024));
    const state = {
      photo: pick(["example:bison", "example:honey_bee", "example:a-b"]),
      crop: pick([null, [integerBelow(300) / 1000, integerBelow(300) / 1000, (1 + integerBelow(700)) / 1000], [0, -0.25, 1.5]]),
      model: pick(["tiny-imagenet", "googlenet", "my model+2, of 50 % & more=less"]),
      block: pick(BLOCKS),
      off,
      offChannels,
      fill: pick(["zero", "mean"]),
      cls: pick([null, 0, integerBelow(1000)]),
      lens: pick([null, { branch: pick(BRANCHES), channel: integerBelow(400), row: integerBelow(28), column: integerBelow(28) }]),
      view: pick(["sorted", "all"]),
      sort: pick(["worth", "max", "mean", "number", "reading"]),
      scale: pick(["own", "branch", "block"]),
      colours: pick(["inferno", "magma", "viridis", "cividis", "grey"]),
      top: 1 + integerBelow(10),
      lang: pick(["en", "zh"]),
      step: integerBelow(9),
      deeper: pick([null, "evidence", "unit", "cell", "cost", "dial", "compare", "numbers", "about"]),
      lab: pick([null, { shape: "ring", size: 2 + integerBelow(99), angle: 5 * integerBelow(36), hue: 5 * integerBelow(72) }]),
    };
    if (state.lab && !state.step) state.crop = null; // implied
    assert.deepEqual(restored(state), state, addressOf(state));
  }
});

test("branches may be separated by a plus, an escaped plus or a space", () => {
  const expected = { "4b": ["1x1", "3x3"], "5a": ["pool"] };
  for (const text of ["4b:1x1+3x3,5a:pool", "4b:1x1%2B3x3,5a:pool", "5a%3Apool%2C4b%3A3x3%201x1"]) {
    assert.deepEqual(stateOf(`?off=${text}`).off, expected);
  }
});

test("links of earlier versions open the same step and scale", () => {
  assert.deepEqual(stateOf("?lesson=7&scale=shared"), { step: 7, scale: "block" });
  assert.deepEqual(stateOf("?lesson=7&step=2"), { step: 2 });
});

test("a visitor's own photo stays out of the address", () => {
  assert.doesNotMatch(addressOf({ ...EXAMPLE, photo: "/tmp/gradio/secret.jpg" }), /photo|secret/);
});

test("invalid parameters of an address are ignored", () => {
  const nonsense = [
    "",
    "photo=../../etc/passwd",
    "photo=/tmp/gradio/a.jpg",
    "block=9z",
    "block=4B",
    "crop=0:0",
    "crop=0:0:99",
    "crop=a:b:c",
    "crop=0:0:0",
    "crop=0:0:-1",
    "crop=::",
    "crop=0:0:NaN",
    "off=9z:1x1",
    "off=4b",
    "off=4b:7x7",
    "channels=4b",
    "channels=4b:",
    "channels=4b:-1+1.5+1e2+x",
    "channels=4b:1024",
    "channels=9z:1",
    "channels=__proto__:1",
    `channels=4b:${"1+".repeat(4000)}`,
    "fill=noise",
    "scale=each",
    "colours=plasma",
    "top=0",
    "top=11",
    "top=5.5",
    "lesson=9",
    "class=-1",
    "class=1e3",
    "class=",
    "lens=7x7:1:1:1",
    "lens=x1x1:1:1:1",
    "lens=1x1:1:1:1:1",
    "lens=1x1:1:1",
    "lens=1x1:-1:1:1",
    "view=other",
    "sort=constructor",
    "lang=fr",
    "step=9",
    "step=0",
    "deeper=__proto__",
    `model=${"m".repeat(1000)}`,
    "unknown=1",
  ];
  none(nonsense.filter((query) => Object.keys(stateOf(`?${query}`)).length > 0));
});

test("a branch is switched off and on, and branches stay in the network's order", () => {
  const first = switched({}, "4b", "pool");
  const both = switched(first, "4b", "1x1");
  assert.deepEqual(first, { "4b": ["pool"] }, "the argument is unchanged");
  assert.deepEqual(both, { "4b": ["1x1", "pool"] });
  assert.ok(isOff(both, "4b", "1x1"));
  assert.ok(!isOff(both, "4b", "3x3"));
  assert.ok(!isOff(both, "4c", "1x1"));
  assert.deepEqual(offList(switched(both, "3a", "5x5")), [["3a", "5x5"], ["4b", "1x1"], ["4b", "pool"]]);
  const nothingOff = switched(switched(both, "4b", "1x1"), "4b", "pool");
  assert.deepEqual(nothingOff, {});
  assert.ok(isAnythingOff(both));
  assert.ok(!isAnythingOff(nothingOff));
});

test("a channel is switched off and on, and channels stay in order", () => {
  const first = channelSwitched({}, "4b", 117);
  const both = channelSwitched(first, "4b", 3);
  assert.deepEqual(first, { "4b": [117] }, "the argument is unchanged");
  assert.deepEqual(both, { "4b": [3, 117] });
  assert.deepEqual(offList(channelSwitched(both, "3a", 0)), [["3a", 0], ["4b", 3], ["4b", 117]]);
  assert.deepEqual(channelSwitched(channelSwitched(both, "4b", 3), "4b", 117), {});
  const maximum = { "5b": Array.from({ length: 1000 }, (_, i) => i), "3a": Array.from({ length: 24 }, (_, i) => i) };
  assert.equal(channelSwitched(maximum, "3a", 30), maximum, "no more than 1024 at once");
  assert.equal(channelSwitched(maximum, "3a", 23)["3a"].length, 23);
});

test("branches and channels that are off are sent together, in the network's order", () => {
  const off = { "5a": ["pool"], "4b": ["1x1"] };
  const all = allOff({ off, offChannels: { "4b": [3, 117], "3a": [0] } });
  assert.deepEqual(Object.entries(all), [["3a", [0]], ["4b", ["1x1", 3, 117]], ["5a", ["pool"]]]);
  assert.deepEqual(allOff(INITIAL), {});
});

test("an address names the language unless it is the browser's", () => {
  const named = (lang, preferred) => new URLSearchParams(addressOf({ ...INITIAL, lang }, preferred)).get("lang");
  assert.equal(named("en", "en"), null);
  assert.equal(named("zh", "en"), "zh");
  assert.equal(named("en", "zh"), "en");
  assert.equal(named("zh", "zh"), null);
});

/** Return a store and the list of its notifications. */
function watchedStore() {
  const store = createStore();
  const notifications = [];
  store.subscribe((state, data, changed) => notifications.push([state, data, [...changed].sort()]));
  return { store, notifications };
}

test("subscribers are notified once of each change, with the names of what changed", () => {
  const { store, notifications } = watchedStore();
  store.update({ block: "4b", cls: null, step: 2 });
  assert.equal(notifications.length, 1);
  assert.deepEqual(notifications[0][2], ["block", "step"]);
  assert.equal(notifications[0][0].block, "4b");
  assert.equal(store.get(), notifications[0][0]);
});

test("equal values cause no notification, even in a new object", () => {
  const { store, notifications } = watchedStore();
  store.update({ off: { "4b": ["1x1"] }, lens: { branch: "1x1", channel: 1, row: 0, column: 0 }, crop: [0, 0, 1] });
  store.update({ off: { "4b": ["1x1"] }, lens: { branch: "1x1", channel: 1, row: 0, column: 0 }, crop: [0, 0, 1] });
  assert.equal(notifications.length, 1);
  store.update({ off: { "4b": ["3x3"] } });
  store.update({ off: {} });
  store.update({ lens: null });
  assert.deepEqual(notifications.slice(1).map(([, , changed]) => changed), [["off"], ["off"], ["lens"]]);
});

test("states are replaced and never changed", () => {
  const store = createStore();
  const before = store.get();
  store.update({ block: "5b" });
  assert.equal(before.block, "4c");
  assert.equal(store.get().block, "5b");
  assert.throws(() => (store.get().block = "3a"), TypeError);
});

test("received data cause notifications unless they are the same object", () => {
  const { store, notifications } = watchedStore();
  const worth = () => ({ "3a": new Float32Array(2) });
  store.receive({ worth: worth() });
  store.receive({ worth: worth() });
  store.receive({ worth: store.data().worth });
  store.receive({ busy: true, error: "No answer." });
  assert.deepEqual(notifications.map(([, , changed]) => changed), [["worth"], ["worth"], ["busy", "error"]]);
  assert.equal(store.data().error, "No answer.");
});

test("the address is notified of every change except silent ones, and whether to push a history entry", () => {
  const store = createStore();
  const calls = [];
  store.onAddress((state, push) => calls.push([state.block, push]));
  store.update({ block: "4b" }, { push: true });
  store.update({ block: "4d" });
  store.update({ block: "5a" }, { silent: true });
  store.update({ block: "5a" }, { push: true });
  assert.deepEqual(calls, [["4b", true], ["4d", false]]);
});

test("a hover notifies only its own listeners, once", () => {
  const { store, notifications } = watchedStore();
  const hovers = [];
  store.onHover((hover) => hovers.push(hover));
  store.hover({ kind: "tile", branch: "1x1", channel: 3 });
  store.hover({ kind: "tile", branch: "1x1", channel: 3 });
  store.hover({ kind: "tile", branch: "1x1", channel: 4 });
  store.hover({ kind: null });
  store.hover({ kind: null });
  assert.deepEqual(hovers.map((hover) => hover.channel ?? hover.kind), [3, 4, null]);
  assert.deepEqual(store.hovered(), { kind: null });
  assert.equal(notifications.length, 0);
});

test("a channel has its own address", () => {
  const state = { ...INITIAL, photo: "example:bison", model: "tiny-imagenet", block: "4b", lens: { branch: "3x3", channel: 17, row: 2, column: 3 }, deeper: "unit" };
  assert.match(addressOf(state), /(^|&)unit=tiny-imagenet\/4b\/3x3\/17(&|$)/);
  assert.doesNotMatch(addressOf(state), /deeper/);
  assert.deepEqual(restored(state), state);
  const { model, block, lens, deeper } = stateOf("?unit=googlenet/4c/5x5/9");
  assert.deepEqual({ model, block, lens, deeper }, { model: "googlenet", block: "4c", lens: { branch: "5x5", channel: 9, row: 0, column: 0 }, deeper: "unit" });
  for (const invalid of ["googlenet/4c/5x5", "googlenet/9z/5x5/9", "googlenet/4c/7x7/9", "googlenet/4c/5x5/-1", "googlenet/4c/5x5/99999", "/4c/5x5/9"]) {
    assert.deepEqual(stateOf(`?unit=${invalid}`), {}, invalid);
  }
});

test("a history entry keeps the visitor's own photo, if the server still has it", () => {
  assert.deepEqual(historyState({ photo: "/files/abc/cat.jpg", lab: null }), { photo: "/files/abc/cat.jpg" });
  assert.equal(historyState({ photo: "example:bison", lab: null }), null, "the address names it");
  assert.equal(historyState({ photo: `/files/abc/${FRAME}`, lab: null }), null, "the server has deleted it");
  assert.equal(historyState({ photo: "/files/abc/stimulus.png", lab: { shape: "disc" } }), null, "it is drawn again");
});
