/** Files that the browser builds from loaded data: CSV, JSON, NumPy and zip; independent of the page. */

import { zeroShare } from "./maps.js";
import { BLOCKS, BRANCHES, order, softmax } from "./numbers.js";

/** @import {Block, BlockChannels, Channels, Network, Scene} from "./types.js" */

/**
 * @typedef {object} Statistics  of a branch's feature maps
 * @property {number} channels
 * @property {number} height
 * @property {number} width
 * @property {number} lowest
 * @property {number} highest
 * @property {number} mean
 * @property {number} silent  channels that are zero everywhere
 * @property {number} zero_share  of the cells
 *
 * @typedef {Record<string, string | number>} Row
 */

/** Colours of the branches on white: those of the light theme in tokens.css. */
export const COLOURS = { "1x1": "#0072b2", "3x3": "#b34d00", "5x5": "#007454", pool: "#9d3f76" };
const STATISTICS = /** @type {const} */ (["channels", "height", "width", "lowest", "highest", "mean", "silent", "zero_share"]);
export const COLUMNS = ["kind", "class", "label", "label_zh", "logit", "probability", "block", "branch", ...STATISTICS];
const FORMULA = /^ *[=+\-@\t\r\n＝＋－＠]/;

/**
 * Compute the statistics of a branch.
 * @param {Channels} channels
 * @returns {Statistics}
 */
export function statistics(channels) {
  const { count, side, low, high, mean } = channels;
  let [lowest, highest, sum, silent, zeros] = [Infinity, -Infinity, 0, 0, 0];
  for (let i = 0; i < count; i++) {
    lowest = Math.min(lowest, low[i]);
    highest = Math.max(highest, high[i]);
    sum += mean[i];
    zeros += zeroShare(channels, i);
    if (low[i] === 0 && high[i] === 0) silent += 1;
  }
  return { channels: count, height: side, width: side, lowest, highest, mean: sum / count, silent, zero_share: zeros / count };
}

/**
 * Return all classes, the most probable first.
 * @param {Scene} scene
 * @param {Network} network
 * @returns {{class: number, label: string, logit: number, probability: number}[]}
 */
export function classRows(scene, network) {
  const probabilities = softmax(scene.logits, network.temperature);
  return order(scene.logits).map((index) => ({
    class: index,
    label: network.labels[index],
    logit: scene.logits[index],
    probability: probabilities[index],
  }));
}

/**
 * Build a table with a row for each class, then one for each branch of each block that is given.
 * @param {Scene} scene
 * @param {Network} network
 * @param {Partial<Record<Block, BlockChannels>>} blocks
 * @returns {string}  with a byte-order mark, without which Excel guesses another encoding
 */
export function csv(scene, network, blocks) {
  /** @type {Row[]} */
  const rows = classRows(scene, network).map((row) => ({
    kind: "class",
    ...row,
    label: escapeFormula(row.label),
    label_zh: network.chinese[row.label] ?? "",
  }));
  for (const block of BLOCKS) {
    for (const branch of BRANCHES) {
      const channels = blocks[block]?.[branch];
      if (channels) rows.push({ kind: "branch", block, branch, ...statistics(channels) });
    }
  }
  const lines = rows.map((row) => COLUMNS.map((column) => quote(String(row[column] ?? ""))).join(","));
  return `\ufeff${[COLUMNS.join(","), ...lines].join("\r\n")}\r\n`;
}

/**
 * Build the same numbers as JSON, with the keys of `table_json` in export/archive.py.
 * @param {Scene} scene
 * @param {Network} network
 * @param {Partial<Record<Block, BlockChannels>>} blocks
 * @param {Record<string, unknown>} about
 * @returns {string}
 */
export function json(scene, network, blocks, about) {
  const classes = classRows(scene, network);
  const byBlock = Object.fromEntries(
    BLOCKS.flatMap((block) => {
      const branches = blocks[block];
      return branches ? [[block, Object.fromEntries(BRANCHES.map((branch) => [branch, statistics(branches[branch])]))]] : [];
    }),
  );
  const doubtful = network.threshold === null ? null : classes[0].probability < network.threshold;
  const { rejection: rule, temperature } = network;
  return JSON.stringify({ ...about, temperature, not_sure: doubtful, rule, classes, blocks: byBlock }, null, 1);
}

/**
 * Prefix a name with an apostrophe if a spreadsheet would take it for a formula.
 * @param {string} name
 */
export function escapeFormula(name) {
  return FORMULA.test(name) ? `'${name}` : name;
}

/** Quote a field of a CSV file if necessary. @param {string} text */
function quote(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Build a NumPy file of a branch's feature maps: float32, (channels, height, width).
 * @param {Channels} channels
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function npy(channels) {
  const { count, side, low, high, values } = channels;
  const description = `{'descr': '<f4', 'fortran_order': False, 'shape': (${count}, ${side}, ${side}), }`;
  const header = description.padEnd(Math.ceil((10 + description.length + 1) / 64) * 64 - 11, " ") + "\n";
  const file = new Uint8Array(10 + header.length + 4 * values.length);
  file.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 255, header.length >> 8]);
  file.set(new TextEncoder().encode(header), 10);
  const view = new DataView(file.buffer);
  const cells = side * side;
  for (let i = 0; i < values.length; i++) {
    const channel = Math.floor(i / cells);
    const value = low[channel] + (values[i] / 255) * (high[channel] - low[channel]);
    view.setFloat32(10 + header.length + 4 * i, value, true);
  }
  return file;
}

/**
 * Build a zip archive without compression.
 * @param {[string, Uint8Array][]} files  names and contents
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function zip(files) {
  /** @type {Uint8Array[]} */
  const parts = [];
  /** @type {Uint8Array[]} */
  const directory = [];
  let [offset, directorySize] = [0, 0];
  for (const [name, data] of files) {
    const nameBytes = new TextEncoder().encode(name);
    const crc = crc32(data);
    const local = record(30, nameBytes, (view) => setCommonFields(view, 0, 0x04034b50, crc, data.length, nameBytes.length));
    const entry = record(46, nameBytes, (view) => {
      setCommonFields(view, 2, 0x02014b50, crc, data.length, nameBytes.length);
      view.setUint16(4, 20, true);
      view.setUint32(42, offset, true);
    });
    parts.push(local, data);
    directory.push(entry);
    offset += local.length + data.length;
    directorySize += entry.length;
  }
  const end = record(22, new Uint8Array(), (view) => {
    view.setUint32(0, 0x06054b50, true);
    view.setUint16(8, files.length, true);
    view.setUint16(10, files.length, true);
    view.setUint32(12, directorySize, true);
    view.setUint32(16, offset, true);
  });
  const archive = new Uint8Array(offset + directorySize + end.length);
  let position = 0;
  for (const part of [...parts, ...directory, end]) {
    archive.set(part, position);
    position += part.length;
  }
  return archive;
}

/**
 * Create a record of an archive: fields of a fixed length, then a file's name.
 * @param {number} length
 * @param {Uint8Array} name
 * @param {(view: DataView) => void} fill
 */
function record(length, name, fill) {
  const bytes = new Uint8Array(length + name.length);
  fill(new DataView(bytes.buffer));
  bytes.set(name, length);
  return bytes;
}

/**
 * Set the fields that a local file header and an entry of the central directory share. In the latter they come two bytes
 * later.
 * @param {DataView} view
 * @param {number} shift
 * @param {number} signature
 * @param {number} crc
 * @param {number} size
 * @param {number} nameLength
 */
function setCommonFields(view, shift, signature, crc, size, nameLength) {
  view.setUint32(0, signature, true);
  view.setUint16(4 + shift, 20, true); // version of the format
  view.setUint16(6 + shift, 0x800, true); // names are UTF-8
  view.setUint16(12 + shift, 0x21, true); // 1980-01-01: equal numbers give equal files
  view.setUint32(14 + shift, crc, true);
  view.setUint32(18 + shift, size, true);
  view.setUint32(22 + shift, size, true);
  view.setUint16(26 + shift, nameLength, true);
}

/** @type {Uint32Array | null} */
let crcTable = null;

/** @param {Uint8Array} data */
export function crc32(data) {
  crcTable ??= Uint32Array.from({ length: 256 }, (_, byte) => {
    let remainder = byte;
    for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? 0xedb88320 ^ (remainder >>> 1) : remainder >>> 1;
    return remainder;
  });
  let crc = 0xffffffff;
  for (const byte of data) crc = crcTable[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
