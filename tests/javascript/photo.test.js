import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";

import { page } from "./support.js";

const { openFile } = await page("views/photo.js");
const { FRAME, createStore } = await page("state.js");

/** Return a store, a function that opens a file, and `ends`, which ends the upload of a file by its name. */
function stage() {
  const store = createStore({ photo: "example:bison" });
  const ends = {};
  const source = { upload: (_, name) => new Promise((done, fail) => (ends[name] = { done: () => done(`/files/${name}`), fail: () => fail(new Error("Too large.")) })) };
  const open = (name) => void openFile(store, source, { name });
  return { store, ends, open };
}

test("the file that was chosen last is shown, whichever upload ends last", async () => {
  const { store, ends, open } = stage();
  open("first.jpg");
  open("second.jpg");
  ends["second.jpg"].done();
  await wait();
  ends["first.jpg"].done();
  await wait();
  assert.equal(store.get().photo, "/files/second.jpg");
});

test("an upload that ends after an example was chosen changes nothing", async () => {
  for (const end of ["done", "fail"]) {
    const { store, ends, open } = stage();
    open("cat.jpg");
    store.update({ photo: "example:macaw" });
    ends["cat.jpg"][end]();
    await wait();
    assert.equal(store.get().photo, "example:macaw");
    assert.equal(store.data().error, null);
  }
});

test("a file that is chosen while the camera runs replaces its frames", async () => {
  const { store, ends, open } = stage();
  open("cat.jpg");
  store.update({ photo: `/files/${FRAME}` });
  ends["cat.jpg"].done();
  await wait();
  assert.equal(store.get().photo, "/files/cat.jpg");
});

test("a file that is already on the stage does not leave the page busy", async () => {
  const { store, ends, open } = stage();
  open("cat.jpg");
  ends["cat.jpg"].done();
  await wait();
  assert.equal(store.data().busy, true, "until the controller has loaded it");
  store.receive({ busy: false });
  open("cat.jpg");
  ends["cat.jpg"].done();
  await wait();
  assert.equal(store.data().busy, false);
});
