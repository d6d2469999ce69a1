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
