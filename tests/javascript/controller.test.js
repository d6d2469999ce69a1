/** The requests for a state, and which responses reach the stage. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";

import { page } from "./support.js";

const { createController, classOf, fitting, isAnswerTo, newPhoto } = await page("controller.js");
const { BLOCKS } = await page("numbers.js");
const { INITIAL, createStore } = await page("state.js");

const CLASSES = 3;
const BLOCK = { channels: 512, side: 10, branches: { "1x1": { channels: 128 } } };

/**
 * A source that records its requests. It delays those about the photo `slow` and rejects the photo or network `failing`;
 * `hasScene` says whether scenes are cached.
 */
function fake({ slow = null, failing = null, hasScene = true } = {}) {
  const requests = [];
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
      requests.push(["network", model]);
      if (model === failing) throw new Error("It cannot be had.");
      return { name: model, chinese: {}, has_means: true, labels: ["x", "y", "z"], blocks: { "4b": { channels: 512 }, "4c": BLOCK } };
    },
    hasScene: () => hasScene,
    scene: async (subject, off) => {
      requests.push(["scene", subject.photo, off, subject.fill]);
      if (subject.photo === failing) throw new Error("No picture.");
      if (subject.photo === slow) await gate;
      return scene(subject, off);
    },
    block: async (subject, off, block) => (requests.push(["block", block, off, subject.fill]), { block, off }),
    votes: async ({ fill = "zero" }, block) => (requests.push(["votes", block, fill]), { block, fill, classes: CLASSES, logits: Float32Array.from({ length: 48 }, (_, i) => i) }),
    worth: async (_, cls, block) => (requests.push(["worth", cls, block]), { of: cls }),
    field: async (subject, block) => (requests.push(["field", subject.photo, block]), { of: block }),
    drawable: async () => undefined,
    prefetchWorth: async (_, classes) => void requests.push(["prefetch", classes]),
  };
  return { source, requests, release: () => release() };
}

const START = { models: [{ name: "a", available: true }, { name: "b", available: true }] };
const settled = () => wait(5);

async function refreshedStage(options) {
  const server = fake(options);
  const store = createStore({ photo: "one", model: "a" });
  store.receive({ start: START });
  const controller = createController(store, server.source);
  await controller.refresh();
  await settled();
  return { ...server, store };
}

test("the first refresh loads all that the stage shows", async () => {
  const { store } = await refreshedStage();
  const data = store.data();
  assert.equal(data.base.digest, "of one");
  assert.equal(data.now, data.base);
  assert.equal(data.subsets.block, store.get().block);
  assert.deepEqual(data.worth, { of: 1 }, "worth is about the most probable class");
  assert.equal(classOf(store.get(), data), 1);
});

test("another block does not request the scene again", async () => {
  const { store, requests } = await refreshedStage();
  requests.length = 0;
  store.update({ block: "3a" });
  await settled();
  assert.deepEqual(requests.slice(0, 3).map(([kind, ...values]) => [kind, values.at(-1)]), [["block", undefined], ["worth", "3a"], ["votes", "zero"]]);
  assert.equal(store.data().baseChannels.block, "3a");
});

test("all of a new photo is requested at once, and of a moved square the scene first", async () => {
  const { requests, release, store } = await refreshedStage({ slow: "two", hasScene: false });
  requests.length = 0;
  store.update({ photo: "two", fill: "mean" });
  await settled();
  assert.deepEqual(requests, [["scene", "two", {}, undefined], ["block", "4c", {}, undefined], ["worth", null, "4c"], ["votes", "4c", "mean"]]);
  requests.length = 0;
  store.update({ crop: [0, 0, 1] });
  await settled();
  assert.deepEqual(requests, [["scene", "two", {}, undefined]]);
  release();
});

test("effective receptive fields are requested once one is shown", async () => {
  const { store, requests } = await refreshedStage();
  const fields = () => requests.filter(([kind]) => kind === "field").map(([, ...values]) => values);
  assert.deepEqual(fields(), []);
  store.hover({ kind: "class", cls: 1 });
  await settled();
  assert.deepEqual(fields(), [], "a class has none");
  store.hover({ kind: "lane", branch: "3x3" });
  await settled();
  store.hover({ kind: "lane", branch: "5x5" });
  await settled();
  assert.deepEqual(fields(), [["one", "4c"]], "of all branches at once");
  assert.deepEqual(store.data().field, { of: "4c" });
  store.update({ block: "3a" });
  await settled();
  assert.deepEqual(fields().slice(1), [["one", "3a"]], "the pointer is still on a lane");
  assert.deepEqual(store.data().field, { of: "3a" });
  store.hover({ kind: null });
  store.update({ photo: "two" });
  await settled();
  assert.equal(store.data().field, null);
  store.update({ lens: { branch: "1x1", channel: 0, row: 0, column: 0 } });
  await settled();
  assert.deepEqual(fields().slice(2), [["two", "3a"]]);
  store.update({ lens: null, photo: "one" });
  await settled();
  store.update({ deeper: "unit" });
  await settled();
  assert.deepEqual(fields().slice(3), [["one", "3a"]]);
});

test("a late response does not replace a newer one", async () => {
  const { store, release } = await refreshedStage({ slow: "two" });
  store.update({ photo: "two" });
  await settled();
  store.update({ photo: "three" });
  await settled();
  release();
  await settled();
  assert.equal(store.data().base.digest, "of three");
});

test("a switch of the open block shows a computed answer before the server's", async () => {
  const { store } = await refreshedStage();
  const shown = [];
  store.subscribe((_, data, changed) => changed.has("now") && shown.push(data.now));
  store.update({ off: { "4c": ["1x1", "pool"] } });
  // Bits 1 and 2 are on: 3x3 and 5x5.
  assert.deepEqual([...shown[0].logits], [18, 19, 20]);
  await settled();
  assert.deepEqual([...store.data().now.logits], [0, -1, 1], "then the server's answer");
  assert.deepEqual(store.data().channels.off, { "4c": ["1x1", "pool"] });
  assert.deepEqual(store.data().baseChannels.off, {});
});

test("channels and branches that are off are requested together, and shown with the response", async () => {
  const { store, requests } = await refreshedStage();
  const shown = [];
  store.subscribe((_, data, changed) => changed.has("now") && shown.push(data.now));
  requests.length = 0;
  const all = { "4c": ["pool", 3, 117] };
  store.update({ off: { "4c": ["pool"] }, offChannels: { "4c": [3, 117] } });
  assert.equal(shown.length, 0, "the sixteen cached answers do not cover channels");
  await settled();
  assert.deepEqual(store.data().now.off, all);
  assert.deepEqual(store.data().channels.off, all);
  assert.deepEqual(requests.find(([kind]) => kind === "scene"), ["scene", "one", all, undefined]);
});

test("the fill is requested, and cached answers are shown only if they have the same", async () => {
  const { store, requests } = await refreshedStage();
  const shown = [];
  store.subscribe((_, data, changed) => changed.has("now") && shown.push(data.now));
  requests.length = 0;
  store.update({ off: { "4c": ["1x1"] }, fill: "mean" });
  assert.equal(shown.length, 0);
  await settled();
  const fills = requests.filter(([kind]) => !["worth", "prefetch"].includes(kind)).map((request) => request.at(-1));
  assert.deepEqual(fills.sort(), ["mean", "mean", "mean", undefined]);
  store.update({ off: { "4c": ["pool"] } });
  assert.deepEqual([...shown.at(-1).logits], [21, 22, 23], "the cached answers are filled with means too");
});

test("channels that the network lacks are removed from the initial state", async () => {
  const server = fake();
  const store = createStore({ photo: "one", model: "a", offChannels: { "4b": [3, 700] } });
  store.receive({ start: START });
  await createController(store, server.source).refresh();
  await settled();
  assert.deepEqual(store.get().offChannels, { "4b": [3] });
  assert.deepEqual(store.data().now.off, { "4b": [3] });
  assert.equal(server.requests.filter(([kind]) => kind === "network").length, 1, "requested only once");
});

test("a rejected photo leaves the stage unchanged, and shows the error", async () => {
  const { store } = await refreshedStage({ failing: "bad" });
  store.update({ photo: "bad" });
  await settled();
  await settled();
  assert.equal(store.get().photo, "one");
  assert.equal(store.data().base.digest, "of one");
  assert.equal(store.data().error, "No picture.");
  store.update({ block: "5b" });
  await settled();
  assert.equal(store.data().error, null, "the next success clears it");
});

test("a network that fails to load is not requested repeatedly", async () => {
  const { source, requests } = fake();
  source.network = async (model) => {
    requests.push(["network", model]);
    throw new Error("None.");
  };
  const store = createStore({ photo: "one", model: "a" });
  store.receive({ start: START });
  await createController(store, source).refresh();
  await settled();
  assert.ok(requests.length <= 2, String(requests.length));
  assert.equal(store.data().error, "None.");
});

test("an initial network that fails to load is replaced by another one", async () => {
  const { store } = await refreshedStage({ failing: "a" });
  await settled();
  assert.equal(store.get().model, "b");
  assert.equal(store.data().network.name, "b");
  assert.equal(store.data().error, "It cannot be had.");
});

test("while another block loads slowly, nothing of the previous one is shown", async () => {
  const { store, source } = await refreshedStage();
  const block = source.block;
  let release;
  const gate = new Promise((open) => (release = open));
  source.block = async (...values) => (await gate, block(...values));
  store.update({ block: "3a" });
  await wait(300);
  const { channels, baseChannels, subsets, worth, field, base } = store.data();
  assert.deepEqual([channels, baseChannels, subsets, worth, field], [null, null, null, null, null]);
  assert.equal(base.digest, "of one");
  release();
  await settled();
  assert.equal(store.data().subsets.block, "3a");
});

test("a scene shown meanwhile is replaced by that of the state", async () => {
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

test("while branches are off, a new crop is not shown with everything on", async () => {
  const { store } = await refreshedStage();
  store.update({ off: { "4b": ["1x1"] } });
  await settled();
  const shown = [];
  store.subscribe((_, data, changed) => changed.has("now") && shown.push(data.now && data.now.off));
  store.update({ crop: [0, 0, 1] });
  await settled();
  assert.deepEqual(shown, [null, { "4b": ["1x1"] }]);
});

test("the stage does not wait for prefetches", async () => {
  const server = fake();
  server.source.prefetchWorth = () => new Promise(() => undefined);
  const store = createStore({ photo: "one", model: "a" });
  await createController(store, server.source).refresh();
  assert.equal(store.data().busy, false);
  assert.equal(store.data().subsets.block, "4c");
});

test("channels and a fill that the network lacks are removed from the state", () => {
  const network = (has_means) => ({ has_means, blocks: Object.fromEntries(BLOCKS.map((block) => [block, { channels: 512, side: 10, branches: { "1x1": { channels: 128 } } }])) });
  const state = { ...INITIAL, offChannels: { "3a": [600], "4b": [3, 512] }, fill: "mean" };
  assert.deepEqual(fitting(state, network(false)), { offChannels: { "4b": [3] }, fill: "zero" });
  assert.deepEqual(fitting({ ...state, offChannels: { "4b": [3] } }, network(true)), {});
});

test("a lens on a cell or channel that the block does not have is removed", () => {
  const network = { has_means: true, blocks: { "4c": { channels: 512, side: 10, branches: { "5x5": { channels: 64 } } } } };
  const lens = { branch: "5x5", channel: 63, row: 9, column: 0 };
  assert.deepEqual(fitting({ ...INITIAL, lens }, network), {});
  for (const outside of [{ channel: 64 }, { row: 10 }, { column: 10 }]) {
    assert.deepEqual(fitting({ ...INITIAL, lens: { ...lens, ...outside } }, network), { lens: null });
  }
});

// ---------------------------------------------------------------- failures

test("a block that fails to load leaves the previous one, with its lens and channels", async () => {
  const { store, source } = await refreshedStage();
  const original = source.block;
  source.block = async (subject, off, block) => {
    if (block === "3a") throw new Error("It was refused.");
    return original(subject, off, block);
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

test("a rejected photo leaves the switches, the class and the lens", async () => {
  const { store } = await refreshedStage({ failing: "bad" });
  const before = { off: { "4b": ["pool"] }, offChannels: { "4b": [3] }, cls: 2, lens: { branch: "1x1", channel: 0, row: 0, column: 0 } };
  store.update(before);
  await settled();
  const undone = [];
  store.onAddress((_, __, undo) => undone.push(undo));
  store.update(newPhoto("bad"), { push: true });
  await settled();
  const { photo, off, offChannels, cls, lens } = store.get();
  assert.deepEqual({ photo, off, offChannels, cls, lens }, { photo: "one", ...before });
  assert.deepEqual(undone, [false, true], "the address is notified of the undo");
});

test("a failed answer restores the switches", async () => {
  const { store, source } = await refreshedStage();
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

test("an initial photo that is rejected changes neither the network nor the address", async () => {
  const server = fake({ failing: "bad" });
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

test("a downloaded network is available from then on", async () => {
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

test("waiting for a refresh includes the one that follows a failure", async () => {
  const server = fake({ failing: "bad" });
  const store = createStore({ photo: "one", model: "a" });
  const controller = createController(store, server.source);
  await controller.refresh();
  store.update({ photo: "bad" });
  await controller.settled();
  assert.equal(store.get().photo, "one");
  assert.equal(store.data().busy, false);
  assert.equal(store.data().subsets.block, "4c");
});

test("a scene matches a state with the same switches and fill", () => {
  const state = { off: { "4b": ["pool"] }, offChannels: { "4b": [3] }, fill: "mean" };
  const scene = { off: { "4b": ["pool", 3] }, fill: "mean" };
  assert.equal(isAnswerTo(scene, state), true);
  assert.equal(isAnswerTo({ ...scene, fill: "zero" }, state), false);
  assert.equal(isAnswerTo({ ...scene, off: {} }, state), false);
  assert.equal(isAnswerTo({ off: {}, fill: "zero" }, { off: {}, offChannels: {}, fill: "mean" }), true, "with nothing off, the fill does not matter");
});
