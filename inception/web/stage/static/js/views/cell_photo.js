/** The photo with the receptive field of a cell. */

import { greyCopy, paintOverlay } from "../colours.js";
import { h, replace, set, svg } from "../dom.js";
import { cellSquare, visible } from "../maps.js";
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
 * Create the figure of the photo, outlined with a cell's receptive field and, dotted, its effective receptive field.
 * @param {() => void} onInfluenceToggle  called when the influence of the pixels is switched on or off
 */
export function photoFigure(onInfluenceToggle) {
  const heading = h("h4");
  const canvas = h("canvas", { width: 1, height: 1, role: "img" });
  const outlines = svg("svg", { class: "cell-frames", "aria-hidden": "true" });
  const readout = h("p", { class: "deeper-readout" });
  const influenceCheckbox = h("input", { type: "checkbox", onchange: onInfluenceToggle });
  const influenceLabel = h("span");
  const note = h("p", { class: "quiet", hidden: true });
  /** @type {HTMLCanvasElement | null} */
  let photo = null;
  /** @type {Influence | null} */
  let shownInfluence = null;
  /** @type {Colours} */
  let palette = "inferno";

  function repaint() {
    if (!photo) return;
    const { width } = photo;
    if (shownInfluence) {
      // The square root of the energy is the gradient's magnitude, in which weak influence is easier to see.
      paintOverlay(canvas, greyCopy(photo), shownInfluence.map.map((energy) => 255 * Math.sqrt(energy)), shownInfluence.side, width, palette);
    } else {
      canvas.width = canvas.height = width;
      canvas.getContext("2d")?.drawImage(photo, 0, 0);
    }
  }

  const figure = h(
    "figure",
    { class: "deeper-picture" },
    h("figcaption", {}, heading),
    h("div", { class: "deeper-square smooth" }, canvas, outlines),
    readout,
    h("label", { class: "deeper-check" }, influenceCheckbox, influenceLabel),
    note,
  );
  return {
    figure,
    isInfluenceOn: () => influenceCheckbox.checked,
    /**
     * Paint the influence of the pixels, or null for the photo alone.
     * @param {Influence | null} influence
     * @param {Colours} colours
     */
    showInfluence(influence, colours) {
      if (!influence && !shownInfluence) return;
      shownInfluence = influence;
      palette = colours;
      set(note, { hidden: !shownInfluence });
      repaint();
    },
    /** @param {HTMLCanvasElement} square */
    paint(square) {
      photo = square;
      repaint();
    },
    /**
     * Outline what a cell sees.
     * @param {BranchFacts} facts
     * @param {Lens} lens
     * @param {number} size  of the network's input
     * @param {{effective: Square & {share: number}} | null} cell  null until its effective receptive field is known
     */
    showFields({ field }, { row: r, column: c }, size, cell) {
      const exact = visible(cellSquare(field, r, c), { size });
      const [width, height] = [exact.right - exact.left, exact.bottom - exact.top];
      const effective = cell && cell.effective.right > cell.effective.left ? cell.effective : null;
      set(outlines, { viewBox: `0 0 ${size} ${size}` });
      replace(
        outlines,
        svg("path", { class: "shade", d: `M0 0H${size}V${size}H0Z${outline(exact)}`, "fill-rule": "evenodd" }),
        svg("path", { class: "exact", d: outline(exact) }),
        effective && svg("path", { class: "effective", d: outline(effective) }),
      );
      heading.textContent = t("deeper.cell_sees");
      influenceLabel.textContent = t("deeper.cell_influence");
      note.textContent = t("deeper.cell_influence_note");
      const sentences = [t("deeper.cell_exact", { size: field.size, width, height })];
      if (width < field.size || height < field.size) sentences.push(t("deeper.cell_clipped", { size: field.size }));
      if (effective) {
        sentences.push(t("deeper.cell_effective", { share: Math.round(100 * effective.share), width: effective.right - effective.left }));
      } else if (cell) sentences.push(t("deeper.cell_no_effective"));
      readout.textContent = joined(sentences);
      set(canvas, { "aria-label": joined([t("answer.sentence", { text: t("deeper.cell_sees") }), ...sentences]) });
    },
  };
}

/** Return the SVG path of a square. @param {Square} square */
function outline({ left, top, right, bottom }) {
  return `M${left} ${top}H${right}V${bottom}H${left}Z`;
}
