/** The channels that feed a channel and those that read it, strongest weights first. */

import { h, replace } from "../dom.js";
import { short, signed } from "../numbers.js";
import { className, joined, t } from "../words.js";
import { failure, latestOnly } from "./deeper_parts.js";

/** @import {Block, Branch, Lens, Network, State} from "../types.js" */
/** @import {Source} from "../source.js" */

/**
 * @typedef {object} Connection
 * @property {string} layer  a block, "stem" or "classifier"
 * @property {Branch | null} branch
 * @property {number} channel
 * @property {number} strength  norm of the weights
 * @property {number} total  sum of the weights
 * @property {number[][]} kernel
 *
 * @typedef {{feeds: Connection[], readers: Connection[]}} Wiring
 */

const WEIGHT_SIZE = 8; // side of one weight's square, in pixels

/**
 * @param {Source} source
 * @param {(block: Block, branch: Branch, channel: number) => HTMLElement} unitButton  creates a button that shows another channel
 */
export function createUnitWiring(source, unitButton) {
  const root = h("div");
  const latestWiring = latestOnly();

  /**
   * @param {Readonly<State>} state
   * @param {Lens} lens
   * @param {Network} network
   */
  async function draw({ model, block }, lens, network) {
    root.classList.add("deeper-stale");
    try {
      const wiring = await latestWiring(/** @type {Promise<Wiring>} */ (source.unitWiring(model, block, lens.branch, lens.channel)));
      if (!wiring) return;
      show(wiring, network, lens);
    } catch (error) {
      replace(root, failure(error));
    }
    root.classList.remove("deeper-stale");
  }

  /**
   * @param {Wiring} wiring
   * @param {Network} network
   * @param {Lens} lens
   */
  function show({ feeds, readers }, network, lens) {
    const isExact = lens.branch === "1x1"; // its feeds' weights are those of a single layer
    const areClasses = readers[0]?.layer === "classifier";
    replace(
      root,
      h(
        "div",
        { class: "unit-wiring" },
        connectionSection(t("unit.feeds"), feeds, network),
        connectionSection(t("unit.readers"), readers, network),
      ),
      h(
        "p",
        { class: "quiet" },
        joined([
          t(isExact ? "unit.wiring_feeds_exact" : "unit.wiring_feeds"),
          t(areClasses ? "unit.wiring_classes" : isExact ? "unit.wiring_readers" : "unit.wiring_readers_too"),
          t("unit.wiring_numbers"),
        ]),
      ),
    );
  }

  /**
   * @param {string} title
   * @param {Connection[]} connections
   * @param {Network} network
   */
  function connectionSection(title, connections, network) {
    const bound = Math.max(...connections.flatMap(({ kernel }) => kernel.flat().map(Math.abs)), 1e-9);
    return h(
      "section",
      {},
      h("h4", {}, title),
      connections.length
        ? h(
            "ol",
            {},
            connections.map((connection) =>
              h(
                "li",
                { dataset: { branch: connection.branch ?? "" } },
                kernelPicture(connection.kernel, bound),
                connection.branch
                  ? unitButton(/** @type {Block} */ (connection.layer), connection.branch, connection.channel)
                  : h(
                      "b",
                      {},
                      connection.layer === "stem"
                        ? t("unit.stem", { channel: connection.channel })
                        : className(network, connection.channel),
                    ),
                h(
                  "span",
                  { class: "number" },
                  t(connection.total < 0 ? "unit.inhibits" : "unit.excites", { total: signed(connection.total) }),
                  // The strength of a single weight is its magnitude.
                  connection.kernel.length > 1 && ` · ${t("unit.strength", { strength: short(connection.strength) })}`,
                ),
              ),
            ),
          )
        : h("p", {}, t("unit.no_readers")),
    );
  }

  return { root, draw };
}

/**
 * Draw weights as coloured squares: red above zero, blue below.
 * @param {number[][]} kernel
 * @param {number} bound  magnitude of the full colour
 */
function kernelPicture(kernel, bound) {
  const side = kernel.length;
  return h(
    "span",
    {
      class: "unit-kernel",
      "aria-hidden": "true",
      style: { "--side": side, "--weight": `${side === 1 ? 3 * WEIGHT_SIZE : WEIGHT_SIZE}px` },
    },
    kernel
      .flat()
      .map((weight) => h("i", { class: weight < 0 ? "below" : "above", style: { opacity: Math.min(1, Math.abs(weight) / bound) } })),
  );
}
