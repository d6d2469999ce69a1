/** What feeds a channel and what reads it, the strongest weights first. */

import { h, replace } from "../dom.js";
import { short, signed } from "../numbers.js";
import { className, t } from "../words.js";
import { failure, latestOnly } from "./deeper_parts.js";

/** @import {Block, Branch, Lens, Network, State} from "../types.js" */
/** @import {Source} from "../source.js" */

/**
 * @typedef {object} Connection
 * @property {string} layer  a block, "stem" or "classifier"
 * @property {Branch | null} branch
 * @property {number} channel
 * @property {number} strength
 * @property {number} total
 * @property {number[][]} kernel
 *
 * @typedef {{feeds: Connection[], readers: Connection[]}} Wiring
 */

const KERNEL = 8; // pixels of one weight

/**
 * @param {Source} source
 * @param {(block: Block, branch: Branch, channel: number) => HTMLElement} unitButton  leads to another channel
 */
export function createUnitWiring(source, unitButton) {
  const root = h("div");
  const ask = latestOnly();

  /**
   * @param {Readonly<State>} state
   * @param {Lens} lens
   * @param {Network} network
   */
  async function draw({ model, block }, lens, network) {
    try {
      const told = await ask(/** @type {Promise<Wiring>} */ (source.unitWiring(model, block, lens.branch, lens.channel)));
      if (told) show(told, network, lens);
    } catch (error) {
      replace(root, failure(error));
    }
  }

  /**
   * @param {Wiring} told
   * @param {Network} network
   * @param {Lens} lens
   */
  function show({ feeds, readers }, network, lens) {
    replace(
      root,
      h("div", { class: "unit-wiring" }, connections(t("unit.feeds"), feeds, network), connections(t("unit.readers"), readers, network)),
      h("p", { class: "quiet" }, t(lens.branch === "1x1" ? "unit.wiring_exact" : "unit.wiring_how")),
    );
  }

  /**
   * @param {string} title
   * @param {Connection[]} list
   * @param {Network} network
   */
  function connections(title, list, network) {
    const bound = Math.max(...list.flatMap(({ kernel }) => kernel.flat().map(Math.abs)), 1e-9);
    return h(
      "section",
      {},
      h("h4", {}, title),
      list.length
        ? h(
            "ol",
            {},
            list.map((one) =>
              h(
                "li",
                { dataset: { branch: one.branch ?? "" } },
                kernelPicture(one.kernel, bound),
                one.branch
                  ? unitButton(/** @type {Block} */ (one.layer), one.branch, one.channel)
                  : h("b", {}, one.layer === "stem" ? t("unit.stem", { channel: one.channel }) : className(network, one.channel)),
                h("span", { class: "number" }, t(one.total < 0 ? "unit.inhibits" : "unit.excites", { total: signed(one.total), strength: short(one.strength) })),
              ),
            ),
          )
        : h("p", {}, t("unit.no_readers")),
    );
  }

  return { root, draw };
}

/**
 * Weights as colours: red above zero, blue below.
 * @param {number[][]} kernel
 * @param {number} bound
 */
function kernelPicture(kernel, bound) {
  const side = kernel.length;
  return h(
    "span",
    { class: "unit-kernel", "aria-hidden": "true", style: { "--side": side, "--weight": `${side === 1 ? 3 * KERNEL : KERNEL}px` } },
    kernel.flat().map((weight) => h("i", { class: weight < 0 ? "below" : "above", style: { opacity: Math.min(1, Math.abs(weight) / bound) } })),
  );
}
