/** Entry point: takes the state from the address, creates the stage, loads the first photo, then the other views. */

import { createController } from "./controller.js";
import { h, loadStyle, replace } from "./dom.js";
import { createSource } from "./source.js";
import { addressOf, createStore, historyState, INITIAL, stateOf } from "./state.js";
import { language, loadWords, preferredLanguage, sentenceOf, t } from "./words.js";
import { createAnswer } from "./views/answer.js";
import { createBlock } from "./views/block.js";
import { createNetwork } from "./views/network.js";
import { createPhoto } from "./views/photo.js";

/** @import {Data, Start, State} from "./types.js" */

/** Minimum time between two changes of the address: Chromium ignores more than 200 in 30 seconds. */
const ADDRESS_INTERVAL_MS = 250;

/** What the page says without any words. */
const NO_WORDS = { en: "The words of this page could not be loaded. Please reload it.", "zh-CN": "页面的文字未能加载，请刷新页面。" };

/** Root of the Gradio app. */
const ROOT = new URL("./", document.baseURI);

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const photoFrame = () => /** @type {HTMLElement} */ (document.querySelector(".photo-frame"));

/** Return a promise that resolves at the visitor's first pointer or key event. */
function firstInteraction() {
  const types = ["pointermove", "pointerdown", "keydown"];
  return new Promise((resolve) => types.forEach((type) => addEventListener(type, resolve, { once: true })));
}

/** Import the views that are not needed to draw the first photo. */
const loadSurroundings = () =>
  Promise.all([import("./views/header.js"), import("./views/lens.js"), import("./views/all_channels.js"), import("./views/deeper.js"), import("./keys.js")]);

async function start() {
  const addressState = stateOf(location.search);
  const lang = addressState.lang ?? preferredLanguage();
  const words = loadWords(lang).catch(() => loadWords(lang === "zh" ? "en" : "zh"));
  const source = createSource(ROOT);
  const startRequest = source.first();
  startRequest.catch(() => undefined); // reported below
  const surroundings = loadSurroundings();
  surroundings.catch(() => undefined); // reported below
  try {
    await words;
  } catch {
    replace(element("notice"), Object.entries(NO_WORDS).map(([code, sentence]) => h("span", { lang: code }, sentence)));
    element("notice").hidden = false;
    return;
  }
  const store = createStore({ ...addressState, lang: language() });
  const controller = createController(store, source, firstInteraction());

  createNotice(element("notice"), store);
  createPhoto(element("photo"), store, source, controller);
  createNetwork(element("network"), store, controller);
  createAnswer(element("answer"), store);
  createBlock(element("block"), store, source);
  syncAddress(store);
  translateFrame(store);
  surroundings.then(
    ([{ createHeader }, { createLens }, { createAllChannels }, { createDeeper }, { addKeys }]) => {
      createHeader(element("header"), store);
      createLens(element("block"), store, source);
      createAllChannels(element("block"), store, source);
      createDeeper(element("deeper"), store, source);
      createWhenWanted(store, "lesson", (state) => state.step > 0, async () => (await import("./views/lesson.js")).createLesson(element("lesson"), store, source));
      createWhenWanted(store, "lab", (state, data) => state.lab !== null && data.channels !== null, async () => (await import("./views/lab.js")).createLab(element("lab"), photoFrame(), store, source, controller));
      addKeys(store);
    },
    () => store.receive({ error: t("notice.unreachable") }),
  );

  try {
    const initial = await startRequest;
    store.receive({ start: initial });
    const { photo, model } = store.get();
    const models = initial.models.map((entry) => entry.name);
    const examples = initial.examples.map((entry) => `example:${entry.stem}`);
    store.update(
      {
        model: models.includes(model) ? model : initial.first,
        photo: examples.includes(photo) ? photo : "",
      },
      { silent: true },
    );
    if (!store.get().photo) {
      const patch = await otherPhoto(initial, store.get(), source);
      // The visitor may have chosen a photo meanwhile.
      if (!store.get().photo) store.update(patch, { silent: true });
    }
    // Not earlier: only now does the state have a valid photo and network.
    await controller.refresh();
    (await import("./intro.js")).playIntro(store);
  } catch (error) {
    store.receive({ error: sentenceOf(error) });
  }
}

/**
 * Return the patch for an address without an example photo: with the visitor's own photo, if this is a reload and the server
 * still has it, or else with the first example, without what the address says about another photo.
 * @param {Start} start
 * @param {Readonly<State>} state
 * @param {import("./source.js").Source} source
 * @returns {Promise<Partial<State>>}
 */
async function otherPhoto(start, { model, crop, lab, deeper, lens }, source) {
  if (lab) return { photo: start.photo }; // until the stimulus has been uploaded
  const ownPhoto = history.state?.photo;
  const isStored = ownPhoto && (await source.scene({ photo: ownPhoto, model, crop }, {}).then(() => true, () => false));
  if (isStored) return { photo: ownPhoto };
  return { photo: start.photo, crop: null, cls: null, lens: deeper === "unit" ? lens : null };
}

/**
 * Load a view that most visits do not need, and its style sheet, when it is first needed.
 * @param {import("./state.js").Store} store
 * @param {string} style
 * @param {(state: Readonly<State>, data: Readonly<Data>) => boolean} isWanted
 * @param {() => Promise<void>} create
 */
function createWhenWanted(store, style, isWanted, create) {
  let isLoaded = false;
  const check = () => {
    if (isLoaded || !isWanted(store.get(), store.data())) return;
    isLoaded = true;
    loadStyle(style)
      .then(create)
      .catch(() => {
        store.receive({ error: t("notice.unreachable") });
        isLoaded = false; // retried at the next change
      });
  };
  store.subscribe(check);
  check();
}

/** Keep address and browser history in step with the state. @param {import("./state.js").Store} store */
function syncAddress(store) {
  // A language that was chosen, by the address or its button, is shared with the link; the browser's own is not.
  let isLanguageChosen = "lang" in stateOf(location.search);
  store.subscribe((_, __, changed) => (isLanguageChosen ||= changed.has("lang")));
  const address = (/** @type {Readonly<State>} */ state) => `?${addressOf(state, isLanguageChosen ? null : preferredLanguage())}`;
  let writtenAt = -ADDRESS_INTERVAL_MS;
  /** The state whose address is still to be written. @type {Readonly<State> | null} */
  let pending = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let latest = store.get();
  store.subscribe((state) => (latest = state));
  let isPushed = false; // whether the latest change added a history entry
  let isRedundant = false; // whether that change was undone: the entry equals the previous one, and the next push replaces it
  const write = () => {
    clearTimeout(timer);
    if (pending === null) return;
    history.replaceState(historyState(pending), "", address(pending));
    pending = null;
    writtenAt = performance.now();
  };
  store.onAddress((state, push, undo) => {
    const replacesEntry = push && isRedundant;
    isRedundant = undo && isPushed;
    isPushed = push;
    if (replacesEntry) {
      pending = state;
      write();
      return;
    }
    if (push) {
      pending ??= latest; // the initial state has not been written yet
      write();
      history.pushState(historyState(state), "", address(state));
      return;
    }
    pending = state;
    clearTimeout(timer);
    const delay = writtenAt + ADDRESS_INTERVAL_MS - performance.now();
    if (delay > 0) timer = setTimeout(write, delay);
    else write();
  });
  addEventListener("pagehide", write);
  addEventListener("popstate", ({ state }) => {
    pending = null;
    isPushed = isRedundant = false;
    const { photo, model, lang } = store.get();
    // The history does not include the language: keep the current one.
    store.update({ ...INITIAL, photo: state?.photo ?? photo, model, ...stateOf(location.search), lang }, { silent: true });
    history.replaceState(historyState(store.get()), "", address(store.get()));
  });
}

/** Write the texts outside of the views in the current language. @param {import("./state.js").Store} store */
function translateFrame(store) {
  const draw = () => {
    element("skip").textContent = t("skip.block");
    replace(element("footer"), h("p", { class: "quiet" }, t("keys.help")), h("a", { href: "?view=api" }, t("header.api")));
  };
  draw();
  store.subscribe((_, __, changed) => changed.has("lang") && draw());
}

/**
 * Create the notice, which shows errors, and set the classes of the body.
 * @param {HTMLElement} root
 * @param {import("./state.js").Store} store
 */
function createNotice(root, store) {
  /** The device that ran out of memory, until the visitor closes that notice. @type {string | null} */
  let fullDevice = null;
  let isReported = false;

  function draw() {
    const text = store.data().error ?? (fullDevice ? t("notice.memory", { device: fullDevice }) : null);
    root.hidden = !text;
    root.classList.toggle("calm", !store.data().error);
    replace(root, h("span", {}, text), h("button", { class: "plain", "aria-label": t("notice.close"), onclick: close }, "✕"));
  }

  function close() {
    if (!store.data().error) fullDevice = null;
    store.receive({ error: null });
    draw();
  }

  document.body.classList.toggle("in-lesson", store.get().step > 0);
  store.subscribe((state, data, changed) => {
    if (changed.has("step")) document.body.classList.toggle("in-lesson", state.step > 0);
    if (changed.has("busy")) document.body.classList.toggle("busy", data.busy);
    if (data.base?.full && !isReported) {
      isReported = true;
      fullDevice = data.base.full;
      draw();
    }
    if (changed.has("error") || changed.has("lang")) draw();
  });
}

void start();
