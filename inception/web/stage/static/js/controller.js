/** Loads what the state needs from the source into the store. Discards responses that a newer request supersedes. */

import { ALL_ON, allOff, isAnythingOff } from "./state.js";
import { BRANCHES, order } from "./numbers.js";
import { sentenceOf } from "./words.js";

/** @import {AllOff, Block, Data, Fill, Network, OffChannels, Scene, Sort, Start, State, Subject} from "./types.js" */
/** @import {Store} from "./state.js" */
/** @import {Source} from "./source.js" */

const BUSY_DELAY_MS = 150; // before the page shows that it is loading
const PREFETCH_DELAY_MS = 1000; // without a change of the state
/** @type {Sort[]} */
const TUNING_SORTS = ["orientation", "colour", "size"];
const PREFETCHED_CLASSES = 5; // the most probable ones
/** State properties whose change requires requests. */
const REQUEST_PROPERTIES = /** @type {const} */ (["photo", "crop", "model", "block", "off", "offChannels", "fill", "cls"]);
/** Patch that clears the data of the previous block, photo or crop. */
export const NO_BLOCK = Object.freeze({ channels: null, baseChannels: null, subsets: null, worth: null, worthClass: null, field: null });

/**
 * Create the controller, which loads data whenever the state changes.
 * @param {Store} store
 * @param {Source} source
 * @param {Promise<unknown>} [firstInteraction]  of the visitor; classes are not prefetched before it
 */
export function createController(store, source, firstInteraction = Promise.resolve()) {
  let latestId = 0; // of an update
  let loadedKey = ""; // photo, crop and network of `loadedBase`
  /** The scene loaded last; while the square is dragged, `data.base` is another one. @type {Scene | null} */
  let loadedBase = null;
  let loadedBlock = ""; // of `data.channels`
  /** The latest state whose data are on the stage. @type {Readonly<State> | null} */
  let loadedState = null;
  let isLoaded = false; // whether that is the current state
  let isFieldRequested = false; // for the current state
  let missingModel = ""; // the network requested last, until it has been loaded
  let latestUpdate = Promise.resolve();

  /**
   * Bring the data up to date with the state.
   * @param {string | null} [error]  sentence that is shown after a success too
   * @returns {Promise<void>}
   */
  function refresh(error = null) {
    latestUpdate = update(error);
    return latestUpdate;
  }

  /** @param {string | null} error */
  async function update(error) {
    const id = ++latestId;
    const isCurrent = () => id === latestId;
    isLoaded = false;
    isFieldRequested = false;
    const busyTimer = setTimeout(() => isCurrent() && store.receive({ busy: true }), BUSY_DELAY_MS);
    try {
      await load(isCurrent);
      if (isCurrent()) store.receive({ error });
    } catch (failure) {
      const message = sentenceOf(failure);
      if (isCurrent()) {
        store.receive({ error: message });
        if (error === null) restore(message); // only once: the restored state may fail too
      }
    } finally {
      clearTimeout(busyTimer);
      if (isCurrent()) store.receive({ busy: false });
    }
  }

  /** Wait until the latest refresh has succeeded or failed. */
  async function settled() {
    for (let awaited; awaited !== latestUpdate; ) {
      awaited = latestUpdate;
      await awaited;
    }
  }

  let restoreError = /** @type {string | null} */ (null); // set while `restore` changes the state

  /**
   * After a failure, restore the last loaded state; if there is none and the network is missing, choose an available one.
   * @param {string} message
   */
  function restore(message) {
    const { model } = store.get();
    const alternative = store.data().start?.models.find((other) => other.available && other.name !== model);
    restoreError = message;
    if (loadedState) {
      const { photo, crop, model, block, off, offChannels, fill, cls, lens } = loadedState;
      store.update({ photo, crop, model, block, off, offChannels, fill, cls, lens }, { undo: true });
    } else if (missingModel === model && alternative) store.update({ model: alternative.name });
    restoreError = null;
  }

  /** @param {string} model */
  async function loadNetwork(model) {
    missingModel = model;
    const network = await source.network(model);
    missingModel = "";
    const { start } = store.data();
    if (start) store.receive({ start: withDownloaded(start, model) });
    return network;
  }

  let isFitting = false; // while the state is adapted to the network

  /** @param {() => boolean} isCurrent */
  async function load(isCurrent) {
    const { photo, crop, model, block, lab, step } = store.get();
    const isMoving = store.data().moving && lab !== null && !step;
    const key = JSON.stringify([photo, crop, model]);
    const isNew = key !== loadedKey || store.data().base !== loadedBase;
    /** @type {Partial<Data>} */
    const patch = {};
    if (store.data().network?.name !== model) {
      patch.network = await loadNetwork(model);
      if (!isCurrent()) return;
    }
    const network = patch.network ?? store.data().network;
    const adjustments = network ? fitting(store.get(), network) : {};
    isFitting = true;
    store.update(adjustments);
    isFitting = false;
    const { fill } = store.get();
    const off = allOff(store.get());
    const isOff = isAnythingOff(off);
    if (!isNew && isOff) preview(off, block, fill);
    const shownScene = !isNew && store.data().base;
    const subject = subjectOf(store.get());
    const filledSubject = withFill(subject, fill);
    // Request all data of a new photo at once, so that the server computes while the browser draws. While the square is
    // being dragged, only the scene may be needed.
    const isSceneRequested = Boolean(shownScene) || source.hasScene(subject);
    const sceneRequest = shownScene ? [shownScene] : Promise.all([source.scene(subject, {}), source.drawable(subject)]);
    if (!isSceneRequested && !crop && !isMoving) requestBlock(subject, filledSubject, block, store.get().cls);
    const [base] = await sceneRequest;
    if (!isCurrent()) return;
    loadedKey = key;
    loadedBase = base;
    patch.base = base;
    const cls = store.get().cls ?? order(base.logits, 1)[0];
    const baseChannels = source.block(subject, {}, block);
    // Wait for all of these: channels are drawn together with their worth.
    const parts = Promise.all([
      baseChannels.then((channels) => ({ baseChannels: channels, ...(isOff ? {} : { channels }) })),
      isMoving ? {} : source.worth(subject, cls, block).then((worth) => ({ worth, worthClass: cls })),
      isOff ? source.scene(filledSubject, off).then((now) => ({ now })) : Promise.resolve({ now: base }),
      ...(isOff ? [source.block(filledSubject, off, block).then((channels) => ({ channels }))] : []),
    ]);
    parts.catch(() => undefined); // the await below reports it
    // Request votes after the worth, which the tiles need: the server handles one request after the other.
    const votes = baseChannels.then(() => (isCurrent() && !isMoving ? source.votes(filledSubject, block) : null));
    votes.catch(() => undefined);
    // Show the first scene without waiting for these; not if something is off, as `base` then differs from `now`.
    if (isNew) store.receive({ ...patch, now: isOff ? null : base, ...NO_BLOCK });
    const isOtherBlock = block !== loadedBlock;
    const results = await awaitWithDelay(parts, () => isOtherBlock && isCurrent() && store.receive(NO_BLOCK));
    if (!isCurrent()) return;
    loadedBlock = block;
    loadedState = store.get();
    isLoaded = true;
    store.receive(Object.assign(patch, isOtherBlock ? { subsets: null, field: null } : {}, ...results));
    if (isMoving) return;
    const subsets = await votes;
    if (!isCurrent()) return;
    store.receive({ subsets });
    void loadField();
    void loadSecondary(subject, cls, order(base.logits, PREFETCHED_CLASSES), isCurrent);
  }

  /**
   * Request a block of a photo in parallel with its scene. `load` then finds the requests in flight, and reports failures.
   * @param {Subject} subject
   * @param {Subject} filledSubject
   * @param {Block} block
   * @param {number | null} cls
   */
  function requestBlock(subject, filledSubject, block, cls) {
    const requests = [source.block(subject, {}, block), source.worth(subject, cls, block), source.votes(filledSubject, block)];
    Promise.all(requests).catch(() => undefined);
  }

  /**
   * Load the worth that may be needed next.
   * @param {Subject} subject
   * @param {number} cls
   * @param {number[]} topClasses
   * @param {() => boolean} isCurrent
   */
  async function loadSecondary(subject, cls, topClasses, isCurrent) {
    await source.prefetchWorth(subject, [cls]).catch(() => undefined); // in all blocks: another one may be chosen next
    if (!isCurrent()) return;
    void firstInteraction.then(() =>
      setTimeout(() => isCurrent() && source.prefetchWorth(subject, topClasses).catch(() => undefined), PREFETCH_DELAY_MS),
    );
  }

  /** Load the effective receptive fields of the unfolded block once one is shown: they would double the work for a photo. */
  async function loadField() {
    const { block, lens, deeper } = store.get();
    const isShown = lens !== null || deeper === "unit" || store.hovered().branch !== undefined;
    if (!isShown || !isLoaded || isFieldRequested || store.data().field) return;
    isFieldRequested = true;
    const id = latestId;
    const field = await source.field(subjectOf(store.get()), block).catch(() => null); // without it, only the dotted square is missing
    if (id === latestId) store.receive({ field });
  }

  /**
   * Show the answer without some branches of the unfolded block while the server computes the scene: its logits are
   * among those of the sixteen subsets.
   * @param {AllOff} off
   * @param {Block} block
   * @param {Fill} fill
   */
  function preview(off, block, fill) {
    const { subsets, base } = store.data();
    if (!subsets || !base || subsets.block !== block || subsets.fill !== fill) return;
    if (Object.keys(off).join() !== block || off[block]?.some((member) => typeof member === "number")) return;
    const row = BRANCHES.reduce((bits, branch, i) => bits | (off[block]?.includes(branch) ? 0 : 1 << i), 0);
    const logits = subsets.logits.subarray(row * subsets.classes, (row + 1) * subsets.classes);
    store.receive({ now: { ...base, off, fill, logits } });
  }

  store.subscribe((state, _, changed) => {
    if (!isFitting && REQUEST_PROPERTIES.some((name) => changed.has(name)) && state.photo && state.model) void refresh(restoreError);
    else if (isLoaded) loadedState = state; // its changes need no request, such as those of the lens
  });

  store.subscribe((_, __, changed) => {
    if (changed.has("lens") || changed.has("deeper")) void loadField();
  });
  store.onHover(() => void loadField());

  /** Load the tuning of the unfolded block's channels, if they are sorted by it. It does not depend on the photo. */
  async function loadTuning() {
    const { model, block, sort } = store.get();
    if (!TUNING_SORTS.includes(sort) || !model) return;
    try {
      const tuned = await source.blockTuning(model, block);
      if (store.get().model === model && store.get().block === block) store.receive({ tuned });
    } catch (failure) {
      store.receive({ error: sentenceOf(failure) });
    }
  }

  store.subscribe((_, __, changed) => {
    if (changed.has("sort") || changed.has("block") || changed.has("network")) void loadTuning();
  });

  return {
    /** Prefetch a block that may be chosen next. @param {Block} block */
    prefetch(block) {
      const { base } = store.data();
      if (!base || isAnythingOff(allOff(store.get()))) return;
      const subject = subjectOf(store.get());
      Promise.all([source.block(subject, {}, block), source.votes(withFill(subject, store.get().fill), block)]).catch(() => undefined);
    },
    refresh,
    settled,
  };
}

/** @typedef {ReturnType<typeof createController>} Controller */

/**
 * Mark a network as downloaded.
 * @param {Start} start
 * @param {string} name
 * @returns {Start}  the same object if nothing changes
 */
export function withDownloaded(start, name) {
  if (start.models.every((model) => model.name !== name || (model.available && model.megabytes === null))) return start;
  return { ...start, models: start.models.map((model) => (model.name === name ? { ...model, available: true, megabytes: null } : model)) };
}

/**
 * Whether a change of the state requires requests.
 * @param {Readonly<State>} before
 * @param {Readonly<State>} after
 */
export function needsRequests(before, after) {
  return REQUEST_PROPERTIES.some((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
}

/**
 * Return the subject of requests for a state.
 * @param {Readonly<State>} state
 * @returns {Subject}
 */
export function subjectOf({ photo, model, crop }) {
  return { photo, model, crop };
}

/**
 * Await a promise, and call `onDelay` once if it takes longer than `BUSY_DELAY_MS`.
 * @template T
 * @param {Promise<T>} promise
 * @param {() => void} onDelay
 * @returns {Promise<T>}
 */
async function awaitWithDelay(promise, onDelay) {
  const timer = setTimeout(onDelay, BUSY_DELAY_MS);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Return a subject for events that depend on the fill. Zero is the server's default and is omitted.
 * @param {Subject} subject
 * @param {Fill} fill
 * @returns {Subject}
 */
export function withFill(subject, fill) {
  return fill === "zero" ? subject : { ...subject, fill };
}

/**
 * Return the class that worth refers to: the selected one, or else the most probable one.
 * @param {Readonly<State>} state
 * @param {Readonly<Data>} data
 */
export function classOf(state, data) {
  return state.cls ?? (data.base ? order(data.base.logits, 1)[0] : 0);
}

/**
 * Return the worth for a class, or null while that of another class is loaded.
 * @param {number} cls
 * @param {Pick<Data, "worth" | "worthClass">} data
 */
export function worthFor(cls, { worth, worthClass }) {
  return worthClass === cls ? worth : null;
}

/**
 * Whether a scene was computed with the branches and channels that are off in a state.
 * @param {Pick<Scene, "off" | "fill">} scene
 * @param {Pick<State, "off" | "offChannels" | "fill">} state
 */
export function isAnswerTo(scene, state) {
  const off = allOff(state);
  return JSON.stringify(scene.off) === JSON.stringify(off) && (scene.fill === state.fill || !isAnythingOff(off));
}

/**
 * Return the patch that shows a photo and resets what belongs to the previous one.
 * @param {string} photo
 * @returns {Partial<State>}
 */
export function newPhoto(photo) {
  return { photo, crop: null, ...ALL_ON, cls: null, lens: null, lab: null };
}

/**
 * Return the patch that removes from a state what a network does not have: channels, means, classes, cells.
 * @param {Readonly<State>} state
 * @param {Network} network
 * @returns {Partial<State>}
 */
export function fitting({ offChannels, fill, cls, lens, block }, network) {
  /** @type {OffChannels} */
  const validChannels = {};
  for (const [block, channels = []] of /** @type {[Block, number[]][]} */ (Object.entries(offChannels))) {
    const valid = channels.filter((channel) => channel < network.blocks[block].channels);
    if (valid.length) validChannels[block] = valid;
  }
  return {
    ...(JSON.stringify(validChannels) === JSON.stringify(offChannels) ? {} : { offChannels: validChannels }),
    ...(fill === "mean" && !network.has_means ? { fill: "zero" } : {}),
    ...(cls !== null && cls >= network.labels.length ? { cls: null } : {}),
    ...(lens && isOutside(lens, block, network) ? { lens: null } : {}),
  };
}

/**
 * Whether a lens is on a channel or a cell that a network does not have.
 * @param {NonNullable<State["lens"]>} lens
 * @param {Block} block
 * @param {Network} network
 */
function isOutside({ branch, channel, row, column }, block, network) {
  const { side, branches } = network.blocks[block];
  return channel >= branches[branch].channels || Math.max(row, column) >= side;
}
