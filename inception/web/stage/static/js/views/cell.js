/** The view "One cell by hand": choose a cell, see its receptive field on the photo, and compute its convolution. */

import { classOf, subjectOf } from "../controller.js";
import { h, replace, set } from "../dom.js";
import { BRANCHES, clamp, decimalsFor, fixed, grouped, order, parseInteger } from "../numbers.js";
import { paintMap } from "../colours.js";
import { cellValue, channelValues, isSignedBlock, paletteOf, rangeOf, strongestCell } from "../maps.js";
import { firstTile } from "../ranking.js";
import { branchName, joined, t } from "../words.js";
import {
  allOnNote,
  cellPicker,
  choices,
  delay,
  failure,
  latestOnly,
  photoSquare,
  placeholder,
  row,
  skeleton,
  table,
  whileOpen,
} from "./deeper_parts.js";
import { photoFigure } from "./cell_photo.js";
import { createKernel, kernelLead } from "./kernel.js";
import { legend } from "./tile.js";

/** @import {Block, BlockChannels, Branch, Lens, Network, Subject} from "../types.js" */
/** @import {Store} from "../state.js" */
/** @import {Source} from "../source.js" */
/** @import {Kernel} from "./kernel.js" */
/** @import {Square} from "./cell_photo.js" */

/**
 * @typedef {object} Cell  response of the event `cell`
 * @property {number} value
 * @property {Square} square
 * @property {Square & {share: number}} effective
 * @property {{preact: boolean, count: number, others: number, relu: number | null,
 *   largest: {input_channel: number, row: number, column: number, value: number, weight: number, product: number}[]}} by_hand
 */

const DEBOUNCE_MS = 60; // nothing is requested while arrow keys follow each other faster than this
const FIELDS = /** @type {const} */ (["channel", "row", "column"]);
const FIELD_NAMES = { channel: "deeper.channel", row: "deeper.row", column: "deeper.column" };

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @param {Source} source
 */
export function createCell(root, store, source) {
  const title = h("h3", { "aria-live": "polite" });
  const lead = h("p", { class: "deeper-lead" });
  const note = h("div");
  const controls = h("div", { class: "deeper-controls" });
  const status = h("p", { class: "deeper-told", role: "status" });
  const mapView = mapFigure((r, c) => moveTo({ row: r, column: c }));
  const photoView = photoFigure(() => drawInfluence(0));
  const kernelBox = h("div", { class: "cell-hand" });
  const kernelView = createKernel(kernelBox);
  const handTitle = h("h4");
  const handLead = h("p", { class: "deeper-lead" });
  const productsBox = h("div");
  const errorBox = h("div");
  const loading = h("div", {}, skeleton("pictures"));
  const content = h(
    "div",
    { class: "cell-grid", hidden: true },
    h("div", { class: "cell-pictures" }, mapView.figure, photoView.figure),
    h("div", {}, handTitle, handLead, kernelBox, productsBox),
  );
  root.append(title, lead, note, controls, status, errorBox, loading, content);
  const latestBlock = latestOnly();
  const latestCell = latestOnly();
  const latestPhoto = latestOnly();
  const latestInfluence = latestOnly();
  const fields = /** @type {Record<typeof FIELDS[number], HTMLInputElement>} */ ({});
  for (const name of FIELDS) {
    fields[name] = h("input", {
      type: "number",
      min: 0,
      step: 1,
      dataset: { cell: name },
      onchange: () => readField(name),
    });
  }
  /** The displayed cell. @type {{channels: BlockChannels, network: Network, block: Block, subject: Subject, lens: Lens} | null} */
  let shown = null;
  let areProductsOpen = false;

  /** @type {Parameters<typeof whileOpen>[3]} */
  async function draw(state, data) {
    const { base, network } = data;
    const { block } = state;
    lead.textContent = t("deeper.cell_lead");
    replace(note, allOnNote(state));
    handTitle.textContent = t("kernel.title");
    const lens = base && network && (state.lens ?? firstTile(state, data, classOf(state, data)));
    if (!lens) {
      shown = null;
      void latestBlock(Promise.resolve()); // a block that is still in flight is that of the previous photo
      set(content, { hidden: true });
      return replace(loading, placeholder(data, "pictures"));
    }
    const subject = subjectOf(state);
    replace(errorBox);
    try {
      const channels = await latestBlock(source.block(subject, {}, block));
      if (!channels) return;
      shown = { channels, network, block, subject, lens: clampLens(store.get().lens ?? lens, channels) };
      replace(loading);
      set(content, { hidden: false });
      drawControls();
      await Promise.all([drawPhoto(), drawCell(0)]);
    } catch (error) {
      replace(loading);
      replace(errorBox, failure(error));
    }
  }

  async function drawPhoto() {
    const square = await latestPhoto(photoSquare(source, store.get(), store.data(), Math.max(shown?.network.size ?? 0, 224)));
    if (square) photoView.paint(square);
  }

  /** Draw the influence of each pixel on the cell, if its checkbox is on. @param {number} delayMs  before the request */
  async function drawInfluence(delayMs) {
    if (!shown || !photoView.isInfluenceOn()) return photoView.showInfluence(null, store.get().colours);
    const { block, subject, lens } = shown;
    try {
      const influence = await latestInfluence(
        (async () => {
          await delay(delayMs);
          return shown?.lens === lens ? source.effective(subject, block, lens.branch, lens.row, lens.column) : null;
        })(),
      );
      if (influence && photoView.isInfluenceOn()) photoView.showInfluence(influence, store.get().colours);
    } catch (error) {
      replace(errorBox, failure(error));
    }
  }

  /** @param {number} delayMs  before the requests */
  async function drawCell(delayMs) {
    if (!shown) return;
    const { channels, network, block, subject, lens } = shown;
    const { branch, channel, row: r, column: c } = lens;
    const facts = network.blocks[block].branches[branch];
    const { side } = channels[branch];
    title.textContent = t("deeper.cell_title", { row: r, column: c, channel, branch: branchName(branch), block });
    mapView.show(channels, lens, store.get().colours, block);
    photoView.showFields(facts, lens, network.size, null);
    set(root, { dataset: { branch } });
    kernelBox.classList.add("deeper-stale");
    void drawInfluence(delayMs);
    const responses = await latestCell(
      (async () => {
        await delay(delayMs);
        if (shown?.lens !== lens) return null;
        const parameters = /** @type {const} */ ([subject, block, branch, channel, r, c]);
        return /** @type {Promise<[Kernel, Cell]>} */ (Promise.all([source.kernel(...parameters), source.cell(...parameters)]));
      })(),
    );
    if (!responses) return;
    kernelBox.classList.remove("deeper-stale");
    const [convolution, cell] = responses;
    photoView.showFields(facts, lens, network.size, cell);
    handLead.textContent = joined([
      kernelLead(convolution, cell.by_hand),
      t(`kernel.from_${inputKind(branch, convolution)}`),
      kernelNote(branch, convolution),
    ]);
    kernelView.show(convolution, { row: r, column: c, side }, cell.by_hand);
    const details = productsTable(cell, convolution.kernel);
    set(details, { open: areProductsOpen, ontoggle: () => (areProductsOpen = details.open) });
    replace(productsBox, details);
  }

  /** Move to the number typed into a field, or report its allowed range. @param {typeof FIELDS[number]} name */
  function readField(name) {
    if (!shown) return;
    const last = Number(fields[name].max);
    const value = parseInteger(fields[name].value, 0, last);
    set(fields[name], { "aria-invalid": String(value === null) });
    status.textContent = value === null ? t("deeper.not_within", { what: t(FIELD_NAMES[name]), low: 0, high: last }) : "";
    if (value !== null) moveTo({ [name]: value });
  }

  /**
   * Show another cell, channel or branch, clamped to the map.
   * @param {Partial<Lens>} patch
   */
  function moveTo(patch) {
    if (!shown) return;
    const lens = clampLens({ ...shown.lens, ...patch }, shown.channels);
    shown = { ...shown, lens };
    store.update({ lens });
    updateControls();
    replace(errorBox);
    drawCell(DEBOUNCE_MS).catch((error) => replace(errorBox, failure(error)));
  }

  function drawControls() {
    replace(
      controls,
      choices(
        t("deeper.branch"),
        BRANCHES,
        shown?.lens.branch ?? "3x3",
        branchName,
        (branch) => shown && moveTo(strongestLens(shown.channels, branch)),
        (branch) => ({ dataset: { branch } }),
      ),
      FIELDS.map((name) => h("label", { class: "deeper-number" }, h("span", {}, t(FIELD_NAMES[name])), fields[name])),
      h(
        "button",
        {
          type: "button",
          class: "button",
          onclick: () => shown && moveTo(strongestLens(shown.channels, shown.lens.branch, shown.lens.channel)),
        },
        t("deeper.cell_strongest"),
      ),
    );
    updateControls();
  }

  /** Update the controls in place, so that they keep the focus. */
  function updateControls() {
    if (!shown) return;
    const { lens, channels } = shown;
    const { count, side } = channels[lens.branch];
    for (const name of FIELDS) {
      fields[name].max = String((name === "channel" ? count : side) - 1);
      fields[name].value = String(lens[name]);
      set(fields[name], { "aria-invalid": null });
    }
    status.textContent = "";
    for (const button of /** @type {NodeListOf<HTMLElement>} */ (controls.querySelectorAll("button[data-branch]"))) {
      set(button, { "aria-pressed": String(button.dataset.branch === lens.branch) });
    }
  }

  whileOpen(store, "cell", ["base", "network", "block", "lang", "off", "offChannels", "colours", "error"], draw);
  // The first cell of a block is known once its channels are ranked.
  whileOpen(store, "cell", ["baseChannels", "subsets", "worth"], (state, data) => {
    if (shown?.block !== state.block) void draw(state, data);
  });
  store.subscribe((state, _, changed) => {
    if (changed.has("deeper") && state.deeper !== "cell") kernelView.stop();
    // A cell was chosen on the stage, perhaps while another view was open.
    if ((changed.has("lens") || changed.has("deeper")) && state.deeper === "cell" && state.lens && shown && shown.block === state.block) {
      const lens = clampLens(state.lens, shown.channels);
      if (JSON.stringify(lens) !== JSON.stringify(shown.lens)) moveTo(lens);
    }
  });
}

/**
 * Clamp a lens to a block's maps.
 * @param {Lens} lens
 * @param {BlockChannels} channels
 * @returns {Lens}
 */
function clampLens(lens, channels) {
  const { count, side } = channels[lens.branch];
  return {
    branch: lens.branch,
    channel: clamp(lens.channel, 0, count - 1),
    row: clamp(lens.row, 0, side - 1),
    column: clamp(lens.column, 0, side - 1),
  };
}

/**
 * Return the lens of the highest cell of a branch, or of one of its channels.
 * @param {BlockChannels} channels
 * @param {Branch} branch
 * @param {number} [channel]
 * @returns {Lens}
 */
function strongestLens(channels, branch, channel) {
  const chosen = channel ?? order(channels[branch].high, 1)[0];
  return { branch, channel: chosen, ...strongestCell(channels[branch], chosen) };
}

/**
 * Return what the last convolution of a branch reads: the block's input, a reduction, or the pooled input.
 * @param {Branch} branch
 * @param {Kernel} convolution
 */
function inputKind(branch, convolution) {
  if (branch === "pool") return "pool";
  return convolution.layer === "1x1" ? "block" : "reduction";
}

/**
 * Return a note on a kernel whose size is not that of the branch's name, else an empty string.
 * @param {Branch} branch
 * @param {Kernel} convolution
 */
function kernelNote(branch, { kernel }) {
  if (branch === "pool" || branch === `${kernel}x${kernel}`) return "";
  return t("kernel.other_kernel", { branch: branchName(branch), side: kernel });
}

/**
 * Create the figure of a channel's map, in which a cell is picked.
 * @param {(row: number, column: number) => void} pick
 */
function mapFigure(pick) {
  const canvas = h("canvas", { width: 1, height: 1, role: "img" });
  const picker = cellPicker(pick);
  const heading = h("h4");
  const readout = h("p", { class: "deeper-readout number" });
  const scale = h("p");
  const figure = h(
    "figure",
    { class: "deeper-picture" },
    h("figcaption", {}, heading),
    h("div", { class: "deeper-square" }, canvas, picker.element),
    readout,
    scale,
  );
  return {
    figure,
    /**
     * @param {BlockChannels} channels
     * @param {Lens} lens
     * @param {import("../types.js").Colours} colours
     * @param {Block} block
     */
    show(channels, { branch, channel, row: r, column: c }, colours, block) {
      const { side, low, high } = channels[branch];
      const decimals = decimalsFor([low[channel], high[channel]]);
      const value = cellValue(channels[branch], channel, r, c);
      const palette = paletteOf(isSignedBlock(channels), colours);
      paintMap(canvas, channelValues(channels, branch, channel, "own"), side, side, palette);
      const alt = t("deeper.cell_map_alt", { channel, branch: branchName(branch), block });
      set(canvas, { "aria-label": alt });
      picker.show(side, r, c);
      picker.name(joined([t("answer.sentence", { text: alt }), t("deeper.arrows")]));
      heading.textContent = t("deeper.cell_map", { channel, branch: branchName(branch), side });
      readout.textContent = t("deeper.cell_value", { row: r, column: c, value: fixed(value, decimals) });
      replace(scale, legend(rangeOf(channels, branch, channel, "own"), palette));
    },
  };
}

/**
 * List the largest products of a convolution, and the sum of all others.
 * @param {Cell} cell
 * @param {number} kernel
 */
function productsTable({ by_hand: byHand }, kernel) {
  const isWide = kernel > 1;
  const name = t("kernel.largest", { most: byHand.largest.length, count: grouped(byHand.count) });
  const places = isWide ? [t("deeper.row"), t("deeper.column")] : [];
  const decimalsOf = (/** @type {"value" | "weight" | "product"} */ key) => decimalsFor(byHand.largest.map((term) => term[key]), 4);
  const [valueDecimals, weightDecimals, productDecimals] = [decimalsOf("value"), decimalsOf("weight"), decimalsOf("product")];
  const rows = byHand.largest.map((term) =>
    row(
      term.input_channel,
      ...(isWide ? [term.row, term.column] : []),
      fixed(term.value, valueDecimals),
      `× ${fixed(term.weight, weightDecimals)}`,
      `= ${fixed(term.product, productDecimals)}`,
    ),
  );
  const otherCount = byHand.count - byHand.largest.length;
  if (otherCount > 0) {
    const emptyCells = Array.from({ length: isWide ? 4 : 2 }, () => "");
    rows.push(row(t("kernel.other_products", { count: grouped(otherCount) }), ...emptyCells, fixed(byHand.others, productDecimals)));
  }
  return h(
    "details",
    {},
    h("summary", {}, name),
    table(name, [t("kernel.input_channel"), ...places, t("kernel.value"), t("kernel.weight"), t("kernel.product_head")], rows),
    h("p", { class: "quiet" }, t("kernel.counted")),
  );
}
