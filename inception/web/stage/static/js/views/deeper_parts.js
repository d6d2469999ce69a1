/** Shared parts of the views under "Go deeper": when they draw, placeholders, pictures on the photo, a cell picker, tables. */

import { drawSquare } from "../colours.js";
import { h, set } from "../dom.js";
import { cropSquare } from "../maps.js";
import { clamp, fixed } from "../numbers.js";
import { diverging } from "../signed.js";
import { allOff, isAnythingOff } from "../state.js";
import { sentenceOf, t } from "../words.js";

/** @import {Data, Deeper, State} from "../types.js" */
/** @import {Name, Store} from "../state.js" */
/** @import {Source} from "../source.js" */
/** @import {Child} from "../dom.js" */

const ARROWS = /** @type {Record<string, [number, number]>} */ ({
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
});

/**
 * Draw a view when it is open and one of its dependencies has changed since it was last drawn.
 * @param {Store} store
 * @param {Deeper} tab
 * @param {Name[]} dependencies
 * @param {(state: Readonly<State>, data: Readonly<Data>) => void} draw
 */
export function whileOpen(store, tab, dependencies, draw) {
  let isStale = true;
  /** @param {Set<Name>} changed */
  const update = (changed) => {
    if (dependencies.some((name) => changed.has(name))) isStale = true;
    if (!isStale || store.get().deeper !== tab) return;
    isStale = false;
    draw(store.get(), store.data());
  };
  store.subscribe((_, __, changed) => update(changed));
  update(new Set());
}

/**
 * Return a function that awaits a response, and resolves to undefined if it was called again in the meantime. Errors of
 * superseded requests are ignored.
 * @returns {<T>(response: Promise<T>) => Promise<T | undefined>}
 */
export function latestOnly() {
  let latestId = 0;
  return async (response) => {
    const requestId = ++latestId;
    try {
      const value = await response;
      return requestId === latestId ? value : undefined;
    } catch (error) {
      if (requestId === latestId) throw error;
      return undefined;
    }
  };
}

/**
 * Create an alert with the message of an error.
 * @param {unknown} error
 */
export function failure(error) {
  return h("p", { class: "deeper-alarm", role: "alert" }, sentenceOf(error));
}

/**
 * Create the note that a view is about the run with everything on, if something is off.
 * @param {Readonly<State>} state
 */
export function allOnNote(state) {
  return isAnythingOff(allOff(state)) && h("p", { class: "deeper-note" }, t("deeper.all_on"));
}

/**
 * Create a loading placeholder.
 * @param {string} [kind]  a CSS class
 */
export function skeleton(kind = "") {
  return h(
    "div",
    { class: `deeper-skeleton ${kind}`, role: "status" },
    h("span", { class: "unseen" }, t("deeper.loading")),
    h("i"),
    h("i"),
    h("i"),
  );
}

/**
 * Create a loading placeholder, or the error message if the request has failed.
 * @param {Readonly<Data>} data
 * @param {string} [kind]  a CSS class
 */
export function placeholder({ error }, kind = "") {
  return error ? failure(new Error(error)) : skeleton(kind);
}

/** The latest photos, by their URLs: Compare shows two. @type {Map<string, Promise<HTMLImageElement>>} */
const photos = new Map();

/**
 * Draw the square of the photo that the network sees on a canvas.
 * @param {Source} source
 * @param {Pick<State, "photo">} state
 * @param {Pick<Data, "base" | "network">} data
 * @param {number} size  of the canvas, in pixels
 * @returns {Promise<HTMLCanvasElement>}
 */
export async function photoSquare(source, state, data, size) {
  const url = source.photoUrl(state.photo);
  let loading = photos.get(url);
  if (!loading) {
    const image = new Image();
    image.src = url;
    loading = image.decode().then(() => image);
    loading.catch(() => photos.delete(url));
    photos.set(url, loading);
    for (const other of [...photos.keys()].slice(0, -2)) photos.delete(other);
  }
  const image = await loading;
  const canvas = h("canvas", { width: size, height: size });
  const square = cropSquare({ width: image.naturalWidth, height: image.naturalHeight }, data.base?.crop ?? null);
  drawSquare(canvas, image, square, data.network?.margin);
  return canvas;
}

/**
 * Paint signed values over a grey photo: red above zero, blue below, transparent near zero.
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasImageSource} photo  square and grey
 * @param {ArrayLike<number>} values
 * @param {number} side  of the map, in cells
 * @param {number} bound  absolute value at full saturation
 */
export function paintSigned(canvas, photo, values, side, bound) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const { width, height } = canvas;
  context.drawImage(photo, 0, 0, width, height);
  const pixels = new ImageData(side, side);
  for (let i = 0; i < side * side; i++) pixels.data.set(diverging(bound ? values[i] / bound : 0), 4 * i);
  const small = h("canvas", { width: side, height: side });
  small.getContext("2d")?.putImageData(pixels, 0, 0);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, width, height);
}

/**
 * Create the legend of `paintSigned`: a bar with the values at its ends.
 * @param {number} bound
 * @param {number} decimals
 */
export function signedLegend(bound, decimals) {
  return h(
    "div",
    { class: "deeper-legend" },
    h("span", {}, fixed(-bound, decimals)),
    h("span", { class: "deeper-legend-bar", "aria-hidden": "true" }),
    h("span", {}, `+${fixed(bound, decimals)}`),
    h("small", {}, t("deeper.against")),
    h("small", {}, t("deeper.zero")),
    h("small", {}, t("deeper.for")),
  );
}

/**
 * Create an overlay for a square picture, in which a cell is picked by pointer or arrow keys.
 * @param {(row: number, column: number) => void} pick
 * @param {{follows?: boolean}} [options]  follows: picks the cell under the pointer without a click
 */
export function cellPicker(pick, { follows = false } = {}) {
  const mark = h("i");
  const element = h("div", { class: "deeper-picker", tabindex: 0, role: "application" }, mark);
  let [side, row, column] = [1, 0, 0];

  /** @param {PointerEvent} event */
  const choose = (event) => {
    const box = element.getBoundingClientRect();
    const cellAt = (/** @type {number} */ share) => clamp(Math.floor(share * side), 0, side - 1);
    const [newRow, newColumn] = [cellAt((event.clientY - box.top) / box.height), cellAt((event.clientX - box.left) / box.width)];
    if (newRow !== row || newColumn !== column) pick(newRow, newColumn);
  };
  element.addEventListener("pointerdown", choose);
  element.addEventListener("pointermove", (event) => {
    if (follows || event.buttons) choose(event);
  });
  element.addEventListener("keydown", (event) => {
    const step = ARROWS[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    pick(clamp(row + step[0], 0, side - 1), clamp(column + step[1], 0, side - 1));
  });

  return {
    element,
    /**
     * Mark a cell.
     * @param {number} cells  along one side
     * @param {number} r
     * @param {number} c
     */
    show(cells, r, c) {
      [side, row, column] = [cells, r, c];
      const percentage = (/** @type {number} */ count) => `${(100 * count) / cells}%`;
      set(mark, { style: { left: percentage(c), top: percentage(r), width: percentage(1), height: percentage(1) } });
    },
    /** @param {string} label */
    name(label) {
      set(element, { "aria-label": label });
    },
  };
}

/**
 * @typedef {object} Row  of a table; the first cell is the row's heading
 * @property {(Child | Child[])[]} cells
 * @property {Record<string, any>} [attributes]
 */

/**
 * Create a table that scrolls within its own box on narrow screens.
 * @param {string} name
 * @param {string[]} heads
 * @param {Row[]} rows
 */
export function table(name, heads, rows) {
  return h(
    "div",
    { class: "deeper-scroll", role: "region", tabindex: 0, "aria-label": name },
    h(
      "table",
      {},
      h("caption", { class: "unseen" }, name),
      h("thead", {}, h("tr", {}, heads.map((head) => (head ? h("th", { scope: "col" }, head) : h("td"))))),
      h(
        "tbody",
        {},
        rows.map(({ cells: [first, ...others], attributes = {} }) =>
          h("tr", attributes, h("th", { scope: "row" }, ...[first].flat()), others.map((cell) => h("td", {}, ...[cell].flat()))),
        ),
      ),
    ),
  );
}

/**
 * @param {...(Child | Child[])} cells
 * @returns {Row}
 */
export function row(...cells) {
  return { cells };
}

/**
 * Create a group of buttons, one of which is pressed.
 * @template {string} T
 * @param {string} name
 * @param {readonly T[]} values
 * @param {T} chosen
 * @param {(value: T) => string} label
 * @param {(value: T) => void} choose
 * @param {(value: T) => Record<string, any>} [attributes]
 */
export function choices(name, values, chosen, label, choose, attributes = () => ({})) {
  return h(
    "div",
    { class: "deeper-choices", role: "group", "aria-label": name },
    values.map((value) =>
      h(
        "button",
        { type: "button", "aria-pressed": String(value === chosen), onclick: () => choose(value), ...attributes(value) },
        label(value),
      ),
    ),
  );
}

/**
 * Create a bar to the right of zero, or to the left of it for a negative value.
 * @param {number} value
 * @param {number} bound  absolute value of a full bar
 */
export function signedBar(value, bound) {
  const share = bound ? Math.min(Math.abs(value) / bound, 1) * 50 : 0;
  const style = { width: `${share}%`, left: `${value < 0 ? 50 - share : 50}%` };
  return h("span", { class: "deeper-signed", "aria-hidden": "true" }, h("i", { style }));
}

/**
 * Set --unit to the chart's units per pixel: text whose size CSS multiplies by it does not scale with the chart.
 * @param {SVGElement} chart
 * @param {number} width  of its view box
 */
export function keepTextSize(chart, width) {
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width) set(chart, { style: { "--unit": width / contentRect.width } });
  }).observe(chart);
}

/** @param {number} milliseconds */
export function delay(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
