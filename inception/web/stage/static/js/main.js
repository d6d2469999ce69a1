/** Starts the page: state from the address, the parts of the stage, first photo; then everything around them. */

import { createController } from "./controller.js";
import { h, loadStyle, replace } from "./dom.js";
import { createSource } from "./source.js";
import { addressOf, createStore, INITIAL, keptWith, stateOf } from "./state.js";
import { loadWords, preferredLanguage, sentenceOf, t } from "./words.js";
import { createAnswer } from "./views/answer.js";
import { createBlock } from "./views/block.js";
import { createNetwork } from "./views/network.js";
import { createPhoto } from "./views/photo.js";

/** @import {Data, State} from "./types.js" */

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

/** What the stage can be drawn without; its modules come after those that draw the first photo. */
const loadSurroundings = () =>
  Promise.all([import("./views/header.js"), import("./views/lens.js"), import("./views/all_channels.js"), import("./views/deeper.js"), import("./keys.js")]);

async function start() {
  const wish = stateOf(location.search);
  const lang = wish.lang ?? preferredLanguage();
  const words = loadWords(lang);
  const source = createSource(ROOT);
  const asked = source.first();
  asked.catch(() => undefined); // said below
  const surroundings = loadSurroundings();
  surroundings.catch(() => undefined); // said below
  await words;
  const store = createStore({ ...wish, lang });
  const controller = createController(store, source, firstTouch());

  createNotice(part("notice"), store);
  createPhoto(part("photo"), store, source, controller);
  createNetwork(part("network"), store, controller);
  createAnswer(part("answer"), store);
  createBlock(part("block"), store, source);
  followAddress(store);
  followLanguage(store);
  surroundings.then(
    ([{ createHeader }, { createLens }, { createAllChannels }, { createDeeper }, { addKeys }]) => {
      createHeader(part("header"), store);
      createLens(part("block"), store, source);
      createAllChannels(part("block"), store, source);
      createDeeper(part("deeper"), store, source);
      createWhenWanted(store, "lesson", (state) => state.step > 0, async () => (await import("./views/lesson.js")).createLesson(part("lesson"), store, source));
      createWhenWanted(store, "lab", (state, data) => state.lab !== null && data.channels !== null, async () => (await import("./views/lab.js")).createLab(part("lab"), photoFrame(), store, source, controller));
      addKeys(store);
    },
    () => store.receive({ error: t("notice.unreachable") }),
  );

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
  /** The state whose address is still to be written. @type {Readonly<State> | null} */
  let pending = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let later;
  let seen = store.get();
  store.subscribe((state) => (seen = state));
  let isPushed = false; // whether the newest change was a step of the history
  let isSpare = false; // whether that step was taken back: it shows what the one before it shows, and the next one replaces it
  const write = () => {
    clearTimeout(later);
    if (pending === null) return;
    history.replaceState(keptWith(pending), "", address(pending));
    pending = null;
    written = performance.now();
  };
  store.onAddress((state, push, undo) => {
    const takesSpare = push && isSpare;
    isSpare = undo && isPushed;
    isPushed = push;
    if (takesSpare) {
      pending = state;
      write();
      return;
    }
    if (push) {
      pending ??= seen; // a first visit has written nothing yet
      write();
      history.pushState(keptWith(state), "", address(state));
      return;
    }
    pending = state;
    clearTimeout(later);
    const wait = written + ADDRESS_PAUSE - performance.now();
    if (wait > 0) later = setTimeout(write, wait);
    else write();
  });
  addEventListener("pagehide", write);
  addEventListener("popstate", ({ state }) => {
    pending = null;
    isPushed = isSpare = false;
    const { photo, model, lang } = store.get();
    // A language is not a step of the history: the page stays in the one that was chosen last.
    store.update({ ...INITIAL, photo: state?.photo ?? photo, model, ...stateOf(location.search), lang }, { silent: true });
    history.replaceState(keptWith(store.get()), "", address(store.get()));
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

/**
 * One sentence about what went wrong, while what was on the stage stays; and the page's own classes.
 * @param {HTMLElement} root
 * @param {import("./state.js").Store} store
 */
function createNotice(root, store) {
  /** The device whose memory was full, until the visitor has closed the sentence about it. @type {string | null} */
  let full = null;
  let isTold = false;

  function draw() {
    const text = store.data().error ?? (full ? t("notice.memory", { device: full }) : null);
    root.hidden = !text;
    root.classList.toggle("calm", !store.data().error);
    replace(root, h("span", {}, text), h("button", { class: "plain", "aria-label": t("notice.close"), onclick: close }, "✕"));
  }

  function close() {
    if (!store.data().error) full = null;
    store.receive({ error: null });
    draw();
  }

  document.body.classList.toggle("in-lesson", store.get().step > 0);
  store.subscribe((state, data, changed) => {
    if (changed.has("step")) document.body.classList.toggle("in-lesson", state.step > 0);
    if (changed.has("busy")) document.body.classList.toggle("busy", data.busy);
    if (data.base?.full && !isTold) {
      isTold = true;
      full = data.base.full;
      draw();
    }
    if (changed.has("error")) draw();
  });
}

void start();
