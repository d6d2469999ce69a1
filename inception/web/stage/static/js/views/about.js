/** The About view: a guide to the page, and the network's provenance, limits and measured reliability. */

import { h, replace } from "../dom.js";
import { grouped, percent } from "../numbers.js";
import { className, joined, known, language, t } from "../words.js";
import { placeholder, whileOpen } from "./deeper_parts.js";

/** @import {Network} from "../types.js" */
/** @import {Store} from "../state.js" */

/** Topics of the guide, in the order of the page. */
const TOPICS = ["photo", "network", "lanes", "channels", "worth", "switch", "doubt"];
/** Query of Gradio's API reference. */
const API_QUERY = "?view=api";

/**
 * @param {HTMLElement} root
 * @param {Store} store
 */
export function createAbout(root, store) {
  /** @type {Parameters<typeof whileOpen>[3]} */
  function draw(_, data) {
    const { network, start } = data;
    if (!network) return replace(root, placeholder(data));
    replace(
      root,
      h("h3", {}, t("deeper.about_read")),
      h(
        "ul",
        { class: "deeper-list" },
        TOPICS.map((topic) => h("li", {}, t(`deeper.about_read_${keyOf(topic, network)}`, { classes: grouped(network.labels.length) }))),
      ),
      h("h3", {}, t("deeper.about_network")),
      networkFacts(network, start?.device ?? ""),
      h("h3", {}, t("deeper.about_links")),
      h("p", {}, h("a", { href: API_QUERY }, t("deeper.about_link_api"))),
    );
  }

  whileOpen(store, "about", ["network", "start", "lang", "error"], draw);
}

/**
 * Return the end of a topic's key: some networks offer less.
 * @param {string} topic
 * @param {Network} network
 */
function keyOf(topic, { has_means: hasMeans, threshold }) {
  if (topic === "switch" && hasMeans) return "switch_means";
  return topic === "doubt" && threshold === null ? "no_doubt" : topic;
}

/**
 * Build the list of facts about the network.
 * @param {Network} network
 * @param {string} device
 */
function networkFacts(network, device) {
  /** @type {[string, string][]} */
  const facts = [
    ["name", network.name],
    ...Object.entries(network.about).map(([key, value]) => /** @type {[string, string]} */ ([key, plain(value)])),
    ["limits", limitsText(network)],
    ["doubt", rejectionText(network)],
    ["parameters", grouped(network.parameters)],
    ["macs", grouped(network.macs)],
    ["input", t("deeper.about_pixels", { size: network.size })],
    ["device", device],
  ];
  const names = network.labels.map((_, index) => className(network, index)).sort((a, b) => a.localeCompare(b, language()));
  return h(
    "dl",
    { class: "about-list" },
    facts
      .filter(([, value]) => value)
      .flatMap(([key, value]) => [h("dt", {}, label(key)), h("dd", {}, known(noteKey(network, key), value))]),
    h("dt", {}, t("deeper.about_classes")),
    h(
      "dd",
      {},
      h("details", {}, h("summary", {}, grouped(names.length)), h("p", {}, names.join(t("answer.joiner")))),
    ),
  );
}

/** Return a text of the server without the quotes of its code. @param {unknown} value */
function plain(value) {
  return value === null ? "" : String(value).replaceAll("`", "");
}

/**
 * Return the label of a fact; the server may send facts that the catalogue does not name.
 * @param {string} key
 */
function label(key) {
  return known(`deeper.about_${key}`, key.replaceAll("_", " "));
}

/**
 * Return the key of a note about a network; the catalogue has those about the networks that come with the project.
 * @param {Network} network
 * @param {string} note
 */
function noteKey({ name }, note) {
  return `deeper.about_${name.replaceAll("-", "_")}_${note}`;
}

/** Describe which classes the network knows, and when the page says "not sure". @param {Network} network */
function limitsText({ labels, threshold }) {
  const always = t("deeper.about_always", { classes: grouped(labels.length) });
  const rule = threshold === null ? t("deeper.about_no_rule") : t("deeper.about_rule", { threshold: percent(threshold) });
  return joined([always, rule]);
}

/**
 * Describe how often the rejection rule was right on photos that were not used to choose its threshold.
 * @param {Network} network
 */
function rejectionText(network) {
  const { rejection } = network;
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
    photos && t("deeper.about_others", { photos: known(noteKey(network, "outside_photos"), photos) }),
  ]);
}
