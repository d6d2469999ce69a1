import assert from "node:assert/strict";
import { test } from "node:test";

import { catalogue, page } from "./support.js";

const { useWords } = await page("words.js");
const { pathSummary } = await page("views/unit_image.js");

const path = (...natural) => ({ blocks: natural.map((isNatural, i) => ({ block: ["3a", "3b", "4a"][i], natural: isNatural })), photos: 8, silent: false });

test("no claim is made about blocks for which the photos are inconclusive", () => {
  useWords("en", catalogue("en"));
  assert.equal(pathSummary(path(true, true), "excites"), "Up to block 3b the network processes this image much as it does photos.");
  assert.equal(pathSummary(path(true, true, null), "excites"), "In 3a and 3b the network processes this image much as it does photos.");
  assert.match(pathSummary(path(false, false), "excites"), /^Up to block 3b the network processes this image differently from all 8 /);
  assert.match(pathSummary(path(null, false), "excites"), /^In 3b the network processes this image differently from all 8 .* one photo in 9 /);
  assert.match(pathSummary(path(null, null), "excites"), /^Up to block 3b the example photos differ too much/);
  useWords("zh", catalogue("zh"));
  assert.equal(pathSummary(path(true, null), "excites"), "在 3a 中，网络处理这张图像的方式与处理照片相近。");
});
