/** The comparison view: answers and maps of the stage, beside those of another network or of another photo. */

import { paintMap } from "../colours.js";
import { subjectOf, withDownloaded } from "../controller.js";
import { h, replace, set } from "../dom.js";
import { statistics } from "../downloads.js";
import { isSignedScene, meanRange, meanValues, paletteOf } from "../maps.js";
import { BRANCHES, clamp, order, percent, short, softmax } from "../numbers.js";
import { branchName, className, exampleName, t } from "../words.js";
import { allOnNote, failure, latestOnly, photoSquare, placeholder, skeleton, whileOpen } from "./deeper_parts.js";
import { modelName } from "./header.js";

/** @import {BlockChannels, MeanMap, Network, Scene, Subject} from "../types.js" */

/**
 * @typedef {object} Side  of the comparison
 * @property {Network} network
 * @property {Scene} scene
 * @property {BlockChannels} channels
 * @property {HTMLCanvasElement} picture  the square that the network sees
 */

const CLASS_COUNT = 3;
const PICTURE_SIZE = 200; // pixels

/**
 * @param {HTMLElement} root
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 */
export function createCompare(root, store, source) {
  const title = h("h3");
  const note = h("div");
  const form = h("div", { class: "compare-choice" });
  const body = h("div", { class: "compare" });
  const chooser = h("input", { type: "file", accept: "image/*", class: "unseen", tabindex: "-1", onchange: upload });
  root.append(title, note, form, chooser, body);
  const latestComparison = latestOnly();
  const latestUpload = latestOnly();
  /**
   * What to compare with; a null photo is that of the stage.
   * @type {{model: string | null, photo: string | null, uploaded: string | null, hasCommonScale: boolean}}
   */
  const other = { model: null, photo: null, uploaded: null, hasCommonScale: false };

  /** Upload the chosen file and compare with it. */
  async function upload() {
    const file = chooser.files?.[0];
    chooser.value = "";
    if (!file) return;
    replace(body, skeleton());
    const previousPhoto = other.photo;
    try {
      const photo = await latestUpload(source.upload(file, file.name));
      if (!photo || other.photo !== previousPhoto) return; // another photo was chosen meanwhile
      other.photo = other.uploaded = photo;
      drawForm();
      await draw();
    } catch (error) {
      replace(body, failure(error));
    }
  }

  /** Whether both sides show the network of the stage: only then have their values the same unit. */
  const isSameNetwork = () => (other.model ?? stageModel()) === stageModel();

  /** The network of the stage. */
  const stageModel = () => store.data().network?.name ?? store.get().model;

  /** Whether the maps of a branch share a scale. */
  const hasCommonScale = () => other.hasCommonScale && isSameNetwork();

  function drawForm() {
    const { photo } = store.get();
    const model = stageModel();
    const { start } = store.data();
    if (other.photo === photo) other.photo = null;
    const models = start?.models ?? [];
    if (!other.model) {
      other.model = models.find((candidate) => candidate.name !== model && candidate.available)?.name ?? model;
      // With a single network, compare with another photo instead.
      const stem = start?.examples.find((example) => `example:${example.stem}` !== photo)?.stem;
      if (other.model === model && stem) other.photo = `example:${stem}`;
    }
    /**
     * @param {string} label
     * @param {[string, string][]} choices  values and names
     * @param {string} chosen
     * @param {(value: string) => void} choose
     */
    const select = (label, choices, chosen, choose) =>
      h(
        "label",
        {},
        label,
        " ",
        h(
          "select",
          {
            onchange: (/** @type {Event} */ event) => {
              choose(/** @type {HTMLSelectElement} */ (event.target).value);
              set(scale, { hidden: !isSameNetwork() });
              void draw();
            },
          },
          choices.map(([value, name]) => h("option", { value, selected: value === chosen }, name)),
        ),
      );
    /** @type {[string, string][]} */
    const photos = [
      ["", t("compare.same_photo")],
      ...(other.uploaded ? [/** @type {[string, string]} */ ([other.uploaded, t("photo.own")])] : []),
      ...(start?.examples ?? [])
        .filter(({ stem }) => `example:${stem}` !== photo)
        .map(({ stem }) => /** @type {[string, string]} */ ([`example:${stem}`, exampleName(stem)])),
    ];
    const scale = select(
      t("block.scale"),
      [
        ["own", t("compare.scale_own")],
        ["both", t("compare.scale_both")],
      ],
      other.hasCommonScale ? "both" : "own",
      (value) => (other.hasCommonScale = value === "both"),
    );
    set(scale, { hidden: !isSameNetwork() });
    replace(
      form,
      select(
        t("compare.network"),
        models.map((choice) => [choice.name, modelName(choice.name)]),
        other.model,
        (value) => (other.model = value),
      ),
      select(t("compare.photo"), photos, other.photo ?? "", (value) => (other.photo = value || null)),
      h("button", { type: "button", class: "button", onclick: () => chooser.click() }, t("photo.choose")),
      scale,
    );
    set(chooser, { "aria-label": t("photo.choose") });
  }

  async function draw() {
    const { photo, crop } = store.get();
    const { base, network } = store.data();
    if (!base || !network) return;
    const model = other.model ?? network.name;
    const subject = { photo: other.photo ?? photo, model, crop: other.photo ? null : crop };
    if (!body.querySelector(".compare-side")) replace(body, skeleton());
    body.classList.add("deeper-stale");
    try {
      const sides = await latestComparison(load(network, base, subject));
      if (!sides) return;
      body.classList.remove("deeper-stale");
      const { start } = store.data();
      if (start) store.receive({ start: withDownloaded(start, model) });
      const [stageSide, otherSide] = sides;
      replace(
        body,
        sideSection("compare.stage_side", stageSide, otherSide),
        sideSection("compare.other_side", otherSide, stageSide),
        h("p", { class: "quiet" }, t(hasCommonScale() ? "compare.both_help" : "compare.own_help")),
      );
    } catch (error) {
      body.classList.remove("deeper-stale");
      replace(body, failure(error));
    }
  }

  /**
   * Load both sides of the comparison.
   * @param {Network} network  of the stage
   * @param {Scene} scene  of the stage
   * @param {Subject} subject  of the other side
   * @returns {Promise<[Side, Side]>}
   */
  async function load(network, scene, subject) {
    const { photo, block } = store.get();
    const [stageChannels, otherNetwork, otherScene, otherChannels] = await Promise.all([
      source.block(subjectOf(store.get()), {}, block),
      source.network(subject.model),
      source.scene(subject, {}),
      source.block(subject, {}, block),
      source.drawable(subject),
    ]);
    const [picture, otherPicture] = await Promise.all([
      photoSquare(source, { photo }, { base: scene, network }, PICTURE_SIZE),
      photoSquare(source, subject, { base: otherScene, network: otherNetwork }, PICTURE_SIZE),
    ]);
    return [
      { network, scene, channels: stageChannels, picture },
      { network: otherNetwork, scene: otherScene, channels: otherChannels, picture: otherPicture },
    ];
  }

  /**
   * @param {string} label  key of the section's name for screen readers
   * @param {Side} side
   * @param {Side} opposite
   */
  function sideSection(label, { network, scene, channels, picture }, opposite) {
    const { block, colours } = store.get();
    const probabilities = softmax(scene.logits, network.temperature);
    const isSigned = isSignedScene(scene) || (hasCommonScale() && isSignedScene(opposite.scene));
    const branchStatistics = BRANCHES.map((branch) => statistics(channels[branch]));
    const silent = branchStatistics.reduce((sum, branch) => sum + branch.silent, 0);
    const channelCount = branchStatistics.reduce((sum, branch) => sum + branch.channels, 0);
    return h(
      "section",
      { class: "compare-side", "aria-label": t(label, { name: modelName(network.name) }) },
      picture,
      h(
        "div",
        {},
        h("h4", {}, modelName(network.name)),
        h(
          "ol",
          {},
          order(probabilities, CLASS_COUNT).map((index) =>
            h("li", {}, className(network, index), " ", h("b", { class: "number" }, percent(probabilities[index]))),
          ),
        ),
        h("p", { class: "quiet" }, t("compare.silent", { count: silent, total: channelCount })),
      ),
      BRANCHES.map((branch, i) => {
        const map = scene.maps[block][branch];
        const range = meanRange(hasCommonScale() ? [map, opposite.scene.maps[block][branch]] : [map], isSigned);
        const canvas = h("canvas", { role: "img" });
        paintMap(canvas, meanValues(map, range), map.side, map.side, paletteOf(isSigned, colours));
        set(canvas, { "aria-label": t("network.map_alt", { branch: branchName(branch), block }) });
        return h(
          "figure",
          { dataset: { branch } },
          h("b", {}, branchName(branch)),
          canvas,
          readout(canvas, map),
          h(
            "span",
            { class: "quiet number" },
            t("compare.silent_branch", { silent: branchStatistics[i].silent, count: branchStatistics[i].channels }),
          ),
        );
      }),
    );
  }

  whileOpen(store, "compare", ["base", "block", "network", "off", "offChannels", "lang", "colours", "start", "error"], (state, data) => {
    title.textContent = t("compare.title", { block: state.block });
    replace(note, allOnNote(state));
    if (!data.start) return replace(body, placeholder(data)); // it lists the networks and photos
    drawForm();
    void draw();
  });
}

/**
 * Create a readout of a map's range, or of the value under the pointer.
 * @param {HTMLCanvasElement} canvas
 * @param {MeanMap} map
 */
function readout(canvas, map) {
  const value = h("span", { class: "quiet number" });
  const showRange = () => (value.textContent = `${short(map.low)} … ${short(map.high)}`);
  const showValue = (/** @type {PointerEvent} */ event) => {
    // On the border, offsets are negative or exceed the length.
    const cellAt = (/** @type {number} */ offset, /** @type {number} */ length) =>
      clamp(Math.floor((offset / length) * map.side), 0, map.side - 1);
    const byte = map.values[cellAt(event.offsetY, canvas.clientHeight) * map.side + cellAt(event.offsetX, canvas.clientWidth)];
    value.textContent = short(map.low + (byte / 255) * (map.high - map.low));
  };
  canvas.addEventListener("pointermove", showValue);
  canvas.addEventListener("pointerdown", showValue);
  // A finger leaves as it is lifted.
  canvas.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && showRange());
  showRange();
  return value;
}
