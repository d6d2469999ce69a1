/**
 * The page's only access to the server. Another source, such as a network in the browser, would offer the same functions.
 */

import { BLOCKS, floats, unpack } from "./numbers.js";
import { language, t } from "./words.js";

/** @import {AllOff, Block, BlockChannels, BlockTuning, Branch, FieldSquare, Influence, Network, Scene, Start, Strongest, Subject, Subsets, Worth} from "./types.js" */

/** @typedef {ReturnType<typeof createSource>} Source */

const CACHE_SIZE = 80; // responses
const MAX_OBJECT_URLS = 20; // of uploaded photos
// Distinguishes visitors behind one proxy.
const session = Math.random().toString(36).slice(2);

/** Error whose message is a sentence for the visitor. */
export class SourceError extends Error {}

/**
 * Create the client of a server.
 * @param {URL} root  of the Gradio app, ending with "/"
 */
export function createSource(root) {
  /** Object URLs of uploaded photos, by their paths on the server. @type {Map<string, string>} */
  const objectUrls = new Map();

  /**
   * Set the object URL of a photo; the URL that it replaces, or else the oldest one above the limit, is revoked.
   * @param {string} photo
   * @param {string} url
   */
  function setObjectUrl(photo, url) {
    const previous = objectUrls.get(photo);
    if (previous && previous !== url) URL.revokeObjectURL(previous);
    objectUrls.set(photo, url);
    if (objectUrls.size <= MAX_OBJECT_URLS) return;
    const [oldestPhoto, oldestUrl] = /** @type {[string, string]} */ (objectUrls.entries().next().value);
    objectUrls.delete(oldestPhoto);
    URL.revokeObjectURL(oldestUrl);
  }

  /**
   * Send a POST request.
   * @param {string} path
   * @param {RequestInit} options
   */
  async function send(path, options) {
    try {
      return await fetch(new URL(path, root), { method: "POST", ...options });
    } catch {
      throw new SourceError(t("notice.unreachable"));
    }
  }

  /**
   * Return the body of a response, or throw its error.
   * @param {Response} response
   */
  async function bodyOf(response) {
    const body = await response.json().catch(() => null);
    if (!response.ok || body?.error) throw new SourceError(errorMessage(body, response.status));
    if (body === null) throw new SourceError(t("notice.unreachable")); // the connection broke, or a proxy answered
    return body;
  }

  /**
   * Call an event, without the cache, and return its result.
   * @param {string} event
   * @param {unknown[]} data
   */
  async function post(event, data) {
    const response = await send(`gradio_api/run/stage_${event}`, {
      headers: { "Content-Type": "application/json", "Accept-Language": language() },
      body: JSON.stringify({ data, session_hash: session }),
    });
    return (await bodyOf(response)).data[0];
  }

  /** LRU cache of responses, also of those in flight: a map iterates in order of insertion. @type {Map<string, Promise<any>>} */
  const responses = new Map();

  /**
   * Request an event, or return its cached response, decoded by `read`.
   * @template T
   * @param {(raw: any) => T} read
   * @param {string} event
   * @param {unknown[]} values
   * @returns {Promise<T>}
   */
  function request(read, event, ...values) {
    const key = JSON.stringify([event, values]);
    let response = responses.get(key);
    if (!response) {
      response = post(event, values).then(read);
      response.catch(() => responses.delete(key));
    }
    cache(key, response);
    return response;
  }

  /**
   * Cache a response as the most recently used one.
   * @param {string} key
   * @param {Promise<any>} response
   */
  function cache(key, response) {
    responses.delete(key);
    responses.set(key, response);
    while (responses.size > CACHE_SIZE) responses.delete(/** @type {string} */ (responses.keys().next().value));
  }

  /**
   * Request an event whose response needs no decoding.
   * @param {string} event
   * @param {unknown[]} values
   * @returns {Promise<any>}
   */
  const requestPlain = (event, ...values) => request((raw) => raw, event, ...values);

  return {
    root,
    /**
     * Fill the cache with the responses that a first visit needs, fetched as one file. Without that file, each is
     * requested separately.
     * @returns {Promise<Start>}
     */
    async first() {
      const response = await fetch(new URL("stage/first.json", root)).catch(() => null);
      const prepared = response?.ok ? await response.json().catch(() => null) : null;
      for (const [event, values, raw] of prepared?.answers ?? []) {
        const read = READERS[event] ?? ((/** @type {any} */ result) => result);
        responses.set(JSON.stringify([event, values]), Promise.resolve(raw).then(read));
      }
      return requestPlain("start");
    },
    /** @returns {Promise<Start>} */
    start: () => requestPlain("start"),
    /** @param {string} model @returns {Promise<Network>} */
    network: (model) => request(readNetwork, "network", model),
    /** @param {Subject} subject @param {AllOff} off @returns {Promise<Scene>} */
    scene: (subject, off) => request(readScene, "scene", subject, off),
    /** Whether the scene with everything on is cached or in flight. @param {Subject} subject */
    hasScene: (subject) => responses.has(JSON.stringify(["scene", [subject, {}]])),
    /** @param {Subject} subject @param {AllOff} off @param {Block} block @returns {Promise<BlockChannels>} */
    block: (subject, off, block) => request(readChannels, "block", subject, off, block),
    /** @param {Subject} subject @param {Block} block @returns {Promise<Subsets>} */
    votes: (subject, block) => request(readSubsets, "votes", subject, block),
    /**
     * Request the worth of the channels of a block and of all later ones for a class; faster than the worth of all blocks.
     * @param {Subject} subject
     * @param {number | null} cls  null: the most probable
     * @param {Block} block
     * @returns {Promise<Worth>}
     */
    async worth(subject, cls, block) {
      if (cls === null) return Object.values(await request(readWorth, "worth", subject, [], block))[0];
      if (responses.has(worthKey(subject, [cls]))) return (await request(readWorth, "worth", subject, [cls], BLOCKS[0]))[cls];
      const mostProbable = await responses.get(worthKey(subject, [], block)); // requested before the class was known
      return (mostProbable && cls in mostProbable ? mostProbable : await request(readWorth, "worth", subject, [cls], block))[cls];
    },
    /**
     * Request the worth of several classes in all blocks at once, so that `worth` finds each of them in the cache.
     * @param {Subject} subject
     * @param {number[]} classes
     */
    async prefetchWorth(subject, classes) {
      const missing = classes.filter((cls) => !responses.has(worthKey(subject, [cls])));
      if (!missing.length) return;
      const worths = await request(readWorth, "worth", subject, missing, BLOCKS[0]);
      for (const cls of missing) cache(worthKey(subject, [cls]), Promise.resolve({ [cls]: worths[cls] }));
    },
    /** @param {Subject} subject @param {Block} block @returns {Promise<Partial<Record<Branch, FieldSquare>>>} */
    field: (subject, block) => request(readFields, "field", subject, block),
    /** @param {Subject} subject @param {Block} block @param {Branch} branch @param {number} channel @param {number} row @param {number} column */
    cell: (subject, block, branch, channel, row, column) => requestPlain("cell", subject, block, branch, channel, row, column),
    /** @param {Subject} subject @param {Block} block @param {Branch} branch @param {number} channel @param {number} row @param {number} column */
    kernel: (subject, block, branch, channel, row, column) =>
      requestPlain("kernel", subject, block, branch, channel, row, column),
    /** @param {{model: string, block: Block, branch: Branch, channel: number}} unit @param {string} goal @param {number} step */
    unitImage: ({ model, block, branch, channel }, goal, step) => post("unit_image", [model, block, branch, channel, goal, step]),
    /** @param {Subject} subject @param {{block: Block, branch: Branch, channel: number, row: number, column: number}} cell */
    circuit: (subject, { block, branch, channel, row, column }) => requestPlain("circuit", subject, block, branch, channel, row, column),
    /** @param {Subject} subject @param {string} method @param {Block} block @param {number} cls @returns {Promise<{map: Float32Array, side: number}>} */
    attribution: (subject, method, block, cls) => request(readMap, "attribution", subject, method, block, cls),
    /** @param {Subject} subject @param {string} method @param {Block} block @param {number} cls */
    trust: (subject, method, block, cls) => requestPlain("trust", subject, method, block, cls),
    /** @param {Subject} subject @param {number} cls */
    logitCircuit: (subject, cls) => requestPlain("logit_circuit", subject, cls),
    /** @param {Subject} subject @param {number} cls */
    evidence: (subject, cls) => request(readMap, "evidence", subject, cls),
    /** @param {Subject} subject @param {Block} block @param {number} cls */
    cam: (subject, block, cls) => request(readMap, "cam", subject, block, cls),
    /** @param {Subject} subject @returns {Promise<Record<Block, {logits: Float32Array, classes: number}>>} */
    table: (subject) => request(readTable, "table", subject),
    /** @param {Subject} subject @param {Block} block @param {Branch} branch @param {number} row @param {number} column @returns {Promise<Influence>} */
    effective: (subject, block, branch, row, column) => request(readMap, "effective", subject, block, branch, row, column),
    /** @param {Subject} subject @param {Block} block @returns {Promise<Record<"before" | "3x3" | "5x5", Strongest>>} */
    bottleneck: (subject, block) => request((raw) => mapValues(raw, readStrongest), "bottleneck", subject, block),
    /** @param {string} model @param {Block} block @param {string} shape */
    tuning: (model, block, shape) => requestPlain("tuning", model, block, shape),
    /** @param {string} model @param {Block} block @returns {Promise<BlockTuning>} */
    blockTuning: (model, block) => request(readTuning, "block_tuning", model, block),
    /** @param {string} model */
    census: (model) => requestPlain("census", model),
    /** @param {string} model @param {Block} block @param {Branch} branch @param {number} channel */
    unitTuning: (model, block, branch, channel) => requestPlain("unit_tuning", model, block, branch, channel),
    /** @param {string} model @param {Block} block @param {Branch} branch @param {number} channel */
    unitAtlas: (model, block, branch, channel) => requestPlain("unit_atlas", model, block, branch, channel),
    /** @param {string} model @param {Block} block @param {Branch} branch @param {number} channel */
    unitWiring: (model, block, branch, channel) => requestPlain("unit_wiring", model, block, branch, channel),

    /**
     * Upload a photo and return its path on the server.
     * @param {Blob} file
     * @param {string} [name]
     * @returns {Promise<string>}
     */
    async upload(file, name = "photo") {
      const { max_bytes } = await this.start();
      if (file.size > max_bytes) throw new SourceError(t("photo.too_large", { limit: Math.floor(max_bytes / 2 ** 20) }));
      const form = new FormData();
      form.append("files", file, name);
      const response = await send("gradio_api/upload", { body: form, headers: { "Accept-Language": language() } });
      const [photo] = await bodyOf(response);
      setObjectUrl(photo, URL.createObjectURL(file));
      return photo;
    },
    /**
     * Ensure that the browser can draw an uploaded photo: the server converts formats such as TIFF to JPEG.
     * @param {Subject} subject
     */
    async drawable(subject) {
      if (subject.photo.startsWith("example:")) return;
      const image = new Image();
      image.src = this.photoUrl(subject.photo);
      await image.decode().catch(async () => setObjectUrl(subject.photo, (await requestPlain("picture", subject)).url));
    },
    /**
     * Return the URL of a photo.
     * @param {string} photo
     * @param {boolean} [small]  the thumbnail, if it is an example
     */
    photoUrl(photo, small = false) {
      if (photo.startsWith("example:")) {
        const stem = photo.slice("example:".length);
        return new URL(`stage/examples/${stem}${small ? ".thumb" : ""}.jpg`, root).href;
      }
      return objectUrls.get(photo) ?? new URL(`gradio_api/file=${photo}`, root).href;
    },
  };
}

/**
 * Return the cache key of a worth request for a block and all later ones, by default for all blocks.
 * @param {Subject} subject
 * @param {number[]} classes
 * @param {Block} [first]
 */
const worthKey = (subject, classes, first = BLOCKS[0]) => JSON.stringify(["worth", [subject, classes, first]]);

/** Decoders of responses, by event. @type {Record<string, (raw: any) => any>} */
const READERS = { network: readNetwork, scene: readScene, block: readChannels, votes: readSubsets, worth: readWorth, field: readFields };

/**
 * Return the sentence of a failed response.
 * @param {any} body
 * @param {number} status
 */
function errorMessage(body, status) {
  const message = body?.error?.message ?? body?.error ?? body?.detail;
  return typeof message === "string" && message ? message : t("notice.status", { status });
}

/** @param {any} raw @returns {Network} */
function readNetwork(raw) {
  return { ...raw, blocks: mapValues(raw.blocks, (block) => ({ ...block, reading: floats(block.reading) })) };
}

/** @param {any} raw @returns {Scene} */
function readScene(raw) {
  const maps = mapValues(raw.maps, (branches) =>
    mapValues(branches, ({ low, high, values }) => {
      const { values: bytes, shape } = unpack(values);
      return { low, high, values: bytes, side: shape[0] };
    }),
  );
  return { ...raw, logits: floats(raw.logits), maps };
}

/** @param {any} raw @returns {BlockChannels} */
function readChannels(raw) {
  return mapValues(raw.branches, readMaps);
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
  return mapValues(raw.worth, (blocks) => mapValues(blocks, floats));
}

/**
 * Omit branches that are zero at their middle cell: no input influences it.
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
  return { ...raw, map: values, side: shape[0], ...(raw.maps ? { maps: mapValues(raw.maps, floats) } : {}) };
}

/** @param {any} raw @returns {Record<Block, {logits: Float32Array, classes: number}>} */
function readTable(raw) {
  return mapValues(raw.logits, (packed) => ({ logits: floats(packed), classes: packed.shape[1] }));
}

/**
 * Apply a function to each value of an object.
 * @param {Record<string, any>} object
 * @param {(value: any) => any} transform
 * @returns {any}
 */
function mapValues(object, transform) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, transform(value)]));
}
