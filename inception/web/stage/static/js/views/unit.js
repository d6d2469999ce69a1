/** Everything known about one channel: where it responds in this photo, its tuning, and its strongest connections. */

import { classOf, worthFor } from "../controller.js";
import { h, replace } from "../dom.js";
import { cellSquare, channelValues, peaks, strongestCell, visible } from "../maps.js";
import { BLOCKS, BRANCHES, grouped, parseInteger, short, signed } from "../numbers.js";
import { firstChannel, firstTile, rankOf, worthOf } from "../ranking.js";
import { branchName, className, gap, t } from "../words.js";
import { createCircuit } from "./circuit.js";
import { allOnNote, choices, failure, latestOnly, photoSquare, placeholder, skeleton, whileOpen } from "./deeper_parts.js";
import { lineChart, roseChart } from "./tuning_charts.js";
import { createUnitImage } from "./unit_image.js";
import { createUnitWiring } from "./unit_wiring.js";

/** @import {Block, Branch, Data, Lens, Network, State} from "../types.js" */
/** @import {Store} from "../state.js" */
/** @import {Source} from "../source.js" */
/** @import {Curve} from "./tuning_charts.js" */

/**
 * @typedef {object} UnitTuning
 * @property {boolean} silent  whether no stimulus makes it respond
 * @property {Record<"orientation" | "wavelength" | "size" | "colour", Curve>} curves
 * @property {{branch: Branch, channel: number, similarity: number}[]} alike
 *
 * @typedef {object} AtlasEntry  all null without an atlas
 * @property {number | null} photos  how many photos the atlas was made from
 * @property {string | null} places  URL of an image with two rows of crops: the strongest above, random ones below
 * @property {number[] | null} values
 * @property {{label: string, area: number}[] | null} classes
 * @property {number | null} silent  share of the photos in which the channel is silent
 */

const PLACE_SIZE = 96; // side of a place's picture, in pixels
const PHOTO_SIZE = 448; // side of the photo that places are cropped from, in pixels
const MAX_PLACES = 9;

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @param {Source} source
 */
export function createUnit(root, store, source) {
  const title = h("h3");
  const pickers = h("div", { class: "deeper-pickers" });
  const numberInput = h("input", { type: "number", min: 0, onchange: showTypedChannel });
  const numberLabel = h("span");
  const lead = h("p", { class: "deeper-lead" });
  const controls = h("div", { class: "deeper-controls" }, pickers, h("label", { class: "deeper-number" }, numberLabel, numberInput));
  const note = h("div");
  const head = h("div", { hidden: true }, title, controls, lead, note);
  const loading = h("div");
  const places = h("div");
  const tuning = h("div");
  const atlas = h("div");
  const circuit = createCircuit(store, source);
  const unitImage = createUnitImage(source);
  const wiring = createUnitWiring(source, unitButton);
  root.append(
    head,
    loading,
    h("div", { class: "unit-grid" }, unitImage.root, places, tuning),
    atlas,
    h("div", { class: "unit-sums" }, wiring.root, circuit.root),
  );
  /** Key of the channel in the number input, so that redrawing the same channel does not overwrite what is being typed. */
  let numberedChannel = "";
  /** Whether the channel was selected without a cell; its strongest cell is selected once its map has arrived. */
  let needsStrongestCell = store.get().lens?.row === 0 && store.get().lens?.column === 0;
  const latestPhoto = latestOnly();
  const latestTuning = latestOnly();
  const latestAtlas = latestOnly();

  /** @type {Parameters<typeof whileOpen>[3]} */
  function draw(state, data) {
    const { network } = data;
    head.hidden = !network;
    replace(loading, !network && placeholder(data));
    if (!network) return;
    drawHead(state, network);
    replace(note, allOnNote(state));
    const lens = shownLens(state, network);
    for (const part of [unitImage.root, places, tuning, atlas, wiring.root, circuit.root]) part.hidden = !lens;
    if (!lens) return replace(loading, placeholder(data));
    unitImage.draw({ model: state.model, block: state.block, branch: lens.branch, channel: lens.channel });
    void drawPlaces(state, data, lens);
    void drawTuning(state, lens);
    void drawAtlas(state, lens, network);
    void wiring.draw(state, lens, network);
    if (data.base) void circuit.draw(network, classOf(state, data), { ...lens, block: state.block });
  }

  /**
   * Return the channel of the lens; the first tile, once it is known, if there is none or the network does not have it.
   * @param {Readonly<State>} state
   * @param {Network} network
   */
  function shownLens(state, network) {
    const { lens, block } = state;
    const isValid = lens && lens.channel < network.blocks[block].branches[lens.branch].channels;
    return isValid ? lens : firstTile(state, store.data(), classOf(state, store.data()));
  }

  /**
   * @param {Readonly<State>} state
   * @param {Network} network
   */
  function drawHead(state, network) {
    const { block } = state;
    const lens = shownLens(state, network);
    const branch = lens?.branch ?? "1x1";
    const last = network.blocks[block].branches[branch].channels - 1;
    title.textContent = lens ? t("unit.title", { block, branch: branchName(branch), channel: lens.channel }) : t("unit.title_none");
    replace(
      pickers,
      choices(
        t("unit.block"),
        BLOCKS,
        block,
        (option) => option,
        (option) => show(option, branch, 0),
        (option) => ({ dataset: { unitBlock: option } }),
      ),
      choices(
        t("unit.branch"),
        BRANCHES,
        branch,
        branchName,
        (option) => show(block, option, 0),
        (option) => ({ dataset: { branch: option } }),
      ),
    );
    numberLabel.textContent = t("unit.channel", { last });
    numberInput.max = String(last);
    const inputKey = `${state.model} ${block} ${branch} ${lens?.channel}`;
    if (inputKey !== numberedChannel) numberInput.value = String(lens?.channel ?? "");
    numberedChannel = inputKey;
    replace(lead, lens && summary(state, network, lens));
  }

  /** Show the channel whose number was typed, or reset an invalid number. */
  function showTypedChannel() {
    const { network } = store.data();
    if (!network) return;
    const state = store.get();
    const channel = parseInteger(numberInput.value, 0, Number(numberInput.max));
    if (channel !== null) return show(state.block, shownLens(state, network)?.branch ?? "1x1", channel);
    numberedChannel = "";
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
    const blockChannel = firstChannel(network, block, lens.branch) + lens.channel;
    const size = Math.min(facts.branches[lens.branch].field.size, network.size);
    const text = t("unit.number", { number: blockChannel, count: facts.channels, size });
    const cls = classOf(state, store.data());
    const worth = worthFor(cls, store.data());
    const branchWorth = worthOf(network, block, lens.branch, worth);
    const blockWorth = worth?.[block];
    if (branchWorth && blockWorth) {
      const name = className(network, cls);
      const worthText = t("unit.worth", {
        worth: signed(branchWorth[lens.channel]),
        name,
        rank: rankOf(blockWorth, branchWorth[lens.channel]),
        count: facts.channels,
      });
      return [text, gap(), h("span", { class: "tells-worth" }, worthText)];
    }
    return text;
  }

  /**
   * Select another channel, here and in the lens.
   * @param {Block} block
   * @param {Branch} branch
   * @param {number} channel
   */
  function show(block, branch, channel) {
    const { baseChannels } = store.data();
    const isBlockLoaded = block === store.get().block && baseChannels;
    needsStrongestCell = !isBlockLoaded;
    const cell = isBlockLoaded ? strongestCell(baseChannels[branch], channel) : { row: 0, column: 0 };
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
    if (!baseChannels || !network) return replace(places, placeholder(data));
    const photo = await latestPhoto(photoSquare(source, state, data, PHOTO_SIZE)).catch(() => undefined);
    if (!photo) return;
    const { branch, channel } = lens;
    const { side } = baseChannels[branch];
    const cells = peaks(channelValues(baseChannels, branch, channel, "own"), side, MAX_PLACES);
    const facts = network.blocks[state.block].branches[branch].field;
    const effectiveField = field?.[branch];
    const width = effectiveField ? effectiveField.right - effectiveField.left : Math.min(facts.size, network.size);
    replace(
      places,
      h("h4", {}, t("unit.places")),
      cells.length
        ? h(
            "div",
            { class: "unit-places" },
            cells.map(({ row, column }) => {
              const fieldSquare = cellSquare(facts, row, column);
              const [x, y] = [(fieldSquare.left + fieldSquare.right) / 2, (fieldSquare.top + fieldSquare.bottom) / 2];
              const square = { left: x - width / 2, top: y - width / 2, right: x + width / 2, bottom: y + width / 2 };
              return h(
                "button",
                {
                  "aria-label": t("unit.place", { row, column }),
                  title: t("unit.place", { row, column }),
                  onclick: () => store.update({ lens: { ...lens, row, column } }),
                },
                cropPlace(photo, square, network.size),
              );
            }),
          )
        : h("p", {}, t("channel.silent")),
      h(
        "p",
        { class: "quiet" },
        effectiveField
          ? t("unit.places_core", { size: width, share: Math.round(100 * effectiveField.share) })
          : t("unit.places_field", { size: width }),
      ),
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
      const response = await latestTuning(source.unitTuning(model, block, lens.branch, lens.channel));
      if (!response) return;
      showTuning(response, lens);
    } catch (error) {
      replace(tuning, failure(error));
    }
    tuning.classList.remove("deeper-stale");
  }

  /**
   * @param {UnitTuning} response
   * @param {Lens} lens
   */
  function showTuning({ silent, curves, alike }, lens) {
    const { block } = store.get();
    const figures = /** @type {const} */ (["orientation", "wavelength", "size", "colour"]).map((feature) => {
      const curve = curves[feature];
      const description = curveText(feature, curve);
      const chart =
        feature === "orientation" || feature === "colour" ? roseChart(curve, feature, description) : lineChart(curve, description);
      return h(
        "figure",
        { dataset: { branch: lens.branch } },
        h("figcaption", {}, h("b", {}, t(`unit.${feature}`))),
        chart,
        h("p", { class: "quiet" }, description),
      );
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
          alike.map((similar) =>
            h(
              "li",
              { dataset: { branch: similar.branch } },
              unitButton(block, similar.branch, similar.channel),
              h("span", { class: "number" }, similar.similarity.toFixed(2)),
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
    atlas.classList.add("deeper-stale");
    try {
      const entry = await latestAtlas(/** @type {Promise<AtlasEntry>} */ (source.unitAtlas(model, block, lens.branch, lens.channel)));
      if (!entry) return;
      showAtlas(entry, network);
    } catch (error) {
      replace(atlas, failure(error));
    }
    atlas.classList.remove("deeper-stale");
  }

  /**
   * @param {AtlasEntry} entry
   * @param {Network} network
   */
  function showAtlas({ photos, places: image, values, classes, silent }, network) {
    if (photos === null) return replace(atlas);
    replace(
      atlas,
      h("h4", {}, t("unit.atlas", { count: grouped(photos) })),
      image && h("img", { class: "unit-atlas", src: image, alt: t("unit.atlas_alt") }),
      image &&
        values &&
        values.length > 0 &&
        h("p", { class: "quiet" }, t("unit.atlas_values", { high: short(values[0]), low: short(values[values.length - 1]) })),
      silent !== null && h("p", { class: "quiet" }, t("unit.atlas_silent", { share: Math.round(100 * silent) })),
      classes &&
        classes.length > 0 &&
        h(
          "p",
          {},
          t("unit.atlas_classes"),
          gap(),
          classes.map(({ label, area }) => `${classLabel(network, label)} ${area.toFixed(2)}`).join(t("answer.joiner")),
        ),
    );
  }

  /**
   * Create a button that shows another channel.
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

  /** Select the strongest cell of a channel that was selected without one. */
  function selectStrongestCell() {
    const { lens } = store.get();
    const channels = lens && store.data().baseChannels?.[lens.branch];
    if (!needsStrongestCell || !channels) return;
    needsStrongestCell = false;
    if (lens.channel < channels.count) store.update({ lens: { ...lens, ...strongestCell(channels, lens.channel) } });
  }

  store.subscribe((_, __, changed) => changed.has("baseChannels") && selectStrongestCell());
  selectStrongestCell();
  whileOpen(
    store,
    "unit",
    ["network", "block", "model", "lens", "base", "cls", "baseChannels", "subsets", "worth", "field", "off", "offChannels", "lang", "error"],
    draw,
  );
}

/**
 * Return an atlas class's name in the language of the page, or its label if the network does not have the class.
 * @param {Network} network
 * @param {string} label
 */
function classLabel(network, label) {
  const [name] = label.split(",");
  const exact = network.labels.indexOf(label);
  // The atlas may list further names: "organ, pipe organ" for the network's "organ".
  const index = exact < 0 ? network.labels.findIndex((candidate) => candidate.split(",")[0] === name) : exact;
  return index < 0 ? name : className(network, index);
}

/**
 * Draw a square of the photo on a canvas; parts beyond its border stay blank.
 * @param {HTMLCanvasElement} photo  of `PHOTO_SIZE` pixels
 * @param {{left: number, top: number, right: number, bottom: number}} square  in pixels of the network's input
 * @param {number} size  of the network's input
 */
function cropPlace(photo, square, size) {
  const canvas = h("canvas", { width: PLACE_SIZE, height: PLACE_SIZE });
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  const scale = PHOTO_SIZE / size;
  const visiblePart = visible(square, { size });
  const side = square.right - square.left;
  const toCanvas = (/** @type {number} */ value, /** @type {number} */ origin) => ((value - origin) / side) * PLACE_SIZE;
  context.drawImage(
    photo,
    visiblePart.left * scale,
    visiblePart.top * scale,
    (visiblePart.right - visiblePart.left) * scale,
    (visiblePart.bottom - visiblePart.top) * scale,
    toCanvas(visiblePart.left, square.left),
    toCanvas(visiblePart.top, square.top),
    toCanvas(visiblePart.right, square.left) - toCanvas(visiblePart.left, square.left),
    toCanvas(visiblePart.bottom, square.top) - toCanvas(visiblePart.top, square.top),
  );
  return canvas;
}

/**
 * Describe a tuning curve in a sentence.
 * @param {"orientation" | "wavelength" | "size" | "colour"} feature
 * @param {Curve} curve
 */
function curveText(feature, { values, preferred, selectivity }) {
  if (preferred === null || selectivity === null) return t("unit.no_response");
  const rounded = Math.round(preferred);
  let value = `${rounded}°`;
  if (feature === "wavelength" || feature === "size") {
    // Beyond the last stimulus the curve may go on.
    const key = preferred === values[0] ? "pixels_less" : preferred === values.at(-1) ? "pixels_more" : "pixels";
    value = t(`unit.${key}`, { size: rounded });
  }
  return t("unit.preferred", { value, selectivity: selectivity.toFixed(2) });
}
