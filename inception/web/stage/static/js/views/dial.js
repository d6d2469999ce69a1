/** The size dial: a disc, ring or grating instead of the photo, and how strongly each branch responds to its size. */

import { h, isStill, replace, set, svg } from "../dom.js";
import { BLOCKS, BRANCHES, decimalsFor, fixed } from "../numbers.js";
import { logPosition, nearest, peak, SHAPES, shares, stimulus, verdict } from "../stimuli.js";
import { branchName, t } from "../words.js";
import { choices, failure, newest, row, skeleton, table, waiting, whileOpen } from "./deeper_parts.js";

/** @import {Branch, Network} from "../types.js" */
/** @import {Store} from "../state.js" */
/** @import {Source} from "../source.js" */
/** @import {Shape, Tuning} from "../stimuli.js" */

const FIRST_SIZE = 24; // pixels, or the nearest that was measured
const STEP = 450; // milliseconds a size while it plays
const CHART = { left: 18, right: 18, top: 22, bottom: 44 };
const NARROW = 600; // pixels

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @param {Source} source
 */
export function createDial(root, store, source) {
  const head = h("div");
  const controls = h("div", { class: "deeper-controls" });
  const result = h("div");
  root.append(head, controls, result);
  const ask = newest();
  /** @type {Shape} */
  let shape = "disc";
  let wanted = FIRST_SIZE;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let playing;

  /** @type {Parameters<typeof whileOpen>[3]} */
  async function draw(state, data) {
    const { network } = data;
    stop();
    drawHead();
    if (!network) return replace(result, waiting(data, "pictures"));
    if (!result.childElementCount) replace(result, skeleton("pictures"));
    result.classList.add("deeper-stale");
    try {
      const tuning = await ask(/** @type {Promise<Tuning>} */ (source.tuning(state.model, state.block, shape)));
      if (tuning) show(tuning, network);
    } catch (error) {
      result.classList.remove("deeper-stale");
      replace(result, failure(error));
    }
  }

  function drawHead() {
    const { block } = store.get();
    replace(head, h("h3", {}, t("dial.title")), h("p", { class: "deeper-lead" }, t("dial.lead")));
    replace(
      controls,
      choices(
        t("dial.shape"),
        SHAPES,
        shape,
        (one) => t(`dial.${one}`),
        (one) => {
          shape = one;
          void draw(store.get(), store.data());
          refocus("[data-shape]");
        },
        (one) => ({ dataset: { shape: one } }),
      ),
      choices(
        t("dial.block"),
        BLOCKS,
        block,
        (one) => one,
        (one) => {
          store.update({ block: one, lens: null }, { push: true });
          refocus("[data-dial-block]");
        },
        (one) => ({ dataset: { dialBlock: one } }),
      ),
    );
  }

  /** @param {string} kind */
  function refocus(kind) {
    /** @type {HTMLElement | null} */ (controls.querySelector(`${kind}[aria-pressed=true]`))?.focus();
  }

  function stop() {
    clearInterval(playing);
    playing = undefined;
  }

  /**
   * @param {Tuning} tuning
   * @param {Network} network
   */
  function show(tuning, network) {
    result.classList.remove("deeper-stale");
    const { sizes, branches } = tuning;
    const curves = Object.fromEntries(BRANCHES.map((branch) => [branch, shares(branches[branch].response)]));
    const decimals = decimalsFor(BRANCHES.flatMap((branch) => branches[branch].response));
    const side = network.size;
    const picture = h("canvas", { width: side, height: side, class: "dial-picture", role: "img" });
    const bars = Object.fromEntries(BRANCHES.map((branch) => [branch, bar(branch)]));
    const sized = result.clientWidth < NARROW ? { width: 340, height: 240 } : { width: 560, height: 280 };
    const { chart, point } = drawChart(tuning, curves, sized, (place) => choose(place));
    const slider = h("input", {
      type: "range",
      min: 0,
      max: sizes.length - 1,
      step: 1,
      "aria-label": t("dial.size"),
      oninput: () => {
        stop();
        drawPlay();
        choose(Number(slider.value));
      },
    });
    const said = h("output", { class: "dial-size number" });
    const play = h("button", { type: "button", class: "button", onclick: toggle });

    /** @param {number} place */
    function choose(place) {
      wanted = sizes[place];
      slider.value = String(place);
      const words = t(`dial.${tuning.shape}_size`, { size: pixels(wanted) });
      set(slider, { "aria-valuetext": words });
      set(picture, { "aria-label": words });
      said.textContent = words;
      paint(picture, tuning, wanted, side);
      point(place);
      for (const branch of BRANCHES) bars[branch].show(curves[branch][place], branches[branch].response[place], decimals);
    }

    function toggle() {
      if (playing) {
        stop();
      } else {
        let place = nearest(sizes, wanted) === sizes.length - 1 ? 0 : nearest(sizes, wanted);
        choose(place);
        playing = setInterval(() => {
          place += 1;
          if (place >= sizes.length || !root.isConnected || store.get().deeper !== "dial") stop();
          else choose(place);
          if (place >= sizes.length - 1) stop();
          drawPlay();
        }, isStill() ? 2 * STEP : STEP);
      }
      drawPlay();
    }

    function drawPlay() {
      play.textContent = t(playing ? "dial.pause" : "dial.play");
    }

    replace(
      result,
      h("p", { class: "dial-verdict", role: "status" }, sentence(tuning)),
      h(
        "div",
        { class: "dial-grid" },
        h(
          "div",
          { class: "dial-left" },
          picture,
          h("div", { class: "dial-slider" }, h("label", {}, h("span", {}, t("dial.size")), slider), said, play),
        ),
        h("div", { class: "dial-bars" }, h("h4", {}, t("dial.bars")), BRANCHES.map((branch) => bars[branch].element)),
        h("figure", { class: "dial-curves" }, h("figcaption", {}, h("h4", {}, t("dial.curves"))), chart),
      ),
      h("p", { class: "quiet" }, t("dial.how")),
      h(
        "details",
        {},
        h("summary", {}, t("dial.table")),
        table(
          t("dial.table"),
          [t("dial.size"), ...BRANCHES.map(branchName)],
          sizes.map((size, i) => row(pixels(size), ...BRANCHES.map((branch) => fixed(branches[branch].response[i], decimals)))),
        ),
      ),
    );
    choose(nearest(sizes, wanted));
    drawPlay();
  }

  /** @param {Tuning} tuning */
  function sentence(tuning) {
    const { block, branches } = tuning;
    const told = verdict(tuning);
    const values = {
      block,
      things: t(`dial.${tuning.shape}s`),
      one: pixels(branches["1x1"].preferred),
      three: pixels(branches["3x3"].preferred),
      five: pixels(branches["5x5"].preferred),
      one_peak: pixels(peak(tuning, "1x1")),
      three_peak: pixels(peak(tuning, "3x3")),
      five_peak: pixels(peak(tuning, "5x5")),
    };
    return t(`dial.verdict_${told}`, values);
  }

  whileOpen(store, "dial", ["network", "block", "model", "lang", "error"], draw);
  store.subscribe((state, _, changed) => {
    if (changed.has("deeper") && state.deeper !== "dial") stop();
  });
}

/** @param {number | null} size */
function pixels(size) {
  return size === null ? "–" : `${size >= 100 ? Math.round(size) : size.toFixed(1).replace(/\.0$/, "")} px`;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Tuning} tuning
 * @param {number} size
 * @param {number} side
 */
function paint(canvas, tuning, size, side) {
  const grey = stimulus(tuning.shape, size, side, tuning.x, tuning.y);
  const pixels = new ImageData(side, side);
  for (let i = 0; i < grey.length; i++) pixels.data.set([grey[i], grey[i], grey[i], 255], 4 * i);
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
}

/**
 * One branch's bar, which rises and falls.
 * @param {Branch} branch
 */
function bar(branch) {
  const fill = h("i");
  const value = h("span", { class: "number" });
  const element = h(
    "div",
    { class: "dial-bar", dataset: { branch } },
    value,
    h("span", { class: "dial-track", "aria-hidden": "true" }, fill),
    h("b", {}, branchName(branch)),
  );
  return {
    element,
    /**
     * @param {number} share
     * @param {number} response
     * @param {number} decimals
     */
    show(share, response, decimals) {
      set(fill, { style: { height: `${100 * share}%` } });
      value.textContent = fixed(response, decimals);
    },
  };
}

/**
 * The four curves over the sizes, each as a share of its highest value, with marks at the preferred sizes.
 * @param {Tuning} tuning
 * @param {Record<string, number[]>} curves
 * @param {{width: number, height: number}} sized
 * @param {(place: number) => void} choose
 */
function drawChart(tuning, curves, { width, height }, choose) {
  const { sizes, branches } = tuning;
  const { left, right, top, bottom } = CHART;
  const x = (/** @type {number} */ size) => left + logPosition(sizes, size) * (width - left - right);
  const y = (/** @type {number} */ share) => height - bottom - share * (height - top - bottom);
  const line = svg("line", { class: "dial-now", y1: top - 6, y2: height - bottom + 4 });
  const dots = BRANCHES.map((branch) => svg("circle", { r: 5.5, dataset: { branch } }));
  const preferences = BRANCHES.map((branch) => t("dial.preferred", { branch: branchName(branch), size: pixels(branches[branch].preferred) }));
  // Every other size has room for its number.
  const labels = sizes.map((size, i) =>
    i % 2 && i < sizes.length - 1
      ? null
      : svg("text", { x: x(size), y: height - bottom + 20, "text-anchor": "middle" }, size >= 10 ? Math.round(size) : size.toFixed(0)),
  );
  const chart = svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${t("dial.curves")}. ${preferences.join(" ")}` },
    svg("line", { class: "dial-axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
    labels,
    svg("text", { x: width / 2, y: height - 4, "text-anchor": "middle", class: "dial-unit" }, t(`dial.axis_${tuning.shape}`)),
    line,
    BRANCHES.map((branch) =>
      svg("polyline", { dataset: { branch }, points: sizes.map((size, i) => `${x(size)},${y(curves[branch][i])}`).join(" ") }),
    ),
    BRANCHES.map((branch) => {
      const { preferred } = branches[branch];
      if (preferred === null) return null;
      const at = x(preferred);
      const tip = height - bottom;
      return svg("path", { dataset: { branch }, class: "dial-mark", d: `M${at} ${tip - 10}l6 10h-12z` });
    }),
    dots,
  );
  // Text keeps its size however wide the chart is drawn.
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width) set(chart, { style: { "--unit": width / contentRect.width } });
  }).observe(chart);
  const pick = (/** @type {PointerEvent} */ event) => {
    const box = chart.getBoundingClientRect();
    const share = (((event.clientX - box.left) / box.width) * width - left) / (width - left - right);
    choose(nearest(sizes, sizes[0] * (sizes[sizes.length - 1] / sizes[0]) ** share));
  };
  chart.addEventListener("pointerdown", pick);
  chart.addEventListener("pointermove", (event) => event.buttons && pick(event));
  const legend = h(
    "ul",
    { class: "dial-preferred" },
    BRANCHES.map((branch, i) => h("li", { dataset: { branch } }, preferences[i])),
  );
  return {
    chart: [chart, legend],
    /** @param {number} place */
    point(place) {
      const at = x(sizes[place]);
      set(line, { x1: at, x2: at });
      dots.forEach((dot, i) => set(dot, { cx: at, cy: y(curves[BRANCHES[i]][place]) }));
    },
  };
}
