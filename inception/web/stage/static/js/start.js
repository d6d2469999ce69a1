/** The stage: state from the address, views, first photo. */

import { createController } from "./controller.js";
import { h, loadStyle, replace } from "./dom.js";
import { addressOf, createStore, INITIAL, stateOf } from "./state.js";
import { createSource } from "./source.js";
import { addKeys } from "./keys.js";
import { preferredLanguage, sentenceOf, t } from "./words.js";
import { createAnswer } from "./views/answer.js";
import { createBlock } from "./views/block.js";
import { createDeeper } from "./views/deeper.js";
import { createHeader } from "./views/header.js";
import { createLens } from "./views/lens.js";
import { createNetwork } from "./views/network.js";
import { createNotice } from "./views/notice.js";
import { createPhoto } from "./views/photo.js";

/** @import {Data, Language, State} from "./types.js" */

/** Milliseconds between two changes of the address: Chromium ignores more than 200 in 30 seconds. */
const ADDRESS_PAUSE = 250;

/** The root of the Gradio app, where the page lies. */
const ROOT = new URL("./", document.baseURI);

/** @param {string} id */
const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const photoFrame = () => /** @type {HTMLElement} */ (document.querySelector(".photo-frame"));

/** When the visitor moves, touches or presses something for the first time. */
function firstTouch() {
  const kinds = ["pointermove", "pointerdown", "keydown"];
  return new Promise((done) => kinds.forEach((kind) => addEventListener(kind, done, { once: true })));
}

/**
 * @param {Language} lang
 * @param {Promise<void>} words  when its words are there
 */
export async function start(lang, words) {
  const wish = stateOf(location.search);
  const source = createSource(ROOT);
  const asked = source.first();
  asked.catch(() => undefined); // said below
  await words;
  const store = createStore({ ...wish, lang });
  const controller = createController(store, source, firstTouch());

  createNotice(part("notice"), store);
  createHeader(part("header"), store, source);
  createPhoto(part("photo"), store, source, controller);
  createNetwork(part("network"), store, controller);
  createAnswer(part("answer"), store);
  createBlock(part("block"), store, source);
  createLens(part("block"), store, source);
  createDeeper(part("deeper"), store, source);
  createWhenWanted(store, "lesson", (state) => state.step > 0, async () => (await import("./views/lesson.js")).createLesson(part("lesson"), store, source));
  createWhenWanted(store, "lab", (state, data) => state.lab !== null && data.channels !== null, async () => (await import("./views/lab.js")).createLab(part("lab"), photoFrame(), store, source));
  addKeys(store);
  followAddress(store);
  followLanguage(store);

  try {
    const told = await asked;
    store.receive({ start: told });
    const { photo, model } = store.get();
    const names = told.models.map((one) => one.name);
    const stems = told.examples.map((one) => `example:${one.stem}`);
    store.update(
      {
        model: names.includes(model) ? model : told.first,
        photo: stems.includes(photo) ? photo : told.photo,
      },
      { silent: true },
    );
    // What the address named is complete only now: the views and the controller see all of it.
    await controller.refresh();
    (await import("./intro.js")).playIntro(store);
  } catch (error) {
    store.receive({ error: sentenceOf(error) });
  }
}

/**
 * Load a view that most visits are without, and its style, when it is wanted for the first time.
 * @param {import("./state.js").Store} store
 * @param {string} style
 * @param {(state: Readonly<State>, data: Readonly<Data>) => boolean} isWanted
 * @param {() => Promise<void>} create
 */
function createWhenWanted(store, style, isWanted, create) {
  let isLoaded = false;
  const look = () => {
    if (isLoaded || !isWanted(store.get(), store.data())) return;
    isLoaded = true;
    loadStyle(style)
      .then(create)
      .catch(() => {
        store.receive({ error: t("notice.unreachable") });
        isLoaded = false; // with the next change it is tried again
      });
  };
  store.subscribe(look);
  look();
}

/** @param {import("./state.js").Store} store */
function followAddress(store) {
  const address = (/** @type {Readonly<State>} */ state) => `?${addressOf(state, preferredLanguage())}`;
  let written = -ADDRESS_PAUSE;
  /** @type {string | null} */
  let pending = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let later;
  let seen = store.get();
  store.subscribe((state) => (seen = state));
  const write = () => {
    clearTimeout(later);
    if (pending === null) return;
    history.replaceState(null, "", pending);
    pending = null;
    written = performance.now();
  };
  store.onAddress((state, push) => {
    const now = address(state);
    if (push) {
      pending ??= address(seen); // a first visit has written nothing yet
      write();
      history.pushState(null, "", now);
      return;
    }
    pending = now;
    clearTimeout(later);
    const wait = written + ADDRESS_PAUSE - performance.now();
    if (wait > 0) later = setTimeout(write, wait);
    else write();
  });
  addEventListener("pagehide", write);
  addEventListener("popstate", () => {
    pending = null;
    const { photo, model, lang } = store.get();
    // A language is not a step of the history: the page stays in the one that was chosen last.
    store.update({ ...INITIAL, photo, model, ...stateOf(location.search), lang }, { silent: true });
    history.replaceState(null, "", address(store.get()));
  });
}

/** @param {import("./state.js").Store} store */
function followLanguage(store) {
  const name = () => {
    part("skip").textContent = t("skip.block");
    replace(part("footer"), h("p", { class: "quiet" }, t("keys.help")), h("a", { href: "?view=api" }, t("header.api")));
  };
  name();
  store.subscribe((_, __, changed) => changed.has("lang") && name());
}
