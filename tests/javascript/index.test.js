/** The page's own HTML. */

import assert from "node:assert/strict";
import { posix } from "node:path";
import { test } from "node:test";

import { index, sources } from "./support.js";

/** All modules that main.js needs at once, directly or not, by their paths in js/. */
function needed() {
  const modules = sources();
  const found = new Set(["main.js"]);
  for (const name of found) {
    for (const [, path] of modules[name].matchAll(/^(?:import [^;]*?from |const .* = await import\()"(\.[^"]+)"/gm)) {
      found.add(posix.join(posix.dirname(name), path));
    }
  }
  return found;
}

test("the modules of a first visit, and no others, are fetched before main.js asks for them", () => {
  const preloaded = [...index().matchAll(/rel="modulepreload" href="stage\/static\/js\/([^"]+)"/g)].map(([, path]) => path);
  assert.deepEqual(preloaded.toSorted(), [...needed()].toSorted());
});

test("what is rarely wanted is no part of a first visit", () => {
  const at = needed();
  for (const name of ["views/lesson.js", "views/camera.js", "views/lab.js", "views/evidence.js", "views/dial.js", "views/compare.js"]) {
    assert.ok(sources()[name], `there is no ${name}`);
    assert.ok(!at.has(name), name);
  }
});
