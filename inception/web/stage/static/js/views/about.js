/** Where the network comes from, how good it is, and how to read the page. */

import { h, replace } from "../dom.js";
import { grouped, percent } from "../numbers.js";
import { className, joined, language, t } from "../words.js";
import { waiting, whileOpen } from "./deeper_parts.js";

/** @import {Network} from "../types.js" */
/** @import {Store} from "../state.js" */

/** How to read what, in the order of the page. */
const READ = ["photo", "network", "lanes", "channels", "worth", "switch", "doubt"];
/** Gradio's own page, at the same address. */
const API = "?view=api";

/**
 * @param {HTMLElement} root
 * @param {Store} store
 */
export function createAbout(root, store) {
  /** @type {Parameters<typeof whileOpen>[3]} */
  function draw(_, data) {
    const { network, start } = data;
    if (!network) return replace(root, waiting(data));
    replace(
      root,
      h("h3", {}, t("deeper.about_read")),
      h("ul", { class: "deeper-list" }, READ.map((key) => h("li", {}, t(`deeper.about_read_${key}`, { classes: grouped(network.labels.length) })))),
      h("h3", {}, t("deeper.about_network")),
      provenance(network, start?.device ?? ""),
      h("h3", {}, t("deeper.about_links")),
      h("p", {}, h("a", { href: API }, t("deeper.about_link_api"))),
    );
  }

  whileOpen(store, "about", ["network", "start", "lang", "error"], draw);
}

/**
 * @param {Network} network
 * @param {string} device
 */
function provenance(network, device) {
  /** @type {[string, string][]} */
  const pairs = [
    ["name", network.name],
    ...Object.entries(network.about).map(([key, value]) => /** @type {[string, string]} */ ([key, value === null ? "" : String(value)])),
    ["limits", limits(network)],
    ["doubt", measured(network)],
    ["parameters", grouped(network.parameters)],
    ["macs", grouped(network.macs)],
    ["input", t("deeper.about_pixels", { size: network.size })],
    ["device", device],
  ];
  const names = network.labels.map((_, index) => className(network, index)).sort((a, b) => a.localeCompare(b, language()));
  return h(
    "dl",
    { class: "about-list" },
    pairs.filter(([, value]) => value).flatMap(([key, value]) => [h("dt", {}, label(key)), h("dd", {}, value)]),
    h("dt", {}, t("deeper.about_classes")),
    h(
      "dd",
      {},
      h("details", {}, h("summary", {}, grouped(names.length)), h("p", {}, names.join(language() === "zh" ? "、" : ", "))),
    ),
  );
}

/**
 * A name for a fact; one that the catalogue does not know is shown as the server calls it.
 * @param {string} key
 */
function label(key) {
  const words = t(`deeper.about_${key}`);
  return words === `deeper.about_${key}` ? key.replaceAll("_", " ") : words;
}

/** @param {Network} network */
function limits({ labels, threshold }) {
  const always = t("deeper.about_always", { classes: grouped(labels.length) });
  const rule =
    threshold === null ? t("deeper.about_no_rule") : t("deeper.about_rule", { threshold: percent(threshold) });
  return joined([always, rule]);
}

/**
 * How often the rule of doubt is right, as it was measured.
 * @param {Network} network
 */
function measured({ rejection }) {
  if (!rejection) return "";
  const { inside, outside, doubted, caught, auroc, outside_photos: photos } = rejection;
  return joined([
    t("deeper.about_measured", {
      inside: grouped(inside),
      outside: grouped(outside),
      doubted: percent(doubted),
      caught: percent(caught),
      auroc: percent(auroc),
    }),
    photos && t("deeper.about_others", { photos }),
  ]);
}
