/** One cell by hand: which cell, what it sees of the photo, and its convolution on real numbers. */

import { subjectOf } from "../controller.js";
import { h, replace, set } from "../dom.js";
import { BRANCHES, clamp, decimalsFor, fixed, grouped, order, parseInteger } from "../numbers.js";
import { paintMap } from "../colours.js";
import { channelValues, isSignedBlock, paletteOf, rangeOf, strongestCell } from "../maps.js";
import { allOff, isAnythingOff } from "../state.js";
import { branchName, joined, t } from "../words.js";
import { cellPicker, choices, failure, newest, pause, photoSquare, row, skeleton, table, waiting, whileOpen } from "./deeper_parts.js";
import { photoFigure } from "./cell_photo.js";
import { counted, createKernel } from "./kernel.js";
import { legend } from "./tile.js";

/** @import {Block, BlockChannels, Branch, Lens, Network, Subject} from "../types.js" */
/** @import {Store} from "../state.js" */
/** @import {Source} from "../source.js" */
/** @import {Kernel} from "./kernel.js" */

/** @import {Square} from "./cell_photo.js" */

/**
 * @typedef {object} Cell
 * @property {number} value
 * @property {Square} square
 * @property {Square & {share: number}} effective
 * @property {{preact: boolean, count: number, others: number, relu: number | null,
 *   largest: {input_channel: number, row: number, column: number, value: number, weight: number, product: number}[]}} by_hand
 */

const PATIENCE = 60; // milliseconds between two arrow keys for which nothing is asked
/** @type {Branch} */
const FIRST = "3x3"; // whose strongest cell is shown before any was chosen: 1x1 has no neighbours to show
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
  const note = h("p", { class: "deeper-note", hidden: true });
  const controls = h("div", { class: "deeper-controls" });
  const told = h("p", { class: "deeper-told", role: "status" });
  const map = mapFigure((r, c) => moveTo({ row: r, column: c }));
  const photo = photoFigure(() => drawInfluence(0));
  const numbers = h("div", { class: "cell-hand" });
  const kernel = createKernel(numbers);
  const handTitle = h("h4");
  const handLead = h("p", { class: "deeper-lead" });
  const more = h("div");
  const trouble = h("div");
  const wait = h("div", {}, skeleton("pictures"));
  const all = h(
    "div",
    { class: "cell-grid", hidden: true },
    h("div", { class: "cell-pictures" }, map.figure, photo.figure),
    h("div", {}, handTitle, handLead, numbers, more),
  );
  root.append(title, lead, note, controls, told, trouble, wait, all);
  const askBlock = newest();
  const askCell = newest();
  const askPhoto = newest();
  const askInfluence = newest();
  const fields = /** @type {Record<typeof FIELDS[number], HTMLInputElement>} */ ({});
  for (const name of FIELDS) {
    fields[name] = h("input", {
      type: "number",
      min: 0,
      step: 1,
      dataset: { cell: name },
      onchange: () => take(name),
    });
  }
  /** @type {{channels: BlockChannels, network: Network, block: Block, subject: Subject, lens: Lens} | null} */
  let now = null;
  let areProductsOpen = false;

  /** @type {Parameters<typeof whileOpen>[3]} */
  async function draw(state, data) {
    const { base, network } = data;
    const { block } = state;
    lead.textContent = t("deeper.cell_lead");
    set(note, { hidden: !isAnythingOff(allOff(state)) });
    note.textContent = t("deeper.all_on");
    handTitle.textContent = t("kernel.title");
    if (!base || !network) return replace(wait, waiting(data, "pictures"));
    const subject = subjectOf(state);
    replace(trouble);
    try {
      const channels = await askBlock(source.block(subject, {}, block));
      if (!channels) return;
      now = { channels, network, block, subject, lens: fitting(store.get().lens, channels) };
      wait.remove();
      set(all, { hidden: false });
      drawControls();
      await Promise.all([drawPhoto(), drawCell(0)]);
    } catch (error) {
      wait.remove();
      replace(trouble, failure(error));
    }
  }

  async function drawPhoto() {
    const square = await askPhoto(photoSquare(source, store.get(), store.data(), Math.max(now?.network.size ?? 0, 224)));
    if (square) photo.paint(square);
  }

  /** How much each pixel counts, where somebody wants to see it. @param {number} patience */
  async function drawInfluence(patience) {
    if (!now || !photo.isInfluenceWanted()) return photo.light(null, store.get().colours);
    const { block, subject, lens } = now;
    try {
      const influence = await askInfluence(
        (async () => {
          await pause(patience);
          return now?.lens === lens ? source.effective(subject, block, lens.branch, lens.row, lens.column) : null;
        })(),
      );
      if (influence) photo.light(influence, store.get().colours);
    } catch (error) {
      replace(trouble, failure(error));
    }
  }

  /** @param {number} patience */
  async function drawCell(patience) {
    if (!now) return;
    const { channels, network, block, subject, lens } = now;
    const { branch, channel, row: r, column: c } = lens;
    const facts = network.blocks[block].branches[branch];
    const { side } = channels[branch];
    title.textContent = t("deeper.cell_title", { row: r, column: c, channel, branch: branchName(branch), block });
    map.show(channels, lens, store.get().colours, block);
    photo.frame(facts, lens, network.size, null);
    set(root, { dataset: { branch } });
    numbers.classList.add("deeper-stale");
    void drawInfluence(patience);
    const answer = await askCell(
      (async () => {
        await pause(patience);
        if (now?.lens !== lens) return null;
        const place = /** @type {const} */ ([subject, block, branch, channel, r, c]);
        return /** @type {Promise<[Kernel, Cell]>} */ (Promise.all([source.kernel(...place), source.cell(...place)]));
      })(),
    );
    if (!answer) return;
    numbers.classList.remove("deeper-stale");
    const [sums, cell] = answer;
    photo.frame(facts, lens, network.size, cell);
    handLead.textContent = joined([counted(sums, cell.by_hand), t(`kernel.from_${entry(branch, sums)}`), otherKernel(branch, sums)]);
    kernel.show(sums, { row: r, column: c, side }, cell.by_hand);
    const list = products(cell, sums.kernel);
    set(list, { open: areProductsOpen, ontoggle: () => (areProductsOpen = list.open) });
    replace(more, list);
  }

  /** Go where a number says, or say which numbers there are. @param {typeof FIELDS[number]} name */
  function take(name) {
    if (!now) return;
    const last = Number(fields[name].max);
    const value = parseInteger(fields[name].value, 0, last);
    set(fields[name], { "aria-invalid": String(value === null) });
    told.textContent = value === null ? t("deeper.not_within", { what: t(FIELD_NAMES[name]), low: 0, high: last }) : "";
    if (value !== null) moveTo({ [name]: value });
  }

  /**
   * Another cell, channel or branch; what does not fit is brought within the map.
   * @param {Partial<Lens>} patch
   */
  function moveTo(patch) {
    if (!now) return;
    const lens = fitting({ ...now.lens, ...patch }, now.channels);
    now = { ...now, lens };
    store.update({ lens });
    showLens();
    drawCell(PATIENCE).catch((error) => replace(trouble, failure(error)));
  }

  function drawControls() {
    replace(
      controls,
      choices(
        t("deeper.branch"),
        BRANCHES,
        now?.lens.branch ?? FIRST,
        branchName,
        (branch) => now && moveTo(strongest(now.channels, branch)),
        (branch) => ({ dataset: { branch } }),
      ),
      FIELDS.map((name) => h("label", { class: "deeper-number" }, h("span", {}, t(FIELD_NAMES[name])), fields[name])),
      h(
        "button",
        { type: "button", class: "button", onclick: () => now && moveTo(strongest(now.channels, now.lens.branch, now.lens.channel)) },
        t("deeper.cell_strongest"),
      ),
    );
    showLens();
  }

  /** Bring the controls up to date; they stay, and keep the keyboard. */
  function showLens() {
    if (!now) return;
    const { lens, channels } = now;
    const { count, side } = channels[lens.branch];
    for (const name of FIELDS) {
      fields[name].max = String((name === "channel" ? count : side) - 1);
      fields[name].value = String(lens[name]);
      set(fields[name], { "aria-invalid": null });
    }
    told.textContent = "";
    for (const button of /** @type {NodeListOf<HTMLElement>} */ (controls.querySelectorAll("button[data-branch]"))) {
      set(button, { "aria-pressed": String(button.dataset.branch === lens.branch) });
    }
  }

  whileOpen(store, "cell", ["base", "network", "block", "lang", "off", "offChannels", "colours", "error"], draw);
  store.subscribe((state, _, changed) => {
    if (changed.has("deeper") && state.deeper !== "cell") kernel.stop();
    // Another cell was chosen on the stage.
    if (changed.has("lens") && state.deeper === "cell" && state.lens && now && now.block === state.block) {
      const lens = fitting(state.lens, now.channels);
      if (JSON.stringify(lens) !== JSON.stringify(now.lens)) moveTo(lens);
    }
  });
}

/**
 * The lens brought within a block's maps; without one, the strongest cell.
 * @param {Lens | null} lens
 * @param {BlockChannels} channels
 * @returns {Lens}
 */
function fitting(lens, channels) {
  if (!lens) return strongest(channels, FIRST);
  const { count, side } = channels[lens.branch];
  return {
    branch: lens.branch,
    channel: clamp(lens.channel, 0, count - 1),
    row: clamp(lens.row, 0, side - 1),
    column: clamp(lens.column, 0, side - 1),
  };
}

/**
 * The highest cell of a branch, or of one of its channels.
 * @param {BlockChannels} channels
 * @param {Branch} branch
 * @param {number} [channel]
 * @returns {Lens}
 */
function strongest(channels, branch, channel) {
  const best = channel ?? order(channels[branch].high, 1)[0];
  return { branch, channel: best, ...strongestCell(channels[branch], best) };
}

/**
 * Where the input of a branch's last convolution comes from.
 * @param {Branch} branch
 * @param {Kernel} kernel
 */
function entry(branch, kernel) {
  if (branch === "pool") return "pool";
  return kernel.layer === "1x1" ? "block" : "reduction";
}

/**
 * @param {Branch} branch
 * @param {Kernel} told
 */
function otherKernel(branch, { kernel }) {
  if (branch === "pool" || branch === `${kernel}x${kernel}`) return "";
  return t("kernel.other_kernel", { branch: branchName(branch), side: kernel });
}

/**
 * The map of the channel with the cell in it.
 * @param {(row: number, column: number) => void} pick
 */
function mapFigure(pick) {
  const canvas = h("canvas", { width: 1, height: 1, role: "img" });
  const picker = cellPicker(pick);
  const heading = h("h4");
  const words = h("p", { class: "deeper-readout number" });
  const scale = h("p");
  const figure = h(
    "figure",
    { class: "deeper-picture" },
    h("figcaption", {}, heading),
    h("div", { class: "deeper-square" }, canvas, picker.element),
    words,
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
      const { side, values, low, high } = channels[branch];
      const cells = side * side;
      const own = values.subarray(channel * cells, (channel + 1) * cells);
      const decimals = decimalsFor([low[channel], high[channel]]);
      const value = low[channel] + (own[r * side + c] / 255) * (high[channel] - low[channel]);
      const palette = paletteOf(isSignedBlock(channels), colours);
      paintMap(canvas, channelValues(channels, branch, channel, "own"), side, side, palette);
      const alt = t("deeper.cell_map_alt", { channel, branch: branchName(branch), block });
      set(canvas, { "aria-label": alt });
      picker.show(side, r, c);
      picker.name(`${alt}. ${t("deeper.arrows")}`);
      heading.textContent = t("deeper.cell_map", { channel, branch: branchName(branch), side });
      words.textContent = t("deeper.cell_value", { row: r, column: c, value: fixed(value, decimals) });
      replace(scale, legend(rangeOf(channels, branch, channel, "own"), palette));
    },
  };
}

/**
 * The largest products one by one, and all others as one number.
 * @param {Cell} cell
 * @param {number} kernel
 */
function products({ by_hand: told }, kernel) {
  const isWide = kernel > 1;
  const name = t("kernel.largest", { most: told.largest.length, count: grouped(told.count) });
  const places = isWide ? [t("deeper.row"), t("deeper.column")] : [];
  const of = (/** @type {"value" | "weight" | "product"} */ key) => decimalsFor(told.largest.map((one) => one[key]), 4);
  const [value, weight, product] = [of("value"), of("weight"), of("product")];
  const rows = told.largest.map((one) =>
    row(
      one.input_channel,
      ...(isWide ? [one.row, one.column] : []),
      fixed(one.value, value),
      `× ${fixed(one.weight, weight)}`,
      `= ${fixed(one.product, product)}`,
    ),
  );
  const rest = told.count - told.largest.length;
  if (rest > 0) {
    const empty = Array.from({ length: isWide ? 4 : 2 }, () => "");
    rows.push(row(t("kernel.other_products", { count: grouped(rest) }), ...empty, fixed(told.others, product)));
  }
  return h(
    "details",
    {},
    h("summary", {}, name),
    table(name, [t("kernel.input_channel"), ...places, t("kernel.value"), t("kernel.weight"), t("kernel.product_head")], rows),
    h("p", { class: "quiet" }, t("kernel.counted")),
  );
}
