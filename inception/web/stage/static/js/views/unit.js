/** One channel by all that is known of it: where it answers in this photo, its tuning, what feeds it and what reads it. */

import { classOf } from "../controller.js";
import { h, replace } from "../dom.js";
import { cellSquare, channelValues, peaks, strongestCell, visible } from "../maps.js";
import { BLOCKS, BRANCHES, parseInteger, short, signed } from "../numbers.js";
import { firstChannel, rankOf, worthOf } from "../ranking.js";
import { branchName, className, t } from "../words.js";
import { createCircuit } from "./circuit.js";
import { choices, failure, newest, photoSquare, skeleton, waiting, whileOpen } from "./deeper_parts.js";
import { lineChart, rose } from "./tuning_charts.js";
import { createUnitImage } from "./unit_image.js";
import { createUnitWiring } from "./unit_wiring.js";

/** @import {Block, Branch, Data, Lens, Network, State} from "../types.js" */
/** @import {Store} from "../state.js" */
/** @import {Source} from "../source.js" */
/** @import {Curve} from "./tuning_charts.js" */

/**
 * @typedef {object} UnitTuning
 * @property {boolean} silent
 * @property {Record<"orientation" | "wavelength" | "size" | "colour", Curve>} curves
 * @property {{branch: Branch, channel: number, similarity: number}[]} alike
 *
 * @typedef {object} AtlasEntry  null where there is no atlas
 * @property {number | null} photos
 * @property {string | null} places  two rows of crops: the strongest above, random ones below
 * @property {number[] | null} values
 * @property {{label: string, area: number}[] | null} classes
 * @property {number | null} silent
 */

const CROP = 96; // of a place in the photo, in pixels
const PHOTO = 448; // of the photo that places are cut from, in pixels
const PLACES = 9;

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @param {Source} source
 */
export function createUnit(root, store, source) {
  const title = h("h3");
  const pickers = h("div", { class: "deeper-pickers" });
  const number = h("input", { type: "number", min: 0, onchange: take });
  const numberName = h("span");
  const lead = h("p", { class: "deeper-lead" });
  const controls = h("div", { class: "deeper-controls" }, pickers, h("label", { class: "deeper-number" }, numberName, number));
  const head = h("div", { hidden: true }, title, controls, lead);
  const wait = h("div");
  const places = h("div");
  const tuning = h("div");
  const atlas = h("div");
  const circuit = createCircuit(store, source);
  const image = createUnitImage(source);
  const wiring = createUnitWiring(source, unitButton);
  root.append(
    wait,
    head,
    h("div", { class: "unit-grid" }, image.root, places, tuning),
    atlas,
    h("div", { class: "unit-sums" }, wiring.root, circuit.root),
  );
  /** The channel that the number names: one that is being typed survives a redraw of the same channel. */
  let numbered = "";
  /** Whether the channel was chosen without a cell: its strongest one is shown once the channels are there. */
  let isFresh = store.get().lens?.row === 0 && store.get().lens?.column === 0;
  const askPlaces = newest();
  const askTuning = newest();
  const askAtlas = newest();

  /** @type {Parameters<typeof whileOpen>[3]} */
  function draw(state, data) {
    const { network } = data;
    head.hidden = !network;
    replace(wait, !network && waiting(data));
    if (!network) return;
    drawHead(state, network);
    const lens = knownLens(state, network);
    for (const part of [image.root, places, tuning, atlas, wiring.root, circuit.root]) part.hidden = !lens;
    if (!lens) return;
    image.draw({ model: state.model, block: state.block, branch: lens.branch, channel: lens.channel });
    void drawPlaces(state, data, lens);
    void drawTuning(state, lens);
    void drawAtlas(state, lens, network);
    void wiring.draw(state, lens, network);
    if (data.base) void circuit.draw(network, classOf(state, data), { ...lens, block: state.block });
  }

  /**
   * @param {Readonly<State>} state
   * @param {Network} network
   */
  function drawHead(state, network) {
    const { block } = state;
    const lens = knownLens(state, network);
    const branch = lens?.branch ?? "1x1";
    const last = network.blocks[block].branches[branch].channels - 1;
    title.textContent = lens ? t("unit.title", { block, branch: branchName(branch), channel: lens.channel }) : t("unit.title_none");
    replace(
      pickers,
      choices(t("unit.block"), BLOCKS, block, (one) => one, (one) => show(one, branch, 0), (one) => ({ dataset: { unitBlock: one } })),
      choices(t("unit.branch"), BRANCHES, branch, branchName, (one) => show(block, one, 0), (one) => ({ dataset: { branch: one } })),
    );
    numberName.textContent = t("unit.channel", { last });
    number.max = String(last);
    const shown = `${state.model} ${block} ${branch} ${lens?.channel}`;
    if (shown !== numbered) number.value = String(lens?.channel ?? "");
    numbered = shown;
    replace(lead, lens ? summary(state, network, lens) : t("unit.choose"));
  }

  /** Show the channel that was typed. */
  function take() {
    const { network } = store.data();
    if (!network) return;
    const state = store.get();
    const channel = parseInteger(number.value, 0, Number(number.max));
    if (channel !== null) return show(state.block, knownLens(state, network)?.branch ?? "1x1", channel);
    numbered = "";
    drawHead(state, network);
  }

  /**
   * @param {Readonly<State>} state
   * @param {Network} network
   * @param {Lens} lens
   */
  function summary(state, network, lens) {
    const { block } = state;
    const facts = network.blocks[block];
    const number = firstChannel(network, block, lens.branch) + lens.channel;
    const said = t("unit.number", { number, count: facts.channels, size: facts.branches[lens.branch].field.size });
    const worths = worthOf(network, block, lens.branch, store.data().worth);
    const all = store.data().worth?.[block];
    if (worths && all) {
      const name = className(network, classOf(state, store.data()));
      const words = t("unit.worth", { worth: signed(worths[lens.channel]), name, rank: rankOf(all, worths[lens.channel]), count: facts.channels });
      return [said, " ", h("span", { class: "tells-worth" }, words)];
    }
    return said;
  }

  /**
   * Show another channel, here and in the lens.
   * @param {Block} block
   * @param {Branch} branch
   * @param {number} channel
   */
  function show(block, branch, channel) {
    const { baseChannels } = store.data();
    const isHere = block === store.get().block && baseChannels;
    isFresh = !isHere;
    const cell = isHere ? strongestCell(baseChannels[branch], channel) : { row: 0, column: 0 };
    store.update({ block, lens: { branch, channel, ...cell } }, { push: true });
  }

  // ---------------------------------------------------------------- places in the photo

  /**
   * @param {Readonly<State>} state
   * @param {Readonly<Data>} data
   * @param {Lens} lens
   */
  async function drawPlaces(state, data, lens) {
    const { baseChannels, network, field } = data;
    if (!baseChannels || !network) return replace(places, waiting(data));
    const photo = await askPlaces(photoSquare(source, state, data, PHOTO)).catch(() => undefined);
    if (!photo) return;
    const { branch, channel } = lens;
    const { side } = baseChannels[branch];
    const cells = peaks(channelValues(baseChannels, branch, channel, "own"), side, PLACES);
    const facts = network.blocks[state.block].branches[branch].field;
    const core = field?.[branch];
    const width = core ? core.right - core.left : Math.min(facts.size, network.size);
    replace(
      places,
      h("h4", {}, t("unit.places")),
      cells.length
        ? h(
            "div",
            { class: "unit-places" },
            cells.map(({ row, column }) => {
              const whole = cellSquare(facts, row, column);
              const [x, y] = [(whole.left + whole.right) / 2, (whole.top + whole.bottom) / 2];
              const square = { left: x - width / 2, top: y - width / 2, right: x + width / 2, bottom: y + width / 2 };
              return h(
                "button",
                {
                  "aria-label": t("unit.place", { row, column }),
                  title: t("unit.place", { row, column }),
                  onclick: () => store.update({ lens: { ...lens, row, column } }),
                },
                cut(photo, square, network.size),
              );
            }),
          )
        : h("p", {}, t("channel.silent")),
      h("p", { class: "quiet" }, core ? t("unit.places_core", { size: width, share: Math.round(100 * core.share) }) : t("unit.places_field", { size: width })),
    );
  }

  // ---------------------------------------------------------------- tuning

  /**
   * @param {Readonly<State>} state
   * @param {Lens} lens
   */
  async function drawTuning({ model, block }, lens) {
    if (!tuning.childElementCount) replace(tuning, skeleton("pictures"));
    tuning.classList.add("deeper-stale");
    try {
      const told = await askTuning(source.unitTuning(model, block, lens.branch, lens.channel));
      if (!told) return;
      showTuning(told);
    } catch (error) {
      replace(tuning, failure(error));
    }
    tuning.classList.remove("deeper-stale");
  }

  /** @param {UnitTuning} told */
  function showTuning({ silent, curves, alike }) {
    const { block } = store.get();
    const figures = /** @type {const} */ (["orientation", "wavelength", "size", "colour"]).map((feature) => {
      const curve = curves[feature];
      const words = said(feature, curve);
      const chart = feature === "orientation" || feature === "colour" ? rose(curve, feature, words) : lineChart(curve, words);
      return h("figure", { dataset: { branch: store.get().lens?.branch ?? "" } }, h("figcaption", {}, h("b", {}, t(`unit.${feature}`))), chart, h("p", { class: "quiet" }, words));
    });
    replace(
      tuning,
      h("h4", {}, t("unit.tuning")),
      silent ? h("p", {}, t("unit.silent")) : h("div", { class: "unit-curves" }, figures),
      h("p", { class: "quiet" }, t("unit.tuning_how")),
      alike.length > 0 && h("h4", {}, t("unit.alike", { block })),
      alike.length > 0 &&
        h(
          "ul",
          { class: "unit-alike" },
          alike.map((one) =>
            h(
              "li",
              { dataset: { branch: one.branch } },
              unitButton(block, one.branch, one.channel),
              h("span", { class: "number" }, one.similarity.toFixed(2)),
            ),
          ),
        ),
    );
  }

  // ---------------------------------------------------------------- atlas

  /**
   * @param {Readonly<State>} state
   * @param {Lens} lens
   * @param {Network} network
   */
  async function drawAtlas({ model, block }, lens, network) {
    try {
      const told = await askAtlas(/** @type {Promise<AtlasEntry>} */ (source.unitAtlas(model, block, lens.branch, lens.channel)));
      if (told) showAtlas(told, network);
    } catch (error) {
      replace(atlas, failure(error));
    }
  }

  /**
   * @param {AtlasEntry} told
   * @param {Network} network
   */
  function showAtlas({ photos, places: picture, values, classes, silent }, network) {
    if (photos === null) return replace(atlas);
    replace(
      atlas,
      h("h4", {}, t("unit.atlas", { count: photos })),
      picture && h("img", { class: "unit-atlas", src: picture, alt: t("unit.atlas_alt") }),
      picture && values && values.length > 0 && h("p", { class: "quiet" }, t("unit.atlas_values", { high: short(values[0]), low: short(values[values.length - 1]) })),
      silent !== null && h("p", { class: "quiet" }, t("unit.atlas_silent", { share: Math.round(100 * silent) })),
      classes &&
        classes.length > 0 &&
        h("p", {}, t("unit.atlas_classes"), " ", classes.map(({ label, area }) => `${named(network, label)} ${area.toFixed(2)}`).join(t("answer.joiner"))),
    );
  }

  /**
   * @param {Block} block
   * @param {Branch} branch
   * @param {number} channel
   */
  function unitButton(block, branch, channel) {
    return h(
      "button",
      { type: "button", class: "deeper-link", dataset: { unit: `${block}/${branch}/${channel}` }, onclick: () => show(block, branch, channel) },
      t("unit.name", { block, branch: branchName(branch), channel }),
    );
  }

  /** Choose the strongest cell of a channel that was chosen without one. */
  function freshen() {
    const { lens } = store.get();
    const channels = lens && store.data().baseChannels?.[lens.branch];
    if (!isFresh || !channels) return;
    isFresh = false;
    if (lens.channel < channels.count) store.update({ lens: { ...lens, ...strongestCell(channels, lens.channel) } });
  }

  store.subscribe((_, __, changed) => changed.has("baseChannels") && freshen());
  freshen();
  whileOpen(store, "unit", ["network", "block", "model", "lens", "base", "cls", "baseChannels", "worth", "field", "lang", "error"], draw);
}

/**
 * The channel that the state names, if the network has it.
 * @param {Readonly<State>} state
 * @param {Network} network
 */
function knownLens({ lens, block }, network) {
  return lens && lens.channel < network.blocks[block].branches[lens.branch].channels ? lens : null;
}

/**
 * A class of an atlas in the visitor's language, if the network has it.
 * @param {Network} network
 * @param {string} label
 */
function named(network, label) {
  const index = network.labels.indexOf(label);
  return (index < 0 ? label : className(network, index)).split(",")[0];
}

/**
 * A part of a photo of `PHOTO` pixels.
 * @param {HTMLCanvasElement} photo
 * @param {{left: number, top: number, right: number, bottom: number}} square  in pixels of the network's input
 * @param {number} size  of the network's input
 */
function cut(photo, square, size) {
  const canvas = h("canvas", { width: CROP, height: CROP });
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  const scale = PHOTO / size;
  const part = visible(square, { size });
  const side = square.right - square.left;
  const onto = (/** @type {number} */ value, /** @type {number} */ start) => ((value - start) / side) * CROP;
  context.drawImage(
    photo,
    part.left * scale,
    part.top * scale,
    (part.right - part.left) * scale,
    (part.bottom - part.top) * scale,
    onto(part.left, square.left),
    onto(part.top, square.top),
    onto(part.right, square.left) - onto(part.left, square.left),
    onto(part.bottom, square.top) - onto(part.top, square.top),
  );
  return canvas;
}

/**
 * What a curve says.
 * @param {"orientation" | "wavelength" | "size" | "colour"} feature
 * @param {Curve} curve
 */
function said(feature, { preferred, selectivity }) {
  if (preferred === null || selectivity === null) return t("unit.no_response");
  const value = feature === "orientation" || feature === "colour" ? `${Math.round(preferred)}°` : `${preferred} px`;
  return t("unit.preferred", { value, selectivity: selectivity.toFixed(2) });
}
