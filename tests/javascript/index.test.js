/** The page's HTML. */

import assert from "node:assert/strict";
import { posix } from "node:path";
import { test } from "node:test";

import { index, sources } from "./support.js";

/** Return these modules and all that they import, directly or not, by their paths in js/. */
function withImports(...names) {
  const modules = sources();
  const paths = new Set(names);
  for (const name of paths) {
    for (const [, path] of modules[name].matchAll(/^import [^;]*?from "(\.[^"]+)"/gm)) {
      paths.add(posix.join(posix.dirname(name), path));
    }
  }
  return paths;
}

/** Return the modules of the header, the lens and so on, which main.js loads at once but does not await. */
function loadedLater() {
  const [, list] = sources()["main.js"].match(/loadSurroundings = \(\) =>\s+Promise.all\(\[(.*?)\]\)/s);
  return [...list.matchAll(/import\("\.\/([^"]+)"\)/g)].map(([, path]) => path);
}

/** Return the modules that the page preloads with these attributes. */
function preloaded(attributes) {
  const tags = [...index().matchAll(/rel="modulepreload" href="stage\/static\/js\/([^"]+)"([^>]*)>/g)];
  return tags.filter(([, , rest]) => rest === attributes).map(([, path]) => path);
}

test("the modules that draw the first photo, and no others, are preloaded", () => {
  assert.deepEqual(preloaded("").toSorted(), [...withImports("main.js")].toSorted());
});

test("modules that are loaded later are preloaded with low priority, and import no others", () => {
  const later = loadedLater();
  assert.deepEqual(preloaded(' fetchpriority="low"').toSorted(), later.toSorted());
  assert.deepEqual(withImports("main.js", ...later), new Set([...withImports("main.js"), ...later]));
});

test("the first photo is drawn after at most three rounds of six requests", () => {
  const others = [...index().matchAll(/rel="preload"/g)].length; // first.json and the words
  assert.ok(preloaded("").length + others <= 17, "one request less, as first.json takes two rounds");
});

test("rarely used modules are not loaded on a first visit", () => {
  const loaded = withImports("main.js", ...loadedLater());
  for (const name of ["views/lesson.js", "views/camera.js", "views/lab.js", "views/evidence.js", "views/dial.js", "views/compare.js"]) {
    assert.ok(sources()[name], `there is no ${name}`);
    assert.ok(!loaded.has(name), name);
  }
});
