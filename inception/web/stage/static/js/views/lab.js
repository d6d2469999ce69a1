/** The stimulus laboratory: a bar at the bottom of the page with controls for a synthetic image that replaces the photo. */

import { h, replace, roving, set, svg } from "../dom.js";
import { imageBlob } from "../encoding.js";
import { FRAME, LAB_SHAPES, labText, RANGES, SLIDERS, SWEEPS } from "../state.js";
import { cellValue, wholeCrop } from "../maps.js";
import { BRANCHES, short } from "../numbers.js";
import { labPixels, onChart } from "../stimuli.js";
import { branchName, joined, sentenceOf, t } from "../words.js";
import { waitForScene } from "./frames.js";

/** @import {Branch, Crop} from "../types.js" */
/** @import {Lab, Slider} from "../state.js" */

const IDLE_MS = 600; // idle time after which the image is uploaded again, to be kept
const KEPT_NAME = "stimulus.png"; // the server keeps files of this name, unlike those called FRAME
const PEN_COLOURS = ["#ffffff", "#000000", "#e53935", "#fdd835", "#43a047", "#1e88e5"];
const CHART_SIZE = { width: 270, height: 64 };

/**
 * @param {HTMLElement} root
 * @param {HTMLElement} frame  of the photo; the canvas to draw on is put into it
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 * @param {Pick<import("../controller.js").Controller, "settled">} controller
 */
export function createLab(root, frame, store, source, controller) {
  const canvas = h("canvas", { class: "lab-sheet", role: "img", onpointerdown: drawLine });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const shapes = h("div", { class: "lab-shapes", role: "group" });
  const sliders = h("div", { class: "lab-sliders" });
  const chart = h("figure", { class: "lab-chart" });
  const close = h("button", { class: "plain lab-close", onclick: () => store.update({ lab: null }, { push: true }) }, "✕");
  const lead = h("p", { class: "lab-lead" });
  root.append(lead, shapes, sliders, chart, close);
  const reachShape = roving(shapes);

  /** Photo and crop to restore when the laboratory closes. @type {{photo: string, crop: Crop | null} | null} */
  let previous = null;
  let penColour = PEN_COLOURS[0];
  /** The slider that was moved last; the curve is plotted over its values. @type {Slider} */
  let activeSlider = "size";
  let isSweeping = false;
  /** The latest uploaded image and its stimulus. @type {{photo: string, lab: Lab} | null} */
  let uploaded = null;
  /** @type {Map<string, Map<number, number[]>>} */
  const curves = new Map();

  const lab = () => /** @type {Lab} */ (store.get().lab);
  const isOpen = () => store.get().lab !== null && !store.get().step;
  const inputSide = () => store.data().network?.size ?? 224;

  // ---------------------------------------------------------------- the stimulus

  /** Return the block's middle cell, on whose receptive field stimuli are centred. */
  const middleCell = () => store.data().network?.blocks[store.get().block].middle;

  function paint() {
    const pixels = inputSide();
    if (canvas.width !== pixels) set(canvas, { width: pixels, height: pixels });
    const { x, y } = middleCell() ?? {};
    context.putImageData(new ImageData(labPixels(lab(), pixels, x, y), pixels, pixels), 0, 0);
    set(canvas, { "aria-label": t(`lab.${lab().shape}`) });
  }

  /** @param {PointerEvent} event */
  function drawLine(event) {
    // Ignore further fingers, a resting palm and other mouse buttons.
    if (lab().shape !== "pen" || !event.isPrimary || event.button !== 0) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    const positionOf = (/** @type {PointerEvent} */ pointer) => {
      const box = canvas.getBoundingClientRect();
      return /** @type {const} */ ([
        ((pointer.clientX - box.left) / box.width) * canvas.width,
        ((pointer.clientY - box.top) / box.height) * canvas.height,
      ]);
    };
    Object.assign(context, { strokeStyle: penColour, lineCap: "round", lineJoin: "round", lineWidth: (lab().size / 100) * canvas.width });
    let previousPosition = positionOf(event);
    /** @param {PointerEvent} moveEvent */
    const move = (moveEvent) => {
      if (moveEvent.pointerId !== event.pointerId) return;
      const position = positionOf(moveEvent);
      context.beginPath();
      context.moveTo(...previousPosition);
      context.lineTo(...position);
      context.stroke();
      previousPosition = position;
      void send();
    };
    move(event);
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("lostpointercapture", () => canvas.removeEventListener("pointermove", move), { once: true });
  }

  // ---------------------------------------------------------------- uploads, one at a time

  /** File name of the next upload. @type {string | null} */
  let pendingName = null;
  let isSending = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let idleTimer;

  /** Upload the canvas; while an upload is in flight, only the latest call waits for its turn. @param {string} [name] */
  async function send(name = FRAME) {
    pendingName = name;
    if (isSending) return;
    isSending = true;
    clearTimeout(idleTimer);
    try {
      let sentName = name;
      while (pendingName && isOpen()) {
        sentName = pendingName;
        pendingName = null;
        await sendCanvas(sentName);
      }
      if (sentName === FRAME) idleTimer = setTimeout(() => isOpen() && void send(KEPT_NAME), IDLE_MS);
    } catch (error) {
      showError(error);
    } finally {
      isSending = false;
    }
  }

  /**
   * Upload the canvas as it is, and wait until its prediction and channels are shown.
   * @param {string} name  of the file
   */
  async function sendCanvas(name) {
    const sentLab = lab();
    const photo = await source.upload(imageBlob(canvas), name);
    if (!isOpen()) return;
    uploaded = { photo, lab: sentLab };
    store.receive({ moving: name === FRAME });
    store.update({ photo, crop: wholeCrop(canvas), cls: null });
    await waitForScene(store, controller, () => store.data().channels !== null);
  }

  /** @param {unknown} error */
  function showError(error) {
    store.receive({ error: sentenceOf(error) });
  }

  // ---------------------------------------------------------------- the curve

  /** Return the key of a curve: channel or block, network, and the values of the other sliders. */
  const curveKey = () => {
    const { lens, block, model } = store.get();
    return JSON.stringify([model, block, lens?.branch, lens?.channel, activeSlider, labText({ ...lab(), [activeSlider]: 0 })]);
  };

  /** Return the values at the middle cell: of the channel in the lens, or of the mean map of each branch. */
  function responses() {
    const { lens, block } = store.get();
    const { channels, now } = store.data();
    const middle = middleCell();
    if (!now || !middle) return [];
    if (lens) {
      const branch = channels?.[lens.branch];
      return branch ? [cellValue(branch, lens.channel, middle.row, middle.column)] : [];
    }
    return BRANCHES.map((branch) => {
      const { low, high, values, side: cells } = now.maps[block][branch];
      return low + (values[middle.row * cells + middle.column] / 255) * (high - low);
    });
  }

  /** Add the responses to the current stimulus to the curve. */
  function recordResponses() {
    const { photo, lens } = store.get();
    if (!uploaded || uploaded.photo !== photo || uploaded.lab !== lab() || (lens && !store.data().channels)) return;
    const key = curveKey();
    const points = curves.get(key) ?? new Map();
    points.set(lab()[activeSlider], responses());
    curves.set(key, points);
    if (curves.size > 40) curves.delete(/** @type {string} */ (curves.keys().next().value));
    drawChart();
  }

  function drawChart() {
    const { lens, block } = store.get();
    const isStimulus = lab().shape !== "pen";
    chart.hidden = !isStimulus;
    if (!isStimulus) return;
    const points = [...(curves.get(curveKey()) ?? new Map())];
    const names = lens ? [lens.branch] : BRANCHES;
    const all = points.flatMap(([, values]) => values);
    const bounds = /** @type {[number, number]} */ ([Math.min(0, ...all), Math.max(...all, 1e-6)]);
    const lines = names.map((branch, i) => ({
      branch,
      line: onChart(
        points.map(([value, values]) => [value, values[i]]),
        activeSlider,
        bounds,
      ),
    }));
    const { width, height } = CHART_SIZE;
    const toViewBox = (/** @type {[number, number]} */ [x, y]) => [4 + (x / 100) * (width - 8), 4 + (y / 100) * (height - 8)];
    const subject = lens
      ? t("lab.of_channel", { block, branch: branchName(lens.branch), channel: lens.channel })
      : t("lab.of_branches", { block });
    const [from, to] = [RANGES[activeSlider].min, RANGES[activeSlider].max].map((value) => valueText(activeSlider, value));
    const scale = t("lab.scale", { value: short(bounds[1]), slider: t(`lab.${activeSlider}`).toLowerCase(), from, to });
    replace(
      chart,
      h(
        "figcaption",
        {},
        h("b", {}, subject),
        !lens &&
          h(
            "span",
            { class: "lab-legend" },
            BRANCHES.map((branch) => h("span", { dataset: { branch } }, branchName(branch))),
          ),
        h(
          "button",
          { class: "button", "aria-pressed": String(isSweeping), onclick: sweep },
          t(isSweeping ? "lab.stop" : "lab.sweep", { slider: t(`lab.${activeSlider}`) }),
        ),
      ),
      h(
        "small",
        { class: "lab-up number", "aria-hidden": "true" },
        h("span", {}, points.length > 0 && short(bounds[1])),
        h("span", {}, short(bounds[0])),
      ),
      svg(
        "svg",
        {
          viewBox: `0 0 ${width} ${height}`,
          preserveAspectRatio: "none",
          role: "img",
          "aria-label": joined([t("answer.sentence", { text: subject }), scale]),
        },
        lines.map(({ branch, line }) => [
          svg("polyline", { dataset: { branch }, points: line.map((point) => toViewBox(point).join()).join(" ") }),
          ...line.map((point) => svg("path", { dataset: { branch }, d: `M${toViewBox(point).join(" ")}h0` })),
        ]).flat(),
      ),
      h(
        "small",
        { class: "lab-across", "aria-hidden": "true" },
        h("span", { class: "number" }, from),
        h("span", {}, t(activeSlider === "size" ? "lab.size_axis" : `lab.${activeSlider}`)),
        h("span", { class: "number" }, to),
      ),
    );
  }

  /** Step the active slider through its values and then restore it, or stop the sweep that is running. */
  async function sweep() {
    if (isSweeping) return void (isSweeping = false);
    isSweeping = true;
    drawChart();
    const initial = lab();
    const swept = activeSlider;
    for (const value of SWEEPS[swept]) {
      if (!isSweeping || !isOpen() || lab().shape !== initial.shape) break;
      store.update({ lab: { ...lab(), [swept]: value } });
      do await new Promise((resolve) => setTimeout(resolve, 20));
      while (isSending);
    }
    const isSameShape = isOpen() && lab().shape === initial.shape;
    if (isSameShape && isSweeping) store.update({ lab: { ...lab(), [swept]: initial[swept] } });
    isSweeping = false;
    if (isSameShape) drawChart();
  }

  // ---------------------------------------------------------------- the bar

  function drawBar() {
    set(root, { "aria-label": t("lab.title") });
    set(shapes, { "aria-label": t("lab.shape") });
    set(close, { "aria-label": t("lab.close"), title: t("lab.close") });
    replace(
      shapes,
      LAB_SHAPES.map((shape) =>
        h(
          "button",
          { class: "button", dataset: { lab: shape }, "aria-pressed": String(shape === lab().shape), onclick: () => selectShape(shape) },
          t(`lab.${shape}`),
        ),
      ),
    );
    reachShape();
    replace(sliders, SLIDERS[lab().shape].map(slider), lab().shape === "pen" && pens());
    drawLead();
  }

  function drawLead() {
    const { shape } = lab();
    const hint = shape === "pen" || shape === "colour" ? t(`lab.hint_${shape}`) : t("lab.hint_shape", { block: store.get().block });
    replace(lead, h("b", {}, t("lab.title")), " ", hint);
  }

  /** @param {Lab["shape"]} shape */
  function selectShape(shape) {
    [activeSlider] = SLIDERS[shape];
    const size = shape === "pen" ? 6 : lab().shape === "pen" ? 20 : lab().size;
    store.update({ lab: { ...lab(), shape, size } }, { push: true });
    /** @type {HTMLElement | null} */ (shapes.querySelector(`[data-lab=${shape}]`))?.focus();
  }

  /** @param {Slider} name */
  function slider(name) {
    const { min, max, step } = RANGES[name];
    const output = h("output", { class: "number" }, valueText(name, lab()[name]));
    const input = h("input", {
      type: "range",
      min,
      max,
      step,
      value: lab()[name],
      "aria-valuetext": valueText(name, lab()[name]),
      oninput: () => {
        activeSlider = name;
        isSweeping = false; // a slider moved by hand stops the sweep
        store.update({ lab: { ...lab(), [name]: Number(input.value) } });
      },
    });
    return h(
      "label",
      { dataset: { slider: name } },
      h("span", {}, t(name === "size" && lab().shape === "pen" ? "lab.width" : `lab.${name}`)),
      input,
      output,
    );
  }

  function pens() {
    return h(
      "div",
      { class: "lab-pens", role: "group", "aria-label": t("lab.pen_colour") },
      PEN_COLOURS.map((colour, i) =>
        h("button", {
          style: { "--pen": colour },
          "aria-label": t("lab.pen_number", { number: i + 1 }),
          "aria-pressed": String(colour === penColour),
          onclick: () => {
            penColour = colour;
            drawBar();
          },
        }),
      ),
      h("button", { class: "button lab-clear", onclick: clear }, t("lab.clear")),
    );
  }

  function clear() {
    paint();
    void send();
  }

  /**
   * Return a slider's value with its unit.
   * @param {Slider} name
   * @param {number} value
   */
  const valueText = (name, value) => (name === "size" ? t("unit.pixels", { size: Math.round((value / 100) * inputSide()) }) : `${value}°`);

  /** Update the sliders in place, so that they keep the focus. */
  function drawValues() {
    for (const label of sliders.querySelectorAll("label")) {
      const name = /** @type {Slider} */ (label.dataset.slider);
      const [input, output] = [label.querySelector("input"), label.querySelector("output")];
      if (!input || !output) continue;
      input.value = String(lab()[name]);
      set(input, { "aria-valuetext": valueText(name, lab()[name]) });
      output.textContent = valueText(name, lab()[name]);
    }
  }

  // ---------------------------------------------------------------- opening and closing

  // On a phone, CSS places the lens above the laboratory.
  new ResizeObserver(() => document.documentElement.style.setProperty("--lab-height", `${root.offsetHeight}px`)).observe(root);

  let drawnShape = "";

  /** Draw or hide the laboratory according to the state. @param {boolean} isLanguageChanged  whether to redraw all texts */
  function update(isLanguageChanged) {
    root.hidden = !isOpen();
    if (!isOpen()) {
      canvas.remove();
      isSweeping = false;
      drawnShape = "";
      clearTimeout(idleTimer);
      if (store.data().moving) store.receive({ moving: false });
      const toRestore = previous;
      previous = null;
      // Restore the previous photo unless another was chosen; the server does not keep frames.
      if (toRestore && uploaded?.photo === store.get().photo) store.update({ ...toRestore, cls: null });
      return;
    }
    const { photo, crop } = store.get();
    previous ??= { photo, crop };
    if (!canvas.isConnected) frame.firstElementChild?.after(canvas); // stacked below the crop square and the overlays
    if (drawnShape !== lab().shape || isLanguageChanged) {
      if (!SLIDERS[lab().shape].includes(activeSlider)) [activeSlider] = SLIDERS[lab().shape];
      drawBar();
    } else {
      drawValues();
      drawLead();
    }
    // A new pen width does not clear the drawing.
    if (lab().shape !== "pen" || drawnShape !== "pen") paint();
    drawnShape = lab().shape;
    canvas.classList.toggle("pen", lab().shape === "pen");
    drawChart();
    void send();
  }

  store.subscribe((_, __, changed) => {
    if (["lab", "step", "lang"].some((name) => changed.has(/** @type {any} */ (name)))) update(changed.has("lang"));
    else if (isOpen() && (changed.has("network") || changed.has("block")) && lab().shape !== "pen" && store.data().network) update(false);
    else if (isOpen() && changed.has("lens")) drawChart();
    if (isOpen() && (changed.has("channels") || changed.has("lens"))) recordResponses();
  });
  update(true);
}
