/** Buttons that make files of what the stage shows; the browser makes them, and nothing of them stays on the server. */

import { subjectOf, withFill } from "../controller.js";
import { paintMap } from "../colours.js";
import { h, replace } from "../dom.js";
import { COLOURS, csv, json, npy, statistics, zip } from "../downloads.js";
import { imageBlob, imageBytes } from "../encoding.js";
import { channelValues, isSignedBlock, isSignedScene, meanRange, meanValues, paletteOf } from "../maps.js";
import { BLOCKS, BRANCHES, order, percent, softmax } from "../numbers.js";
import { placeOf } from "../ranking.js";
import { allOff, offList } from "../state.js";
import { branchName, className, t } from "../words.js";
import { COLUMNS, mosaic } from "./mosaic.js";

/** @import {Block, BlockChannels, Branch, Colours, Network, Scale, Scene, State} from "../types.js" */
/** @import {Store} from "../state.js" */
/** @import {Source} from "../source.js" */

/** @typedef {"maps" | "sheet" | "zip" | "csv" | "json"} Kind */
/** @type {Kind[]} */
const KINDS = ["maps", "sheet", "zip", "csv", "json"];
const [INK, QUIET, PAPER] = ["#0f172a", "#475569", "#ffffff"];
const FONT = "system-ui, sans-serif";

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @param {Source} source
 */
export function createDownloads(root, store, source) {
  const said = h("p", { role: "status", class: "deeper-readout" });
  const words = h("div");
  root.append(words, said);

  function draw() {
    const { now, network } = store.data();
    replace(
      words,
      h("h3", {}, t("deeper.keep_title")),
      h("p", { class: "quiet" }, t("deeper.keep_lead")),
      h(
        "div",
        { class: "deeper-controls" },
        KINDS.map((kind) =>
          h("button", { type: "button", class: "button", disabled: !now || !network, dataset: { keep: kind }, onclick: () => make(kind) }, t(`deeper.keep_${kind}`)),
        ),
      ),
    );
  }

  /** @param {Kind} kind */
  async function make(kind) {
    const state = store.get();
    const data = store.data();
    const { now, network } = data;
    if (!now || !network) return;
    said.textContent = t("deeper.loading");
    const photo = state.photo.startsWith("example:") ? state.photo.slice("example:".length) : "photo";
    const stem = `${network.name}-${photo}`.replace(/[^\w.-]+/g, "_");
    const about = { model: network.name, photo: photo === "photo" ? null : photo, date: new Date().toISOString().slice(0, 10), off: allOff(state), fill: state.fill };
    const block = (/** @type {Block} */ name) => source.block(withFill(subjectOf(state), state.fill), allOff(state), name);
    const all = async () => {
      /** @type {Partial<Record<Block, BlockChannels>>} */
      const blocks = {};
      for (const name of BLOCKS) blocks[name] = await block(name);
      return blocks;
    };
    try {
      const caption = captionOf(state, network, now, about.date);
      const makers = {
        maps: async () => ({ name: `${stem}-maps.png`, data: imageBlob(mapsPicture(now, state.colours, caption)) }),
        sheet: async () => ({ name: `${stem}-${state.block}.png`, data: imageBlob(sheetPicture(await block(state.block), state, caption)) }),
        zip: async () => ({ name: `${stem}-maps.zip`, data: archive(await all(), state, about) }),
        csv: async () => ({ name: `${stem}.csv`, data: new Blob([csv(now, network, await all())], { type: "text/csv" }) }),
        json: async () => ({ name: `${stem}.json`, data: new Blob([json(now, network, await all(), about)], { type: "application/json" }) }),
      };
      const { name, data: file } = await makers[kind]();
      save(root, name, file);
      said.textContent = t("deeper.keep_made", { name, size: sizeOf(file.size) });
    } catch (error) {
      said.textContent = error instanceof Error && !(error instanceof TypeError) ? error.message : t("notice.unreachable");
    }
  }

  store.subscribe((_, __, changed) => {
    if (changed.has("lang")) said.textContent = "";
    if (changed.has("lang") || changed.has("now") || changed.has("network")) draw();
  });
  draw();
}

/**
 * @param {HTMLElement} root
 * @param {string} name
 * @param {Blob} file
 */
function save(root, name, file) {
  const href = URL.createObjectURL(file);
  const anchor = h("a", { href, download: name, hidden: true });
  root.append(anchor);
  anchor.click();
  anchor.remove();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}

/** @param {number} bytes */
function sizeOf(bytes) {
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(bytes / 1000))} kB`;
}

/**
 * Network, answer, what is off, date.
 * @param {Readonly<State>} state
 * @param {Network} network
 * @param {Scene} now
 * @param {string} date
 */
function captionOf(state, network, now, date) {
  const best = order(now.logits, 1)[0];
  const answer = `${className(network, best)} ${percent(softmax(now.logits, network.temperature)[best])}`;
  const list = offList(state.off).map(([block, branch]) => t("answer.item", { branch: branchName(branch), block }));
  for (const [block, number] of offList(state.offChannels)) {
    const { branch, channel } = placeOf(network, block, number);
    list.push(t("answer.item_channel", { channel, branch: branchName(branch), block }));
  }
  const without = list.length ? [t("answer.without", { what: list.join(t("answer.joiner")) })] : [];
  return [network.name, ...without, answer, date, "InceptionLens"].join(" · ");
}

/**
 * The 36 mean maps: blocks from left to right, branches from top to bottom.
 * @param {Scene} now
 * @param {Colours} colours
 * @param {string} caption
 */
function mapsPicture(now, colours, caption) {
  const [tile, gap, left, top] = [112, 12, 64, 64];
  const { canvas, context } = paper(left + BLOCKS.length * (tile + gap) + gap, top + BRANCHES.length * (tile + gap) + 44);
  context.imageSmoothingEnabled = false;
  const small = h("canvas");
  const isSigned = isSignedScene(now);
  BLOCKS.forEach((block, x) => {
    text(context, block, left + x * (tile + gap) + tile / 2, 46, `700 22px ${FONT}`, INK, "center");
    BRANCHES.forEach((branch, y) => {
      const [at, down] = [left + x * (tile + gap), top + y * (tile + gap)];
      context.fillStyle = COLOURS[branch];
      context.fillRect(at - 3, down - 3, tile + 6, tile + 6);
      const map = now.maps[block][branch];
      paintMap(small, meanValues(map, meanRange([map], isSigned)), map.side, map.side, paletteOf(isSigned, colours));
      context.drawImage(small, at, down, tile, tile);
    });
  });
  BRANCHES.forEach((branch, y) =>
    text(context, branchName(branch), left - 12, top + y * (tile + gap) + tile / 2 + 7, `700 20px ${FONT}`, COLOURS[branch], "right"),
  );
  text(context, caption, left, canvas.height - 16, `16px ${FONT}`, QUIET);
  return canvas;
}

/**
 * All channels of a branch, as bright as on the page.
 * @param {BlockChannels} block
 * @param {Branch} branch
 * @param {Scale} scale
 * @param {Colours} colours
 */
function allOf(block, branch, scale, colours) {
  return mosaic(block[branch], paletteOf(isSignedBlock(block), colours), (channel) => channelValues(block, branch, channel, scale));
}

/**
 * All channels of a block: its four branches one below the other.
 * @param {BlockChannels} channels
 * @param {Readonly<State>} state
 * @param {string} caption
 */
function sheetPicture(channels, { block, scale, colours }, caption) {
  const pictures = BRANCHES.map((branch) => allOf(channels, branch, scale, colours));
  const [edge, head] = [24, 44];
  const width = Math.max(...pictures.map((one) => one.width)) + 2 * edge;
  const { canvas, context } = paper(width, 100 + pictures.reduce((sum, one) => sum + one.height + head, 0));
  text(context, t("block.title", { block }), edge, 42, `700 26px ${FONT}`, INK);
  let y = 64;
  BRANCHES.forEach((branch, i) => {
    const title = `${branchName(branch)} · ${t("block.channels", { count: channels[branch].count })}`;
    text(context, title, edge, y + 22, `700 19px ${FONT}`, COLOURS[branch]);
    context.drawImage(pictures[i], edge, y + 32);
    y += pictures[i].height + head;
  });
  text(context, caption, edge, canvas.height - 14, `16px ${FONT}`, QUIET);
  return canvas;
}

/**
 * All channels of all blocks: pictures, numbers for NumPy, and what they mean.
 * @param {Partial<Record<Block, BlockChannels>>} blocks
 * @param {Readonly<State>} state
 * @param {Record<string, unknown>} about
 */
function archive(blocks, { colours, scale }, about) {
  /** @type {[string, Uint8Array][]} */
  const files = [];
  /** @type {Record<string, Record<string, object>>} */
  const limits = {};
  for (const block of BLOCKS) {
    const branches = blocks[block];
    if (!branches) continue;
    limits[block] = {};
    for (const branch of BRANCHES) {
      const channels = branches[branch];
      const name = `${block}/${branch}`;
      files.push([`${name}.png`, imageBytes(allOf(branches, branch, scale, colours))], [`${name}.npy`, npy(channels)]);
      limits[block][branch] = { ...statistics(channels), low: Array.from(channels.low), high: Array.from(channels.high) };
    }
  }
  const letters = new TextEncoder();
  const described = JSON.stringify({ ...about, scale, colours, blocks: limits }, null, 1);
  files.unshift(["README.txt", letters.encode(`${t("deeper.keep_readme", { columns: COLUMNS })}\n`)], ["limits.json", letters.encode(described)]);
  return new Blob([zip(files)], { type: "application/zip" });
}

/**
 * @param {number} width
 * @param {number} height
 */
function paper(width, height) {
  const canvas = h("canvas", { width, height });
  const context = canvas.getContext("2d");
  if (!context) throw new Error("canvas");
  context.fillStyle = PAPER;
  context.fillRect(0, 0, width, height);
  return { canvas, context };
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} words
 * @param {number} x
 * @param {number} y
 * @param {string} font
 * @param {string} colour
 * @param {CanvasTextAlign} [align]
 */
function text(context, words, x, y, font, colour, align = "left") {
  context.font = font;
  context.fillStyle = colour;
  context.textAlign = align;
  context.fillText(words, x, y);
}
