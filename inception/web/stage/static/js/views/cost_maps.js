/** Maps of the unfolded block's input, before and after the 1x1 reductions. */

import { subjectOf } from "../controller.js";
import { h, replace } from "../dom.js";
import { hasNegative, paletteOf, valuesIn } from "../maps.js";
import { branchName, joined, t } from "../words.js";
import { allOnNote, failure, latestOnly, skeleton, whileOpen } from "./deeper_parts.js";
import { mosaic } from "./mosaic.js";

/** @import {Colours, Strongest} from "../types.js" */
/** @import {Store} from "../state.js" */
/** @import {Source} from "../source.js" */

const COLUMNS = 8; // maps in a row
const TILE_SIZE = 56; // pixels; smaller maps are enlarged to about this size

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @param {Source} source
 */
export function createCostMaps(root, store, source) {
  const latestMaps = latestOnly();

  /** @type {Parameters<typeof whileOpen>[3]} */
  async function draw(state, data) {
    const { block, colours } = state;
    if (!data.network || !data.base) return replace(root);
    if (!root.childElementCount) replace(root, skeleton("pictures"));
    try {
      const response = await latestMaps(source.bottleneck(subjectOf(state), block));
      if (!response) return;
      const { before, "3x3": three, "5x5": five } = response;
      replace(
        root,
        h("h4", {}, t("deeper.cost_maps", { block })),
        h("p", { class: "deeper-lead" }, t("deeper.cost_maps_lead", { count: before.count })),
        allOnNote(state),
        h(
          "div",
          { class: "cost-maps" },
          picture(before, t("deeper.cost_maps_before", { all: before.all }), colours),
          picture(three, reducedCaption("3x3", three.all), colours, "3x3"),
          picture(five, reducedCaption("5x5", five.all), colours, "5x5"),
        ),
      );
    } catch (error) {
      replace(root, failure(error));
    }
  }

  whileOpen(store, "cost", ["network", "base", "block", "colours", "off", "offChannels", "lang"], draw);
}

/**
 * @param {"3x3" | "5x5"} branch
 * @param {number} all  channels, of which only the strongest are shown
 */
const reducedCaption = (branch, all) => t("deeper.cost_maps_reduced", { branch: branchName(branch), all });

/**
 * @param {Strongest} maps
 * @param {string} caption
 * @param {Colours} colours
 * @param {string} [branch]
 */
function picture(maps, caption, colours, branch) {
  const isSigned = hasNegative(maps);
  const canvas = mosaic(maps, paletteOf(isSigned, colours), (channel) => valuesIn(maps, channel, isSigned), {
    columns: COLUMNS,
    factor: Math.max(1, Math.round(TILE_SIZE / maps.side)),
  });
  canvas.setAttribute("role", "img");
  const channels = maps.numbers.map((number) => `#${number}`).join(t("answer.joiner"));
  canvas.setAttribute("aria-label", joined([t("answer.sentence", { text: caption }), channels]));
  return h("figure", branch ? { dataset: { branch } } : {}, h("figcaption", {}, caption), canvas);
}
