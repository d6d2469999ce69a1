/** The size dial: each branch's response to a disc, ring or grating, as a function of its size. */

import { h, isStill, replace, set, svg } from "../dom.js";
import { BLOCKS, BRANCHES, decimalsFor, fixed } from "../numbers.js";
import { logPosition, nearest, peak, SHAPES, shares, stimulus, verdict } from "../stimuli.js";
import { branchName, joined, t } from "../words.js";
import { choices, failure, keepTextSize, latestOnly, placeholder, row, skeleton, table, whileOpen } from "./deeper_parts.js";

/** @import {Branch, Network} from "../types.js" */
/** @import {Store} from "../state.js" */
/** @import {Source} from "../source.js" */
/** @import {Shape, Tuning} from "../stimuli.js" */

const INITIAL_SIZE = 24; // pixels; the nearest measured size is shown
const FRAME_MS = 450; // per size while it plays
const CHART = { left: 50, right: 18, top: 22, bottom: 44 };
const SHARES = [0, 0.5, 1]; // labelled beside the chart
const NARROW_WIDTH = 600; // pixels; below it, the chart is drawn smaller

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
  const latestTuning = latestOnly();
  /** @type {Shape} */
  let shape = "disc";
  let selectedSize = INITIAL_SIZE;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let playTimer;

  /** @type {Parameters<typeof whileOpen>[3]} */
  async function draw(state, data) {
    const { network } = data;
    stop();
    drawHead();
    if (!network) return replace(result, placeholder(data, "pictures"));
    if (!result.childElementCount) replace(result, skeleton("pictures"));
    result.classList.add("deeper-stale");
    try {
      const tuning = await latestTuning(/** @type {Promise<Tuning>} */ (source.tuning(state.model, state.block, shape)));
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
        (choice) => t(`dial.${choice}`),
        (choice) => {
          shape = choice;
          void draw(store.get(), store.data());
          refocus("[data-shape]");
        },
        (choice) => ({ dataset: { shape: choice } }),
      ),
      choices(
        t("dial.block"),
        BLOCKS,
        block,
        (choice) => choice,
        (choice) => {
          store.update({ block: choice, lens: null }, { push: true });
          refocus("[data-dial-block]");
        },
        (choice) => ({ dataset: { dialBlock: choice } }),
      ),
    );
  }

  /** Focus the pressed button of a group that was drawn anew. @param {string} selector */
  function refocus(selector) {
    /** @type {HTMLElement | null} */ (controls.querySelector(`${selector}[aria-pressed=true]`))?.focus();
  }

  function stop() {
    clearInterval(playTimer);
    playTimer = undefined;
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
    const bars = Object.fromEntries(BRANCHES.map((branch) => [branch, createBar(branch)]));
    const figure = h("figure", { class: "dial-curves" });
    const isNarrow = () => result.clientWidth < NARROW_WIDTH;
    const drawChart = () => {
      const chartSize = isNarrow() ? { width: 300, height: 230 } : { width: 560, height: 280 };
      const { chart, markSize } = createChart(tuning, curves, chartSize, choose);
      replace(figure, h("figcaption", {}, h("h4", {}, t("dial.curves"))), chart);
      return { isNarrow: isNarrow(), markSize };
    };
    let drawn = drawChart();
    new ResizeObserver(() => {
      if (isNarrow() === drawn.isNarrow) return;
      drawn = drawChart();
      drawn.markSize(nearest(sizes, selectedSize));
    }).observe(figure);
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
    const sizeOutput = h("output", { class: "dial-size number" });
    const play = h("button", { type: "button", class: "button", onclick: togglePlay });

    /** Show a size. @param {number} index  in `sizes` */
    function choose(index) {
      selectedSize = sizes[index];
      slider.value = String(index);
      const description = t(`dial.${tuning.shape}_size`, { size: formatSize(selectedSize) });
      set(slider, { "aria-valuetext": description });
      set(picture, { "aria-label": description });
      sizeOutput.textContent = description;
      paintStimulus(picture, tuning, selectedSize, side);
      drawn.markSize(index);
      for (const branch of BRANCHES) bars[branch].show(curves[branch][index], branches[branch].response[index], decimals);
    }

    function togglePlay() {
      if (playTimer) {
        stop();
      } else {
        let index = nearest(sizes, selectedSize) === sizes.length - 1 ? 0 : nearest(sizes, selectedSize);
        choose(index);
        playTimer = setInterval(() => {
          index += 1;
          if (index >= sizes.length || !root.isConnected || store.get().deeper !== "dial") stop();
          else choose(index);
          if (index >= sizes.length - 1) stop();
          drawPlay();
        }, isStill() ? 2 * FRAME_MS : FRAME_MS);
      }
      drawPlay();
    }

    function drawPlay() {
      play.textContent = t(playTimer ? "dial.pause" : "dial.play");
    }

    replace(
      result,
      h("p", { class: "dial-verdict", role: "status" }, verdictText(tuning)),
      h(
        "div",
        { class: "dial-grid" },
        h(
          "div",
          { class: "dial-left" },
          picture,
          h("div", { class: "dial-slider" }, h("label", {}, h("span", {}, t("dial.size")), slider), sizeOutput, play),
        ),
        h("div", { class: "dial-bars" }, h("h4", {}, t("dial.bars")), BRANCHES.map((branch) => bars[branch].element)),
        figure,
      ),
      h("p", { class: "quiet" }, joined([t("dial.how"), tuning.shape === "disc" ? t("dial.beside_census") : ""])),
      h(
        "details",
        {},
        h("summary", {}, t("dial.table")),
        table(
          t("dial.table"),
          [t("dial.size"), ...BRANCHES.map(branchName)],
          sizes.map((size, i) => row(formatSize(size), ...BRANCHES.map((branch) => fixed(branches[branch].response[i], decimals)))),
        ),
      ),
    );
    choose(nearest(sizes, selectedSize));
    drawPlay();
  }

  /** Describe whether 5x5 prefers larger sizes. @param {Tuning} tuning */
  function verdictText(tuning) {
    const { block, branches } = tuning;
    const comparison = verdict(tuning);
    const values = {
      block,
      things: t(`dial.${tuning.shape}s`),
      one: formatSize(branches["1x1"].preferred),
      three: formatSize(branches["3x3"].preferred),
      five: formatSize(branches["5x5"].preferred),
      one_peak: formatSize(peak(tuning, "1x1")),
      three_peak: formatSize(peak(tuning, "3x3")),
      five_peak: formatSize(peak(tuning, "5x5")),
    };
    return t(`dial.verdict_${comparison}`, values);
  }

  whileOpen(store, "dial", ["network", "block", "model", "lang", "error"], draw);
  store.subscribe((state, _, changed) => {
    if (changed.has("deeper") && state.deeper !== "dial") stop();
  });
}

/** Format a size in pixels. @param {number | null} size */
function formatSize(size) {
  return size === null ? "–" : t("unit.pixels", { size: size >= 100 ? Math.round(size) : size.toFixed(1).replace(/\.0$/, "") });
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Tuning} tuning
 * @param {number} size  of the stimulus, in pixels
 * @param {number} side  of the canvas, in pixels
 */
function paintStimulus(canvas, tuning, size, side) {
  const grey = stimulus(tuning.shape, size, side, tuning.x, tuning.y);
  const pixels = new ImageData(side, side);
  for (let i = 0; i < grey.length; i++) pixels.data.set([grey[i], grey[i], grey[i], 255], 4 * i);
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
}

/**
 * Create the vertical bar of a branch's response.
 * @param {Branch} branch
 */
function createBar(branch) {
  const fill = h("i");
  const percentage = h("b", { class: "number" });
  const value = h("small", { class: "number" });
  const element = h(
    "div",
    { class: "dial-bar", dataset: { branch } },
    percentage,
    h("span", { class: "dial-track", "aria-hidden": "true" }, fill),
    h("b", {}, branchName(branch)),
    value,
  );
  return {
    element,
    /**
     * @param {number} share  of the branch's highest response
     * @param {number} response
     * @param {number} decimals
     */
    show(share, response, decimals) {
      set(fill, { style: { height: `${100 * share}%` } });
      percentage.textContent = t("number.percent", { value: Math.round(100 * share) });
      value.textContent = fixed(response, decimals);
    },
  };
}

/**
 * Create the chart of the four curves, each as a share of its highest value, with marks at the preferred sizes.
 * @param {Tuning} tuning
 * @param {Record<string, number[]>} curves
 * @param {{width: number, height: number}} size
 * @param {(index: number) => void} choose  called with the index of a size that is picked in the chart
 */
function createChart(tuning, curves, { width, height }, choose) {
  const { sizes, branches } = tuning;
  const { left, right, top, bottom } = CHART;
  const x = (/** @type {number} */ size) => left + logPosition(sizes, size) * (width - left - right);
  const y = (/** @type {number} */ share) => height - bottom - share * (height - top - bottom);
  const line = svg("line", { class: "dial-now", y1: top - 6, y2: height - bottom + 4 });
  const dots = BRANCHES.map((branch) => svg("circle", { r: 5.5, dataset: { branch } }));
  const preferences = BRANCHES.map((branch) =>
    t("dial.preferred", { branch: branchName(branch), size: formatSize(branches[branch].preferred) }),
  );
  const description = joined([t("answer.sentence", { text: t("dial.curves") }), ...preferences]);
  const last = sizes.length - 1;
  // There is room to label every other size, and the last one.
  const labels = sizes.map((size, i) =>
    i < last && (i % 2 || i === last - 1)
      ? null
      : svg("text", { x: x(size), y: height - bottom + 20, "text-anchor": "middle" }, size >= 10 ? Math.round(size) : size.toFixed(0)),
  );
  const chart = svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": description },
    labels,
    SHARES.map((share) => {
      const [y1, y2] = [y(share), y(share)];
      return svg("line", { class: share ? "dial-grid-line" : "dial-axis", x1: left, x2: width - right, y1, y2 });
    }),
    SHARES.map((share) =>
      svg(
        "text",
        { x: left - 6, y: y(share), "text-anchor": "end", "dominant-baseline": "central" },
        t("number.percent", { value: 100 * share }),
      ),
    ),
    svg("text", { x: width / 2, y: height - 4, "text-anchor": "middle", class: "dial-unit" }, t(`dial.axis_${tuning.shape}`)),
    line,
    BRANCHES.map((branch) =>
      svg("polyline", { dataset: { branch }, points: sizes.map((size, i) => `${x(size)},${y(curves[branch][i])}`).join(" ") }),
    ),
    BRANCHES.map((branch) => {
      const { preferred } = branches[branch];
      if (preferred === null) return null;
      const tipX = x(preferred);
      const tipY = height - bottom;
      return svg("path", { dataset: { branch }, class: "dial-mark", d: `M${tipX} ${tipY - 10}l6 10h-12z` });
    }),
    dots,
  );
  keepTextSize(chart, width);
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
    /** Mark a size. @param {number} index  in `sizes` */
    markSize(index) {
      const lineX = x(sizes[index]);
      set(line, { x1: lineX, x2: lineX });
      dots.forEach((dot, i) => set(dot, { cx: lineX, cy: y(curves[BRANCHES[i]][index]) }));
    },
  };
}
