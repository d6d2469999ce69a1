/** The legend of a map's colours: a bar between the two values at its ends. */

import { gradient } from "../colours.js";
import { h } from "../dom.js";
import { decimalsFor, fixed } from "../sums.js";
import { t } from "../words.js";

/** @import {Palette} from "../types.js" */
/** @import {Range} from "../maps.js" */

/**
 * @param {Range | null} range  null where each map has its own
 * @param {Palette} palette
 */
export function legend(range, palette) {
  const decimals = range ? decimalsFor(range) : 0;
  const [low, high] = range ? range.map((value) => fixed(value, decimals)) : [t("legend.below"), t("legend.above")];
  return h(
    "span",
    { class: "legend number" },
    h("span", {}, low),
    h("i", { "aria-hidden": "true", style: { background: gradient(palette) } }, palette === "signed" && h("b", {}, "0")),
    h("span", {}, high),
  );
}
