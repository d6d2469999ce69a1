/** The page's state, subscriptions to its changes, and the address that encodes it; stimuli.js draws the laboratory's. */

import { BLOCKS, BRANCHES } from "./numbers.js";

/** @import {AllOff, Block, Branch, Data, Hover, Network, Off, OffChannels, State} from "./types.js" */

const MOST_CHANNELS = 1024; // off at once; also more than any number of a channel

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
 * @param {Partial<State>} [first]
 */
export function createStore(first = {}) {
  /** @type {Readonly<State>} */
  let state = { ...INITIAL, ...first };
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
  const tell = (changed) => {
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
     * @param {{push?: boolean, undo?: boolean, silent?: boolean}} [options]  push: it is a step of the browser's history;
     *   undo: it takes back the latest change; silent: the address is left alone
     */
    update(patch, { push = false, undo = false, silent = false } = {}) {
      const changed = differences(state, patch);
      if (!changed.size) return;
      state = Object.freeze({ ...state, ...patch });
      if (!silent) for (const listener of addressListeners) listener(state, push, undo);
      tell(changed);
    },
    /**
     * Set what the server said.
     * @param {Partial<Data>} patch
     */
    receive(patch) {
      const names = /** @type {(keyof Data)[]} */ (Object.keys(patch));
      /** @type {Set<Name>} */
      const changed = new Set(names.filter((name) => data[name] !== patch[name]));
      if (!changed.size) return;
      data = Object.freeze({ ...data, ...patch });
      tell(changed);
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
 * The names of a patch whose values are others than before; plain values are compared by content.
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
 * `off` with one branch switched.
 * @param {Off} off
 * @param {Block} block
 * @param {Branch} branch
 * @returns {Off}
 */
export function switched(off, block, branch) {
  const before = off[block] ?? [];
  const branches = before.includes(branch) ? before.filter((one) => one !== branch) : [...before, branch];
  const { [block]: _, ...others } = off;
  if (!branches.length) return others;
  return { ...others, [block]: BRANCHES.filter((one) => branches.includes(one)) };
}

/** @param {AllOff} off */
export function isAnythingOff(off) {
  return Object.keys(off).length > 0;
}

/** What turns everything back on. */
export const ALL_ON = Object.freeze({ off: Object.freeze({}), offChannels: Object.freeze({}) });

/**
 * The branches and channels that are off, in the network's order.
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
 * `offChannels` with one channel switched; as it was if too many would be off.
 * @param {OffChannels} offChannels
 * @param {Block} block
 * @param {number} channel  in the block's output
 * @returns {OffChannels}
 */
export function channelSwitched(offChannels, block, channel) {
  const before = offChannels[block] ?? [];
  const isBack = before.includes(channel);
  if (!isBack && Object.values(offChannels).flat().length >= MOST_CHANNELS) return offChannels;
  const channels = isBack ? before.filter((one) => one !== channel) : [...before, channel].sort((a, b) => a - b);
  const { [block]: _, ...others } = offChannels;
  return channels.length ? { ...others, [block]: channels } : others;
}

/**
 * The blocks and branches, or channels, that are off, in the network's order.
 * @template {Branch | number} T
 * @param {Partial<Record<Block, T[]>>} off
 * @returns {[Block, T][]}
 */
export function offList(off) {
  return BLOCKS.flatMap((block) => (off[block] ?? []).map((one) => /** @type {[Block, T]} */ ([block, one])));
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
const LONGEST = 200; // letters of one value of an address
const LONGEST_CHANNELS = 6000; // of the list of channels

/**
 * The state as the query of an address, without what is as at first. A visitor's own photo is not in it.
 * @param {Readonly<State>} state
 * @param {State["lang"]} [preferred]  the language of a page whose address names none
 * @returns {string}
 */
export function addressOf(state, preferred = INITIAL.lang) {
  const usual = { ...INITIAL, lang: preferred };
  const query = new URLSearchParams();
  if (state.photo.startsWith("example:")) query.set("photo", state.photo.slice("example:".length));
  if (state.model) query.set("model", state.model);
  query.set("block", state.block);
  if (state.crop) query.set("crop", state.crop.map((value) => value.toFixed(3)).join(":"));
  if (isAnythingOff(state.off)) {
    query.set("off", listed(state.off));
  }
  if (isAnythingOff(state.offChannels)) query.set("channels", listed(state.offChannels));
  if (state.cls !== null) query.set("class", String(state.cls));
  if (state.lens) query.set("lens", [state.lens.branch, state.lens.channel, state.lens.row, state.lens.column].join(":"));
  const isUnit = state.deeper === "unit" && state.lens !== null && /^[\w.-]+$/.test(state.model);
  if (isUnit && state.lens) query.set("unit", [state.model, state.block, state.lens.branch, state.lens.channel].join("/"));
  for (const name of /** @type {(keyof State)[]} */ (Object.keys(CHOICES))) {
    if (isUnit && name === "deeper") continue; // said by the unit
    if (state[name] !== usual[name] && state[name]) query.set(name, String(state[name]));
  }
  if (state.top !== INITIAL.top) query.set("top", String(state.top));
  if (state.step) query.set("step", String(state.step));
  if (state.lab) query.set("lab", labText(state.lab));
  return query.toString().replaceAll("%3A", ":").replaceAll("%2C", ",").replaceAll("%2F", "/");
}

/**
 * "4b:1x1+3x3,5a:pool"
 * @param {AllOff} off
 */
function listed(off) {
  return BLOCKS.filter((block) => off[block]?.length)
    .map((block) => `${block}:${off[block]?.join("+")}`)
    .join(",");
}

/** A file of this name is deleted by the server once it has read it. */
export const FRAME = "camera-frame.jpg";

/**
 * What a step of the history keeps beside its address: a photo of the visitor's own that the server still has.
 * @param {Pick<State, "photo" | "lab">} state
 * @returns {{photo: string} | null}
 */
export function keptWith({ photo, lab }) {
  const isKept = photo && !photo.startsWith("example:") && !photo.endsWith(FRAME) && lab === null;
  return isKept ? { photo } : null;
}

/**
 * What an address says; whatever makes no sense is left out.
 * @param {string} search
 * @returns {Partial<State>}
 */
export function stateOf(search) {
  const query = new URLSearchParams(search);
  /** @param {string} name @param {number} [longest] */
  const value = (name, longest = LONGEST) => {
    const text = query.get(name);
    return text !== null && text.length <= longest ? text : null;
  };
  /** @type {any} */
  const out = {};
  const photo = value("photo") ?? value("example"); // as links of earlier versions say
  if (photo && /^[\w-]+$/.test(photo)) out.photo = `example:${photo}`;
  const model = value("model");
  if (model) out.model = model;
  const block = value("block");
  if (BLOCKS.includes(/** @type {Block} */ (block))) out.block = block;
  const crop = value("crop")?.split(":").map(Number);
  if (crop?.length === 3 && crop.every((one) => Math.abs(one) <= 10) && crop[2] > 0) out.crop = crop;
  const off = offOf(value("off") ?? "");
  if (isAnythingOff(off)) out.off = off;
  const channels = channelsOf(value("channels", LONGEST_CHANNELS) ?? "");
  if (isAnythingOff(channels)) out.offChannels = channels;
  const cls = value("class");
  if (cls && /^\d{1,5}$/.test(cls)) out.cls = Number(cls);
  const lens = value("lens")?.match(/^(1x1|3x3|5x5|pool):(\d{1,4}):(\d{1,3}):(\d{1,3})$/);
  if (lens) out.lens = { branch: lens[1], channel: Number(lens[2]), row: Number(lens[3]), column: Number(lens[4]) };
  for (const [name, choices] of Object.entries(CHOICES)) {
    const chosen = value(name);
    if (chosen && choices.includes(chosen)) out[name] = chosen;
  }
  if (value("scale") === "shared") out.scale = "block"; // as links of earlier versions say, and so does `lesson`
  const unit = value("unit")?.match(/^([\w.-]+)\/(3a|3b|4a|4b|4c|4d|4e|5a|5b)\/(1x1|3x3|5x5|pool)\/(\d{1,4})$/);
  if (unit) {
    const [, model, block, branch, channel] = unit;
    const isSame = out.lens?.branch === branch && out.lens.channel === Number(channel);
    const { row, column } = isSame ? out.lens : { row: 0, column: 0 };
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
 * @param {string} text  "4b:1x1+3x3,5a:pool"
 * @returns {Off}
 */
function offOf(text) {
  /** @type {Off} */
  const off = {};
  for (const part of text.split(",")) {
    const [block, branches = ""] = part.split(":");
    const known = BRANCHES.filter((branch) => branches.split(/[+ ]/).includes(branch));
    if (BLOCKS.includes(/** @type {Block} */ (block)) && known.length) off[/** @type {Block} */ (block)] = known;
  }
  return off;
}

/**
 * @param {string} text  "4b:117+3,5a:9"
 * @returns {OffChannels}
 */
function channelsOf(text) {
  /** @type {OffChannels} */
  let channels = {};
  for (const part of text.split(",")) {
    const [block, numbers = ""] = part.split(":");
    if (!BLOCKS.includes(/** @type {Block} */ (block))) continue;
    const known = numbers.split(/[+ ]/).filter((one) => /^\d{1,4}$/.test(one) && Number(one) < MOST_CHANNELS);
    for (const one of new Set(known.map(Number))) {
      if (!channels[/** @type {Block} */ (block)]?.includes(one)) channels = channelSwitched(channels, /** @type {Block} */ (block), one);
    }
  }
  return channels;
}

// ---------------------------------------------------------------- stimulus of the laboratory

/**
 * @typedef {"disc" | "ring" | "grating" | "edge" | "colour" | "pen"} LabShape
 * @typedef {"size" | "angle" | "hue"} Slider
 *
 * @typedef {object} Lab
 * @property {LabShape} shape  pen: what the visitor has drawn
 * @property {number} size  diameter, wavelength or width of the pen, in percent of the input's side
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
/** The sizes, angles and hues of a sweep. @type {Record<Slider, number[]>} */
export const SWEEPS = {
  size: [3, 4, 5, 6, 8, 10, 13, 17, 22, 28, 36, 47, 60, 78, 100],
  angle: Array.from({ length: 12 }, (_, i) => 15 * i),
  hue: Array.from({ length: 24 }, (_, i) => 15 * i),
};
/** @type {Readonly<Lab>} */
export const FIRST_LAB = Object.freeze({ shape: "disc", size: 20, angle: 0, hue: 0 });

/**
 * "grating:15:45:0": shape, size, angle, hue.
 * @param {Lab} lab
 */
export function labText({ shape, size, angle, hue }) {
  return [shape, size, angle, hue].join(":");
}

/**
 * The same back; null if it makes no sense.
 * @param {string | null} text
 * @returns {Lab | null}
 */
export function labOf(text) {
  const [shape, ...rest] = text?.split(":") ?? [];
  const values = rest.map(Number);
  const names = /** @type {Slider[]} */ (Object.keys(RANGES));
  if (!LAB_SHAPES.includes(/** @type {LabShape} */ (shape)) || values.length !== names.length) return null;
  const isFine = names.every((name, i) => Number.isInteger(values[i]) && values[i] >= RANGES[name].min && values[i] <= RANGES[name].max);
  return isFine ? { shape: /** @type {LabShape} */ (shape), size: values[0], angle: values[1], hue: values[2] } : null;
}
