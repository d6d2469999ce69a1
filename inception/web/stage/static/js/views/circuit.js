/** A number of the network as a sum over the block before it, block by block from the logit to the stem. */

import { subjectOf } from "../controller.js";
import { h, replace } from "../dom.js";
import { short, signed } from "../numbers.js";
import { branchName, className, t } from "../words.js";
import { failure, newest, signedBar, skeleton } from "./deeper_parts.js";

/** @import {Block, Branch, Network} from "../types.js" */
/** @import {Store} from "../state.js" */
/** @import {Source} from "../source.js" */

/**
 * @typedef {{block: Block, branch: Branch, channel: number, row: number, column: number}} Place  a cell
 *
 * @typedef {object} Contribution
 * @property {string} block  a block or "stem"
 * @property {Branch | null} branch
 * @property {number} channel
 * @property {number} row
 * @property {number} column
 * @property {number} contribution
 *
 * @typedef {object} Circuit
 * @property {number} value
 * @property {number} constant
 * @property {string} block
 * @property {Contribution[]} sources
 * @property {number} rest
 * @property {number} error
 */

const SMALL = 0.0001;

/**
 * @param {Store} store
 * @param {Source} source
 */
export function createCircuit(store, source) {
  const root = h("section", { class: "unit-circuit" });
  const ask = newest();
  /** From the number that the walk began with to the one that is shown; null is the logit. @type {(Place | null)[]} */
  let path = [null];
  let about = "";

  /**
   * @param {Network} network
   * @param {number} cls
   * @param {Place | null} cell  the one in the lens
   */
  async function draw(network, cls, cell) {
    const key = JSON.stringify([subjectOf(store.get()), cls, cell]);
    if (key !== about) path = [cell];
    about = key;
    await step(network, cls, cell);
  }

  /**
   * @param {Network} network
   * @param {number} cls
   * @param {Place | null} cell
   */
  async function step(network, cls, cell) {
    const at = path[path.length - 1];
    if (!root.childElementCount) replace(root, skeleton());
    root.classList.add("deeper-stale");
    const subject = subjectOf(store.get());
    try {
      const circuit = await ask(/** @type {Promise<Circuit>} */ (at ? source.circuit(subject, at) : source.logitCircuit(subject, cls)));
      if (!circuit) return;
      show(circuit, network, cls, cell);
    } catch (error) {
      replace(root, failure(error));
    }
    root.classList.remove("deeper-stale");
  }

  /**
   * @param {Circuit} circuit
   * @param {Network} network
   * @param {number} cls
   * @param {Place | null} cell
   */
  function show(circuit, network, cls, cell) {
    /** @param {(Place | null)[]} next */
    const go = (next) => {
      path = next;
      void step(network, cls, cell);
    };
    const isLogit = path[path.length - 1] === null;
    const bound = Math.max(...circuit.sources.map((one) => Math.abs(one.contribution)), Math.abs(circuit.constant), Math.abs(circuit.rest), 1e-9);
    const name = (/** @type {Place | null} */ place) =>
      place
        ? t("circuit.cell", { block: place.block, branch: branchName(place.branch), channel: place.channel, row: place.row, column: place.column })
        : t("circuit.logit", { name: className(network, cls) });
    /** @param {import("../dom.js").Child} label @param {number} amount @param {string} [branch] */
    const line = (label, amount, branch = "") => h("li", { dataset: { branch } }, label, signedBar(amount, bound), h("span", { class: "number" }, signed(amount)));
    replace(
      root,
      h("h4", {}, t(isLogit ? "circuit.title_logit" : "circuit.title")),
      h("p", { class: "quiet" }, t("circuit.lead")),
      h(
        "p",
        { class: "circuit-path" },
        path[0] && h("button", { class: "button", onclick: () => go([null]) }, t("circuit.from_logit")),
        !path[0] && cell && h("button", { class: "button", onclick: () => go([cell]) }, t("circuit.from_cell")),
        path.map((place, i) =>
          i < path.length - 1
            ? h("button", { class: "deeper-link", dataset: { branch: place?.branch ?? "" }, onclick: () => go(path.slice(0, i + 1)) }, name(place), " →")
            : h("b", { dataset: { branch: place?.branch ?? "" } }, name(place)),
        ),
      ),
      h(
        "ol",
        { class: path[0] ? "circuit-terms" : "circuit-terms tells-worth" },
        line(h("span", {}, t("circuit.constant")), circuit.constant),
        circuit.sources.map((one) => {
          const { branch } = one;
          const words = branch
            ? t("unit.name", { block: one.block, branch: branchName(branch), channel: one.channel })
            : t("unit.stem", { channel: one.channel });
          const next = branch ? { block: /** @type {Block} */ (one.block), branch, channel: one.channel, row: one.row, column: one.column } : null;
          return line(
            next ? h("button", { class: "deeper-link", title: t("circuit.back"), onclick: () => go([...path, next]) }, words) : h("span", {}, words),
            one.contribution,
            branch ?? "",
          );
        }),
        line(h("span", {}, t("circuit.rest")), circuit.rest),
        h("li", { class: "circuit-sum" }, h("b", {}, t(isLogit ? "circuit.value_logit" : "circuit.value")), h("span"), h("b", { class: "number" }, signed(circuit.value))),
      ),
      h("p", { class: "quiet" }, t("circuit.check", { error: circuit.error < SMALL ? `<${SMALL}` : short(circuit.error) })),
    );
  }

  return { root, draw };
}
