/** The store of the page's state and data, and the encoding of the state as an address. */

import { BLOCKS, BRANCHES } from "./numbers.js";

/** @import {AllOff, Block, Branch, Data, Deeper, Hover, Network, Off, OffChannels, State} from "./types.js" */

const MAX_CHANNELS = 1024; // that can be off at once; also an upper bound of a channel's index

/** @type {Readonly<State>} */
export const INITIAL = Object.freeze({
  photo: "",
  crop: null,
  model: "",
  block: "4c",
  off: {},
  offChannels: {},
  fill: "zero",
  cls: null,
  lens: null,
  view: "sorted",
  sort: "worth",
  scale: "own",
  colours: "inferno",
  top: 5,
  lang: "en",
  step: 0,
  deeper: null,
  lab: null,
});

/** @type {Readonly<Data>} */
const NO_DATA = Object.freeze({
  start: null,
  network: null,
  base: null,
  now: null,
  channels: null,
  baseChannels: null,
  subsets: null,
  worth: null,
  worthClass: null,
  field: null,
  tuned: null,
  busy: false,
  moving: false,
  error: null,
});

/**
 * @typedef {keyof State | keyof Data} Name
 * @typedef {(state: Readonly<State>, data: Readonly<Data>, changed: Set<Name>) => void} Listener
 * @typedef {(state: Readonly<State>, push: boolean, undo: boolean) => void} AddressListener
 * @typedef {ReturnType<typeof createStore>} Store
 */

/**
 * Create a store that notifies its listeners of changes.
 * @param {Partial<State>} [initial]
 */
export function createStore(initial = {}) {
  /** @type {Readonly<State>} */
  let state = { ...INITIAL, ...initial };
  /** @type {Readonly<Data>} */
  let data = NO_DATA;
  /** @type {Hover} */
  let hovered = { kind: null };
  /** @type {Listener[]} */
  const listeners = [];
  /** @type {((hover: Hover) => void)[]} */
  const hoverListeners = [];
  /** @type {AddressListener[]} */
  const addressListeners = [];

  /** @param {Set<Name>} changed */
  const notify = (changed) => {
    if (changed.size) for (const listener of listeners) listener(state, data, changed);
  };

  return {
    get: () => state,
    data: () => data,
    /** @param {Listener} listener */
    subscribe(listener) {
      listeners.push(listener);
    },
    /**
     * Change the state.
     * @param {Partial<State>} patch
     * @param {{push?: boolean, undo?: boolean, silent?: boolean}} [options]  push: add an entry to the browser's
     *   history; undo: the patch reverts the latest change; silent: leave the address unchanged
     */
    update(patch, { push = false, undo = false, silent = false } = {}) {
      const changed = differences(state, patch);
      if (!changed.size) return;
      state = Object.freeze({ ...state, ...patch });
      if (!silent) for (const listener of addressListeners) listener(state, push, undo);
      notify(changed);
    },
    /**
     * Change the data.
     * @param {Partial<Data>} patch
     */
    receive(patch) {
      const names = /** @type {(keyof Data)[]} */ (Object.keys(patch));
      /** @type {Set<Name>} */
      const changed = new Set(names.filter((name) => data[name] !== patch[name]));
      if (!changed.size) return;
      data = Object.freeze({ ...data, ...patch });
      notify(changed);
    },
    /** @param {Hover} hover */
    hover(hover) {
      if (JSON.stringify(hovered) === JSON.stringify(hover)) return;
      hovered = hover;
      for (const listener of hoverListeners) listener(hover);
    },
    hovered: () => hovered,
    /** @param {(hover: Hover) => void} listener */
    onHover(listener) {
      hoverListeners.push(listener);
    },
    /** @param {AddressListener} listener */
    onAddress(listener) {
      addressListeners.push(listener);
    },
  };
}

/**
 * Return the names of the properties that a patch changes, comparing values by content.
 * @param {any} before
 * @param {any} patch
 * @returns {Set<any>}
 */
function differences(before, patch) {
  return new Set(Object.keys(patch).filter((name) => JSON.stringify(before[name]) !== JSON.stringify(patch[name])));
}

/**
 * Whether a branch is off.
 * @param {Off} off
 * @param {Block} block
 * @param {Branch} branch
 */
export function isOff(off, block, branch) {
  return off[block]?.includes(branch) ?? false;
}

/**
 * Return `off` with one branch switched.
 * @param {Off} off
 * @param {Block} block
 * @param {Branch} branch
 * @returns {Off}
 */
export function switched(off, block, branch) {
  const before = off[block] ?? [];
  const branches = before.includes(branch) ? before.filter((other) => other !== branch) : [...before, branch];
  const { [block]: _, ...others } = off;
  if (!branches.length) return others;
  return { ...others, [block]: BRANCHES.filter((other) => branches.includes(other)) };
}

/** Whether any branch or channel is off. @param {AllOff} off */
export function isAnythingOff(off) {
  return Object.keys(off).length > 0;
}

/** Whether a view below the stage is about the channel of the lens, which it replaces. @param {Deeper} view */
export function showsChannel(view) {
  return view === "unit" || view === "cell";
}

/** Patch that turns everything back on. */
export const ALL_ON = Object.freeze({ off: Object.freeze({}), offChannels: Object.freeze({}) });

/**
 * Return the branches and channels that are off, in the network's order.
 * @param {Pick<State, "off" | "offChannels">} state
 * @returns {AllOff}
 */
export function allOff({ off, offChannels }) {
  /** @type {AllOff} */
  const all = {};
  for (const block of BLOCKS) {
    const members = [...(off[block] ?? []), ...(offChannels[block] ?? [])];
    if (members.length) all[block] = members;
  }
  return all;
}

/**
 * Return `offChannels` with one channel switched, or unchanged if too many would be off.
 * @param {OffChannels} offChannels
 * @param {Block} block
 * @param {number} channel  index in the block's output
 * @returns {OffChannels}
 */
export function channelSwitched(offChannels, block, channel) {
  const before = offChannels[block] ?? [];
  const wasOff = before.includes(channel);
  if (!wasOff && Object.values(offChannels).flat().length >= MAX_CHANNELS) return offChannels;
  const channels = wasOff ? before.filter((other) => other !== channel) : [...before, channel].sort((a, b) => a - b);
  const { [block]: _, ...others } = offChannels;
  return channels.length ? { ...others, [block]: channels } : others;
}

/**
 * List what is off as pairs of block and branch, or block and channel, in the network's order.
 * @template {Branch | number} T
 * @param {Partial<Record<Block, T[]>>} off
 * @returns {[Block, T][]}
 */
export function offList(off) {
  return BLOCKS.flatMap((block) => (off[block] ?? []).map((member) => /** @type {[Block, T]} */ ([block, member])));
}

// ---------------------------------------------------------------- address

/** @type {Record<string, readonly string[]>} */
export const CHOICES = {
  view: ["sorted", "all"],
  sort: ["worth", "max", "mean", "number", "reading", "orientation", "colour", "size"],
  fill: ["zero", "mean"],
  scale: ["own", "branch", "block"],
  colours: ["inferno", "magma", "viridis", "cividis", "grey"],
  lang: ["en", "zh"],
  deeper: ["evidence", "unit", "cell", "cost", "census", "dial", "compare", "numbers", "about"],
};
const MAX_LENGTH = 200; // characters of one parameter
const MAX_CHANNELS_LENGTH = 6000; // of the parameter `channels`

/**
 * Encode a state as a query string, without defaults and without a visitor's own photo.
 * @param {Readonly<State>} state
 * @param {State["lang"] | null} [preferred]  default language, which is left out; null: the language is always given
 * @returns {string}
 */
export function addressOf(state, preferred = INITIAL.lang) {
  const defaults = { ...INITIAL, lang: preferred };
  const query = new URLSearchParams();
  if (state.photo.startsWith("example:")) query.set("photo", state.photo.slice("example:".length));
  if (state.model) query.set("model", state.model);
  query.set("block", state.block);
  const isDrawn = state.lab !== null && !state.step; // the image of the laboratory is used whole
  if (state.crop && !isDrawn) query.set("crop", state.crop.map((value) => value.toFixed(3)).join(":"));
  if (isAnythingOff(state.off)) {
    query.set("off", offText(state.off));
  }
  if (isAnythingOff(state.offChannels)) query.set("channels", offText(state.offChannels));
  if (state.cls !== null) query.set("class", String(state.cls));
  if (state.lens) query.set("lens", [state.lens.branch, state.lens.channel, state.lens.row, state.lens.column].join(":"));
  const isUnit = state.deeper === "unit" && state.lens !== null && /^[\w.-]+$/.test(state.model);
  if (isUnit && state.lens) query.set("unit", [state.model, state.block, state.lens.branch, state.lens.channel].join("/"));
  for (const name of /** @type {(keyof State)[]} */ (Object.keys(CHOICES))) {
    if (isUnit && name === "deeper") continue; // implied by `unit`
    if (state[name] !== defaults[name] && state[name]) query.set(name, String(state[name]));
  }
  if (state.top !== INITIAL.top) query.set("top", String(state.top));
  if (state.step) query.set("step", String(state.step));
  if (state.lab) query.set("lab", labText(state.lab));
  return query.toString().replaceAll("%3A", ":").replaceAll("%2C", ",").replaceAll("%2F", "/");
}

/**
 * Encode branches or channels: "4b:1x1+3x3,5a:pool".
 * @param {AllOff} off
 */
function offText(off) {
  return BLOCKS.filter((block) => off[block]?.length)
    .map((block) => `${block}:${off[block]?.join("+")}`)
    .join(",");
}

/** Name of uploads that the server deletes once it has read them. */
export const FRAME = "camera-frame.jpg";

/**
 * Return what a history entry stores besides its address: the visitor's own photo, if the server still has it.
 * @param {Pick<State, "photo" | "lab">} state
 * @returns {{photo: string} | null}
 */
export function historyState({ photo, lab }) {
  const isStored = photo && !photo.startsWith("example:") && !photo.endsWith(FRAME) && lab === null;
  return isStored ? { photo } : null;
}

/**
 * Decode the state of a query string, ignoring invalid values.
 * @param {string} search
 * @returns {Partial<State>}
 */
export function stateOf(search) {
  const query = new URLSearchParams(search);
  /** @param {string} name @param {number} [maxLength] */
  const value = (name, maxLength = MAX_LENGTH) => {
    const text = query.get(name);
    return text !== null && text.length <= maxLength ? text : null;
  };
  /** @type {any} */
  const out = {};
  const photo = value("photo") ?? value("example"); // `example` in links of earlier versions
  if (photo && /^[\w-]+$/.test(photo)) out.photo = `example:${photo}`;
  const model = value("model");
  if (model) out.model = model;
  const block = value("block");
  if (BLOCKS.includes(/** @type {Block} */ (block))) out.block = block;
  const crop = value("crop")?.split(":").map(Number);
  if (crop?.length === 3 && crop.every((fraction) => Math.abs(fraction) <= 10) && crop[2] > 0) out.crop = crop;
  const off = parseOff(value("off") ?? "");
  if (isAnythingOff(off)) out.off = off;
  const channels = parseOffChannels(value("channels", MAX_CHANNELS_LENGTH) ?? "");
  if (isAnythingOff(channels)) out.offChannels = channels;
  const cls = value("class");
  if (cls && /^\d{1,5}$/.test(cls)) out.cls = Number(cls);
  const lens = value("lens")?.match(/^(1x1|3x3|5x5|pool):(\d{1,4}):(\d{1,3}):(\d{1,3})$/);
  if (lens) out.lens = { branch: lens[1], channel: Number(lens[2]), row: Number(lens[3]), column: Number(lens[4]) };
  for (const [name, choices] of Object.entries(CHOICES)) {
    const chosen = value(name);
    if (chosen && choices.includes(chosen)) out[name] = chosen;
  }
  if (value("scale") === "shared") out.scale = "block"; // in links of earlier versions, as is `lesson`
  const unit = value("unit")?.match(/^([\w.-]+)\/(3a|3b|4a|4b|4c|4d|4e|5a|5b)\/(1x1|3x3|5x5|pool)\/(\d{1,4})$/);
  if (unit) {
    const [, model, block, branch, channel] = unit;
    const isSameChannel = out.lens?.branch === branch && out.lens.channel === Number(channel);
    const { row, column } = isSameChannel ? out.lens : { row: 0, column: 0 };
    Object.assign(out, { model, block, lens: { branch, channel: Number(channel), row, column }, deeper: "unit" });
  }
  const top = value("top");
  if (top && /^([1-9]|10)$/.test(top)) out.top = Number(top);
  const step = value("step") ?? value("lesson");
  if (step && /^[1-8]$/.test(step)) out.step = Number(step);
  const lab = labOf(value("lab"));
  if (lab) out.lab = lab;
  return out;
}

/**
 * Parse the branches that are off.
 * @param {string} text  "4b:1x1+3x3,5a:pool"
 * @returns {Off}
 */
function parseOff(text) {
  /** @type {Off} */
  const off = {};
  for (const part of text.split(",")) {
    const [block, branches = ""] = part.split(":");
    const valid = BRANCHES.filter((branch) => branches.split(/[+ ]/).includes(branch));
    if (BLOCKS.includes(/** @type {Block} */ (block)) && valid.length) off[/** @type {Block} */ (block)] = valid;
  }
  return off;
}

/**
 * Parse the channels that are off.
 * @param {string} text  "4b:117+3,5a:9"
 * @returns {OffChannels}
 */
function parseOffChannels(text) {
  /** @type {OffChannels} */
  let channels = {};
  for (const part of text.split(",")) {
    const [block, numbers = ""] = part.split(":");
    if (!BLOCKS.includes(/** @type {Block} */ (block))) continue;
    const valid = numbers.split(/[+ ]/).filter((digits) => /^\d{1,4}$/.test(digits) && Number(digits) < MAX_CHANNELS);
    for (const number of new Set(valid.map(Number))) {
      if (!channels[/** @type {Block} */ (block)]?.includes(number))
        channels = channelSwitched(channels, /** @type {Block} */ (block), number);
    }
  }
  return channels;
}

// ---------------------------------------------------------------- stimuli of the laboratory, drawn by stimuli.js

/**
 * @typedef {"disc" | "ring" | "grating" | "edge" | "colour" | "pen"} LabShape
 * @typedef {"size" | "angle" | "hue"} Slider
 *
 * @typedef {object} Lab  a stimulus
 * @property {LabShape} shape  pen: drawn by the visitor
 * @property {number} size  diameter, wavelength or pen width, in percent of the input's side
 * @property {number} angle  of stripes or of an edge, in degrees; 0 is upright
 * @property {number} hue  in degrees; 0 is red
 */

/** @type {LabShape[]} */
export const LAB_SHAPES = ["disc", "ring", "grating", "edge", "colour", "pen"];
/** @type {Record<LabShape, Slider[]>} */
export const SLIDERS = { disc: ["size"], ring: ["size"], grating: ["size", "angle"], edge: ["angle"], colour: ["hue"], pen: ["size"] };
/** @type {Record<Slider, {min: number, max: number, step: number}>} */
export const RANGES = {
  size: { min: 2, max: 100, step: 1 },
  angle: { min: 0, max: 175, step: 5 },
  hue: { min: 0, max: 355, step: 5 },
};
/** Values of each slider in a sweep. @type {Record<Slider, number[]>} */
export const SWEEPS = {
  size: [3, 4, 5, 6, 8, 10, 13, 17, 22, 28, 36, 47, 60, 78, 100],
  angle: Array.from({ length: 12 }, (_, i) => 15 * i),
  hue: Array.from({ length: 24 }, (_, i) => 15 * i),
};
/** @type {Readonly<Lab>} */
export const FIRST_LAB = Object.freeze({ shape: "pen", size: 6, angle: 0, hue: 0 });

/**
 * Encode a stimulus as shape, size, angle and hue: "grating:15:45:0".
 * @param {Lab} lab
 */
export function labText({ shape, size, angle, hue }) {
  return [shape, size, angle, hue].join(":");
}

/**
 * Decode a stimulus; null if it is invalid.
 * @param {string | null} text
 * @returns {Lab | null}
 */
export function labOf(text) {
  const [shape, ...numbers] = text?.split(":") ?? [];
  const values = numbers.map(Number);
  const names = /** @type {Slider[]} */ (Object.keys(RANGES));
  if (!LAB_SHAPES.includes(/** @type {LabShape} */ (shape)) || values.length !== names.length) return null;
  const isValid = names.every((name, i) => Number.isInteger(values[i]) && values[i] >= RANGES[name].min && values[i] <= RANGES[name].max);
  return isValid ? { shape: /** @type {LabShape} */ (shape), size: values[0], angle: values[1], hue: values[2] } : null;
}
