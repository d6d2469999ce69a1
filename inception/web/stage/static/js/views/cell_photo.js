/** The photo as one cell sees it. */

import { greySquare, paintOverlay } from "../colours.js";
import { h, replace, set, svg } from "../dom.js";
import { joined, t } from "../words.js";

/** @import {BranchFacts, Colours, Influence, Lens} from "../types.js" */

/**
 * @typedef {object} Square
 * @property {number} left
 * @property {number} top
 * @property {number} right
 * @property {number} bottom
 */

/**
 * The photo with the square that the cell can see, and the smaller one from which most of its influence comes.
 * @param {() => void} onWish  called when somebody wants to see how much each pixel counts, or no longer
 */
export function photoFigure(onWish) {
  const heading = h("h4");
  const canvas = h("canvas", { width: 1, height: 1, role: "img" });
  const frames = svg("svg", { class: "cell-frames", "aria-hidden": "true" });
  const words = h("p", { class: "deeper-readout" });
  const wish = h("input", { type: "checkbox", onchange: onWish });
  const wishWords = h("span");
  const note = h("p", { class: "quiet", hidden: true });
  /** @type {HTMLCanvasElement | null} */
  let photo = null;
  /** @type {Influence | null} */
  let lit = null;
  /** @type {Colours} */
  let palette = "inferno";

  function repaint() {
    if (!photo) return;
    const { width } = photo;
    if (lit) {
      const grey = greySquare(photo, { left: 0, top: 0, side: width }, width);
      // The root of the energy is the size of the gradient, of which more can be seen.
      paintOverlay(canvas, grey, lit.map.map((energy) => 255 * Math.sqrt(energy)), lit.side, width, palette);
    } else {
      canvas.width = canvas.height = width;
      canvas.getContext("2d")?.drawImage(photo, 0, 0);
    }
  }

  const figure = h(
    "figure",
    { class: "deeper-picture" },
    h("figcaption", {}, heading),
    h("div", { class: "deeper-square smooth" }, canvas, frames),
    words,
    h("label", { class: "deeper-check" }, wish, wishWords),
    note,
  );
  return {
    figure,
    isInfluenceWanted: () => wish.checked,
    /**
     * Paint how much each pixel counts, or the photo alone.
     * @param {Influence | null} influence
     * @param {Colours} colours
     */
    light(influence, colours) {
      if (!influence && !lit) return;
      lit = influence;
      palette = colours;
      set(note, { hidden: !lit });
      repaint();
    },
    /** @param {HTMLCanvasElement} square */
    paint(square) {
      photo = square;
      repaint();
    },
    /**
     * @param {BranchFacts} facts
     * @param {Lens} lens
     * @param {number} size  of the network's input
     * @param {{effective: Square & {share: number}} | null} cell  for the dashed square
     */
    frame({ field }, { row: r, column: c }, size, cell) {
      const [left, top] = [c, r].map((at) => field.start + at * field.stride);
      const exact = {
        left: Math.max(left, 0),
        top: Math.max(top, 0),
        right: Math.min(left + field.size, size),
        bottom: Math.min(top + field.size, size),
      };
      const [width, height] = [exact.right - exact.left, exact.bottom - exact.top];
      const effective = cell && cell.effective.right > cell.effective.left ? cell.effective : null;
      set(frames, { viewBox: `0 0 ${size} ${size}` });
      replace(
        frames,
        svg("path", { class: "shade", d: `M0 0H${size}V${size}H0Z${outline(exact)}`, "fill-rule": "evenodd" }),
        svg("path", { class: "exact", d: outline(exact) }),
        effective && svg("path", { class: "effective", d: outline(effective) }),
      );
      heading.textContent = t("deeper.cell_sees");
      wishWords.textContent = t("deeper.cell_influence");
      note.textContent = t("deeper.cell_influence_note");
      const sentences = [t("deeper.cell_exact", { size: field.size, width, height })];
      if (width < field.size || height < field.size) sentences.push(t("deeper.cell_clipped", { size: field.size }));
      if (effective) {
        sentences.push(t("deeper.cell_effective", { share: Math.round(100 * effective.share), width: effective.right - effective.left }));
      } else if (cell) sentences.push(t("deeper.cell_no_effective"));
      words.textContent = joined(sentences);
      set(canvas, { "aria-label": `${t("deeper.cell_sees")}. ${joined(sentences)}` });
    },
  };
}

/** @param {Square} square */
function outline({ left, top, right, bottom }) {
  return `M${left} ${top}H${right}V${bottom}H${left}Z`;
}
