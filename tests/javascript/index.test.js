/** The page's own HTML. */

import assert from "node:assert/strict";
import { posix } from "node:path";
import { test } from "node:test";

import { index, sources } from "./support.js";

/** All modules that some need, directly or not, by their paths in js/. */
function needed(...names) {
  const modules = sources();
  const found = new Set(names);
  for (const name of found) {
    for (const [, path] of modules[name].matchAll(/^import [^;]*?from "(\.[^"]+)"/gm)) {
      found.add(posix.join(posix.dirname(name), path));
    }
  }
  return found;
}

/** The modules of the header, the lens and so on, which main.js loads at once but does not wait for. */
function surroundings() {
  const [, list] = sources()["main.js"].match(/loadSurroundings = \(\) =>\s+Promise.all\(\[(.*?)\]\)/s);
  return [...list.matchAll(/import\("\.\/([^"]+)"\)/g)].map(([, path]) => path);
}

/** The modules that the page names so that they are fetched before main.js asks for them. */
function preloaded(end) {
  return [...index().matchAll(/rel="modulepreload" href="stage\/static\/js\/([^"]+)"([^>]*)>/g)].filter(([, , rest]) => rest === end).map(([, path]) => path);
}

test("the modules that draw the first photo, and no others, are fetched first", () => {
  assert.deepEqual(preloaded("").toSorted(), [...needed("main.js")].toSorted());
});

test("those of the surroundings follow, and need no others", () => {
  const later = surroundings();
  assert.deepEqual(preloaded(' fetchpriority="low"').toSorted(), later.toSorted());
  assert.deepEqual(needed("main.js", ...later), new Set([...needed("main.js"), ...later]));
});

test("what draws the first photo takes a browser three rounds of six requests at most", () => {
  const others = [...index().matchAll(/rel="preload"/g)].length; // first.json and the words
  assert.ok(preloaded("").length + others <= 17, "one round less: first.json takes two");
});

test("what is rarely wanted is no part of a first visit", () => {
  const at = needed("main.js", ...surroundings());
  for (const name of ["views/lesson.js", "views/camera.js", "views/lab.js", "views/evidence.js", "views/dial.js", "views/compare.js"]) {
    assert.ok(sources()[name], `there is no ${name}`);
    assert.ok(!at.has(name), name);
  }
});
