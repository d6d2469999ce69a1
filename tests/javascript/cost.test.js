import assert from "node:assert/strict";
import { test } from "node:test";

import { page } from "./support.js";

const { blockCosts, bottleneck, breakEven, convolution, googlenet, googlenetCounts, googlenetPath, vgg16 } = await page("cost.js");
const { BLOCKS } = await page("numbers.js");

/** GoogLeNet's blocks: channels of the input, 1x1, 3x3 reduction, 3x3, 5x5 reduction, 5x5 and pool, and the side. */
const TABLE = {
  "3a": [192, 64, 96, 128, 16, 32, 32, 28],
  "3b": [256, 128, 128, 192, 32, 96, 64, 28],
  "4a": [480, 192, 96, 208, 16, 48, 64, 14],
  "4b": [512, 160, 112, 224, 24, 64, 64, 14],
  "4c": [512, 128, 128, 256, 24, 64, 64, 14],
  "4d": [512, 112, 144, 288, 32, 64, 64, 14],
  "4e": [528, 256, 160, 320, 32, 128, 128, 14],
  "5a": [832, 256, 160, 320, 32, 128, 128, 7],
  "5b": [832, 384, 192, 384, 48, 128, 128, 7],
};

function network(kernel5 = 5) {
  const layer = (name, kernel, from, to) => ({ name, kernel, in: from, out: to, parameters: kernel * kernel * from * to + to, macs: 0 });
  const blocks = BLOCKS.map((name) => {
    const [from, channels1, reduced3, channels3, reduced5, channels5, pool, side] = TABLE[name];
    const branches = {
      "1x1": { channels: channels1, layers: [layer("1x1", 1, from, channels1)] },
      "3x3": { channels: channels3, layers: [layer("3x3_reduce", 1, from, reduced3), layer("3x3", 3, reduced3, channels3)] },
      "5x5": { channels: channels5, layers: [layer("5x5_reduce", 1, from, reduced5), layer("5x5", kernel5, reduced5, channels5)] },
      pool: { channels: pool, layers: [{ name: "pool", kernel: 3, in: from, out: from, parameters: 0, macs: 0 }, layer("pool_proj", 1, from, pool)] },
    };
    return [name, { in_channels: from, channels: channels1 + channels3 + channels5 + pool, side, branches }];
  });
  return { blocks: Object.fromEntries(blocks) };
}

test("a convolution has a weight for each position, input channel and output channel", () => {
  assert.deepEqual(convolution(128, 256, 5, 784), { weights: 25 * 128 * 256, multiplications: 25 * 128 * 256 * 784 });
});

test("the worked example: 5x5 from 128 to 256 channels through 32", () => {
  const cost = bottleneck(128, 32, 256, 5, 784);
  assert.equal(cost.direct.weights, 819_200);
  assert.equal(cost.reduced.weights, 4_096 + 204_800);
  assert.equal(cost.saving, cost.direct.multiplications / cost.reduced.multiplications);
});

test("a reduction saves up to the limit, and not beyond", () => {
  for (const [from, to, kernel] of [[128, 256, 5], [512, 64, 3], [7, 5, 3], [64, 64, 1], [1, 1, 1]]) {
    const limit = breakEven(from, to, kernel);
    if (limit) assert.ok(bottleneck(from, limit, to, kernel).saving > 1);
    assert.ok(bottleneck(from, limit + 1, to, kernel).saving <= 1);
  }
});

test("VGG-16 has as many parameters and multiplications as published", () => {
  const size = vgg16();
  assert.equal(size.parameters, 138_357_544);
  assert.equal(size.multiplications, 15_470_264_320);
  assert.equal(size.convolutions + size.linears, 16);
  assert.equal(size.parameters - size.linear, 14_714_688);
  assert.equal(vgg16(112).parameters, size.parameters);
});

test("GoogLeNet of 2014 has 22 layers and 7 million parameters", () => {
  const size = googlenet();
  assert.equal(size.parameters, 6_998_552);
  assert.equal(size.multiplications, 1_582_671_872);
  assert.equal(size.convolutions, 57);
  const { layers, withPools } = googlenetPath();
  assert.equal(layers.length, 22);
  assert.equal(withPools, 27);
});

test("the methods of counting GoogLeNet's parameters give the numbers of network/cost.py", () => {
  const counts = googlenetCounts();
  const millions = Object.fromEntries(Object.entries(counts).map(([method, count]) => [method, (count / 1e6).toFixed(2)]));
  assert.deepEqual(millions, { auxiliary: "13.38", answer: "7.00", weights: "6.99", convolutions: "5.97", convolutionWeights: "5.97" });
});

test("the reduced blocks are cheaper than the naive ones, and channels grow without reductions", () => {
  const rows = blockCosts(network());
  assert.deepEqual(rows.map((row) => row.block), BLOCKS);
  const first = rows[0];
  assert.equal(first.naive.weights, 192 * (64 + 9 * 128 + 25 * 32));
  assert.equal(first.reduced.weights, 192 * (64 + 96 + 16 + 32) + 9 * 96 * 128 + 25 * 16 * 32);
  assert.equal(first.reduced.multiplications, first.reduced.weights * 784);
  assert.equal(first.naiveChannels, 64 + 128 + 32 + 192);
  assert.equal(first.stackedChannels, first.naiveChannels);
  assert.ok(rows.every((row) => row.saving > 1 && Number.isInteger(row.stackedWeights)));
  for (let i = 1; i < rows.length; i++) {
    const own = rows[i].reducedChannels - TABLE[rows[i].block][6];
    assert.equal(rows[i].stackedChannels, rows[i - 1].stackedChannels + own);
  }
});

test("a 5x5 branch that runs a 3x3 kernel costs what a 3x3 costs", () => {
  const [real, small] = [blockCosts(network()), blockCosts(network(3))];
  assert.equal(real[0].naive.weights - small[0].naive.weights, (25 - 9) * 192 * 32);
});
