/** The steps of the lesson: measures, correct answers, and complete sentences. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { catalogue, close, page } from "./support.js";

const { BLOCKS, BRANCHES } = await page("numbers.js");
const { INITIAL } = await page("state.js");
const measure = await page("lesson/measure.js");
const { STEPS, stepAt, clearExample, isReady } = await page("lesson/steps.js");
const { offeredSizes } = await page("lesson/looking.js");
const { alternativeCrops, isSameCrop } = await page("lesson/changing.js");
const { restoring, resultAfter } = await page("views/lesson_parts.js");
const { sentence, sentences, say, figure } = await page("lesson/sentences.js");
const { useWords } = await page("words.js");

const [look, dot, flip, bottleneck, stack, depth, bright, fool] = STEPS;
const BEE = 0;
const DAISY = 1;
const CLASSES = 3;
const PHOTO = { width: 200, height: 100 };
const CHANNELS = { "1x1": 4, "3x3": 6, "5x5": 2, pool: 2 };

const byBranch = (value) => Object.fromEntries(BRANCHES.map((branch, i) => [branch, value(branch, i)]));
const byBlock = (value) => Object.fromEntries(BLOCKS.map((block, i) => [block, value(block, i)]));

/** The logits with each of a block's four branches off alone. */
const rows = (...four) => ({ logits: Float32Array.from(four.flat()), classes: CLASSES });
const SAME = [9, 2, 0]; // the bee stays ahead
const OTHER = [1, 4, 0]; // the daisy is ahead
const unchangedTable = () => byBlock(() => rows(SAME, SAME, SAME, SAME));

/** A branch's channels, all with the same map of 4 x 4 bytes. */
function channels(count, map) {
  const values = new Uint8Array(count * 16);
  for (let i = 0; i < count; i++) values.set(map, i * 16);
  return { count, side: 4, low: new Float32Array(count), high: new Float32Array(count).fill(1), mean: new Float32Array(count), values };
}
const corner = (row, column) => Uint8Array.from({ length: 16 }, (_, i) => (Math.floor(i / 8) === row && Math.floor((i % 4) / 2) === column ? 255 : 10));

function network() {
  return {
    name: "fake",
    labels: ["bee, honey bee", "daisy", "ant"],
    size: 224,
    temperature: 1,
    threshold: 0.3,
    blocks: byBlock((_, i) => ({
      in_channels: 100 + 10 * i,
      channels: 14,
      side: 4,
      branches: byBranch((branch) => ({
        channels: CHANNELS[branch],
        field: { size: 20 * (i + 1), stride: 8, start: 0 },
        layers:
          branch === "5x5"
            ? [
                { kernel: 1, in: 100 + 10 * i, out: i === 2 ? 4 : 20, parameters: 1 },
                { kernel: 5, in: i === 2 ? 4 : 20, out: 40, parameters: 1 },
              ]
            : [{ kernel: 1, in: 100, out: 4, parameters: 1 }],
      })),
    })),
  };
}

function scene(logits = [9, 2, 0], off = {}, crop = [0.25, 0, 0.875]) {
  const maps = byBlock(() => byBranch((_, i) => ({ low: 0, high: i + 1, values: new Uint8Array(16).fill(255), side: 4 })));
  return { digest: "d", model: "fake", off, photo: PHOTO, crop, logits: Float32Array.from(logits), seconds: 0, maps };
}

/** Logits of sixteen subsets in which each branch adds its amount to the bee. */
function subsets(block, amounts) {
  const logits = new Float32Array(16 * CLASSES);
  for (let row = 0; row < 16; row++) logits[row * CLASSES] = amounts.reduce((sum, amount, i) => sum + (row & (1 << i) ? amount : 0), 0.5);
  return { block, logits, classes: CLASSES };
}

const SIZES = [4, 8, 16, 32, 64, 128];
const tuning = (peaks) => ({
  shape: "disc",
  sizes: SIZES,
  branches: byBranch((branch) => ({ response: SIZES.map((size) => 1 / (1 + Math.abs(Math.log2(size / peaks[branch])))), preferred: peaks[branch] })),
});

/** Return the input of a step; any part of it can be replaced. */
function stepInput({ source = {}, data = {}, state = {} } = {}) {
  const requested = { ...INITIAL, photo: "example:bee", model: "fake", ...state };
  return {
    state: requested,
    data: { network: network(), base: scene(), now: scene(), worth: null, start: null, ...data },
    subject: { photo: requested.photo, model: requested.model, crop: requested.crop, digest: "d" },
    source: {
      evidence: async () => ({ map: Float32Array.from([1, 0, 0, 0]), side: 2 }),
      block: async (_, __, block) => byBranch((branch) => channels(CHANNELS[branch], block === "5b" ? new Uint8Array(16) : corner(1, 1))),
      table: async () => unchangedTable(),
      votes: async (_, block) => subsets(block, [5, 1, 0, -1]),
      worth: async () => byBlock(() => Float32Array.from({ length: 14 }, (_, i) => -i)),
      tuning: async () => tuning({ "1x1": 8, "3x3": 16, "5x5": 64, pool: 16 }),
      scene: async () => scene(),
      ...source,
    },
  };
}

/** Check that sentences are complete in both languages. */
function assertComplete(...parts) {
  for (const language of ["zh", "en"]) {
    useWords(language, catalogue(language));
    for (const part of parts.flat()) {
      const text = sentence(part, network());
      assert.notEqual(text, part.key);
      assert.doesNotMatch(text, /[{}]|undefined|NaN|object/, part.key);
    }
  }
}
async function answerStep(step, input, answer) {
  const plan = await step.enter(input);
  const verdict = answer === undefined ? await step.show(plan, input) : await step.check(plan, answer, input);
  assertComplete(plan.ask, plan.choices.map((choice) => choice.says), verdict.says, { key: step.title }, step.confirm ? { key: step.confirm } : []);
  return { plan, verdict };
}

test("there are eight steps, numbered from 1", () => {
  assert.equal(STEPS.length, 8);
  assert.equal(new Set(STEPS.map((step) => step.id)).size, 8);
  assert.equal(stepAt(3), flip);
  assert.equal(stepAt(0), null);
  assert.equal(stepAt(9), null);
});

test("steps that are done on the stage can be read from it, and can show the answer", () => {
  for (const step of STEPS.filter((step) => step.kind === "act")) {
    assert.ok(step.read, step.id);
    assert.ok(step.show || step.confirm, step.id);
  }
});

// ---------------------------------------------------------------- measures

test("a lead is negative once another class is ahead", () => {
  assert.equal(measure.lead([3, 1, 2], 0), 1);
  assert.equal(measure.lead([3, 1, 2], 1), -2);
});

test("a squeeze counts the weights with and without the first layer", () => {
  const weights = measure.squeeze({ layers: [{ kernel: 1, in: 512, out: 24 }, { kernel: 5, in: 24, out: 64 }] });
  assert.deepEqual([weights.direct, weights.through], [25 * 512 * 64, 512 * 24 + 25 * 24 * 64]);
  assert.equal(measure.squeeze({ layers: [{ kernel: 1, in: 512, out: 24 }] }), null);
  assert.equal(measure.squeeze({ layers: [{ kernel: 3, in: 512, out: 512 }, { kernel: 1, in: 512, out: 24 }] }), null);
});

test("the channels of the branches are consecutive", () => {
  assert.deepEqual(measure.places(network().blocks["3a"]), {
    "1x1": { first: 0, last: 3 },
    "3x3": { first: 4, last: 9 },
    "5x5": { first: 10, last: 11 },
    pool: { first: 12, last: 13 },
  });
});

test("a channel's brightness is compared inside and outside the marked cells", () => {
  const map = Uint8Array.from([200, 200, 20, 20, 200, 200, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20]);
  assert.deepEqual(measure.splitBrightness(map, 4, [true, false, false, false], 2), { inside: 200, outside: 20 });
  assert.deepEqual(measure.splitBrightness(map, 4, [false, false, false, true], 2), { inside: 20, outside: 80 });
  assert.deepEqual(measure.splitBrightness(map, 4, [], 2), { inside: 0, outside: 65 });
  assert.equal(measure.brightnessRatio({ inside: 200, outside: 20 }), 10);
  assert.equal(measure.brightnessRatio({ inside: 200, outside: 0 }), 200);
  assert.equal(measure.brightnessRatio({ inside: 0, outside: 0 }), null);
});

test("strong cells have at least half of the largest evidence; there are none without evidence for the class", () => {
  assert.deepEqual(measure.strongCells([4, 2, 1, -9]), [true, true, false, false]);
  assert.equal(measure.strongCells([-1, 0]), null);
});

test("marked cells are assigned to a ninth of the square", () => {
  const cells = (...marked) => Array.from({ length: 36 }, (_, i) => marked.includes(i));
  assert.equal(measure.ninth(cells(0), 6), 0);
  assert.equal(measure.ninth(cells(35), 6), 8);
  assert.equal(measure.ninth(cells(0, 35), 6), 4);
  assert.equal(measure.ninth(cells(5), 6), 2);
});

test("a silent channel is low, and so is the lowest tenth of the others", () => {
  const channel = (map, high) => ({ count: 1, side: 2, low: new Float32Array(1), high: Float32Array.of(high), values: Uint8Array.from(map) });
  const all = {
    "1x1": channel([0, 0, 0, 0], 0),
    "3x3": channel([0, 25, 26, 255], 1),
    "5x5": channel([255, 255, 255, 255], 1),
    pool: channel([0, 255, 255, 255], 1),
  };
  assert.ok(close(measure.lowShare(all), 7 / 16));
});

test("the block to search is one in which a single branch changes the answer", () => {
  const table = { ...unchangedTable(), "4b": rows(OTHER, SAME, SAME, SAME), "5a": rows(OTHER, [0, 9, 0], SAME, SAME) };
  const { flips, strongest } = measure.blockToSearch(measure.branchOutcomes(table, BEE, 1));
  assert.deepEqual([flips, strongest.block, strongest.branch, strongest.after], [true, "4b", "1x1", DAISY]);
});

test("if none does, it is the block with the branch whose removal brings another class nearest", () => {
  const table = { ...unchangedTable(), "4d": rows(SAME, SAME, [3, 2.5, 0], SAME) };
  const { flips, strongest } = measure.blockToSearch(measure.branchOutcomes(table, BEE, 1));
  assert.deepEqual([flips, strongest.block, strongest.branch], [false, "4d", "5x5"]);
});

// ---------------------------------------------------------------- steps

test("1: a channel that is bright at the evidence is right", async () => {
  const lit = byBranch((branch) => channels(CHANNELS[branch], branch === "3x3" ? corner(0, 0) : corner(1, 1)));
  const input = stepInput({ source: { block: async () => lit } });
  assert.equal((await answerStep(look, input, "3x3:2")).verdict.right, true);
  const { verdict, plan } = await answerStep(look, input, "1x1:0");
  assert.equal(verdict.right, false);
  assert.equal(verdict.patch.lens.branch, "3x3");
  assert.deepEqual([verdict.patch.lens.row, verdict.patch.lens.column], [0, 0]);
  assert.equal(plan.weak, false);
  assert.equal(look.read(plan, { ...input.state, block: plan.patch.block, lens: { branch: "pool", channel: 1, row: 0, column: 0 } }), "pool:1");
  assert.equal(look.read(plan, { ...input.state, block: "3a", lens: { branch: "pool", channel: 1, row: 0, column: 0 } }), null);
  assert.equal((await answerStep(look, input)).verdict.right, false);
});

test("1: the channel that is shown is one of those that the stage shows first", async () => {
  const lit = byBranch((branch) => channels(CHANNELS[branch], corner(1, 1)));
  lit["3x3"].values.set(corner(0, 0), 0); // the best, but worth least
  lit["1x1"].values.set(corner(0, 0), 16 * 3);
  const worth = byBlock(() => Float32Array.from({ length: 14 }, (_, i) => i));
  const { plan } = await answerStep(look, stepInput({ source: { block: async () => lit, worth: async () => worth } }), "1x1:0");
  assert.deepEqual([plan.facts.top.branch, plan.facts.top.channel], ["1x1", 3]);
});

test("1: a channel whose brightest cell lies outside the evidence is not right", async () => {
  const beside = corner(0, 0).map((byte) => (byte === 255 ? 200 : byte));
  beside[15] = 255;
  const lit = byBranch((branch) => channels(CHANNELS[branch], branch === "3x3" ? corner(0, 0) : beside));
  const { verdict, plan } = await answerStep(look, stepInput({ source: { block: async () => lit } }), "1x1:0");
  assert.equal(verdict.right, false);
  assert.ok(verdict.says.some((part) => part.key === "lesson.look.beside"));
  assert.equal(plan.facts.top.branch, "3x3");
});

test("1: without evidence, or with silent channels only, the step reports that the photo does not show it", async () => {
  const nothing = stepInput({ source: { evidence: async () => ({ map: new Float32Array(4), side: 2 }) } });
  assert.equal((await answerStep(look, nothing, "1x1:0")).plan.weak, true);
  const silent = stepInput({ source: { block: async () => byBranch((branch) => channels(CHANNELS[branch], new Uint8Array(16))) } });
  assert.equal((await answerStep(look, silent, "1x1:0")).plan.weak, true);
});

test("2: the size nearest to the strongest response of 5x5 is right", async () => {
  const { plan, verdict } = await answerStep(dot, stepInput(), "64");
  assert.equal(verdict.right, true);
  assert.ok(verdict.says.some((part) => part.key === "lesson.dot.larger"));
  assert.equal(plan.choices.length, 4);
  assert.ok(plan.choices.some((choice) => choice.id === "64"));
  const small = plan.choices.find((choice) => Number(choice.id) <= 16).id;
  assert.equal((await answerStep(dot, stepInput(), small)).verdict.right, false);
});

test("2: of the four sizes exactly one is right, and the verdict names it", async () => {
  for (const five of SIZES) {
    const input = stepInput({ source: { tuning: async () => tuning({ "1x1": 8, "3x3": 16, "5x5": five, pool: 16 }) } });
    const { choices } = await dot.enter(input);
    const verdicts = await Promise.all(choices.map(async ({ id }) => (await answerStep(dot, input, id)).verdict));
    assert.deepEqual(choices.filter((_, i) => verdicts[i].right).map(({ id }) => Number(id)), [five]);
    assert.ok(verdicts.every(({ answer }) => answer === String(five)));
  }
});

test("2: the block is the one in which 5x5 prefers larger dots most, if any does", async () => {
  const sizes = { "3a": 16, "3b": 64, "4a": 32 };
  const source = { tuning: async (_, block) => tuning({ "1x1": 8, "3x3": 16, "5x5": sizes[block], pool: 16 }) };
  assert.equal((await answerStep(dot, stepInput({ source }), "64")).plan.patch.block, "3b");
  const none = { tuning: async () => tuning({ "1x1": 64, "3x3": 32, "5x5": 8, pool: 16 }) };
  const { verdict } = await answerStep(dot, stepInput({ source: none }), "8");
  assert.equal(verdict.right, true);
  assert.ok(verdict.says.some((part) => part.key === "lesson.dot.not_larger"));
});

test("2: a network whose branches respond to nothing is not an error", async () => {
  const still = { ...tuning({ "1x1": 8, "3x3": 8, "5x5": 8, pool: 8 }) };
  still.branches = byBranch(() => ({ response: SIZES.map(() => 0), preferred: null }));
  assert.equal(offeredSizes(still).length, 4);
  await answerStep(dot, stepInput({ source: { tuning: async () => still } }), "8");
});

test("3: the branch without which another class is ahead is right, and after a wrong one another can be tried", async () => {
  const input = stepInput({ source: { table: async () => ({ ...unchangedTable(), "4b": rows(OTHER, SAME, SAME, SAME) }) } });
  const { plan, verdict } = await answerStep(flip, input, "1x1");
  assert.equal(plan.patch.block, "4b");
  assert.deepEqual([verdict.done, verdict.right], [true, true]);
  const wrong = (await answerStep(flip, input, "pool")).verdict;
  // The sentence is about this branch alone, so nothing else stays off.
  const alone = (branch) => ({ offChannels: {}, fill: "zero", off: { "4b": [branch] } });
  assert.deepEqual([wrong.done, wrong.right, wrong.patch], [false, false, alone("pool")]);
  const shown = (await answerStep(flip, input)).verdict;
  assert.deepEqual([shown.done, shown.right, shown.patch], [true, false, alone("1x1")]);
});

test("3: the verdict mentions the classifier behind the last block, and more blocks behind the others", async () => {
  for (const [block, key] of [["4b", "lesson.flip.told"], ["5b", "lesson.flip.told_last"]]) {
    const input = stepInput({ source: { table: async () => ({ ...unchangedTable(), [block]: rows(OTHER, SAME, SAME, SAME) }) } });
    assert.equal((await answerStep(flip, input, "1x1")).verdict.says.at(-1).key, key);
    assert.equal((await answerStep(flip, input)).verdict.says.at(-1).key, key);
  }
});

test("3: the branch that was switched off last counts", async () => {
  const { plan } = await answerStep(flip, stepInput({ source: { table: async () => ({ ...unchangedTable(), "4b": rows(OTHER, SAME, SAME, SAME) }) } }), "1x1");
  const off = (branches) => ({ ...INITIAL, off: { "4b": branches } });
  assert.equal(flip.read(plan, INITIAL, {}, null), null);
  assert.equal(flip.read(plan, off(["pool"]), {}, null), "pool");
  assert.equal(flip.read(plan, off(["1x1", "pool"]), {}, "pool"), "1x1");
  assert.equal(flip.read(plan, off(["pool"]), {}, "pool"), "pool");
  assert.equal(flip.read(plan, { ...INITIAL, off: { "3a": ["pool"] } }, {}, null), null);
});

test("3: if no single branch changes the answer, the one that is needed most is right", async () => {
  const input = stepInput({ source: { table: async () => ({ ...unchangedTable(), "4d": rows(SAME, SAME, [3, 2.5, 0], SAME) }) } });
  const { plan, verdict } = await answerStep(flip, input, "5x5");
  assert.equal(plan.weak, true);
  assert.equal(verdict.right, true);
  assert.equal((await answerStep(flip, input, "1x1")).verdict.right, false);
  assert.equal((await answerStep(flip, input)).verdict.right, false);
});

test("4: the block with the strongest reduction is right, and the step does not start there", async () => {
  const { plan, verdict } = await answerStep(bottleneck, stepInput(), "4a");
  assert.equal(verdict.right, true);
  assert.notEqual(plan.patch.block, "4a");
  const wrong = (await answerStep(bottleneck, stepInput(), "3a")).verdict;
  assert.equal(wrong.right, false);
  assert.equal(wrong.patch.block, "4a");
});

test("5: the order of the output is right, and the choices are in another order", async () => {
  const { plan, verdict } = await answerStep(stack, stepInput(), BRANCHES.join());
  assert.equal(verdict.right, true);
  assert.notDeepEqual(plan.choices.map((choice) => choice.id), BRANCHES);
  assert.deepEqual(plan.choices.map((choice) => choice.id).sort(), [...BRANCHES].sort());
  assert.equal((await answerStep(stack, stepInput(), BRANCHES.toReversed().join())).verdict.right, false);
});

test("6: the block with more low cells is right, or none if they are alike", async () => {
  assert.equal((await answerStep(depth, stepInput(), "5b")).verdict.right, true);
  const wrong = (await answerStep(depth, stepInput(), "3a")).verdict;
  assert.deepEqual([wrong.right, wrong.answer], [false, "5b"]);
  const alike = stepInput({ source: { block: async () => byBranch((branch) => channels(CHANNELS[branch], corner(0, 1))) } });
  assert.equal((await answerStep(depth, alike, "same")).verdict.right, true);
});

test("7: the branch with the largest share of the answer is right, in a block whose brightest branch is another", async () => {
  const table = { ...unchangedTable(), "4c": rows([2, 2, 0], SAME, SAME, SAME) };
  const { plan, verdict } = await answerStep(bright, stepInput({ source: { table: async () => table } }), "1x1");
  assert.equal(plan.facts.bright, "pool"); // of the fake maps, the last is the brightest
  assert.equal(verdict.right, true);
  assert.ok(verdict.says.some((part) => part.key === "lesson.bright.differs"));
  const wrong = (await answerStep(bright, stepInput({ source: { table: async () => table } }), "pool")).verdict;
  assert.deepEqual([wrong.right, wrong.answer], [false, "1x1"]);
});

test("7: the step reports if the brightest branch is worth most everywhere", async () => {
  const source = { votes: async (_, block) => subsets(block, [0, 1, 2, 9]) };
  const { verdict } = await answerStep(bright, stepInput({ source }), "pool");
  assert.equal(verdict.right, true);
  assert.ok(verdict.says.some((part) => part.key === "lesson.bright.same"));
});

test("8: another answer counts once it was computed for the changed state", async () => {
  const input = stepInput();
  const { plan } = await answerStep(fool, input);
  const off = { "4b": ["1x1"] };
  const turned = scene([1, 4, 0], off);
  assert.equal(fool.read(plan, input.state, { now: turned }), null);
  assert.equal(fool.read(plan, { ...input.state, off }, { now: scene() }), null);
  assert.equal(fool.read(plan, { ...input.state, off }, { now: turned }), String(DAISY));
  const moved = { ...input.state, crop: [0.1, 0, 0.875] };
  assert.equal(fool.read(plan, moved, { now: scene([1, 4, 0]) }), null);
  assert.equal(fool.read(plan, moved, { now: scene([1, 4, 0], {}, [0.1, 0, 0.875]) }), String(DAISY));
  assert.equal(fool.read(plan, moved, { now: scene([9, 4, 0], {}, [0.1, 0, 0.875]) }), null);
  const { verdict } = await answerStep(fool, stepInput({ data: { now: turned } }), String(DAISY));
  assert.equal(verdict.right, true);
});

test("8: an answer that the page rejects is reported as unsure", async () => {
  const input = stepInput({ data: { now: scene([0, 0.01, 0]), network: { ...network(), threshold: 0.9 } } });
  const { verdict } = await answerStep(fool, input, String(DAISY));
  assert.ok(verdict.says.some((part) => part.key === "lesson.fool.unsure"));
});

test("8: giving up shows a square, otherwise a branch, otherwise that none was found", async () => {
  const square = stepInput({ source: { scene: async ({ crop }) => scene(crop && crop[2] > 1 ? [1, 4, 0] : SAME) } });
  assert.ok((await answerStep(fool, square)).verdict.patch.crop[2] > 1);
  const branch = stepInput({ source: { table: async () => ({ ...unchangedTable(), "4b": rows(SAME, OTHER, SAME, SAME) }) } });
  assert.deepEqual((await answerStep(fool, branch)).verdict.patch.off, { "4b": ["3x3"] });
  assert.equal((await answerStep(fool, stepInput())).verdict.says[0].key, "lesson.fool.none");
});

test("squares to try lie within the photo, except that of the whole photo, and differ from the current one", () => {
  const crops = alternativeCrops(stepInput({ state: { crop: [0, 0, 0.875] } }));
  assert.ok(crops.every((crop) => !isSameCrop(crop, [0, 0, 0.875])));
  for (const [left, top, side] of crops.filter((crop) => crop && crop[2] <= 1)) {
    assert.ok(left >= 0 && left * PHOTO.width + side * 100 <= PHOTO.width + 1e-9);
    assert.ok(top >= 0 && top * PHOTO.height + side * 100 <= PHOTO.height + 1e-9);
  }
  assert.equal(crops.filter((crop) => crop && crop[2] === 2).length, 1);
});

test("no square is tried twice, and not the current one", () => {
  // Of a photo twice as wide as high, a square of its height has three places: left, right and the centre.
  const input = stepInput();
  const full = { ...input, data: { ...input.data, base: { ...input.data.base, crop: [0.25, 0, 1] } } };
  const crops = alternativeCrops({ ...full, state: { ...full.state, crop: [0.25, 0, 1] } });
  assert.equal(crops.filter((crop) => crop && crop[2] <= 1).length, 2);
  assert.equal(crops.filter((crop) => crop && crop[2] > 1).length, 1);
});

// ---------------------------------------------------------------- the page

test("a step waits until the stage shows the requested photo, square and network", () => {
  const { state, data } = stepInput();
  assert.equal(isReady(state, data), true);
  assert.equal(isReady({ ...state, model: "other" }, data), false);
  assert.equal(isReady({ ...state, crop: [0.5, 0, 0.875] }, data), false);
  assert.equal(isReady({ ...state, crop: [0.25, 0, 0.875] }, data), true);
  assert.equal(isReady(state, { ...data, base: null }), false);
});

test("the result of a step counts the tries, tells apart what was shown, and stays", () => {
  const [again, right, wrong] = [[false, false], [true, true], [true, false]].map(([done, right]) => ({ done, right, says: [] }));
  assert.deepEqual(resultAfter(undefined, right, false), { kind: "right", tries: 1 });
  assert.deepEqual(resultAfter(undefined, wrong, false), { kind: "wrong", tries: 1 });
  assert.deepEqual(resultAfter(undefined, wrong, true), { kind: "shown", tries: 0 });
  const twice = resultAfter(resultAfter(undefined, again, false), again, false);
  assert.equal(twice.kind, "open");
  assert.deepEqual(resultAfter(twice, right, false), { kind: "found", tries: 3 });
  assert.equal(resultAfter(twice, wrong, true).kind, "shown");
  assert.equal(resultAfter(resultAfter(undefined, wrong, true), right, false).kind, "shown");
});

test("leaving the lesson restores what fits the photo and the network", () => {
  const lens = { branch: "1x1", channel: 3, row: 0, column: 0 };
  const before = { ...INITIAL, photo: "example:bee", model: "a", block: "5a", off: { "4b": ["pool"] }, offChannels: { "4b": [3] }, cls: 2, lens, deeper: "cost" };
  const now = { ...INITIAL, photo: "example:bee", model: "a", step: 3, crop: [0, 0, 1] };
  const after = (state) => ({ ...state, ...restoring(before, state) });
  assert.deepEqual(after(now), { ...before, step: 3 });
  assert.deepEqual(restoring({ ...before, model: "" }, now), restoring(before, now));
  assert.deepEqual(after({ ...now, model: "b" }), { ...before, model: "b", step: 3, offChannels: {}, cls: null, lens: null });
  assert.deepEqual(after({ ...now, photo: "example:cat" }), { ...now, photo: "example:cat", deeper: "cost" });
});

test("the example is one of those available", () => {
  assert.equal(clearExample({ examples: [{ stem: "bison" }, { stem: "honey_bee" }] }), "example:honey_bee");
  assert.equal(clearExample({ examples: [{ stem: "bison" }] }), "example:bison");
  assert.equal(clearExample(null), null);
});

test("Chinese sentences have no space between Chinese characters, English ones have one between them", () => {
  const part = say("lesson.look.silent", { channel: 3, branch: { branch: "pool" } });
  useWords("zh", catalogue("zh"));
  assert.match(sentences([part, part], network()), /^池化的通道 3 .*。池化的通道 3 .*。$/);
  useWords("en", catalogue("en"));
  assert.match(sentences([part, part], network()), /photo\. Channel 3 of pool/);
});

test("figures have two significant digits, or are whole numbers", () => {
  useWords("en", catalogue("en"));
  assert.deepEqual([0.523, 4.18, 30, 819200, -1.66].map(figure), ["0.52", "4.2", "30", "819,200", "−1.7"]);
});
