/** The stage's photo and network beside another network, or another photo: answers, and the unfolded block's maps. */

import { paintMap } from "../colours.js";
import { h, replace, set } from "../dom.js";
import { BRANCHES, order, percent, short, softmax } from "../numbers.js";
import { branchName, className, t } from "../words.js";
import { failure, newest, skeleton, whileOpen } from "./deeper_parts.js";
import { modelName } from "./header.js";
import { onScaleOf } from "./network.js";

/** @import {Network, Scene} from "../types.js" */

const CLASSES = 3;

/**
 * @param {HTMLElement} root
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 */
export function createCompare(root, store, source) {
  const form = h("div", { class: "compare-choice" });
  const body = h("div", { class: "compare" });
  root.append(form, body);
  const latest = newest();
  /** @type {{model: string | null, photo: string | null}} */
  const other = { model: null, photo: null };

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
    replace(
      form,
      select(t("compare.network"), models.map((one) => [one.name, modelName(one.name)]), other.model, (value) => (other.model = value)),
      select(
        t("compare.photo"),
        [
          ["", t("compare.same_photo")],
          ...(start?.examples ?? [])
            .filter(({ stem }) => `example:${stem}` !== photo)
            .map(({ stem }) => /** @type {[string, string]} */ ([`example:${stem}`, stem.replaceAll("_", " ")])),
        ],
        other.photo ?? "",
        (value) => (other.photo = value || null),
      ),
    );
  }

  async function draw() {
    const { photo, crop } = store.get();
    const { base, network } = store.data();
    if (!base || !network) return;
    const model = other.model ?? network.name;
    const subject = { photo: other.photo ?? photo, model, crop: other.photo ? null : crop, digest: null };
    if (!body.children.length) replace(body, skeleton());
    try {
      const found = await latest(Promise.all([source.network(model), source.scene(subject, {})]));
      if (!found) return;
      const [otherNetwork, scene] = found;
      replace(body, side(network, base, photo), side(otherNetwork, scene, subject.photo), h("p", { class: "quiet" }, t("compare.scale")));
    } catch (error) {
      replace(body, failure(error));
    }
  }

  /**
   * @param {Network} network
   * @param {Scene} scene
   * @param {string} photo
   */
  function side(network, scene, photo) {
    const { block, colours } = store.get();
    const p = softmax(scene.logits, network.temperature);
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
      ),
      BRANCHES.map((branch) => {
        const map = scene.maps[block][branch];
        const canvas = h("canvas", { role: "img" });
        paintMap(canvas, onScaleOf(map, map), map.side, map.side, colours);
        set(canvas, { "aria-label": t("network.map_alt", { branch: branchName(branch), block }) });
        const value = h("span", { class: "quiet number" }, `${short(map.low)} … ${short(map.high)}`);
        canvas.addEventListener("pointermove", (event) => {
          const at = (/** @type {number} */ part, /** @type {number} */ whole) => Math.min(map.side - 1, Math.floor((part / whole) * map.side));
          const byte = map.values[at(event.offsetY, canvas.clientHeight) * map.side + at(event.offsetX, canvas.clientWidth)];
          value.textContent = short(map.low + (byte / 255) * (map.high - map.low));
        });
        canvas.addEventListener("pointerleave", () => (value.textContent = `${short(map.low)} … ${short(map.high)}`));
        return h("figure", { dataset: { branch } }, h("b", {}, branchName(branch)), canvas, value);
      }),
    );
  }

  whileOpen(store, "compare", ["base", "block", "network", "lang", "colours", "start"], () => {
    drawForm();
    void draw();
  });
}
