/** Asks the source for what the state needs, and gives it to the store; of several answers only the latest counts. */

import { ALL_ON, allOff, isAnythingOff } from "./state.js";
import { BRANCHES, order } from "./numbers.js";
import { sentenceOf } from "./words.js";

/** @import {AllOff, Block, Data, Fill, Network, OffChannels, Scene, Sort, Start, State, Subject} from "./types.js" */
/** @import {Store} from "./state.js" */
/** @import {Source} from "./source.js" */

const PATIENCE = 150; // milliseconds before the page says that it waits
const QUIET = 1000; // milliseconds without a change, after which it asks for what may be wanted next
/** @type {Sort[]} */
const TUNED = ["orientation", "colour", "size"];
const CLASSES = 5; // of the answer, whose worth may be wanted next
/** What the answers depend on. */
const ANSWERED = /** @type {const} */ (["photo", "crop", "model", "block", "off", "offChannels", "fill", "cls"]);
/** What belongs to another block, photo or crop. */
export const NO_BLOCK = Object.freeze({ channels: null, baseChannels: null, subsets: null, worth: null, field: null });

/**
 * @param {Store} store
 * @param {Source} source
 * @param {Promise<unknown>} [touched]  when the visitor does something for the first time; before, nothing is prefetched
 */
export function createController(store, source, touched = Promise.resolve()) {
  let turn = 0;
  let loaded = ""; // the photo, crop and network of `loadedBase`
  /** While the square is dragged, `data.base` is another. @type {Scene | null} */
  let loadedBase = null;
  let loadedBlock = ""; // of `data.channels`
  /** The newest state whose answers are on the stage. @type {Readonly<State> | null} */
  let answered = null;
  let isAnswered = false; // whether that is the present state
  let missing = ""; // the network that was asked for last, if it cannot be had
  let latest = Promise.resolve(); // the newest refresh

  /**
   * Bring the data up to date with the state.
   * @param {string | null} [error]  a sentence that stays
   * @returns {Promise<void>}
   */
  function refresh(error = null) {
    latest = update(error);
    return latest;
  }

  /** @param {string | null} error */
  async function update(error) {
    const number = ++turn;
    const isCurrent = () => number === turn;
    isAnswered = false;
    const patience = setTimeout(() => isCurrent() && store.receive({ busy: true }), PATIENCE);
    try {
      await load(isCurrent);
      if (isCurrent()) store.receive({ error });
    } catch (failure) {
      const sentence = sentenceOf(failure);
      if (isCurrent()) {
        store.receive({ error: sentence });
        if (error === null) goBack(sentence); // once: what it goes back to may fail too
      }
    } finally {
      clearTimeout(patience);
      if (isCurrent()) store.receive({ busy: false });
    }
  }

  /** Wait until the newest refresh has ended, with its answers or with an error. */
  async function settled() {
    for (let one; one !== latest; ) {
      one = latest;
      await one;
    }
  }

  let reason = /** @type {string | null} */ (null); // why the state is set back, while it is

  /**
   * After a failure, set the state back to the last one that was answered; if there is none and the network cannot be
   * had, choose one that can.
   * @param {string} sentence
   */
  function goBack(sentence) {
    const { model } = store.get();
    const other = store.data().start?.models.find((one) => one.available && one.name !== model);
    reason = sentence;
    if (answered) {
      const { photo, crop, model, block, off, offChannels, fill, cls, lens } = answered;
      store.update({ photo, crop, model, block, off, offChannels, fill, cls, lens }, { undo: true });
    } else if (missing === model && other) store.update({ model: other.name });
    reason = null;
  }

  /** @param {string} model */
  async function networkOf(model) {
    missing = model;
    const network = await source.network(model);
    missing = "";
    const { start } = store.data();
    if (start) store.receive({ start: withDownloaded(start, model) });
    return network;
  }

  let isFitting = false; // while the state is changed to what the network has

  /** @param {() => boolean} isCurrent */
  async function load(isCurrent) {
    const { photo, crop, model, block, lab, step } = store.get();
    const isMoving = store.data().moving && lab !== null && !step;
    const key = JSON.stringify([photo, crop, model]);
    const isNew = key !== loaded || store.data().base !== loadedBase;
    /** @type {Partial<Data>} */
    const patch = {};
    if (store.data().network?.name !== model) {
      patch.network = await networkOf(model);
      if (!isCurrent()) return;
    }
    const network = patch.network ?? store.data().network;
    const unfit = network ? fitting(store.get(), network) : {};
    isFitting = true;
    store.update(unfit);
    isFitting = false;
    const { fill } = store.get();
    const off = allOff(store.get());
    const isOff = isAnythingOff(off);
    if (!isNew && isOff) preview(off, block, fill);
    const scene = !isNew && store.data().base;
    const subject = subjectOf(store.get());
    const filled = withFill(subject, fill);
    // All that is shown of a new photo is requested at once: the server goes on computing while the browser draws. Of a
    // square that is being moved, the scene may be all that is ever shown.
    const isAtHand = Boolean(scene) || source.hasScene(subject);
    const scenes = scene ? [scene] : Promise.all([source.scene(subject, {}), source.drawable(subject)]);
    if (!isAtHand && !crop && !isMoving) ahead(subject, filled, block, store.get().cls);
    const [base] = await scenes;
    if (!isCurrent()) return;
    loaded = key;
    loadedBase = base;
    patch.base = base;
    const cls = store.get().cls ?? order(base.logits, 1)[0];
    const baseChannels = source.block(subject, {}, block);
    // What belongs together is drawn together: a block's channels with their worth.
    const parts = Promise.all([
      baseChannels.then((channels) => ({ baseChannels: channels, ...(isOff ? {} : { channels }) })),
      isMoving ? {} : source.worth(subject, cls, block).then((worth) => ({ worth })),
      isOff ? source.scene(filled, off).then((now) => ({ now })) : Promise.resolve({ now: base }),
      ...(isOff ? [source.block(filled, off, block).then((channels) => ({ channels }))] : []),
    ]);
    parts.catch(() => undefined); // the await below reports it
    // Votes wait until the worth has been requested: the server computes one after the other, and tiles need the worth.
    const votes = baseChannels.then(() => (isCurrent() && !isMoving ? source.votes(filled, block) : null));
    votes.catch(() => undefined);
    // The first picture does not wait for them. With something off, `base` is not what the stage shows.
    if (isNew) store.receive({ ...patch, now: isOff ? null : base, ...NO_BLOCK });
    const isOther = block !== loadedBlock;
    const results = await inTime(parts, () => isOther && isCurrent() && store.receive(NO_BLOCK));
    if (!isCurrent()) return;
    loadedBlock = block;
    answered = store.get();
    isAnswered = true;
    store.receive(Object.assign(patch, isOther ? { subsets: null, field: null } : {}, ...results));
    if (isMoving) return;
    const subsets = await votes;
    if (!isCurrent()) return;
    store.receive({ subsets });
    void follow(subject, block, cls, order(base.logits, CLASSES), isCurrent);
  }

  /**
   * Ask for what is shown of a photo beside its scene; `load` then finds it on its way, and reports what fails.
   * @param {Subject} subject
   * @param {Subject} filled
   * @param {Block} block
   * @param {number | null} cls
   */
  function ahead(subject, filled, block, cls) {
    const parts = [source.block(subject, {}, block), source.worth(subject, cls, block), source.votes(filled, block)];
    Promise.all(parts).catch(() => undefined);
  }

  /**
   * Ask for what the stage can do without: the squares of fields, and the worth that may be wanted next.
   * @param {Subject} subject
   * @param {Block} block
   * @param {number} cls
   * @param {number[]} likely  classes
   * @param {() => boolean} isCurrent
   */
  async function follow(subject, block, cls, likely, isCurrent) {
    await source.prefetchWorth(subject, [cls]).catch(() => undefined); // for the choice of another block
    if (!isCurrent()) return;
    void touched.then(() => setTimeout(() => isCurrent() && source.prefetchWorth(subject, likely).catch(() => undefined), QUIET));
    const field = await source.field(subject, block).catch(() => null); // only the dashed square is missing
    if (isCurrent()) store.receive({ field });
  }

  /**
   * The answer without whole branches of the unfolded block is among the sixteen at hand: show it while the server
   * computes what else changes.
   * @param {AllOff} off
   * @param {Block} block
   * @param {Fill} fill
   */
  function preview(off, block, fill) {
    const { subsets, base } = store.data();
    if (!subsets || !base || subsets.block !== block || subsets.fill !== fill) return;
    if (Object.keys(off).join() !== block || off[block]?.some((one) => typeof one === "number")) return;
    const row = BRANCHES.reduce((bits, branch, i) => bits | (off[block]?.includes(branch) ? 0 : 1 << i), 0);
    const logits = subsets.logits.subarray(row * subsets.classes, (row + 1) * subsets.classes);
    store.receive({ now: { ...base, off, fill, logits } });
  }

  store.subscribe((state, _, changed) => {
    if (!isFitting && ANSWERED.some((name) => changed.has(name)) && state.photo && state.model) void refresh(reason);
    else if (isAnswered) answered = state; // with what needs no answer, such as the lens
  });

  /** What the channels are tuned to, if they are to be sorted by it: it is measured once for a block of a network. */
  async function loadTuning() {
    const { model, block, sort } = store.get();
    if (!TUNED.includes(sort) || !model) return;
    try {
      const tuned = await source.blockTuning(model, block);
      if (store.get().model === model && store.get().block === block) store.receive({ tuned });
    } catch (failure) {
      store.receive({ error: sentenceOf(failure) });
    }
  }

  store.subscribe((_, __, changed) => {
    if (changed.has("sort") || changed.has("block") || changed.has("model")) void loadTuning();
  });

  return {
    /** Ask for a block that may be wanted next. @param {Block} block */
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
 * What is known of the networks once one of them has been loaded: if it had to be downloaded, it is there now.
 * @param {Start} start
 * @param {string} name
 * @returns {Start}  the same object if nothing changes
 */
export function withDownloaded(start, name) {
  if (start.models.every((one) => one.name !== name || (one.available && one.megabytes === null))) return start;
  return { ...start, models: start.models.map((one) => (one.name === name ? { ...one, available: true, megabytes: null } : one)) };
}

/**
 * The photo's part of a state.
 * @param {Readonly<State>} state
 * @returns {Subject}
 */
export function subjectOf({ photo, model, crop }) {
  return { photo, model, crop };
}

/**
 * What a promise gives; `late` is called once if it takes longer than the visitor's patience.
 * @template T
 * @param {Promise<T>} promise
 * @param {() => void} late
 * @returns {Promise<T>}
 */
async function inTime(promise, late) {
  const patience = setTimeout(late, PATIENCE);
  try {
    return await promise;
  } finally {
    clearTimeout(patience);
  }
}

/**
 * A subject for the events that answer about what is off. What fills with zeros says nothing of it: such an answer is
 * the same as before there was a choice.
 * @param {Subject} subject
 * @param {Fill} fill
 * @returns {Subject}
 */
export function withFill(subject, fill) {
  return fill === "zero" ? subject : { ...subject, fill };
}

/**
 * The class that worth is about.
 * @param {Readonly<State>} state
 * @param {Readonly<Data>} data
 */
export function classOf(state, data) {
  return state.cls ?? (data.base ? order(data.base.logits, 1)[0] : 0);
}

/**
 * Whether a scene is the answer to what is off, and not to what was off before.
 * @param {Pick<Scene, "off" | "fill">} scene
 * @param {Pick<State, "off" | "offChannels" | "fill">} state
 */
export function isAnswerTo(scene, state) {
  const off = allOff(state);
  return JSON.stringify(scene.off) === JSON.stringify(off) && (scene.fill === state.fill || !isAnythingOff(off));
}

/**
 * What a new photo leaves of the state.
 * @param {string} photo
 * @returns {Partial<State>}
 */
export function newPhoto(photo) {
  return { photo, crop: null, ...ALL_ON, cls: null, lens: null, lab: null };
}

/**
 * What has to be changed in a state so that a network can show it: it has neither other channels nor other means.
 * @param {Readonly<State>} state
 * @param {Network} network
 * @returns {Partial<State>}
 */
export function fitting({ offChannels, fill, cls, lens, block }, network) {
  /** @type {OffChannels} */
  const known = {};
  for (const [block, channels = []] of /** @type {[Block, number[]][]} */ (Object.entries(offChannels))) {
    const there = channels.filter((channel) => channel < network.blocks[block].channels);
    if (there.length) known[block] = there;
  }
  return {
    ...(JSON.stringify(known) === JSON.stringify(offChannels) ? {} : { offChannels: known }),
    ...(fill === "mean" && !network.has_means ? { fill: "zero" } : {}),
    ...(cls !== null && cls >= network.labels.length ? { cls: null } : {}),
    ...(lens && isOutside(lens, block, network) ? { lens: null } : {}),
  };
}

/**
 * Whether a network has no such channel, or the channel no such cell.
 * @param {NonNullable<State["lens"]>} lens
 * @param {Block} block
 * @param {Network} network
 */
function isOutside({ branch, channel, row, column }, block, network) {
  const { side, branches } = network.blocks[block];
  return channel >= branches[branch].channels || Math.max(row, column) >= side;
}
