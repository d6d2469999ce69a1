/** Downloads of what the stage shows. The browser makes the files; the server keeps none of them. */

import { subjectOf, withFill } from "../controller.js";
import { paintMap } from "../colours.js";
import { h, replace } from "../dom.js";
import { COLOURS, csv, json, npy, statistics, zip } from "../downloads.js";
import { imageBlob, imageBytes } from "../encoding.js";
import { channelValues, isSignedBlock, isSignedScene, meanRange, meanValues, paletteOf } from "../maps.js";
import { BLOCKS, BRANCHES, order, percent, softmax } from "../numbers.js";
import { placeOf } from "../ranking.js";
import { allOff, isOff, offList } from "../state.js";
import { branchName, className, sentenceOf, t } from "../words.js";
import { COLUMNS, mosaic } from "./mosaic.js";

/** @import {Block, BlockChannels, Branch, Colours, Network, Scale, Scene, State} from "../types.js" */
/** @import {Store} from "../state.js" */
/** @import {Source} from "../source.js" */

/** @typedef {"maps" | "sheet" | "zip" | "csv" | "json"} Kind */
/** @type {Kind[]} */
const KINDS = ["maps", "sheet", "zip", "csv", "json"];
const [INK, QUIET, PAPER, RED] = ["#0f172a", "#475569", "#ffffff", "#b91c1c"];
const FONT = "system-ui, sans-serif";
const CAPTION_FONT = `16px ${FONT}`;
const LINE_HEIGHT = 22; // of a caption, in pixels
const MIN_WIDTH = 768; // of the picture of a block, in pixels
const TILE = 56; // smallest side of a channel in the picture of a block, in pixels

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @param {Source} source
 */
export function createDownloads(root, store, source) {
  const status = h("p", { role: "status", class: "deeper-readout" });
  const content = h("div");
  root.append(content, status);

  function draw() {
    const { now, network } = store.data();
    replace(
      content,
      h("h3", {}, t("deeper.keep_title")),
      h("p", { class: "quiet" }, t("deeper.keep_lead")),
      h(
        "div",
        { class: "deeper-controls" },
        KINDS.map((kind) =>
          h(
            "button",
            { type: "button", class: "button", disabled: !now || !network, dataset: { keep: kind }, onclick: () => download(kind) },
            t(`deeper.keep_${kind}`),
          ),
        ),
      ),
    );
  }

  /** @param {Kind} kind */
  async function download(kind) {
    const state = store.get();
    const data = store.data();
    const { base, now, network } = data;
    if (!base || !now || !network) return;
    status.textContent = t("deeper.loading");
    const photo = state.photo.startsWith("example:") ? state.photo.slice("example:".length) : "photo";
    const stem = `${network.name}-${photo}`.replace(/[^\w.-]+/g, "_");
    const about = {
      model: network.name,
      photo: photo === "photo" ? null : photo,
      date: new Date().toISOString().slice(0, 10),
      off: allOff(state),
      fill: state.fill,
    };
    const loadBlock = (/** @type {Block} */ name) => source.block(withFill(subjectOf(state), state.fill), allOff(state), name);
    const loadBlocks = async () => {
      /** @type {Partial<Record<Block, BlockChannels>>} */
      const blocks = {};
      for (const name of BLOCKS) blocks[name] = await loadBlock(name);
      return blocks;
    };
    try {
      const caption = captionOf(state, network, now, about.date);
      const makers = {
        maps: async () => ({ name: `${stem}-maps.png`, data: imageBlob(mapsPicture(base, now, state, caption)) }),
        sheet: async () => ({
          name: `${stem}-${state.block}.png`,
          data: imageBlob(blockPicture(await loadBlock(state.block), state, caption)),
        }),
        zip: async () => ({ name: `${stem}-maps.zip`, data: archive(await loadBlocks(), state, about) }),
        csv: async () => ({ name: `${stem}.csv`, data: new Blob([csv(now, network, await loadBlocks())], { type: "text/csv" }) }),
        json: async () => ({
          name: `${stem}.json`,
          data: new Blob([json(now, network, await loadBlocks(), about)], { type: "application/json" }),
        }),
      };
      const { name, data: file } = await makers[kind]();
      save(root, name, file);
      status.textContent = t("deeper.keep_made", { name, size: formatSize(file.size) });
    } catch (error) {
      status.textContent = sentenceOf(error);
    }
  }

  store.subscribe((_, __, changed) => {
    if (changed.has("lang")) status.textContent = "";
    if (changed.has("lang") || changed.has("now") || changed.has("network")) draw();
  });
  draw();
}

/**
 * Let the browser download a file.
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

/** Format the size of a file. @param {number} bytes */
function formatSize(bytes) {
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(bytes / 1000))} kB`;
}

/**
 * Return the caption of a picture: network, what is off, answer and date.
 * @param {Readonly<State>} state
 * @param {Network} network
 * @param {Scene} now
 * @param {string} date
 */
function captionOf(state, network, now, date) {
  const best = order(now.logits, 1)[0];
  const answer = `${className(network, best)} ${percent(softmax(now.logits, network.temperature)[best])}`;
  const disabled = offList(state.off).map(([block, branch]) => t("answer.item", { branch: branchName(branch), block }));
  for (const [block, number] of offList(state.offChannels)) {
    const { branch, channel } = placeOf(network, block, number);
    disabled.push(t("answer.item_channel", { channel, branch: branchName(branch), block }));
  }
  const without = disabled.length ? [t("answer.without", { what: disabled.join(t("answer.joiner")) })] : [];
  return [network.name, ...without, answer, date, "InceptionLens"].join(" · ");
}

/**
 * Draw the 36 mean maps as on the page: a column for each block, a row for each branch.
 * @param {Scene} base
 * @param {Scene} now
 * @param {Readonly<State>} state
 * @param {string} caption
 */
function mapsPicture(base, now, { off, colours }, caption) {
  const [tile, gap, left, top] = [112, 12, 64, 64];
  const width = BLOCKS.length * (tile + gap) - gap;
  const lines = captionLines(caption, width);
  const height = top + BRANCHES.length * (tile + gap) + LINE_HEIGHT * (1 + lines.length);
  const { canvas, context } = blankCanvas(left + width + 2 * gap, height);
  context.imageSmoothingEnabled = false;
  const tileCanvas = h("canvas");
  const isSigned = isSignedScene(base);
  BLOCKS.forEach((block, column) => {
    drawText(context, block, left + column * (tile + gap) + tile / 2, 46, `700 22px ${FONT}`, INK, "center");
    BRANCHES.forEach((branch, row) => {
      const [x, y] = [left + column * (tile + gap), top + row * (tile + gap)];
      context.fillStyle = COLOURS[branch];
      context.fillRect(x - 3, y - 3, tile + 6, tile + 6);
      if (isOff(off, block, branch)) return drawOff(context, x, y, tile);
      const map = now.maps[block][branch];
      const range = meanRange([base.maps[block][branch]], isSigned);
      paintMap(tileCanvas, meanValues(map, range), map.side, map.side, paletteOf(isSigned, colours));
      context.drawImage(tileCanvas, x, y, tile, tile);
    });
  });
  BRANCHES.forEach((branch, row) =>
    drawText(context, branchName(branch), left - 12, top + row * (tile + gap) + tile / 2 + 7, `700 20px ${FONT}`, COLOURS[branch], "right"),
  );
  drawCaption(context, lines, left, width);
  return canvas;
}

/**
 * Draw the mark of a branch that is off in place of its map.
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {number} size
 */
function drawOff(context, x, y, size) {
  context.fillStyle = PAPER;
  context.fillRect(x, y, size, size);
  drawText(context, "×", x + size / 2, y + size / 2 + 20, `700 60px ${FONT}`, RED, "center");
}

/**
 * Draw all channels of a branch, in the scale and colours of the page.
 * @param {BlockChannels} block
 * @param {Branch} branch
 * @param {Scale} scale
 * @param {Colours} colours
 * @param {number} [tile]  smallest side of a channel, in pixels
 */
function branchPicture(block, branch, scale, colours, tile) {
  const sizes = tile ? { factor: Math.max(1, Math.round(tile / block[branch].side)) } : {};
  return mosaic(block[branch], paletteOf(isSignedBlock(block), colours), (channel) => channelValues(block, branch, channel, scale), sizes);
}

/**
 * Draw all channels of a block, one branch below the other; of a branch that is off only its title.
 * @param {BlockChannels} channels
 * @param {Readonly<State>} state
 * @param {string} caption
 */
function blockPicture(channels, { block, scale, colours, off }, caption) {
  const pictures = BRANCHES.map((branch) => (isOff(off, block, branch) ? null : branchPicture(channels, branch, scale, colours, TILE)));
  const [margin, titleHeight] = [24, 44];
  const width = Math.max(MIN_WIDTH, ...pictures.map((picture) => (picture?.width ?? 0) + 2 * margin));
  const height = pictures.reduce((sum, picture) => sum + (picture?.height ?? 0) + titleHeight, 0);
  const lines = captionLines(caption, width - 2 * margin);
  const { canvas, context } = blankCanvas(width, 78 + height + LINE_HEIGHT * lines.length);
  drawText(context, t("block.title", { block }), margin, 42, `700 26px ${FONT}`, INK);
  let y = 64;
  BRANCHES.forEach((branch, i) => {
    const picture = pictures[i];
    const title = `${branchName(branch)} · ${picture ? t("block.channels", { count: channels[branch].count }) : t("block.off")}`;
    drawText(context, title, margin, y + 22, `700 19px ${FONT}`, COLOURS[branch]);
    if (picture) context.drawImage(picture, margin, y + 32);
    y += (picture?.height ?? 0) + titleHeight;
  });
  drawCaption(context, lines, margin, width - 2 * margin);
  return canvas;
}

/**
 * Create a ZIP archive of all channels: PNG pictures, NumPy arrays, and a description of both.
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
      files.push([`${name}.png`, imageBytes(branchPicture(branches, branch, scale, colours))], [`${name}.npy`, npy(channels)]);
      limits[block][branch] = { ...statistics(channels), low: Array.from(channels.low), high: Array.from(channels.high) };
    }
  }
  const encoder = new TextEncoder();
  const description = JSON.stringify({ ...about, scale, colours, blocks: limits }, null, 1);
  files.unshift(
    ["README.txt", encoder.encode(`${t("deeper.keep_readme", { columns: COLUMNS })}\n`)],
    ["limits.json", encoder.encode(description)],
  );
  return new Blob([zip(files)], { type: "application/zip" });
}

/**
 * Create a white canvas.
 * @param {number} width
 * @param {number} height
 */
function blankCanvas(width, height) {
  const canvas = h("canvas", { width, height });
  const context = canvas.getContext("2d");
  if (!context) throw new Error("canvas");
  context.fillStyle = PAPER;
  context.fillRect(0, 0, width, height);
  return { canvas, context };
}

/**
 * Break a caption into lines, after spaces and Chinese commas, but not before a dot.
 * @param {string} caption
 * @param {number} width  in pixels
 */
function captionLines(caption, width) {
  const { context } = blankCanvas(1, 1);
  context.font = CAPTION_FONT;
  /** @type {string[]} */
  const lines = [];
  let line = "";
  for (const word of caption.split(/(?<=[ 、])(?!·)/)) {
    if (line && context.measureText(`${line}${word.trimEnd()}`).width > width) {
      lines.push(line);
      line = "";
    }
    line += word;
  }
  return [...lines, line];
}

/**
 * Draw a caption at the lower edge of a picture.
 * @param {CanvasRenderingContext2D} context
 * @param {string[]} lines
 * @param {number} left
 * @param {number} width  in pixels; a longer word is condensed
 */
function drawCaption(context, lines, left, width) {
  const top = context.canvas.height - 16 - LINE_HEIGHT * (lines.length - 1);
  lines.forEach((line, i) => drawText(context, line, left, top + LINE_HEIGHT * i, CAPTION_FONT, QUIET, "left", width));
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {number} x
 * @param {number} y
 * @param {string} font
 * @param {string} colour
 * @param {CanvasTextAlign} [align]
 * @param {number} [width]  in pixels; a longer text is condensed
 */
function drawText(context, text, x, y, font, colour, align = "left", width) {
  context.font = font;
  context.fillStyle = colour;
  context.textAlign = align;
  context.fillText(text, x, y, width);
}
