/* global Blob */

import assert from "node:assert/strict";
import { test } from "node:test";

import { catalogue, page } from "./support.js";

const { createSource } = await page("source.js");
const { useWords } = await page("words.js");

test("a file over the server's limit is rejected before it is sent", async (context) => {
  useWords("en", catalogue("en"));
  const requests = [];
  context.mock.method(globalThis, "fetch", async (address) => {
    requests.push(String(address));
    return { ok: true, json: async () => (requests.at(-1).endsWith("upload") ? ["/tmp/photo"] : { data: [{ max_bytes: 3 * 2 ** 20 }] }) };
  });
  const source = createSource(new URL("http://page/"));
  await assert.rejects(source.upload({ size: 3 * 2 ** 20 + 1 }), { message: catalogue("en")["photo.too_large"].replace("{limit}", "3") });
  assert.deepEqual(requests, ["http://page/gradio_api/run/stage_start"]);
  context.mock.method(URL, "createObjectURL", () => "blob:photo");
  assert.equal(await source.upload(new Blob(["small"])), "/tmp/photo");
  assert.equal(requests.at(-1), "http://page/gradio_api/upload");
});

test("a response without a readable body is reported as no answer", async (context) => {
  useWords("en", catalogue("en"));
  const unreadable = async () => {
    throw new SyntaxError("Unexpected token");
  };
  const start = async () => ({ data: [{ max_bytes: 100 }] });
  context.mock.method(globalThis, "fetch", async (address) => ({ ok: true, status: 200, json: String(address).endsWith("start") ? start : unreadable }));
  const source = createSource(new URL("http://page/"));
  const noAnswer = { message: catalogue("en")["notice.unreachable"] };
  await assert.rejects(source.census("b"), noAnswer);
  await assert.rejects(source.upload(new Blob(["photo"])), noAnswer);
  assert.equal((await source.first()).max_bytes, 100, "without the prepared file, each response is requested");
});

test("the worth of a block is requested by itself until that of all blocks is known", async (context) => {
  const requests = [];
  context.mock.method(globalThis, "fetch", async (_, { body }) => {
    const [, classes, block] = JSON.parse(body).data;
    requests.push([classes, block]);
    const blockWorth = { [block]: { dtype: "f4", shape: [1], data: "AACAPw==" } };
    return { ok: true, json: async () => ({ data: [{ worth: Object.fromEntries(classes.map((cls) => [cls, blockWorth])) }] }) };
  });
  const source = createSource(new URL("http://page/"));
  const subject = { photo: "a", model: "b", crop: null };
  assert.deepEqual([...(await source.worth(subject, 7, "4c"))["4c"]], [1]);
  await source.prefetchWorth(subject, [7, 8]);
  assert.deepEqual(Object.keys(await source.worth(subject, 7, "5a")), ["3a"], "all blocks, from the first on");
  await source.worth(subject, 8, "4c");
  assert.deepEqual(requests, [[[7], "4c"], [[7, 8], "3a"]]);
});

test("a request for the most probable class is reused for its number", async (context) => {
  const requests = [];
  context.mock.method(globalThis, "fetch", async (_, { body }) => {
    const [, classes, block] = JSON.parse(body).data;
    requests.push(classes);
    const blockWorth = { [block]: { dtype: "f4", shape: [1], data: "AACAPw==" } };
    return { ok: true, json: async () => ({ data: [{ worth: Object.fromEntries((classes.length ? classes : [7]).map((cls) => [cls, blockWorth])) }] }) };
  });
  const source = createSource(new URL("http://page/"));
  const subject = { photo: "a", model: "b", crop: null };
  const mostProbable = source.worth(subject, null, "4c");
  assert.deepEqual([...(await source.worth(subject, 7, "4c"))["4c"]], [1]);
  assert.deepEqual([...(await mostProbable)["4c"]], [1]);
  assert.deepEqual([...(await source.worth(subject, 8, "4c"))["4c"]], [1]);
  assert.deepEqual(requests, [[], [8]]);
});

test("only the latest responses are cached", async (context) => {
  let requestCount = 0;
  context.mock.method(globalThis, "fetch", async (_, { body }) => {
    requestCount += 1;
    const [, classes] = JSON.parse(body).data;
    const response = Array.isArray(classes) ? { worth: Object.fromEntries(classes.map((cls) => [cls, {}])) } : {};
    return { ok: true, json: async () => ({ data: [response] }) };
  });
  const source = createSource(new URL("http://page/"));
  const subject = (photo) => ({ photo, model: "b", crop: null });
  await source.field(subject("first"), "4c");
  for (let i = 0; i < 16; i++) await source.prefetchWorth(subject(`${i}`), [0, 1, 2, 3]); // five responses each
  requestCount = 0;
  await source.field(subject("first"), "4c");
  assert.equal(requestCount, 1, "the first was evicted");
  await source.prefetchWorth(subject("15"), [0, 1, 2, 3]);
  assert.equal(requestCount, 1, "the last was not");
});

test("the object URL of a replaced photo is revoked", async (context) => {
  const revoked = [];
  context.mock.method(URL, "createObjectURL", () => `blob:${revoked.length}-${Math.random()}`);
  context.mock.method(URL, "revokeObjectURL", (address) => revoked.push(address));
  context.mock.method(globalThis, "fetch", async (address) => ({
    ok: true,
    json: async () => (String(address).endsWith("upload") ? ["/tmp/photo"] : { data: [{ max_bytes: 100 }] }),
  }));
  const source = createSource(new URL("http://page/"));
  await source.upload(new Blob(["photo"]));
  const first = source.photoUrl("/tmp/photo");
  await source.upload(new Blob(["photo"]));
  assert.deepEqual(revoked, [first]);
});

test("a branch that is zero at its middle cell has no effective receptive field", async (context) => {
  const square = { row: 5, column: 5, share: 0.9, left: 40, top: 40, right: 80, bottom: 80 };
  const fields = { "1x1": square, pool: { ...square, left: 0, top: 0, right: 0, bottom: 0 } };
  context.mock.method(globalThis, "fetch", async () => ({ ok: true, json: async () => ({ data: [fields] }) }));
  const source = createSource(new URL("http://page/"));
  assert.deepEqual(await source.field({ photo: "a", model: "b", crop: null }, "4c"), { "1x1": square });
});
