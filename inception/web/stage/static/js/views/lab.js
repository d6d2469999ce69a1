/** The stimulus laboratory: a bar at the bottom of the page whose sliders draw what the network sees instead of a photo. */

import { h, replace, roving, set, svg } from "../dom.js";
import { imageBlob } from "../encoding.js";
import { FRAME, LAB_SHAPES, labText, RANGES, SLIDERS, SWEEPS } from "../state.js";
import { cellValue } from "../maps.js";
import { BRANCHES, short } from "../numbers.js";
import { labPixels, onChart } from "../stimuli.js";
import { branchName, sentenceOf, t } from "../words.js";
import { waitForScene } from "./frames.js";

/** @import {Branch, Crop} from "../types.js" */
/** @import {Lab, Slider} from "../state.js" */

const QUIET = 600; // milliseconds without a change, after which the picture is sent to stay
const STAYS = "stimulus.png"; // a file of this name is kept by the server
const WHOLE = /** @type {Crop} */ ([0, 0, 1]);
const PENS = ["#ffffff", "#000000", "#e53935", "#fdd835", "#43a047", "#1e88e5"];
const CHART = { width: 270, height: 64 };

/**
 * @param {HTMLElement} root
 * @param {HTMLElement} frame  of the photo, which becomes the sheet to draw on
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 * @param {Pick<import("../controller.js").Controller, "settled">} controller
 */
export function createLab(root, frame, store, source, controller) {
  const sheet = h("canvas", { class: "lab-sheet", role: "img", onpointerdown: drawLine });
  const context = /** @type {CanvasRenderingContext2D} */ (sheet.getContext("2d"));
  const shapes = h("div", { class: "lab-shapes", role: "group" });
  const sliders = h("div", { class: "lab-sliders" });
  const chart = h("figure", { class: "lab-chart" });
  const close = h("button", { class: "plain lab-close", onclick: () => store.update({ lab: null }, { push: true }) }, "✕");
  root.append(shapes, sliders, chart, close);
  const reachShape = roving(shapes);

  /** What the page showed before. @type {{photo: string, crop: Crop | null} | null} */
  let before = null;
  let pen = PENS[0];
  /** Which slider was moved last: the curve is over its values. @type {Slider} */
  let moved = "size";
  let sweeping = false;
  /** What the last answered picture shows. @type {{photo: string, lab: Lab} | null} */
  let sent = null;
  /** @type {Map<string, Map<number, number[]>>} */
  const curves = new Map();

  const lab = () => /** @type {Lab} */ (store.get().lab);
  const isOpen = () => store.get().lab !== null && !store.get().step;
  const side = () => store.data().network?.size ?? 224;

  // ---------------------------------------------------------------- the picture

  /** The middle of what the middle cell of the block sees: stimuli are centred there. */
  function centre() {
    const { network } = store.data();
    if (!network) return side() / 2;
    const { side: cells, branches } = network.blocks[store.get().block];
    const { start, stride, size } = branches["1x1"].field;
    return start + stride * Math.floor(cells / 2) + size / 2;
  }

  function paint() {
    const pixels = side();
    if (sheet.width !== pixels) set(sheet, { width: pixels, height: pixels });
    context.putImageData(new ImageData(labPixels(lab(), pixels, centre(), centre()), pixels, pixels), 0, 0);
    set(sheet, { "aria-label": t(`lab.${lab().shape}`) });
  }

  /** @param {PointerEvent} event */
  function drawLine(event) {
    if (lab().shape !== "pen") return;
    event.preventDefault();
    sheet.setPointerCapture(event.pointerId);
    const at = (/** @type {PointerEvent} */ one) => {
      const box = sheet.getBoundingClientRect();
      return /** @type {const} */ ([((one.clientX - box.left) / box.width) * sheet.width, ((one.clientY - box.top) / box.height) * sheet.height]);
    };
    Object.assign(context, { strokeStyle: pen, lineCap: "round", lineJoin: "round", lineWidth: (lab().size / 100) * sheet.width });
    let last = at(event);
    /** @param {PointerEvent} one */
    const move = (one) => {
      const next = at(one);
      context.beginPath();
      context.moveTo(...last);
      context.lineTo(...next);
      context.stroke();
      last = next;
      void send();
    };
    move(event);
    sheet.addEventListener("pointermove", move);
    sheet.addEventListener("lostpointercapture", () => sheet.removeEventListener("pointermove", move), { once: true });
  }

  // ---------------------------------------------------------------- one answer after another, never two at once

  /** The name of the file that is to be sent. @type {string | null} */
  let wanted = null;
  let isSending = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let quiet;

  async function send(name = FRAME) {
    wanted = name;
    if (isSending) return;
    isSending = true;
    clearTimeout(quiet);
    try {
      let last = name;
      while (wanted && isOpen()) {
        last = wanted;
        wanted = null;
        await show(last);
      }
      if (last === FRAME) quiet = setTimeout(() => isOpen() && void send(STAYS), QUIET);
    } catch (error) {
      said(error);
    } finally {
      isSending = false;
    }
  }

  /**
   * Send the sheet as it is, and wait for its answer.
   * @param {string} name  of the file
   */
  async function show(name) {
    const drawn = lab();
    const photo = await source.upload(imageBlob(sheet), name);
    if (!isOpen()) return;
    sent = { photo, lab: drawn };
    store.receive({ moving: name === FRAME });
    store.update({ photo, crop: WHOLE, cls: null });
    await waitForScene(store, controller, () => store.data().channels !== null);
  }

  /** @param {unknown} error */
  function said(error) {
    store.receive({ error: sentenceOf(error) });
  }

  // ---------------------------------------------------------------- the curve

  /** What a curve is of, and the values that stay the same along it. */
  const curveKey = () => {
    const { lens, block, model } = store.get();
    return JSON.stringify([model, block, lens?.branch, lens?.channel, moved, labText({ ...lab(), [moved]: 0 })]);
  };

  /** Values at the middle cell: of the channel in the lens, or the mean of each branch. */
  function responses() {
    const { lens, block } = store.get();
    const { channels, now } = store.data();
    if (!now) return [];
    if (lens) {
      const branch = channels?.[lens.branch];
      const middle = branch ? Math.floor(branch.side / 2) : 0;
      return branch ? [cellValue(branch, lens.channel, middle, middle)] : [];
    }
    return BRANCHES.map((branch) => {
      const { low, high, values, side: cells } = now.maps[block][branch];
      const middle = Math.floor(cells / 2);
      return low + (values[middle * cells + middle] / 255) * (high - low);
    });
  }

  function record() {
    const { photo, lens } = store.get();
    if (!sent || sent.photo !== photo || sent.lab !== lab() || (lens && !store.data().channels)) return;
    const key = curveKey();
    const points = curves.get(key) ?? new Map();
    points.set(lab()[moved], responses());
    curves.set(key, points);
    if (curves.size > 40) curves.delete(/** @type {string} */ (curves.keys().next().value));
    drawChart();
  }

  function drawChart() {
    const { lens, block } = store.get();
    const isDrawn = lab().shape !== "pen";
    chart.hidden = !isDrawn;
    if (!isDrawn) return;
    const points = [...(curves.get(curveKey()) ?? new Map())];
    const names = lens ? [lens.branch] : BRANCHES;
    const all = points.flatMap(([, values]) => values);
    const bounds = /** @type {[number, number]} */ ([Math.min(0, ...all), Math.max(...all, 1e-6)]);
    const lines = names.map((branch, i) => ({ branch, line: onChart(points.map(([value, values]) => [value, values[i]]), moved, bounds) }));
    const { width, height } = CHART;
    const place = (/** @type {[number, number]} */ [x, y]) => [4 + (x / 100) * (width - 8), 4 + (y / 100) * (height - 8)];
    const of = lens ? t("lab.of_channel", { block, branch: branchName(lens.branch), channel: lens.channel }) : t("lab.of_branches", { block });
    const scale = t("lab.scale", { value: short(bounds[1]), slider: t(`lab.${moved}`), from: RANGES[moved].min, to: unit(moved, RANGES[moved].max) });
    replace(
      chart,
      h(
        "figcaption",
        {},
        h("b", {}, of),
        !lens && h("span", { class: "lab-legend" }, BRANCHES.map((branch) => h("span", { dataset: { branch } }, branchName(branch)))),
        h("button", { class: "button", "aria-pressed": String(sweeping), onclick: sweep }, t(sweeping ? "lab.stop" : "lab.sweep", { slider: t(`lab.${moved}`) })),
      ),
      svg(
        "svg",
        { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": `${of}. ${scale}` },
        lines.map(({ branch, line }) => [
          svg("polyline", { dataset: { branch }, points: line.map((one) => place(one).join()).join(" ") }),
          ...line.map((one) => svg("path", { dataset: { branch }, d: `M${place(one).join(" ")}h0` })),
        ]).flat(),
      ),
      h("small", {}, scale),
    );
  }

  /** Move the slider through its values, and back to where it was. */
  async function sweep() {
    if (sweeping) return void (sweeping = false);
    sweeping = true;
    drawChart();
    const begun = lab();
    for (const value of SWEEPS[moved]) {
      if (!sweeping || !isOpen() || lab().shape !== begun.shape) break;
      store.update({ lab: { ...lab(), [moved]: value } });
      do await new Promise((done) => setTimeout(done, 20));
      while (isSending);
    }
    const isSame = isOpen() && lab().shape === begun.shape;
    if (isSame && sweeping) store.update({ lab: { ...lab(), [moved]: begun[moved] } });
    sweeping = false;
    if (isSame) drawChart();
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
          { class: "button", dataset: { lab: shape }, "aria-pressed": String(shape === lab().shape), onclick: () => choose(shape) },
          t(`lab.${shape}`),
        ),
      ),
    );
    reachShape();
    replace(sliders, SLIDERS[lab().shape].map(slider), lab().shape === "pen" && pens());
  }

  /** @param {Lab["shape"]} shape */
  function choose(shape) {
    [moved] = SLIDERS[shape];
    const size = shape === "pen" ? 6 : lab().shape === "pen" ? 20 : lab().size;
    store.update({ lab: { ...lab(), shape, size } }, { push: true });
    /** @type {HTMLElement | null} */ (shapes.querySelector(`[data-lab=${shape}]`))?.focus();
  }

  /** @param {Slider} name */
  function slider(name) {
    const { min, max, step } = RANGES[name];
    const said = h("output", { class: "number" }, unit(name, lab()[name]));
    const input = h("input", {
      type: "range",
      min,
      max,
      step,
      value: lab()[name],
      "aria-valuetext": unit(name, lab()[name]),
      oninput: () => {
        moved = name;
        store.update({ lab: { ...lab(), [name]: Number(input.value) } });
      },
    });
    return h("label", { dataset: { slider: name } }, h("span", {}, t(name === "size" && lab().shape === "pen" ? "lab.width" : `lab.${name}`)), input, said);
  }

  function pens() {
    return h(
      "div",
      { class: "lab-pens", role: "group", "aria-label": t("lab.pen_colour") },
      PENS.map((colour, i) =>
        h("button", {
          style: { "--pen": colour },
          "aria-label": t("lab.pen_number", { number: i + 1 }),
          "aria-pressed": String(colour === pen),
          onclick: () => {
            pen = colour;
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

  /** Show the values of the sliders, which keep the focus. */
  function drawValues() {
    for (const label of sliders.querySelectorAll("label")) {
      const name = /** @type {Slider} */ (label.dataset.slider);
      const [input, output] = [label.querySelector("input"), label.querySelector("output")];
      if (!input || !output) continue;
      input.value = String(lab()[name]);
      set(input, { "aria-valuetext": unit(name, lab()[name]) });
      output.textContent = unit(name, lab()[name]);
    }
  }

  // ---------------------------------------------------------------- opened and closed

  let drawnShape = "";

  /** @param {boolean} isRenamed  the words changed */
  function follow(isRenamed) {
    root.hidden = !isOpen();
    if (!isOpen()) {
      sheet.remove();
      sweeping = false;
      drawnShape = "";
      clearTimeout(quiet);
      const was = before;
      before = null;
      // Unless another photo was chosen, the one from before comes back: frames do not stay on the server.
      if (was && sent?.photo === store.get().photo) store.update({ ...was, cls: null });
      return;
    }
    const { photo, crop } = store.get();
    before ??= { photo, crop };
    if (!sheet.isConnected) frame.firstElementChild?.after(sheet); // below the square of a cell and the maps
    if (drawnShape !== lab().shape || isRenamed) {
      if (!SLIDERS[lab().shape].includes(moved)) [moved] = SLIDERS[lab().shape];
      drawBar();
    } else drawValues();
    // Another width of the pen leaves what is drawn.
    if (lab().shape !== "pen" || drawnShape !== "pen") paint();
    drawnShape = lab().shape;
    sheet.classList.toggle("pen", lab().shape === "pen");
    drawChart();
    void send();
  }

  store.subscribe((_, __, changed) => {
    if (["lab", "step", "lang"].some((name) => changed.has(/** @type {any} */ (name)))) follow(changed.has("lang"));
    else if (isOpen() && (changed.has("network") || changed.has("block")) && lab().shape !== "pen" && store.data().network) follow(false);
    else if (isOpen() && changed.has("lens")) drawChart();
    if (isOpen() && (changed.has("channels") || changed.has("lens"))) record();
  });
  follow(true);
}

/**
 * @param {Slider} name
 * @param {number} value
 */
function unit(name, value) {
  return name === "size" ? t("number.percent", { value }) : `${value}°`;
}
