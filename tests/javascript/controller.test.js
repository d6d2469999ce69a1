/** What is asked for a state, and what of the answers reaches the stage. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";

import { page } from "./support.js";

const { createController, classOf, fitting, isAnswerTo, newPhoto } = await page("controller.js");
const { BLOCKS } = await page("numbers.js");
const { INITIAL, createStore } = await page("state.js");

const CLASSES = 3;
const FACTS = { channels: 512, side: 10, branches: { "1x1": { channels: 128 } } };

/** A source that notes what it is asked; `slow` holds back the answers about one photo, and `hasScene` says what is at hand. */
function fake({ slow = null, refused = null, hasScene = true } = {}) {
  const asked = [];
  let release = () => undefined;
  const gate = new Promise((open) => (release = open));
  const scene = (subject, off) => ({
    digest: `of ${subject.photo}`,
    model: subject.model,
    off,
    logits: Float32Array.of(0, Object.keys(off).length ? -1 : 2, 1),
  });
  const source = {
    network: async (model) => {
      asked.push(["network", model]);
      if (model === refused) throw new Error("It cannot be had.");
      return { name: model, chinese: {}, has_means: true, labels: ["x", "y", "z"], blocks: { "4b": { channels: 512 }, "4c": FACTS } };
    },
    hasScene: () => hasScene,
    scene: async (subject, off) => {
      asked.push(["scene", subject.photo, off, subject.fill]);
      if (subject.photo === refused) throw new Error("No picture.");
      if (subject.photo === slow) await gate;
      return scene(subject, off);
    },
    block: async (subject, off, block) => (asked.push(["block", block, off, subject.fill]), { block, off }),
    votes: async ({ fill = "zero" }, block) => (asked.push(["votes", block, fill]), { block, fill, classes: CLASSES, logits: Float32Array.from({ length: 48 }, (_, i) => i) }),
    worth: async (_, cls, block) => (asked.push(["worth", cls, block]), { of: cls }),
    field: async () => ({}),
    drawable: async () => undefined,
    prefetchWorth: async (_, classes) => void asked.push(["prefetch", classes]),
  };
  return { source, asked, release: () => release() };
}

const START = { models: [{ name: "a", available: true }, { name: "b", available: true }] };
const settled = () => wait(5);

async function staged(options) {
  const server = fake(options);
  const store = createStore({ photo: "one", model: "a" });
  store.receive({ start: START });
  const controller = createController(store, server.source);
  await controller.refresh();
  await settled();
  return { ...server, store };
}

test("the first refresh gives the stage all it shows", async () => {
  const { store } = await staged();
  const data = store.data();
  assert.equal(data.base.digest, "of one");
  assert.equal(data.now, data.base);
  assert.equal(data.subsets.block, store.get().block);
  assert.deepEqual(data.worth, { of: 1 }, "worth is about the most probable class");
  assert.equal(classOf(store.get(), data), 1);
});

test("another block asks for no photo again", async () => {
  const { store, asked } = await staged();
  asked.length = 0;
  store.update({ block: "3a" });
  await settled();
  assert.deepEqual(asked.slice(0, 3).map(([what, ...values]) => [what, values.at(-1)]), [["block", undefined], ["worth", "3a"], ["votes", "zero"]]);
  assert.equal(store.data().baseChannels.block, "3a");
});

test("of a new photo all is asked for at once, and of a square that is moved the scene first", async () => {
  const { asked, release, store } = await staged({ slow: "two", hasScene: false });
  asked.length = 0;
  store.update({ photo: "two", fill: "mean" });
  await settled();
  assert.deepEqual(asked, [["scene", "two", {}, undefined], ["block", "4c", {}, undefined], ["worth", null, "4c"], ["votes", "4c", "mean"]]);
  asked.length = 0;
  store.update({ crop: [0, 0, 1] });
  await settled();
  assert.deepEqual(asked, [["scene", "two", {}, undefined]]);
  release();
});

test("an answer that comes late is not shown over a newer one", async () => {
  const { store, release } = await staged({ slow: "two" });
  store.update({ photo: "two" });
  await settled();
  store.update({ photo: "three" });
  await settled();
  release();
  await settled();
  assert.equal(store.data().base.digest, "of three");
});

test("a switch of the unfolded block shows its answer before the server's", async () => {
  const { store } = await staged();
  const seen = [];
  store.subscribe((_, data, changed) => changed.has("now") && seen.push(data.now));
  store.update({ off: { "4c": ["1x1", "pool"] } });
  // Bits 1 and 2 are on: 3x3 and 5x5.
  assert.deepEqual([...seen[0].logits], [18, 19, 20]);
  await settled();
  assert.deepEqual([...store.data().now.logits], [0, -1, 1], "then the server's own");
  assert.deepEqual(store.data().channels.off, { "4c": ["1x1", "pool"] });
  assert.deepEqual(store.data().baseChannels.off, {});
});

test("channels and branches that are off are asked for together, and shown when the server has answered", async () => {
  const { store, asked } = await staged();
  const seen = [];
  store.subscribe((_, data, changed) => changed.has("now") && seen.push(data.now));
  asked.length = 0;
  const all = { "4c": ["pool", 3, 117] };
  store.update({ off: { "4c": ["pool"] }, offChannels: { "4c": [3, 117] } });
  assert.equal(seen.length, 0, "the sixteen answers at hand know nothing of channels");
  await settled();
  assert.deepEqual(store.data().now.off, all);
  assert.deepEqual(store.data().channels.off, all);
  assert.deepEqual(asked.find(([what]) => what === "scene"), ["scene", "one", all, undefined]);
});

test("what fills is asked for, and the answers at hand are shown only if they have the same", async () => {
  const { store, asked } = await staged();
  const seen = [];
  store.subscribe((_, data, changed) => changed.has("now") && seen.push(data.now));
  asked.length = 0;
  store.update({ off: { "4c": ["1x1"] }, fill: "mean" });
  assert.equal(seen.length, 0);
  await settled();
  assert.deepEqual(asked.filter(([what]) => !["worth", "prefetch"].includes(what)).map((one) => one.at(-1)).sort(), ["mean", "mean", "mean", undefined]);
  store.update({ off: { "4c": ["pool"] } });
  assert.deepEqual([...seen.at(-1).logits], [21, 22, 23], "now those at hand are filled with means too");
});

test("what the network does not have is taken out of the state", async () => {
  const server = fake();
  const store = createStore({ photo: "one", model: "a", offChannels: { "4b": [3, 700] } });
  store.receive({ start: START });
  await createController(store, server.source).refresh();
  await settled();
  assert.deepEqual(store.get().offChannels, { "4b": [3] });
  assert.deepEqual(store.data().now.off, { "4b": [3] });
  assert.equal(server.asked.filter(([what]) => what === "network").length, 1, "without asking twice");
});

test("a photo that is refused leaves the stage as it was, and says why", async () => {
  const { store } = await staged({ refused: "bad" });
  store.update({ photo: "bad" });
  await settled();
  await settled();
  assert.equal(store.get().photo, "one");
  assert.equal(store.data().base.digest, "of one");
  assert.equal(store.data().error, "No picture.");
  store.update({ block: "5b" });
  await settled();
  assert.equal(store.data().error, null, "the next success takes it away");
});

test("where nothing can be had, it is not asked for again and again", async () => {
  const { source, asked } = fake();
  source.network = async (model) => {
    asked.push(["network", model]);
    throw new Error("None.");
  };
  const store = createStore({ photo: "one", model: "a" });
  store.receive({ start: START });
  await createController(store, source).refresh();
  await settled();
  assert.ok(asked.length <= 2, String(asked.length));
  assert.equal(store.data().error, "None.");
});

test("a network that cannot be had at first gives way to one that can", async () => {
  const { store } = await staged({ refused: "a" });
  await settled();
  assert.equal(store.get().model, "b");
  assert.equal(store.data().network.name, "b");
  assert.equal(store.data().error, "It cannot be had.");
});

test("if another block takes its time, nothing of the one before is at hand", async () => {
  const { store, source } = await staged();
  const block = source.block;
  let release;
  const gate = new Promise((open) => (release = open));
  source.block = async (...what) => (await gate, block(...what));
  store.update({ block: "3a" });
  await wait(300);
  const { channels, baseChannels, subsets, worth, field, base } = store.data();
  assert.deepEqual([channels, baseChannels, subsets, worth, field], [null, null, null, null, null]);
  assert.equal(base.digest, "of one");
  release();
  await settled();
  assert.equal(store.data().subsets.block, "3a");
});

test("a scene shown meanwhile gives way to that of the state", async () => {
  const server = fake();
  const store = createStore({ photo: "one", model: "a" });
  const controller = createController(store, server.source);
  await controller.refresh();
  const streamed = { ...store.data().base, digest: "of a dragged square" };
  store.receive({ base: streamed, now: streamed });
  await controller.refresh();
  assert.equal(store.data().base.digest, "of one");
  assert.equal(store.data().now.digest, "of one");
});

test("with something off, a new crop is not shown with everything on", async () => {
  const { store } = await staged();
  store.update({ off: { "4b": ["1x1"] } });
  await settled();
  const seen = [];
  store.subscribe((_, data, changed) => changed.has("now") && seen.push(data.now && data.now.off));
  store.update({ crop: [0, 0, 1] });
  await settled();
  assert.deepEqual(seen, [null, { "4b": ["1x1"] }]);
});

test("the stage does not wait for what may be wanted next", async () => {
  const server = fake();
  server.source.prefetchWorth = () => new Promise(() => undefined);
  const store = createStore({ photo: "one", model: "a" });
  await createController(store, server.source).refresh();
  assert.equal(store.data().busy, false);
  assert.equal(store.data().subsets.block, "4c");
});

test("a network that lacks channels or means changes the state", () => {
  const network = (has_means) => ({ has_means, blocks: Object.fromEntries(BLOCKS.map((block) => [block, { channels: 512, side: 10, branches: { "1x1": { channels: 128 } } }])) });
  const state = { ...INITIAL, offChannels: { "3a": [600], "4b": [3, 512] }, fill: "mean" };
  assert.deepEqual(fitting(state, network(false)), { offChannels: { "4b": [3] }, fill: "zero" });
  assert.deepEqual(fitting({ ...state, offChannels: { "4b": [3] } }, network(true)), {});
});

test("a lens on a cell or channel that the block does not have is left out", () => {
  const network = { has_means: true, blocks: { "4c": { channels: 512, side: 10, branches: { "5x5": { channels: 64 } } } } };
  const lens = { branch: "5x5", channel: 63, row: 9, column: 0 };
  assert.deepEqual(fitting({ ...INITIAL, lens }, network), {});
  for (const wrong of [{ channel: 64 }, { row: 10 }, { column: 10 }]) {
    assert.deepEqual(fitting({ ...INITIAL, lens: { ...lens, ...wrong } }, network), { lens: null });
  }
});

// ---------------------------------------------------------------- failures

test("a block that cannot be had leaves the one before, with its lens and channels", async () => {
  const { store, source } = await staged();
  const usual = source.block;
  source.block = async (subject, off, block) => {
    if (block === "3a") throw new Error("It was refused.");
    return usual(subject, off, block);
  };
  const lens = { branch: "1x1", channel: 0, row: 0, column: 0 };
  store.update({ lens });
  store.update({ block: "3a", lens: null }, { push: true });
  await settled();
  assert.equal(store.get().block, "4c");
  assert.deepEqual(store.get().lens, lens);
  assert.equal(store.data().channels.block, "4c");
  assert.equal(store.data().error, "It was refused.");
});

test("a photo that is refused leaves what was off, the class and the lens", async () => {
  const { store } = await staged({ refused: "bad" });
  const before = { off: { "4b": ["pool"] }, offChannels: { "4b": [3] }, cls: 2, lens: { branch: "1x1", channel: 0, row: 0, column: 0 } };
  store.update(before);
  await settled();
  const undone = [];
  store.onAddress((_, __, undo) => undone.push(undo));
  store.update(newPhoto("bad"), { push: true });
  await settled();
  const { photo, off, offChannels, cls, lens } = store.get();
  assert.deepEqual({ photo, off, offChannels, cls, lens }, { photo: "one", ...before });
  assert.deepEqual(undone, [false, true], "the address is told that the step was taken back");
});

test("an answer that fails leaves the switches as they were", async () => {
  const { store, source } = await staged();
  store.update({ off: { "4b": ["1x1"] } });
  await settled();
  const scene = source.scene;
  source.scene = async (subject, off) => {
    if (off["5a"]) throw new Error("It was refused.");
    return scene(subject, off);
  };
  store.update({ off: { "4b": ["1x1"], "5a": ["pool"] } });
  await settled();
  assert.deepEqual(store.get().off, { "4b": ["1x1"] });
  assert.deepEqual(store.data().now.off, { "4b": ["1x1"] });
});

test("a photo that is refused at first changes neither the network nor the address", async () => {
  const server = fake({ refused: "bad" });
  const store = createStore({ photo: "bad", model: "a" });
  store.receive({ start: START });
  const addresses = [];
  store.onAddress((state) => addresses.push(state));
  await createController(store, server.source).refresh();
  await settled();
  assert.equal(store.get().model, "a");
  assert.deepEqual(addresses, []);
  assert.equal(store.data().error, "No picture.");
});

test("a network that was downloaded is there from then on", async () => {
  const { source } = fake();
  const store = createStore({ photo: "one", model: "a" });
  store.receive({ start: { models: [{ name: "a", available: true, megabytes: null }, { name: "b", available: false, megabytes: 28 }] } });
  const { start } = store.data();
  await createController(store, source).refresh();
  assert.equal(store.data().start, start, "nothing was downloaded");
  store.update({ model: "b" });
  await settled();
  assert.deepEqual(store.data().start.models[1], { name: "b", available: true, megabytes: null });
});

test("who waits for a refresh also waits for the one that follows a failure", async () => {
  const server = fake({ refused: "bad" });
  const store = createStore({ photo: "one", model: "a" });
  const controller = createController(store, server.source);
  await controller.refresh();
  store.update({ photo: "bad" });
  await controller.settled();
  assert.equal(store.get().photo, "one");
  assert.equal(store.data().busy, false);
  assert.equal(store.data().subsets.block, "4c");
});

test("a scene answers a state if the same is off, filled alike", () => {
  const state = { off: { "4b": ["pool"] }, offChannels: { "4b": [3] }, fill: "mean" };
  const scene = { off: { "4b": ["pool", 3] }, fill: "mean" };
  assert.equal(isAnswerTo(scene, state), true);
  assert.equal(isAnswerTo({ ...scene, fill: "zero" }, state), false);
  assert.equal(isAnswerTo({ ...scene, off: {} }, state), false);
  assert.equal(isAnswerTo({ off: {}, fill: "zero" }, { off: {}, offChannels: {}, fill: "mean" }), true, "with nothing off, nothing is filled");
});
