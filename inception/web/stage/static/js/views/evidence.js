/** Where on the photo the evidence for a class lies: the exact split of its logit in block 5b, and Grad-CAM. */

import { classOf, subjectOf } from "../controller.js";
import { h, replace } from "../dom.js";
import { strongestCell } from "../maps.js";
import { BRANCHES, decimalsFor, fixed, order, roundToTotal, snapToObserved, term } from "../numbers.js";
import { placeOf } from "../ranking.js";
import { allOff, isAnythingOff } from "../state.js";
import { branchName, className, sentenceOf, t } from "../words.js";
import { createTrust } from "./trust.js";
import {
  cellPicker,
  choices,
  failure,
  newest,
  paintSigned,
  photoSquare,
  signedBar,
  signedLegend,
  skeleton,
  waiting,
  table,
  whileOpen,
} from "./deeper_parts.js";

/** @import {Block, Branch, Network, Subject, Worth} from "../types.js" */
/** @import {Store} from "../state.js" */
/** @import {Source} from "../source.js" */

/**
 * @typedef {object} SignedMap
 * @property {Float32Array} map
 * @property {number} side
 * @property {Partial<Record<Branch, Float32Array>>} [maps]  of each branch, where the source has them
 *
 * @typedef {SignedMap & {logit: number, bias: number, branches: Record<Branch, number>, linear?: boolean}} Evidence
 */

const LAST = "5b";
const SIZE = 336; // of a picture, in pixels
const ROUNDING = 1e-3; // of 32-bit arithmetic through the rest of the network, for logits of order 10
const STRONGEST = 5; // channels told for and against
/** @type {(Branch | "all")[]} */
const PARTS = ["all", ...BRANCHES];

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @param {Source} source
 */
export function createEvidence(root, store, source) {
  const ask = newest();
  const trust = createTrust(source);
  let isRectified = false;

  /** @type {Parameters<typeof whileOpen>[3]} */
  async function draw(state, data) {
    const { base, network } = data;
    if (!base || !network) return replace(root, waiting(data, "pictures"));
    const cls = classOf(state, data);
    const subject = subjectOf(state);
    if (!root.childElementCount) replace(root, skeleton("pictures"));
    root.classList.add("deeper-stale");
    try {
      const answer = await ask(
        Promise.all([
          source.evidence(subject, cls),
          source.cam(subject, state.block, cls),
          photoSquare(source, state, data, SIZE),
        ]),
      );
      if (!answer) return;
      root.classList.remove("deeper-stale");
      show(...answer, cls, network, state.block, subject);
    } catch (error) {
      root.classList.remove("deeper-stale");
      replace(root, failure(error));
    }
  }

  /**
   * @param {Evidence} evidence
   * @param {SignedMap} cam
   * @param {HTMLCanvasElement} photo
   * @param {number} cls
   * @param {Network} network
   * @param {Block} block
   * @param {Subject} subject
   */
  function show(evidence, cam, photo, cls, network, block, subject) {
    const name = className(network, cls);
    const exact = picture(evidence, photo, {
      title: t("deeper.evidence_exact", { block: LAST }),
      alt: t("deeper.evidence_exact_alt", { block: LAST, name }),
      unit: "logit",
    });
    const rough = picture(cam, photo, {
      title: t("deeper.evidence_cam", { block }),
      alt: t("deeper.evidence_cam_alt", { block, name }),
      unit: "cam",
    });
    const paper = h("input", {
      type: "checkbox",
      checked: isRectified,
      onchange: (/** @type {Event} */ event) => {
        isRectified = /** @type {HTMLInputElement} */ (event.target).checked;
        rough.paint(isRectified);
      },
    });
    rough.paint(isRectified);
    rough.figure.append(h("label", { class: "deeper-check" }, paper, t("deeper.evidence_paper")));
    replace(
      root,
      h("h3", {}, t("deeper.evidence_title", { name })),
      h("p", { class: "deeper-lead" }, t("deeper.evidence_lead", { block: LAST, side: evidence.side, name })),
      isAnythingOff(allOff(store.get())) && h("p", { class: "deeper-note" }, t("deeper.all_on")),
      h("div", { class: "evidence-grid" }, exact.figure, rough.figure, sum(evidence, name)),
      channels(network, store.data().worth, name, subject),
      limits(evidence),
      trust.root,
    );
    trust.draw({ subject, block, cls, name, photo });
  }

  /**
   * The channels of the last block that speak most for the class, and most against it. At that block the gradient times
   * the value of a channel, over all its cells, is its exact part of the logit.
   * @param {Network} network
   * @param {Worth | null} worth
   * @param {string} name
   * @param {Subject} subject
   */
  function channels(network, worth, name, subject) {
    const amounts = worth?.[LAST];
    if (!amounts) return null;
    const falling = order(amounts);
    const sides = /** @type {const} */ ([
      ["for", falling.filter((one) => amounts[one] > 0).slice(0, STRONGEST)],
      ["against", falling.filter((one) => amounts[one] < 0).reverse().slice(0, STRONGEST)],
    ]);
    const bound = Math.max(...sides.flatMap(([, list]) => list.map((one) => Math.abs(amounts[one]))));
    const decimals = decimalsFor([bound]);
    return h(
      "div",
      { class: "deeper-pair tells-worth" },
      sides.map(([side, list]) => {
        const title = t(`deeper.evidence_channels_${side}`, { name });
        const rows = list.map((number) => {
          const { branch, channel } = placeOf(network, LAST, number);
          return {
            cells: [
              h(
                "button",
                { type: "button", class: "deeper-link", onclick: () => openChannel(subject, branch, channel) },
                t("deeper.channel_of", { channel, branch: branchName(branch) }),
              ),
              fixed(amounts[number], decimals),
              signedBar(amounts[number], bound),
            ],
            attributes: { dataset: { branch } },
          };
        });
        return h(
          "div",
          {},
          h("h4", {}, title),
          rows.length
            ? table(title, [t("deeper.channel"), t("deeper.part_of_logit"), ""], rows)
            : h("p", { class: "quiet" }, t("deeper.none")),
        );
      }),
    );
  }

  /**
   * @param {Subject} subject
   * @param {Branch} branch
   * @param {number} channel
   */
  async function openChannel(subject, branch, channel) {
    try {
      const last = await source.block(subject, {}, LAST);
      const lens = { branch, channel, ...strongestCell(last[branch], channel) };
      store.update({ block: LAST, lens, deeper: "cell" }, { push: true });
    } catch (error) {
      store.receive({ error: sentenceOf(error) });
    }
  }

  whileOpen(store, "evidence", ["base", "network", "block", "cls", "worth", "off", "offChannels", "lang", "error"], draw);
}

/**
 * A signed map on the photo, with its legend and the cell that is looked at; and how to paint it anew.
 * @param {SignedMap} told
 * @param {HTMLCanvasElement} photo
 * @param {{title: string, alt: string, unit: string}} words
 */
function picture(told, photo, { title, alt, unit }) {
  const canvas = h("canvas", { width: SIZE, height: SIZE, role: "img", "aria-label": alt });
  const readout = h("p", { class: "deeper-readout number", "aria-live": "polite" });
  const legend = h("div");
  const { side } = told;
  const all = [told.map, ...Object.values(told.maps ?? {})];
  const bound = Math.max(...all.map((map) => map.reduce((most, value) => Math.max(most, Math.abs(value)), 0)));
  const decimals = decimalsFor([bound]);
  /** @type {Branch | "all"} */
  let part = "all";
  let isRectified = false;
  const values = () => {
    const map = (part === "all" ? undefined : told.maps?.[part]) ?? told.map;
    return isRectified ? map.map((value) => Math.max(value, 0)) : map;
  };
  const picker = cellPicker(look, { follows: true });
  picker.name(`${alt}. ${t("deeper.arrows")}`);

  /**
   * @param {number} r
   * @param {number} c
   */
  function look(r, c) {
    picker.show(side, r, c);
    readout.textContent = t(`deeper.evidence_cell_${unit}`, { row: r, column: c, value: fixed(values()[r * side + c], decimals) });
  }

  /** @param {boolean} [rectified] */
  function paint(rectified = false) {
    isRectified = rectified;
    paintSigned(canvas, photo, values(), side, bound);
    replace(legend, signedLegend(bound, decimals));
    const at = order(values(), 1)[0];
    look(Math.floor(at / side), at % side);
  }

  const parts = h("div");
  const drawParts = () => {
    if (!told.maps) return;
    replace(
      parts,
      choices(
        t("deeper.which_part"),
        PARTS,
        part,
        (one) => (one === "all" ? t("deeper.all_four") : branchName(one)),
        (one) => {
          part = one;
          drawParts();
          paint(isRectified);
          /** @type {HTMLElement | null} */ (parts.querySelector("[aria-pressed=true]"))?.focus();
        },
        (one) => (one === "all" ? {} : { dataset: { branch: one } }),
      ),
    );
  };
  drawParts();
  paint();
  const figure = h(
    "figure",
    { class: "deeper-picture" },
    h("figcaption", {}, h("h4", {}, title)),
    parts,
    h("div", { class: "deeper-square" }, canvas, picker.element),
    readout,
    legend,
  );
  return { figure, paint };
}

/**
 * The four branches and the bias as bars and as a sum, checked against the logit.
 * @param {Evidence} evidence
 * @param {string} name
 */
function sum({ logit, bias, branches }, name) {
  const parts = BRANCHES.map((branch) => branches[branch]);
  const decimals = decimalsFor([logit, bias, ...parts], 4);
  const exact = parts.reduce((total, one) => total + one, bias);
  const total = snapToObserved(exact, logit, decimals);
  const shown = roundToTotal([...parts, bias], total, decimals);
  const bound = Math.max(...[...parts, bias].map(Math.abs));
  const items = [...BRANCHES, /** @type {const} */ ("bias")].map((key, i) =>
    h(
      "li",
      { dataset: key === "bias" ? {} : { branch: key } },
      h("span", { class: "name" }, key === "bias" ? t("deeper.bias") : branchName(key)),
      signedBar(shown[i], bound),
      h("span", { class: "number" }, i ? term(shown[i], decimals) : fixed(shown[i], decimals)),
    ),
  );
  const best = order(parts, 1)[0];
  const off = Math.abs(exact - logit);
  return h(
    "div",
    { class: "deeper-sum tells-worth" },
    h("h4", {}, t("deeper.sum_check")),
    h("ul", { class: "deeper-bars" }, items),
    h(
      "p",
      { class: "deeper-total" },
      h("strong", { class: "number" }, t("deeper.sum_result", { total: fixed(total, decimals), logit: fixed(logit, decimals), name })),
      off > ROUNDING ? ` ${t("deeper.sum_off", { off: fixed(off, 4) })}` : "",
    ),
    h(
      "p",
      {},
      parts[best] > 0
        ? t("deeper.evidence_most", { branch: branchName(BRANCHES[best]), value: fixed(shown[best], decimals), name })
        : t("deeper.evidence_no_branch", { name }),
    ),
  );
}

/** @param {Evidence} evidence */
function limits(evidence) {
  const head = evidence.linear === undefined ? "" : evidence.linear ? t("deeper.evidence_linear") : t("deeper.evidence_piece");
  /** @param {string} kind @param {string} [more] */
  const list = (kind, more) =>
    h(
      "div",
      {},
      h("h4", {}, t(`deeper.limits_${kind}`)),
      h(
        "ul",
        { class: "deeper-list" },
        h("li", {}, t(`deeper.limits_${kind}_says`)),
        h("li", {}, t(`deeper.limits_${kind}_not`)),
        more && h("li", {}, more),
      ),
    );
  return h("div", { class: "deeper-pair" }, list("exact", head), list("cam"));
}
