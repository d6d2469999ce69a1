/** A convolution worked out in numbers: the products of patch and kernel, their sum, the bias, normalisation and ReLU. */

import { h, isStill, replace } from "../dom.js";
import { clamp, decimalsFor, fixed, grouped, roundToTotal, snapToObserved, term } from "../numbers.js";
import { gap, joined, t } from "../words.js";

/**
 * @typedef {object} KernelInput  one of the input channels with the largest contributions
 * @property {number} channel
 * @property {number[][]} patch  values of the input under the kernel
 * @property {number[][]} weights
 * @property {number} sum  of the products
 *
 * @typedef {object} Kernel  `inputs`, `others` and `bias` add up to `sum`
 * @property {string} layer
 * @property {number} kernel  side of the kernel
 * @property {KernelInput[]} inputs
 * @property {number} others  sum over all other input channels
 * @property {number} bias
 * @property {number} sum
 * @property {number | null} scale  of the normalisation; null without one
 * @property {number | null} shift
 * @property {number} result  the value in the map
 *
 * @typedef {object} CellPosition  position of the cell in its map
 * @property {number} row
 * @property {number} column
 * @property {number} side  of the map, in cells
 *
 * @typedef {object} LayerInfo
 * @property {boolean} preact  whether BatchNorm and ReLU come before the convolution
 * @property {number | null} relu  the output of the ReLU; null without one
 * @property {number} count  how many products the convolution adds up
 */

const PLAYBACK_MS = 7000; // duration of playing all products
const MAX_STEP_MS = 400; // longest delay between two products
const GRIDS = /** @type {const} */ (["patch", "weights", "product"]);

/**
 * @param {HTMLElement} root
 */
export function createKernel(root) {
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;
  /** @type {(() => void) | null} */
  let onStop = null;

  function stop() {
    clearInterval(timer);
    timer = undefined;
    onStop?.();
  }

  /**
   * @param {Kernel} kernel
   * @param {CellPosition} cell
   * @param {LayerInfo} layer
   */
  function show(kernel, cell, layer) {
    stop();
    const side = kernel.kernel;
    const area = side * side;
    const lastProduct = kernel.inputs.length * area - 1;
    const isInside = insideMap(cell, side);
    const description = h("p", { class: "kernel-said number", "aria-live": "polite" });
    const rows = kernel.inputs.map((input, i) => inputRow(input, side, isInside, (position) => select(i * area + position)));
    const grids = h(
      "div",
      { class: "kernel-inputs", tabindex: 0, role: "group", "aria-label": t("kernel.grids"), onkeydown: moveSelection },
      rows.map((row) => row.element),
    );
    let selected = -1;

    /** @param {number} index  of a product */
    function select(index) {
      selected = index;
      const [input, position] = [Math.floor(index / area), index % area];
      rows.forEach((row, i) => row.highlight(i === input ? position : -1));
      const { channel } = kernel.inputs[input];
      const { value, weight, product } = rows[input].texts(position);
      const key = isInside(Math.floor(position / side), position % side) ? "kernel.product" : "kernel.product_outside";
      description.textContent = t(key, { channel, value, weight, product, row: Math.floor(position / side), column: position % side });
    }

    /** @param {KeyboardEvent} event */
    function moveSelection(event) {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: side, ArrowUp: -side }[event.key];
      if (!step) return;
      event.preventDefault();
      pause();
      select(clamp(selected + step, 0, lastProduct));
    }

    /** Show the products and partial sums up to a product. @param {number} index  -1 hides all of them */
    function reveal(index) {
      rows.forEach((row, i) => row.reveal(clamp(index - i * area + 1, 0, area)));
      if (index >= 0 && index <= lastProduct) select(index);
      result.classList.toggle("kernel-later", index < lastProduct);
    }

    const play = h("button", { type: "button", class: "button", onclick: toggle });
    const next = h("button", { type: "button", class: "button", onclick: advance }, t("kernel.step"));
    const updatePlayLabel = () => (play.textContent = t(timer ? "kernel.pause" : "kernel.play"));
    let revealed = lastProduct;

    function pause() {
      if (timer) stop();
    }

    function toggle() {
      if (timer) return stop();
      if (revealed >= lastProduct) revealed = -1;
      reveal(revealed);
      const delay = Math.min(PLAYBACK_MS / (lastProduct + 1), MAX_STEP_MS) * (isStill() ? 2 : 1);
      timer = setInterval(() => {
        if (!root.isConnected || root.closest("[hidden]")) return stop();
        reveal(++revealed);
        if (revealed >= lastProduct) stop();
      }, delay);
      updatePlayLabel();
    }

    function advance() {
      pause();
      revealed = revealed >= lastProduct ? 0 : revealed + 1;
      reveal(revealed);
    }

    onStop = updatePlayLabel;
    const result = h("div", { class: "kernel-finish" }, conclusion(kernel, layer));
    updatePlayLabel();
    replace(
      root,
      h("div", { class: "deeper-controls" }, play, next, h("span", { class: "quiet" }, t("kernel.hover"))),
      h("div", { class: "kernel-scroll" }, grids),
      description,
      result,
    );
    select(indexOfLargestProduct(kernel.inputs[0]));
  }

  return { show, stop };
}

/**
 * Create the row of one input channel: its patch, the weights, the products, and their sum.
 * @param {KernelInput} input
 * @param {number} side  of the kernel
 * @param {(row: number, column: number) => boolean} isInside  whether a position of the kernel lies within the map
 * @param {(position: number) => void} select
 */
function inputRow(input, side, isInside, select) {
  const patch = input.patch.flat();
  const weights = input.weights.flat();
  const products = patch.map((value, i) => value * weights[i]);
  const decimals = decimalsFor(products);
  const texts = {
    patch: patch.map((value) => fixed(value, decimalsFor(patch))),
    weights: weights.map((value) => fixed(value, decimalsFor(weights))),
    product: roundToTotal(products, input.sum, decimals).map((value) => fixed(value, decimals)),
  };
  const values = { patch, weights, product: products };
  /** @type {Record<string, HTMLTableCellElement[]>} */
  const cells = {};
  const tables = GRIDS.map((grid) => {
    const largest = Math.max(...values[grid].map(Math.abs)) || 1;
    cells[grid] = values[grid].map((value, i) =>
      h(
        "td",
        {
          class: `${value < 0 ? "minus" : "plus"}${isInside(Math.floor(i / side), i % side) ? "" : " beside"}`,
          style: { "--share": `${Math.round((100 * Math.abs(value)) / largest)}%` },
          onpointerenter: () => select(i),
          onclick: () => select(i),
        },
        texts[grid][i],
      ),
    );
    const rows = Array.from({ length: side }, (_, r) => h("tr", {}, cells[grid].slice(r * side, (r + 1) * side)));
    return h("table", { class: "kernel-grid" }, h("caption", {}, t(`kernel.grid_${grid}`)), h("tbody", {}, rows));
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
    /** Highlight one position in all three grids. @param {number} position  -1 for none */
    highlight(position) {
      for (const grid of GRIDS) cells[grid].forEach((cell, i) => cell.classList.toggle("lit", i === position));
    },
    /** Show the first `count` products and their partial sum. @param {number} count */
    reveal(count) {
      cells.product.forEach((cell, i) => cell.classList.toggle("later", i >= count));
      element.classList.toggle("later", count === 0);
      const partialSum = products.slice(0, count).reduce((total, value) => total + value, 0);
      sum.textContent = count ? fixed(count === area ? input.sum : partialSum, decimals) : "";
    },
    /** @param {number} position */
    texts: (position) => ({ value: texts.patch[position], weight: texts.weights[position], product: texts.product[position] }),
  };
}

/**
 * Create the lines from the sums of the channels to the value in the map: other channels, bias, normalisation, ReLU. The
 * last number is rounded first and the others to match it, so that each line adds up as it is shown.
 * @param {Kernel} kernel
 * @param {LayerInfo} layer
 */
function conclusion({ inputs, bias, sum, scale, shift, result }, { relu }) {
  const hasNorm = scale !== null && shift !== null;
  const beforeRelu = hasNorm ? scale * sum + shift : sum;
  const decimals = decimalsFor(hasNorm ? [beforeRelu, scale * sum, shift] : [sum, ...inputs.map((input) => input.sum)], 4);
  const shownBeforeRelu = relu === null || result > 0 ? snapToObserved(beforeRelu, result, decimals) : beforeRelu;
  const sumDecimals = hasNorm ? Math.min(decimals + Math.max(0, Math.ceil(Math.log10(Math.abs(scale) || 1))), 9) : decimals;
  const shownSum = roundTo(hasNorm ? sum : shownBeforeRelu, sumDecimals);
  const shownTerms = [...inputs.map((input) => roundTo(input.sum, sumDecimals)), roundTo(bias, sumDecimals)];
  // The sum of the other channels is shown as the remainder, so that it absorbs the rounding error.
  const remainder = shownSum - shownTerms.reduce((subtotal, value) => subtotal + value, 0);
  /** @type {[number, string][]} */
  const terms = [
    ...inputs.map((input, i) => /** @type {[number, string]} */ ([shownTerms[i], t("channel.kernel_input", { channel: input.channel })])),
    [remainder, t("kernel.others")],
  ];
  const shownBias = shownTerms[inputs.length];
  if (shownBias) terms.push([shownBias, t("channel.kernel_bias")]);
  const lines = [
    [
      t("kernel.add"),
      h(
        "span",
        { class: "kernel-terms" },
        terms.map(([value, name], i) => h("span", {}, i ? term(value, sumDecimals) : fixed(value, sumDecimals), " ", h("small", {}, name))),
        h("b", {}, `= ${fixed(shownSum, sumDecimals)}`),
      ),
    ],
  ];
  if (hasNorm) {
    const [scaled, shifted] = roundToTotal([scale * sum, shift], shownBeforeRelu, decimals);
    const factor = fixed(scale, decimalsFor([scale], 5));
    lines.push([
      t("kernel.norm"),
      h(
        "span",
        {},
        `${fixed(sum, sumDecimals)} × ${factor} ${term(shifted, decimals)} = ${fixed(scaled, decimals)} ${term(shifted, decimals)} `,
        h("b", {}, `= ${fixed(shownBeforeRelu, decimals)}`),
      ),
    ]);
  }
  if (relu !== null) {
    const afterRelu = Math.max(shownBeforeRelu, 0);
    lines.push([
      t(shownBeforeRelu > 0 ? "kernel.relu_passes" : "kernel.relu_stops"),
      h("span", {}, `max(0, ${fixed(shownBeforeRelu, decimals)}) `, h("b", {}, `= ${fixed(afterRelu, decimals)}`)),
    ]);
  }
  return [
    h("dl", { class: "kernel-steps number" }, lines.flatMap(([label, sums]) => [h("dt", {}, label), h("dd", {}, sums)])),
    h("p", { class: "kernel-result" }, t("kernel.in_map"), gap(), h("strong", { class: "number" }, fixed(result, decimals))),
  ];
}

/**
 * @param {number} value
 * @param {number} decimals
 */
function roundTo(value, decimals) {
  return Math.round(value * 10 ** decimals) / 10 ** decimals;
}

/**
 * Return a function that says whether a position of a kernel centred on the cell lies within the map.
 * @param {CellPosition} cell
 * @param {number} kernel  its side
 */
function insideMap({ row, column, side }, kernel) {
  const radius = Math.floor(kernel / 2);
  /** @param {number} position */
  const isWithin = (position) => position >= 0 && position < side;
  return (/** @type {number} */ r, /** @type {number} */ c) => isWithin(row + r - radius) && isWithin(column + c - radius);
}

/** Return the position of the product with the largest magnitude. @param {KernelInput} input */
function indexOfLargestProduct({ patch, weights }) {
  const factors = weights.flat();
  const magnitudes = patch.flat().map((value, i) => Math.abs(value * factors[i]));
  return magnitudes.indexOf(Math.max(...magnitudes));
}

/**
 * Return the sentences that introduce the convolution, with its kernel size and number of products.
 * @param {Kernel} kernel
 * @param {LayerInfo} layer
 */
export function kernelLead({ kernel }, { count, preact }) {
  const key = kernel === 1 ? "kernel.lead_one" : "kernel.lead";
  return joined([t(key, { side: kernel, count: grouped(count) }), preact ? t("kernel.preact") : ""]);
}
