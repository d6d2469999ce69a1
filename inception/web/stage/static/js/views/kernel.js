/** One convolution on real numbers: patch times kernel, product by product, and what follows from their sum. */

import { h, isStill, replace } from "../dom.js";
import { clamp, decimalsFor, fixed, grouped, roundToTotal, snapToObserved, term } from "../numbers.js";
import { joined, t } from "../words.js";

/**
 * @typedef {object} KernelInput  one of the input channels that contribute most
 * @property {number} channel
 * @property {number[][]} patch
 * @property {number[][]} weights
 * @property {number} sum
 *
 * @typedef {object} Kernel  `inputs`, `others` and `bias` add up to `sum`
 * @property {string} layer
 * @property {number} kernel
 * @property {KernelInput[]} inputs
 * @property {number} others
 * @property {number} bias
 * @property {number} sum
 * @property {number | null} scale
 * @property {number | null} shift
 * @property {number} result
 *
 * @typedef {object} Place  of the cell in its map
 * @property {number} row
 * @property {number} column
 * @property {number} side
 *
 * @typedef {{preact: boolean, relu: number | null, count: number}} Steps  which steps the layer has
 */

const RUN = 7000; // milliseconds that all products take while they play
const SLOWEST = 400;
const KINDS = /** @type {const} */ (["patch", "weights", "product"]);

/**
 * @param {HTMLElement} root
 */
export function createKernel(root) {
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let playing;
  /** @type {(() => void) | null} */
  let ended = null;

  function stop() {
    clearInterval(playing);
    playing = undefined;
    ended?.();
  }

  /**
   * @param {Kernel} kernel
   * @param {Place} place
   * @param {Steps} steps
   */
  function show(kernel, place, steps) {
    stop();
    const side = kernel.kernel;
    const area = side * side;
    const last = kernel.inputs.length * area - 1;
    const isInside = inside(place, side);
    const said = h("p", { class: "kernel-said number", "aria-live": "polite" });
    const inputs = kernel.inputs.map((input, i) => inputRow(input, side, isInside, (at) => select(i * area + at)));
    const grids = h("div", { class: "kernel-inputs", tabindex: 0, role: "group", "aria-label": t("kernel.grids"), onkeydown: move }, inputs.map((one) => one.element));
    let chosen = -1;

    /** @param {number} at */
    function select(at) {
      chosen = at;
      const [i, cell] = [Math.floor(at / area), at % area];
      inputs.forEach((one, other) => one.light(other === i ? cell : -1));
      const { channel } = kernel.inputs[i];
      const { value, weight, product } = inputs[i].texts(cell);
      const key = isInside(Math.floor(cell / side), cell % side) ? "kernel.product" : "kernel.product_outside";
      said.textContent = t(key, { channel, value, weight, product, row: Math.floor(cell / side), column: cell % side });
    }

    /** @param {KeyboardEvent} event */
    function move(event) {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: side, ArrowUp: -side }[event.key];
      if (!step) return;
      event.preventDefault();
      pause();
      select(clamp(chosen + step, 0, last));
    }

    /** Show the sums as far as the product chosen. @param {number} at */
    function reveal(at) {
      inputs.forEach((one, i) => one.reveal(clamp(at - i * area + 1, 0, area)));
      if (at >= 0 && at <= last) select(at);
      finish.classList.toggle("kernel-later", at < last);
    }

    const play = h("button", { type: "button", class: "button", onclick: toggle });
    const next = h("button", { type: "button", class: "button", onclick: stepOn }, t("kernel.step"));
    const name = () => (play.textContent = t(playing ? "kernel.pause" : "kernel.play"));
    let at = last;

    function pause() {
      if (playing) stop();
    }

    function toggle() {
      if (playing) return stop();
      if (at >= last) at = -1;
      reveal(at);
      const wait = Math.min(RUN / (last + 1), SLOWEST) * (isStill() ? 2 : 1);
      playing = setInterval(() => {
        if (!root.isConnected || root.closest("[hidden]")) return stop();
        reveal(++at);
        if (at >= last) stop();
      }, wait);
      name();
    }

    function stepOn() {
      pause();
      at = at >= last ? 0 : at + 1;
      reveal(at);
    }

    ended = name;
    const finish = h("div", { class: "kernel-finish" }, conclusion(kernel, steps));
    name();
    replace(
      root,
      h("div", { class: "deeper-controls" }, play, next, h("span", { class: "quiet" }, t("kernel.hover"))),
      h("div", { class: "kernel-scroll" }, grids),
      said,
      finish,
    );
    select(strongest(kernel.inputs[0]));
  }

  return { show, stop };
}

/**
 * One input channel: its patch, the weights on it, the products, and their sum.
 * @param {KernelInput} input
 * @param {number} side
 * @param {(row: number, column: number) => boolean} isInside
 * @param {(at: number) => void} select
 */
function inputRow(input, side, isInside, select) {
  const patch = input.patch.flat();
  const weights = input.weights.flat();
  const products = patch.map((value, i) => value * weights[i]);
  const decimals = decimalsFor(products);
  const values = {
    patch: patch.map((value) => fixed(value, decimalsFor(patch))),
    weights: weights.map((value) => fixed(value, decimalsFor(weights))),
    product: roundToTotal(products, input.sum, decimals).map((value) => fixed(value, decimals)),
  };
  const numbers = { patch, weights, product: products };
  /** @type {Record<string, HTMLTableCellElement[]>} */
  const cells = {};
  const tables = KINDS.map((kind) => {
    const largest = Math.max(...numbers[kind].map(Math.abs)) || 1;
    cells[kind] = numbers[kind].map((value, i) =>
      h(
        "td",
        {
          class: `${value < 0 ? "minus" : "plus"}${isInside(Math.floor(i / side), i % side) ? "" : " beside"}`,
          style: { "--share": `${Math.round((100 * Math.abs(value)) / largest)}%` },
          onpointerenter: () => select(i),
          onclick: () => select(i),
        },
        values[kind][i],
      ),
    );
    const rows = Array.from({ length: side }, (_, r) => h("tr", {}, cells[kind].slice(r * side, (r + 1) * side)));
    return h("table", { class: "kernel-grid" }, h("caption", {}, t(`kernel.grid_${kind}`)), h("tbody", {}, rows));
  });
  const sum = h("b", { class: "number" }, fixed(input.sum, decimals));
  const sign = (/** @type {string} */ text) => h("span", { class: "kernel-sign", "aria-hidden": "true" }, text);
  const element = h(
    "div",
    { class: `kernel-input side-${side}` },
    h("h5", {}, t("channel.kernel_input", { channel: input.channel })),
    tables[0],
    sign("×"),
    tables[1],
    sign("="),
    tables[2],
    h("p", { class: "kernel-sum" }, t("channel.kernel_sum"), " ", sum),
  );
  const area = side * side;

  return {
    element,
    /** @param {number} at */
    light(at) {
      for (const kind of KINDS) cells[kind].forEach((cell, i) => cell.classList.toggle("lit", i === at));
    },
    /** Show so many products and their sum so far. @param {number} count */
    reveal(count) {
      cells.product.forEach((cell, i) => cell.classList.toggle("later", i >= count));
      element.classList.toggle("later", count === 0);
      const part = products.slice(0, count).reduce((total, value) => total + value, 0);
      sum.textContent = count ? fixed(count === area ? input.sum : part, decimals) : "";
    },
    /** @param {number} at */
    texts: (at) => ({ value: values.patch[at], weight: values.weights[at], product: values.product[at] }),
  };
}

/**
 * The sums of the channels shown, the other channels, bias, normalisation and ReLU, to the value in the map. The
 * numbers are rounded from the end back to the beginning, so that each line adds up as it is shown.
 * @param {Kernel} kernel
 * @param {Steps} steps
 */
function conclusion({ inputs, bias, sum, scale, shift, result }, { relu }) {
  const hasNorm = scale !== null && shift !== null;
  const before = hasNorm ? scale * sum + shift : sum;
  const decimals = decimalsFor(hasNorm ? [before, scale * sum, shift] : [sum, ...inputs.map((one) => one.sum)], 4);
  const end = relu === null || result > 0 ? snapToObserved(before, result, decimals) : before;
  const places = hasNorm ? Math.min(decimals + Math.max(0, Math.ceil(Math.log10(Math.abs(scale) || 1))), 9) : decimals;
  const total = rounded(hasNorm ? sum : end, places);
  const told = [...inputs.map((one) => rounded(one.sum, places)), rounded(bias, places)];
  // What rounding leaves over goes to the one term that stands for many.
  const rest = total - told.reduce((before, value) => before + value, 0);
  /** @type {[number, string][]} */
  const terms = [
    ...inputs.map((one, i) => /** @type {[number, string]} */ ([told[i], t("channel.kernel_input", { channel: one.channel })])),
    [rest, t("kernel.others")],
  ];
  const last = told[inputs.length];
  if (last) terms.push([last, t("channel.kernel_bias")]);
  const steps = [
    [
      t("kernel.add"),
      h(
        "span",
        { class: "kernel-terms" },
        terms.map(([value, name], i) => h("span", {}, i ? term(value, places) : fixed(value, places), " ", h("small", {}, name))),
        h("b", {}, `= ${fixed(total, places)}`),
      ),
    ],
  ];
  if (hasNorm) {
    const [scaled, shifted] = roundToTotal([scale * sum, shift], end, decimals);
    const factor = fixed(scale, decimalsFor([scale], 5));
    steps.push([
      t("kernel.norm"),
      h(
        "span",
        {},
        `${fixed(sum, places)} × ${factor} ${term(shifted, decimals)} = ${fixed(scaled, decimals)} ${term(shifted, decimals)} `,
        h("b", {}, `= ${fixed(end, decimals)}`),
      ),
    ]);
  }
  if (relu !== null) {
    const after = Math.max(end, 0);
    steps.push([
      t(end > 0 ? "kernel.relu_passes" : "kernel.relu_stops"),
      h("span", {}, `max(0, ${fixed(end, decimals)}) `, h("b", {}, `= ${fixed(after, decimals)}`)),
    ]);
  }
  return [
    h("dl", { class: "kernel-steps number" }, steps.flatMap(([words, sums]) => [h("dt", {}, words), h("dd", {}, sums)])),
    h("p", { class: "kernel-result" }, t("kernel.in_map"), " ", h("strong", { class: "number" }, fixed(result, decimals))),
  ];
}

/**
 * @param {number} value
 * @param {number} decimals
 */
function rounded(value, decimals) {
  return Math.round(value * 10 ** decimals) / 10 ** decimals;
}

/**
 * Whether a place of the kernel lies within the map.
 * @param {Place} place
 * @param {number} kernel
 */
function inside({ row, column, side }, kernel) {
  const reach = Math.floor(kernel / 2);
  /** @param {number} at */
  const isOn = (at) => at >= 0 && at < side;
  return (/** @type {number} */ r, /** @type {number} */ c) => isOn(row + r - reach) && isOn(column + c - reach);
}

/** @param {KernelInput} input */
function strongest({ patch, weights }) {
  const values = weights.flat();
  const sizes = patch.flat().map((value, i) => Math.abs(value * values[i]));
  return sizes.indexOf(Math.max(...sizes));
}

/**
 * How many products a convolution adds up, in words.
 * @param {Kernel} kernel
 * @param {Steps} steps
 */
export function counted({ kernel }, { count, preact }) {
  const key = kernel === 1 ? "kernel.lead_one" : "kernel.lead";
  return joined([t(key, { side: kernel, count: grouped(count) }), preact ? t("kernel.preact") : ""]);
}
