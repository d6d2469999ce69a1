/** Circuits: a logit or a cell's value as a sum over the block before it, followed block by block back to the stem. */

import { subjectOf } from "../controller.js";
import { h, replace } from "../dom.js";
import { short, signed } from "../numbers.js";
import { branchName, className, t } from "../words.js";
import { failure, latestOnly, signedBar, skeleton } from "./deeper_parts.js";

/** @import {Block, Branch, Network} from "../types.js" */
/** @import {Store} from "../state.js" */
/** @import {Source} from "../source.js" */

/**
 * @typedef {{block: Block, branch: Branch, channel: number, row: number, column: number}} Place  of a cell
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

const MIN_SHOWN_ERROR = 0.0001; // smaller errors are shown as "<0.0001"

/**
 * @param {Store} store
 * @param {Source} source
 */
export function createCircuit(store, source) {
  const root = h("section", { class: "unit-circuit" });
  const latestCircuit = latestOnly();
  /** The cells followed so far; the last is the one shown. null stands for the logit. @type {(Place | null)[]} */
  let path = [null];
  let pathKey = ""; // subject, class and cell that the path belongs to

  /**
   * @param {Network} network
   * @param {number} cls
   * @param {Place | null} cell  in the lens
   */
  async function draw(network, cls, cell) {
    const key = JSON.stringify([subjectOf(store.get()), cls, cell]);
    if (key !== pathKey) path = [cell];
    pathKey = key;
    await load(network, cls, cell);
  }

  /**
   * Load and show the circuit at the end of the path.
   * @param {Network} network
   * @param {number} cls
   * @param {Place | null} cell
   */
  async function load(network, cls, cell) {
    const place = path[path.length - 1];
    if (!root.childElementCount) replace(root, skeleton());
    root.classList.add("deeper-stale");
    const subject = subjectOf(store.get());
    try {
      const circuit = await latestCircuit(
        /** @type {Promise<Circuit>} */ (place ? source.circuit(subject, place) : source.logitCircuit(subject, cls)),
      );
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
    /** @param {(Place | null)[]} newPath */
    const follow = (newPath) => {
      path = newPath;
      void load(network, cls, cell);
    };
    const isLogit = path[path.length - 1] === null;
    const bound = Math.max(...circuit.sources.map((term) => Math.abs(term.contribution)), 1e-9);
    // The rest, which is shown nowhere else, absorbs the rounding, so that the numbers add up as they are shown.
    const shownTerms = [circuit.constant, ...circuit.sources.map((term) => term.contribution)].map(hundredths);
    const rest = hundredths(circuit.value) - shownTerms.reduce((sum, term) => sum + term, 0);
    const nameOf = (/** @type {Place | null} */ place) =>
      place
        ? t("circuit.cell", {
            block: place.block,
            branch: branchName(place.branch),
            channel: place.channel,
            row: place.row,
            column: place.column,
          })
        : t("circuit.logit", { name: className(network, cls) });
    /**
     * @param {import("../dom.js").Child} label
     * @param {number} amount
     * @param {string | null} [branch]  without one there is no bar: the scale is that of the channels
     */
    const termItem = (label, amount, branch = null) =>
      h(
        "li",
        { dataset: { branch: branch ?? "" } },
        label,
        branch === null ? h("span") : signedBar(amount, bound),
        h("span", { class: "number" }, signed(amount)),
      );
    replace(
      root,
      h("h4", {}, t(isLogit ? "circuit.title_logit" : "circuit.title")),
      h("p", { class: "quiet" }, t("circuit.lead")),
      h(
        "p",
        { class: "circuit-path" },
        path[0] && h("button", { class: "button", onclick: () => follow([null]) }, t("circuit.from_logit")),
        !path[0] && cell && h("button", { class: "button", onclick: () => follow([cell]) }, t("circuit.from_cell")),
        path.map((place, i) =>
          i < path.length - 1
            ? h(
                "button",
                { class: "deeper-link", dataset: { branch: place?.branch ?? "" }, onclick: () => follow(path.slice(0, i + 1)) },
                nameOf(place),
                " →",
              )
            : h("b", { dataset: { branch: place?.branch ?? "" } }, nameOf(place)),
        ),
      ),
      h(
        "ol",
        { class: path[0] ? "circuit-terms" : "circuit-terms tells-worth" },
        termItem(h("span", {}, t("circuit.constant")), circuit.constant),
        circuit.sources.map((term) => {
          const { branch } = term;
          const label = branch
            ? t("unit.name", { block: term.block, branch: branchName(branch), channel: term.channel })
            : t("unit.stem", { channel: term.channel });
          const next = branch
            ? { block: /** @type {Block} */ (term.block), branch, channel: term.channel, row: term.row, column: term.column }
            : null;
          return termItem(
            next
              ? h("button", { class: "deeper-link", title: t("circuit.back"), onclick: () => follow([...path, next]) }, label)
              : h("span", {}, label),
            term.contribution,
            branch ?? "",
          );
        }),
        termItem(h("span", {}, t("circuit.rest")), rest),
        h(
          "li",
          { class: "circuit-sum" },
          h("b", {}, t(isLogit ? "circuit.value_logit" : "circuit.value")),
          h("span"),
          h("b", { class: "number" }, signed(circuit.value)),
        ),
      ),
      h(
        "p",
        { class: "quiet" },
        t("circuit.check", {
          error: circuit.error < MIN_SHOWN_ERROR ? t("number.below", { value: MIN_SHOWN_ERROR }) : short(circuit.error),
        }),
      ),
    );
  }

  return { root, draw };
}

/** @param {number} value */
function hundredths(value) {
  return Math.round(100 * value) / 100;
}
