import assert from "node:assert/strict";
import { test } from "node:test";

import { catalogue, close, page, randomNumbers } from "./support.js";

const { useWords } = await page("words.js");
const numbers = await page("numbers.js");
const { roundToTotal, decimalsFor, fixed, grouped, millions, snapToObserved, term, times } = numbers;
const { diverging } = await page("signed.js");
const { BLOCKS, BRANCHES, clamp, floats, order, percent, percentile, shapley, short, shownVotes, shownClasses, signed, softmax, unpack } = numbers;

/** A packed array as the server sends it. */
function packed(dtype, shape, values) {
  const size = dtype === "f4" ? 4 : 1;
  const view = new DataView(new ArrayBuffer(values.length * size));
  values.forEach((value, i) => (dtype === "f4" ? view.setFloat32(4 * i, value, true) : view.setUint8(i, value)));
  const bytes = Array.from({ length: view.byteLength }, (_, i) => String.fromCharCode(view.getUint8(i)));
  return { dtype, shape, data: btoa(bytes.join("")) };
}

test("bytes are unpacked unchanged", () => {
  const values = Array.from({ length: 256 }, (_, i) => i);
  const unpacked = unpack(packed("u1", [16, 16], values));
  assert.ok(unpacked.values instanceof Uint8Array);
  assert.deepEqual(Array.from(unpacked.values), values);
  assert.deepEqual(unpacked.shape, [16, 16]);
});

test("little-endian floats are unpacked unchanged", () => {
  const values = [0, -0, 1, -1.5, Math.PI, 1e-40, 3.4e38, -Infinity, Infinity, NaN];
  const unpacked = unpack(packed("f4", [2, 5], values));
  assert.ok(unpacked.values instanceof Float32Array);
  assert.deepEqual(Array.from(unpacked.values), values.map(Math.fround));
  assert.deepEqual(floats(packed("f4", [10], values)), unpacked.values);
  assert.equal(unpack({ dtype: "f4", shape: [1], data: "AACAPw==" }).values[0], 1);
});

test("an empty array stays empty", () => {
  assert.equal(unpack({ dtype: "f4", shape: [0, 4], data: "" }).values.length, 0);
});

test("probabilities match a direct computation, at any temperature", () => {
  const random = randomNumbers(1);
  for (const temperature of [0.5, 1, 1.37]) {
    const logits = Float32Array.from({ length: 200 }, () => 30 * random() - 10);
    const sum = logits.reduce((before, logit) => before + Math.exp(logit / temperature), 0);
    const probabilities = softmax(logits, temperature);
    logits.forEach((logit, i) => assert.ok(close(probabilities[i], Math.exp(logit / temperature) / sum)));
    assert.ok(close(probabilities.reduce((total, p) => total + p), 1));
  }
});

test("probabilities of large logits do not overflow", () => {
  const [low, high] = softmax([1000, 1001]);
  assert.ok(close(high / low, Math.E));
  assert.deepEqual(Array.from(softmax([-5000, 5000])), [0, 1]);
});

test("the order is that of a stable sort, and can be cut off", () => {
  const random = randomNumbers(2);
  const values = Float32Array.from({ length: 300 }, () => Math.floor(20 * random()));
  const pairs = Array.from(values, (value, i) => ({ value, i })).sort((a, b) => b.value - a.value);
  assert.deepEqual(order(values), pairs.map(({ i }) => i));
  assert.deepEqual(order(values, 5), pairs.slice(0, 5).map(({ i }) => i));
  assert.deepEqual(order([1, 2], 9), [1, 0]);
  assert.deepEqual(order([]), []);
});

/** All permutations of players. */
const permutations = (players) =>
  players.length ? players.flatMap((first) => permutations(players.filter((player) => player !== first)).map((others) => [first, ...others])) : [[]];

test("the answer, the former answer and the pinned class are shown, however few rows are requested", () => {
  const p = [0.1, 0.4, 0.05, 0.3, 0.15];
  assert.deepEqual(shownClasses(p, 3, []), [1, 3, 4]);
  assert.deepEqual(shownClasses(p, 3, [3]), [1, 3, 4]);
  assert.deepEqual(shownClasses(p, 3, [0, 2]), [1, 0, 2]);
  assert.deepEqual(shownClasses(p, 3, [2, 4]), [1, 4, 2], "a required class that has a row keeps it");
  assert.deepEqual(shownClasses(p, 1, [2]), [1, 2]);
  assert.deepEqual(shownClasses(p, 1, [0, 2]), [1, 0, 2]);
  assert.deepEqual(shownClasses(p, 9, [2]), [1, 3, 4, 0, 2], "at most all classes");
});

test("Shapley values are the mean over all orders in which branches are switched on", () => {
  const random = randomNumbers(3);
  const classes = 7;
  const logits = Float32Array.from({ length: 16 * classes }, () => 40 * random() - 20);
  const orders = permutations([0, 1, 2, 3]);
  assert.equal(orders.length, 24);
  for (const cls of [0, 3, 6]) {
    const votes = shapley({ logits, classes }, cls);
    BRANCHES.forEach((branch, player) => {
      const steps = orders.map((permutation) => {
        const before = permutation.slice(0, permutation.indexOf(player)).reduce((bits, branchIndex) => bits + 2 ** branchIndex, 0);
        return logits[(before + 2 ** player) * classes + cls] - logits[before * classes + cls];
      });
      assert.ok(close(votes[branch], steps.reduce((total, step) => total + step) / orders.length));
    });
    assert.equal(votes.baseline, logits[cls]);
    assert.equal(votes.logit, logits[15 * classes + cls]);
    const sum = BRANCHES.reduce((before, branch) => before + votes[branch], votes.baseline);
    assert.ok(close(sum, votes.logit), "with the baseline they add up to the logit");
  }
});

test("a branch that changes nothing is worth nothing", () => {
  const logits = Float32Array.from({ length: 16 }, (_, subset) => ((subset & 1) ? 3 : 0) + ((subset & 8) ? -2 : 0));
  const votes = shapley({ logits, classes: 1 }, 0);
  assert.deepEqual([votes["1x1"], votes["3x3"], votes["5x5"], votes.pool].map((value) => Number(value.toFixed(9))), [3, 0, 0, -2]);
});

test("percentiles are those of the sorted values", () => {
  const random = randomNumbers(4);
  for (const length of [1, 2, 10, 101]) {
    const values = Float32Array.from({ length }, () => 100 * random() - 50);
    const before = values.slice();
    const sorted = Array.from(values).sort((a, b) => a - b);
    for (let rank = 0; rank < length; rank++) {
      const q = length === 1 ? 0.5 : rank / (length - 1);
      assert.ok(close(percentile(values, q), sorted[rank], 1e-9));
    }
    assert.deepEqual(values, before, "the values stay in their order");
  }
  assert.equal(percentile([4, 1], 0.25), 1.75);
  assert.equal(percentile([-10, 9, 100], 0.5), 9);
  assert.equal(percentile([], 0.5), 0);
});

test("a displayed probability is never higher than the actual one", () => {
  const texts = { 0: "<1\u00a0%", 0.0099: "<1\u00a0%", 0.01: "1\u00a0%", 0.154: "15\u00a0%", 0.99: "99\u00a0%", 0.9951: "99.5\u00a0%", 0.9989: "99.8\u00a0%" };
  useWords("en", catalogue("en"));
  for (const [p, text] of Object.entries(texts)) assert.equal(percent(Number(p)), text);
  for (let p = 0; p < 1; p += 0.00037) assert.notEqual(percent(p), "100\u00a0%");
  assert.equal(percent(0.99999), ">99.9\u00a0%");
});

test("the percent sign is set as in the language", () => {
  useWords("zh", catalogue("zh"));
  assert.deepEqual([0, 0.154, 0.9951, 0.99999].map(percent), ["<1%", "15%", "99.5%", ">99.9%"]);
  useWords("en", catalogue("en"));
  assert.equal(percent(0.154), "15\u00a0%");
});

test("signed numbers have a sign, zero has none", () => {
  assert.deepEqual([1.591, -0.396, 0, -0.001, 0.001].map((value) => signed(value)), ["+1.59", "−0.40", "0.00", "0.00", "0.00"]);
  assert.deepEqual([12.34, -0.04].map((value) => signed(value, 1)), ["+12.3", "0.0"]);
});

test("short numbers have few digits", () => {
  assert.deepEqual([0.123, 1.5, 34.56, 340.4, 12000, -2].map((value) => short(value)), [
    "0.12", "1.50", "34.6", "340", "12,000", "−2.00",
  ]);
});

test("a value is clamped between two others", () => {
  assert.deepEqual([-1, 0.5, 2].map((value) => clamp(value, 0, 1)), [0, 0.5, 1]);
});

test("branches and blocks are in the network's order", () => {
  assert.deepEqual(BRANCHES, ["1x1", "3x3", "5x5", "pool"]);
  assert.deepEqual(BLOCKS, ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]);
});

test("the classes that rose and fell most are listed, the largest change first, without unchanged ones", () => {
  const before = [0.8, 0.1, 0.05, 0.05, 0];
  assert.deepEqual(numbers.movers(before, [0.2, 0.3, 0.4, 0.04, 0.06], 2), { rose: [2, 1], fell: [0, 3] });
  assert.deepEqual(numbers.movers(before, [0.8, 0.1, 0.0502, 0.0498, 0], 2), { rose: [], fell: [] });
});

test("a change in probability is shown in percentage points", () => {
  assert.deepEqual([0.612, -0.003, 0.0995, 0.00001].map(numbers.points), ["+61", "−0.3", "+10", "0.0"]);
});

test("the branch that contributes most is separated from those that contribute negatively", () => {
  const votes = { "1x1": 1, "3x3": 3.7, "5x5": -0.4, pool: -2 };
  assert.deepEqual(numbers.forAndAgainst(votes), { best: "3x3", against: ["pool", "5x5"] });
  assert.deepEqual(numbers.forAndAgainst({ "1x1": -1, "3x3": 0.001, "5x5": -0.001, pool: 0 }), { best: null, against: ["1x1"] });
});

test("only a whole number within the bounds is accepted", () => {
  const read = (text) => numbers.parseInteger(text, 0, 27);
  assert.deepEqual(["0", " 27 ", "28", "-1", "1.5", "", "x"].map(read), [0, 27, null, null, null, null, null]);
});

test("the number of decimals follows from the largest value", () => {
  assert.equal(decimalsFor([0.001234, -12.3]), 1);
  assert.equal(decimalsFor([0.0123]), 4);
  assert.equal(decimalsFor([1234]), 0);
  assert.equal(decimalsFor([0, 0]), 2);
  assert.equal(decimalsFor([1e-30]), 9);
  assert.equal(decimalsFor([]), 2);
  assert.equal(decimalsFor([NaN]), 2);
});

test("a minus is U+2212, and zero has none", () => {
  assert.equal(fixed(-1.25, 1), "−1.3");
  assert.equal(fixed(-0.004, 2), "0.00");
  assert.equal(term(-1.5, 1), "− 1.5");
  assert.equal(term(1.5, 1), "+ 1.5");
  assert.equal(term(-0.001, 1), "+ 0.0");
});

test("rounded parts add up to the rounded total, and none is off by more than a unit", () => {
  const random = randomNumbers(7);
  for (let round = 0; round < 200; round++) {
    const parts = Array.from({ length: 1 + Math.floor(random() * 8) }, () => 20 * random() - 10);
    const total = parts.reduce((sum, part) => sum + part, 0);
    const shown = roundToTotal(parts, total, 2);
    const sum = shown.reduce((before, part) => before + Math.round(part * 100), 0);
    assert.equal(sum, Math.round(total * 100));
    shown.forEach((part, i) => assert.ok(Math.abs(part - parts[i]) <= 0.0101));
  }
});

test("the remainder goes to the part where it adds the smallest error", () => {
  assert.deepEqual(roundToTotal([12.081, 1.6345, -0.464], 13.2515, 2), [12.08, 1.63, -0.46]);
  assert.deepEqual(roundToTotal([1.001, 2.0048, 3.0019], 6.0077, 2), [1, 2.01, 3]);
});

test("parts that do not add up to the total are only rounded", () => {
  assert.deepEqual(roundToTotal([1.234, 2], 9, 1), [1.2, 2]);
});

test("the observed one of two nearly equal numbers is shown", () => {
  assert.equal(snapToObserved(1.2349, 1.2351, 2), 1.2351);
  assert.equal(snapToObserved(1.2, 1.3, 2), 1.2);
});

test("large numbers are grouped, or shown in millions", () => {
  assert.equal(grouped(138357544), "138,357,544");
  assert.equal(millions(15470264320), "15,470.3");
  assert.equal(times(8.44), "8.4");
  assert.equal(times(12.6), "13");
});

test("diverging colours are red above zero, blue below, and transparent at zero", () => {
  assert.equal(diverging(0)[3], 0);
  assert.ok(diverging(1)[0] > diverging(1)[2]);
  assert.ok(diverging(-1)[0] < diverging(-1)[2]);
  assert.deepEqual(diverging(3), diverging(1));
  assert.ok(diverging(0.5)[3] < diverging(1)[3]);
  assert.ok(close(diverging(-0.5)[3], diverging(0.5)[3]));
});

test("displayed votes add up, and with the baseline make the logit", () => {
  const random = randomNumbers(11);
  for (let round = 0; round < 200; round++) {
    const subsets = { logits: Float32Array.from({ length: 16 }, () => 20 * random() - 10), classes: 1 };
    const votes = shapley(subsets, 0);
    const shown = shownVotes(votes);
    const hundredths = (value) => Math.round(100 * Number(value.toFixed(2)));
    const branches = BRANCHES.map((branch) => hundredths(shown[branch]));
    assert.equal(branches.reduce((sum, value) => sum + value, 0), hundredths(shown.sum));
    assert.equal(hundredths(shown.baseline) + hundredths(shown.sum), Math.round(100 * votes.logit));
    BRANCHES.forEach((branch) => assert.ok(Math.abs(shown[branch] - votes[branch]) <= 0.0101));
  }
});
