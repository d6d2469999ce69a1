/* global Blob */

import assert from "node:assert/strict";
import { test } from "node:test";

import { catalogue, page } from "./support.js";

const { createSource } = await page("source.js");
const { useWords } = await page("words.js");

test("a file over the server's limit is refused before it is sent", async (context) => {
  useWords("en", catalogue("en"));
  const asked = [];
  context.mock.method(globalThis, "fetch", async (address) => {
    asked.push(String(address));
    return { ok: true, json: async () => (asked.at(-1).endsWith("upload") ? ["/tmp/photo"] : { data: [{ max_bytes: 3 * 2 ** 20 }] }) };
  });
  const source = createSource(new URL("http://page/"));
  await assert.rejects(source.upload({ size: 3 * 2 ** 20 + 1 }), { message: catalogue("en")["photo.too_large"].replace("{limit}", "3") });
  assert.deepEqual(asked, ["http://page/gradio_api/run/stage_start"]);
  context.mock.method(URL, "createObjectURL", () => "blob:photo");
  assert.equal(await source.upload(new Blob(["small"])), "/tmp/photo");
  assert.equal(asked.at(-1), "http://page/gradio_api/upload");
});

test("the worth of a block is asked for by itself until that of all blocks is known", async (context) => {
  const asked = [];
  context.mock.method(globalThis, "fetch", async (_, { body }) => {
    const [, classes, block] = JSON.parse(body).data;
    asked.push([classes, block]);
    const one = { [block]: { dtype: "f4", shape: [1], data: "AACAPw==" } };
    return { ok: true, json: async () => ({ data: [{ worth: Object.fromEntries(classes.map((cls) => [cls, one])) }] }) };
  });
  const source = createSource(new URL("http://page/"));
  const subject = { photo: "a", model: "b", crop: null, digest: null };
  assert.deepEqual([...(await source.worth(subject, 7, "4c"))["4c"]], [1]);
  await source.prefetchWorth(subject, [7, 8]);
  assert.deepEqual(Object.keys(await source.worth(subject, 7, "5a")), ["3a"], "all blocks, from the first on");
  await source.worth(subject, 8, "4c");
  assert.deepEqual(asked, [[[7], "4c"], [[7, 8], "3a"]]);
});
