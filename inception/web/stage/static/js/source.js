/**
 * The one interface to what computes. Another source, such as a network in the browser, would offer the same functions.
 */

import { BLOCKS, floats, unpack } from "./numbers.js";
import { language, t } from "./words.js";

/** @import {AllOff, Block, BlockChannels, BlockTuning, Branch, FieldSquare, Influence, Network, Scene, Start, Strongest, Subject, Subsets, Worth} from "./types.js" */

/** @typedef {ReturnType<typeof createSource>} Source */

const KEPT = 80; // answers in memory
const PHOTOS_KEPT = 20; // uploaded photos in memory
// Tells visitors behind one proxy apart.
const session = Math.random().toString(36).slice(2);

/** An error whose message is a sentence for the visitor. */
export class SourceError extends Error {}

/**
 * @param {URL} root  of the Gradio app, ending with "/"
 */
export function createSource(root) {
  /** Where the browser has uploaded photos, by their paths on the server. @type {Map<string, string>} */
  const addresses = new Map();

  /**
   * @param {string} photo
   * @param {string} address
   */
  function show(photo, address) {
    const before = addresses.get(photo);
    if (before && before !== address) URL.revokeObjectURL(before);
    addresses.set(photo, address);
    if (addresses.size <= PHOTOS_KEPT) return;
    const [oldest, url] = /** @type {[string, string]} */ (addresses.entries().next().value);
    addresses.delete(oldest);
    URL.revokeObjectURL(url);
  }

  /**
   * @param {string} path
   * @param {RequestInit} request
   */
  async function reach(path, request) {
    try {
      return await fetch(new URL(path, root), { method: "POST", ...request });
    } catch {
      throw new SourceError(t("notice.unreachable"));
    }
  }

  /**
   * @param {string} event
   * @param {unknown[]} data
   */
  async function post(event, data) {
    const answer = await reach(`gradio_api/run/stage_${event}`, {
      headers: { "Content-Type": "application/json", "Accept-Language": language() },
      body: JSON.stringify({ data, session_hash: session }),
    });
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok || body.error) throw new SourceError(sentence(body, answer.status));
    return body.data[0];
  }

  /** @type {Map<string, Promise<any>>} */
  const answers = new Map();

  /**
   * The answer of an event, from memory if it was asked before; `read` unpacks its arrays.
   * @template T
   * @param {(raw: any) => T} read
   * @param {string} event
   * @param {unknown[]} values
   * @returns {Promise<T>}
   */
  function told(read, event, ...values) {
    const key = JSON.stringify([event, values]);
    let answer = answers.get(key);
    if (!answer) {
      answer = post(event, values).then(read);
      answer.catch(() => answers.delete(key));
    }
    keep(key, answer);
    return answer;
  }

  /**
   * Keep an answer; the least recently used ones go.
   * @param {string} key
   * @param {Promise<any>} answer
   */
  function keep(key, answer) {
    answers.delete(key);
    answers.set(key, answer);
    while (answers.size > KEPT) answers.delete(/** @type {string} */ (answers.keys().next().value));
  }

  /**
   * @param {string} event
   * @param {unknown[]} values
   * @returns {Promise<any>}
   */
  const ask = (event, ...values) => told((raw) => raw, event, ...values);

  return {
    root,
    /**
     * What a first visit shows, fetched as one file: the answers of several events. Where there is no such file, each
     * is asked for by itself.
     * @returns {Promise<Start>}
     */
    async first() {
      const answer = await fetch(new URL("stage/first.json", root)).catch(() => null);
      const known = answer?.ok ? (await answer.json()).answers : [];
      for (const [event, values, raw] of known) {
        const read = READERS[event] ?? ((/** @type {any} */ one) => one);
        answers.set(JSON.stringify([event, values]), Promise.resolve(raw).then(read));
      }
      return ask("start");
    },
    /** @returns {Promise<Start>} */
    start: () => ask("start"),
    /** @param {string} model @returns {Promise<Network>} */
    network: (model) => told(readNetwork, "network", model),
    /** @param {Subject} subject @param {AllOff} off @returns {Promise<Scene>} */
    scene: (subject, off) => told(readScene, "scene", subject, off),
    /** Whether the scene with everything on is at hand, or on its way. @param {Subject} subject */
    hasScene: (subject) => answers.has(JSON.stringify(["scene", [subject, {}]])),
    /** @param {Subject} subject @param {AllOff} off @param {Block} block @returns {Promise<BlockChannels>} */
    block: (subject, off, block) => told(readChannels, "block", subject, off, block),
    /** @param {Subject} subject @param {Block} block @returns {Promise<Subsets>} */
    votes: (subject, block) => told(readSubsets, "votes", subject, block),
    /**
     * The worth of the channels of a block and of those behind it for a class: sooner there than that of all blocks.
     * @param {Subject} subject
     * @param {number | null} cls  null: the most probable
     * @param {Block} block
     * @returns {Promise<Worth>}
     */
    async worth(subject, cls, block) {
      if (cls === null) return Object.values(await told(readWorth, "worth", subject, [], block))[0];
      if (answers.has(worthKey(subject, [cls]))) return (await told(readWorth, "worth", subject, [cls], BLOCKS[0]))[cls];
      const best = await answers.get(worthKey(subject, [], block)); // asked for before its class was known
      return (best && cls in best ? best : await told(readWorth, "worth", subject, [cls], block))[cls];
    },
    /**
     * Ask for the worth of several classes in all blocks at once, so that `worth` has each of them without a request.
     * @param {Subject} subject
     * @param {number[]} classes
     */
    async prefetchWorth(subject, classes) {
      const missing = classes.filter((cls) => !answers.has(worthKey(subject, [cls])));
      if (!missing.length) return;
      const all = await told(readWorth, "worth", subject, missing, BLOCKS[0]);
      for (const cls of missing) keep(worthKey(subject, [cls]), Promise.resolve({ [cls]: all[cls] }));
    },
    /** @param {Subject} subject @param {Block} block @returns {Promise<Partial<Record<Branch, FieldSquare>>>} */
    field: (subject, block) => told(readFields, "field", subject, block),
    /** @param {Subject} subject @param {Block} block @param {Branch} branch @param {number} channel @param {number} row @param {number} column */
    cell: (subject, block, branch, channel, row, column) => ask("cell", subject, block, branch, channel, row, column),
    /** @param {Subject} subject @param {Block} block @param {Branch} branch @param {number} channel @param {number} row @param {number} column */
    kernel: (subject, block, branch, channel, row, column) =>
      ask("kernel", subject, block, branch, channel, row, column),
    /** @param {{model: string, block: Block, branch: Branch, channel: number}} unit @param {string} goal @param {number} step */
    unitImage: ({ model, block, branch, channel }, goal, step) => post("unit_image", [model, block, branch, channel, goal, step]),
    /** @param {Subject} subject @param {{block: Block, branch: Branch, channel: number, row: number, column: number}} cell */
    circuit: (subject, { block, branch, channel, row, column }) => ask("circuit", subject, block, branch, channel, row, column),
    /** @param {Subject} subject @param {string} method @param {Block} block @param {number} cls @returns {Promise<{map: Float32Array, side: number}>} */
    attribution: (subject, method, block, cls) => told(readMap, "attribution", subject, method, block, cls),
    /** @param {Subject} subject @param {string} method @param {Block} block @param {number} cls */
    trust: (subject, method, block, cls) => ask("trust", subject, method, block, cls),
    /** @param {Subject} subject @param {number} cls */
    logitCircuit: (subject, cls) => ask("logit_circuit", subject, cls),
    /** @param {Subject} subject @param {number} cls */
    evidence: (subject, cls) => told(readMap, "evidence", subject, cls),
    /** @param {Subject} subject @param {Block} block @param {number} cls */
    cam: (subject, block, cls) => told(readMap, "cam", subject, block, cls),
    /** @param {Subject} subject @returns {Promise<Record<Block, {logits: Float32Array, classes: number}>>} */
    table: (subject) => told(readTable, "table", subject),
    /** @param {Subject} subject @param {Block} block @param {Branch} branch @param {number} row @param {number} column @returns {Promise<Influence>} */
    effective: (subject, block, branch, row, column) => told(readMap, "effective", subject, block, branch, row, column),
    /** @param {Subject} subject @param {Block} block @returns {Promise<Record<"before" | "3x3" | "5x5", Strongest>>} */
    bottleneck: (subject, block) => told((raw) => each(raw, readStrongest), "bottleneck", subject, block),
    /** @param {string} model @param {Block} block @param {string} shape */
    tuning: (model, block, shape) => ask("tuning", model, block, shape),
    /** @param {string} model @param {Block} block @returns {Promise<BlockTuning>} */
    blockTuning: (model, block) => told(readTuning, "block_tuning", model, block),
    /** @param {string} model */
    census: (model) => ask("census", model),
    /** @param {string} model @param {Block} block @param {Branch} branch @param {number} channel */
    unitTuning: (model, block, branch, channel) => ask("unit_tuning", model, block, branch, channel),
    /** @param {string} model @param {Block} block @param {Branch} branch @param {number} channel */
    unitAtlas: (model, block, branch, channel) => ask("unit_atlas", model, block, branch, channel),
    /** @param {string} model @param {Block} block @param {Branch} branch @param {number} channel */
    unitWiring: (model, block, branch, channel) => ask("unit_wiring", model, block, branch, channel),

    /**
     * Send a photo; returns the path by which the server knows it.
     * @param {Blob} file
     * @param {string} [name]
     * @returns {Promise<string>}
     */
    async upload(file, name = "photo") {
      const { max_bytes } = await this.start();
      if (file.size > max_bytes) throw new SourceError(t("photo.too_large", { limit: Math.floor(max_bytes / 2 ** 20) }));
      const form = new FormData();
      form.append("files", file, name);
      const answer = await reach("gradio_api/upload", { body: form, headers: { "Accept-Language": language() } });
      const body = await answer.json().catch(() => ({}));
      if (!answer.ok) throw new SourceError(sentence(body, answer.status));
      show(body[0], URL.createObjectURL(file));
      return body[0];
    },
    /**
     * Make sure that the browser can draw an uploaded photo: of a TIFF the server sends a JPEG.
     * @param {Subject} subject
     */
    async drawable(subject) {
      if (subject.photo.startsWith("example:")) return;
      const image = new Image();
      image.src = this.photoUrl(subject.photo);
      await image.decode().catch(async () => show(subject.photo, (await ask("picture", subject)).url));
    },
    /**
     * Where the browser finds a photo.
     * @param {string} photo
     * @param {boolean} [small]
     */
    photoUrl(photo, small = false) {
      if (photo.startsWith("example:")) {
        const stem = photo.slice("example:".length);
        return new URL(`stage/examples/${stem}${small ? ".thumb" : ""}.jpg`, root).href;
      }
      return addresses.get(photo) ?? new URL(`gradio_api/file=${photo}`, root).href;
    },
  };
}

/**
 * What the worth of classes in a block and all behind it is kept as, by default in all blocks.
 * @param {Subject} subject
 * @param {number[]} classes
 * @param {Block} [first]
 */
const worthKey = (subject, classes, first = BLOCKS[0]) => JSON.stringify(["worth", [subject, classes, first]]);

/** What unpacks each event's answer. @type {Record<string, (raw: any) => any>} */
const READERS = { network: readNetwork, scene: readScene, block: readChannels, votes: readSubsets, worth: readWorth, field: readFields };

/**
 * @param {any} body
 * @param {number} status
 */
function sentence(body, status) {
  const said = body?.error?.message ?? body?.error ?? body?.detail;
  return typeof said === "string" && said ? said : `The server answered ${status}.`;
}

/** @param {any} raw @returns {Network} */
function readNetwork(raw) {
  return { ...raw, blocks: each(raw.blocks, (block) => ({ ...block, reading: floats(block.reading) })) };
}

/** @param {any} raw @returns {Scene} */
function readScene(raw) {
  const maps = each(raw.maps, (branches) =>
    each(branches, ({ low, high, values }) => {
      const { values: bytes, shape } = unpack(values);
      return { low, high, values: bytes, side: shape[0] };
    }),
  );
  return { ...raw, logits: floats(raw.logits), maps };
}

/** @param {any} raw @returns {BlockChannels} */
function readChannels(raw) {
  return each(raw.branches, readMaps);
}

/** @param {any} raw */
function readMaps({ low, high, mean, values }) {
  const { values: bytes, shape } = unpack(values);
  return { count: shape[0], side: shape[1], low: floats(low), high: floats(high), mean: floats(mean), values: bytes };
}

/** @param {any} raw */
function readStrongest({ count, numbers, ...maps }) {
  return { ...readMaps(maps), all: count, numbers };
}

/** @param {any} raw @returns {Subsets} */
function readSubsets(raw) {
  return { block: raw.block, fill: raw.fill, logits: floats(raw.subsets), classes: raw.subsets.shape[1] };
}

/** @param {any} raw @returns {Record<number, Worth>} */
function readWorth(raw) {
  return each(raw.worth, (blocks) => each(blocks, floats));
}

/**
 * Without those of branches that are zero at their middle cell: nothing influences it.
 * @param {Record<Branch, FieldSquare>} raw
 */
function readFields(raw) {
  return Object.fromEntries(Object.entries(raw).filter(([, { left, right }]) => right > left));
}

/** @param {any} raw @returns {BlockTuning} */
function readTuning(raw) {
  return { ...raw, orientation: floats(raw.orientation), colour: floats(raw.colour), size: floats(raw.size) };
}

/** @param {any} raw */
function readMap(raw) {
  const { values, shape } = unpack(raw.map);
  return { ...raw, map: values, side: shape[0], ...(raw.maps ? { maps: each(raw.maps, floats) } : {}) };
}

/** @param {any} raw @returns {Record<Block, {logits: Float32Array, classes: number}>} */
function readTable(raw) {
  return each(raw.logits, (packed) => ({ logits: floats(packed), classes: packed.shape[1] }));
}

/**
 * @param {Record<string, any>} object
 * @param {(value: any) => any} change
 * @returns {any}
 */
function each(object, change) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));
}
