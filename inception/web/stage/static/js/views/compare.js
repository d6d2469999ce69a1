/** The stage's photo and network beside another network, or another photo: answers, and the unfolded block's maps. */

import { paintMap } from "../colours.js";
import { subjectOf, withDownloaded } from "../controller.js";
import { h, replace, set } from "../dom.js";
import { statistics } from "../downloads.js";
import { isSignedScene, meanRange, meanValues, paletteOf } from "../maps.js";
import { BRANCHES, order, percent, short, softmax } from "../numbers.js";
import { branchName, className, t } from "../words.js";
import { failure, newest, skeleton, whileOpen } from "./deeper_parts.js";
import { modelName } from "./header.js";

/** @import {BlockChannels, MeanMap, Network, Scene} from "../types.js" */

/**
 * @typedef {object} Side  one of the two that are compared
 * @property {Network} network
 * @property {Scene} scene
 * @property {BlockChannels} channels
 * @property {string} photo
 */

const CLASSES = 3;

/**
 * @param {HTMLElement} root
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 */
export function createCompare(root, store, source) {
  const form = h("div", { class: "compare-choice" });
  const body = h("div", { class: "compare" });
  const chooser = h("input", { type: "file", accept: "image/*", class: "unseen", tabindex: "-1", onchange: upload });
  root.append(form, chooser, body);
  const latest = newest();
  const latestFile = newest();
  /** @type {{model: string | null, photo: string | null, own: string | null, isCommon: boolean}} */
  const other = { model: null, photo: null, own: null, isCommon: false };

  /** A photo of the visitor's, beside the one on the stage. */
  async function upload() {
    const file = chooser.files?.[0];
    chooser.value = "";
    if (!file) return;
    replace(body, skeleton());
    const before = other.photo;
    try {
      const photo = await latestFile(source.upload(file, file.name));
      if (!photo || other.photo !== before) return; // another was chosen
      other.photo = other.own = photo;
      drawForm();
      await draw();
    } catch (error) {
      replace(body, failure(error));
    }
  }

  function drawForm() {
    const { model, photo } = store.get();
    const { start } = store.data();
    const models = start?.models ?? [];
    if (!other.model) {
      other.model = models.find((one) => one.name !== model && one.available)?.name ?? model;
      // With one network only, another photo is what there is to compare.
      const stem = start?.examples.find((one) => `example:${one.stem}` !== photo)?.stem;
      if (other.model === model && stem) other.photo = `example:${stem}`;
    }
    /**
     * @param {string} label
     * @param {[string, string][]} choices
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
              void draw();
            },
          },
          choices.map(([value, name]) => h("option", { value, selected: value === chosen }, name)),
        ),
      );
    /** @type {[string, string][]} */
    const photos = [
      ["", t("compare.same_photo")],
      ...(other.own ? [/** @type {[string, string]} */ ([other.own, t("photo.own")])] : []),
      ...(start?.examples ?? [])
        .filter(({ stem }) => `example:${stem}` !== photo)
        .map(({ stem }) => /** @type {[string, string]} */ ([`example:${stem}`, stem.replaceAll("_", " ")])),
    ];
    replace(
      form,
      select(t("compare.network"), models.map((one) => [one.name, modelName(one.name)]), other.model, (value) => (other.model = value)),
      select(t("compare.photo"), photos, other.photo ?? "", (value) => (other.photo = value || null)),
      h("button", { type: "button", class: "button", onclick: () => chooser.click() }, t("photo.choose")),
      select(
        t("block.scale"),
        [
          ["own", t("compare.scale_own")],
          ["both", t("compare.scale_both")],
        ],
        other.isCommon ? "both" : "own",
        (value) => (other.isCommon = value === "both"),
      ),
    );
    set(chooser, { "aria-label": t("photo.choose") });
  }

  async function draw() {
    const { photo, crop, block } = store.get();
    const { base, network } = store.data();
    if (!base || !network) return;
    const model = other.model ?? network.name;
    const subject = { photo: other.photo ?? photo, model, crop: other.photo ? null : crop };
    if (!body.querySelector(".compare-side")) replace(body, skeleton());
    try {
      const found = await latest(
        Promise.all([
          source.block(subjectOf(store.get()), {}, block),
          source.network(model),
          source.scene(subject, {}),
          source.block(subject, {}, block),
          source.drawable(subject),
        ]),
      );
      if (!found) return;
      const { start } = store.data();
      if (start) store.receive({ start: withDownloaded(start, model) });
      const [ownChannels, otherNetwork, scene, channels] = found;
      const own = { network, scene: base, channels: ownChannels, photo };
      const beside = { network: otherNetwork, scene, channels, photo: subject.photo };
      replace(body, side(own, beside), side(beside, own), h("p", { class: "quiet" }, t(other.isCommon ? "compare.both_help" : "compare.own_help")));
    } catch (error) {
      replace(body, failure(error));
    }
  }

  /**
   * @param {Side} shown
   * @param {Side} beside
   */
  function side({ network, scene, channels, photo }, beside) {
    const { block, colours } = store.get();
    const p = softmax(scene.logits, network.temperature);
    const isSigned = isSignedScene(scene) || (other.isCommon && isSignedScene(beside.scene));
    const counts = BRANCHES.map((branch) => statistics(channels[branch]));
    const silent = counts.reduce((sum, one) => sum + one.silent, 0);
    const all = counts.reduce((sum, one) => sum + one.channels, 0);
    return h(
      "section",
      { class: "compare-side", "aria-label": modelName(network.name) },
      h("img", { src: source.photoUrl(photo), alt: "" }),
      h(
        "div",
        {},
        h("h3", {}, modelName(network.name)),
        h(
          "ol",
          {},
          order(p, CLASSES).map((index) => h("li", {}, className(network, index), " ", h("b", { class: "number" }, percent(p[index])))),
        ),
        h("p", { class: "quiet" }, t("compare.silent", { silent, count: all, share: Math.round((100 * silent) / all) })),
      ),
      BRANCHES.map((branch, i) => {
        const map = scene.maps[block][branch];
        const range = meanRange(other.isCommon ? [map, beside.scene.maps[block][branch]] : [map], isSigned);
        const canvas = h("canvas", { role: "img" });
        paintMap(canvas, meanValues(map, range), map.side, map.side, paletteOf(isSigned, colours));
        set(canvas, { "aria-label": t("network.map_alt", { branch: branchName(branch), block }) });
        return h(
          "figure",
          { dataset: { branch } },
          h("b", {}, branchName(branch)),
          canvas,
          readout(canvas, map),
          h("span", { class: "quiet number" }, t("compare.silent_branch", { share: Math.round((100 * counts[i].silent) / counts[i].channels) })),
        );
      }),
    );
  }

  whileOpen(store, "compare", ["base", "block", "network", "lang", "colours", "start"], () => {
    drawForm();
    void draw();
  });
}

/**
 * The lowest and the highest value of a map, or the one under the pointer.
 * @param {HTMLCanvasElement} canvas
 * @param {MeanMap} map
 */
function readout(canvas, map) {
  const value = h("span", { class: "quiet number" });
  const rest = () => (value.textContent = `${short(map.low)} … ${short(map.high)}`);
  canvas.addEventListener("pointermove", (event) => {
    const at = (/** @type {number} */ part, /** @type {number} */ whole) => Math.min(map.side - 1, Math.floor((part / whole) * map.side));
    const byte = map.values[at(event.offsetY, canvas.clientHeight) * map.side + at(event.offsetX, canvas.clientWidth)];
    value.textContent = short(map.low + (byte / 255) * (map.high - map.low));
  });
  canvas.addEventListener("pointerleave", rest);
  rest();
  return value;
}
