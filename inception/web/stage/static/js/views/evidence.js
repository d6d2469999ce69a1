/** The evidence view: the exact decomposition of a class's logit over the cells of block 5b, and Grad-CAM. */

import { greyCopy } from "../colours.js";
import { classOf, subjectOf, worthFor } from "../controller.js";
import { h, replace } from "../dom.js";
import { strongestCell } from "../maps.js";
import { BRANCHES, decimalsFor, fixed, order, roundToTotal, snapToObserved, term } from "../numbers.js";
import { placeOf } from "../ranking.js";
import { branchName, className, joined, sentenceOf, t } from "../words.js";
import { createTrust } from "./trust.js";
import {
  allOnNote,
  cellPicker,
  choices,
  failure,
  latestOnly,
  paintSigned,
  photoSquare,
  placeholder,
  signedBar,
  signedLegend,
  skeleton,
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
 * @property {Partial<Record<Branch, Float32Array>>} [maps]  of each branch
 *
 * @typedef {SignedMap & {logit: number, bias: number, branches: Record<Branch, number>, linear?: boolean}} Evidence
 *
 * @typedef {object} Choice  what the visitor has chosen in a map
 * @property {Branch | "all"} part
 * @property {[number, number] | null} cell  row and column; null: the highest
 */

const LAST_BLOCK = "5b";
const PICTURE_SIZE = 336; // pixels
const ROUNDING_TOLERANCE = 1e-3; // of 32-bit arithmetic, for logits of order 10
const CHANNEL_COUNT = 5; // listed for the class, and against it
/** @type {(Branch | "all")[]} */
const PARTS = ["all", ...BRANCHES];

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @param {Source} source
 */
export function createEvidence(root, store, source) {
  const latestEvidence = latestOnly();
  const trust = createTrust(source);
  let isRectified = false;
  /** @type {Choice} */
  const exactChoice = { part: "all", cell: null };
  /** @type {Choice} */
  const camChoice = { part: "all", cell: null };
  let choiceKey = ""; // subject, class and block of the chosen cells

  /** @type {Parameters<typeof whileOpen>[3]} */
  async function draw(state, data) {
    const { base, network } = data;
    if (!base || !network) return replace(root, placeholder(data, "pictures"));
    const cls = classOf(state, data);
    const subject = subjectOf(state);
    if (!root.childElementCount) replace(root, skeleton("pictures"));
    root.classList.add("deeper-stale");
    try {
      const responses = await latestEvidence(
        Promise.all([
          source.evidence(subject, cls),
          source.cam(subject, state.block, cls),
          photoSquare(source, state, data, PICTURE_SIZE),
        ]),
      );
      if (!responses) return;
      root.classList.remove("deeper-stale");
      show(...responses, cls, network, state.block, subject);
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
    const grey = greyCopy(photo);
    const key = JSON.stringify([subject, cls, block]);
    if (key !== choiceKey) exactChoice.cell = camChoice.cell = null;
    choiceKey = key;
    const exactMap = createMap(evidence, grey, exactChoice, {
      title: t("deeper.evidence_exact", { block: LAST_BLOCK }),
      alt: t("deeper.evidence_exact_alt", { block: LAST_BLOCK, name }),
      unit: "logit",
    });
    const camMap = createMap(cam, grey, camChoice, {
      title: t("deeper.evidence_cam", { block }),
      alt: t("deeper.evidence_cam_alt", { block, name }),
      unit: "cam",
    });
    const rectifyCheckbox = h("input", {
      type: "checkbox",
      checked: isRectified,
      onchange: (/** @type {Event} */ event) => {
        isRectified = /** @type {HTMLInputElement} */ (event.target).checked;
        camMap.paint(isRectified);
      },
    });
    camMap.paint(isRectified);
    camMap.figure.append(h("label", { class: "deeper-check" }, rectifyCheckbox, t("deeper.evidence_paper")));
    replace(
      root,
      h("h3", {}, t("deeper.evidence_title", { name })),
      h("p", { class: "deeper-lead" }, t("deeper.evidence_lead", { block: LAST_BLOCK, side: evidence.side, name })),
      allOnNote(store.get()),
      h("div", { class: "evidence-grid" }, exactMap.figure, camMap.figure, sumCheck(evidence, name)),
      channelTables(network, worthFor(cls, store.data()), name, subject),
      limitations(evidence),
      trust.root,
    );
    trust.draw({ subject, block, cls, name, grey, bounds: { evidence: exactMap.bound, grad_cam: camMap.bound } });
  }

  /**
   * Create the tables of the last block's channels that contribute most to the class, and most against it. In that block,
   * a channel's gradient times value, summed over its cells, is its exact contribution to the logit.
   * @param {Network} network
   * @param {Worth | null} worth
   * @param {string} name
   * @param {Subject} subject
   */
  function channelTables(network, worth, name, subject) {
    const contributions = worth?.[LAST_BLOCK];
    if (!contributions) return null;
    const sorted = order(contributions);
    const sides = /** @type {const} */ ([
      ["for", sorted.filter((number) => contributions[number] > 0).slice(0, CHANNEL_COUNT)],
      ["against", sorted.filter((number) => contributions[number] < 0).reverse().slice(0, CHANNEL_COUNT)],
    ]);
    const bound = Math.max(...sides.flatMap(([, numbers]) => numbers.map((number) => Math.abs(contributions[number]))));
    const decimals = decimalsFor([bound]);
    return h(
      "div",
      { class: "deeper-pair tells-worth" },
      sides.map(([side, numbers]) => {
        const title = t(`deeper.evidence_channels_${side}`, { name });
        const rows = numbers.map((number) => {
          const { branch, channel } = placeOf(network, LAST_BLOCK, number);
          return {
            cells: [
              h(
                "button",
                { type: "button", class: "deeper-link", onclick: () => openChannel(subject, branch, channel) },
                t("deeper.channel_of", { channel, branch: branchName(branch) }),
              ),
              fixed(contributions[number], decimals),
              signedBar(contributions[number], bound),
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
   * Open the strongest cell of a channel in the cell view.
   * @param {Subject} subject
   * @param {Branch} branch
   * @param {number} channel
   */
  async function openChannel(subject, branch, channel) {
    try {
      const channels = await source.block(subject, {}, LAST_BLOCK);
      const lens = { branch, channel, ...strongestCell(channels[branch], channel) };
      store.update({ block: LAST_BLOCK, lens, deeper: "cell" }, { push: true });
    } catch (error) {
      store.receive({ error: sentenceOf(error) });
    }
  }

  whileOpen(store, "evidence", ["base", "network", "block", "cls", "worth", "off", "offChannels", "lang", "error"], draw);
}

/**
 * Create the figure of a signed map on the photo, with its legend and a cell picker.
 * @param {SignedMap} signedMap
 * @param {CanvasImageSource} grey  the photo
 * @param {Choice} choice  updated, so that it survives when the figure is created again
 * @param {{title: string, alt: string, unit: string}} texts  unit: "logit" or "cam"
 */
function createMap(signedMap, grey, choice, { title, alt, unit }) {
  const canvas = h("canvas", { width: PICTURE_SIZE, height: PICTURE_SIZE, role: "img", "aria-label": alt });
  const readout = h("p", { class: "deeper-readout number", "aria-live": "polite" });
  const legend = h("div");
  const { side } = signedMap;
  const maps = [signedMap.map, ...Object.values(signedMap.maps ?? {})];
  const bound = Math.max(...maps.map((map) => map.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0)));
  const decimals = decimalsFor([bound]);
  let isRectified = false;
  const values = () => {
    const map = (choice.part === "all" ? undefined : signedMap.maps?.[choice.part]) ?? signedMap.map;
    return isRectified ? map.map((value) => Math.max(value, 0)) : map;
  };
  const picker = cellPicker(
    (r, c) => {
      choice.cell = [r, c];
      showCell(r, c);
    },
    { follows: true },
  );
  picker.name(joined([t("answer.sentence", { text: alt }), t("deeper.arrows")]));

  /**
   * @param {number} r
   * @param {number} c
   */
  function showCell(r, c) {
    picker.show(side, r, c);
    readout.textContent = t(`deeper.evidence_cell_${unit}`, { row: r, column: c, value: fixed(values()[r * side + c], decimals) });
  }

  /** Paint the map and show its chosen or highest cell. @param {boolean} [rectified]  whether to clip negative values to zero */
  function paint(rectified = false) {
    isRectified = rectified;
    paintSigned(canvas, grey, values(), side, bound);
    replace(legend, signedLegend(bound, decimals));
    const highest = order(values(), 1)[0];
    const [r, c] = choice.cell ?? [Math.floor(highest / side), highest % side];
    showCell(r, c);
  }

  const partsBox = h("div");
  const drawParts = () => {
    if (!signedMap.maps) return;
    replace(
      partsBox,
      choices(
        t("deeper.which_part"),
        PARTS,
        choice.part,
        (part) => (part === "all" ? t("deeper.all_four") : branchName(part)),
        (part) => {
          choice.part = part;
          choice.cell = null;
          drawParts();
          paint(isRectified);
          /** @type {HTMLElement | null} */ (partsBox.querySelector("[aria-pressed=true]"))?.focus();
        },
        (part) => (part === "all" ? {} : { dataset: { branch: part } }),
      ),
    );
  };
  drawParts();
  paint();
  const figure = h(
    "figure",
    { class: "deeper-picture" },
    h("figcaption", {}, h("h4", {}, title)),
    partsBox,
    h("div", { class: "deeper-square" }, canvas, picker.element),
    readout,
    legend,
  );
  return { figure, paint, bound };
}

/**
 * Show the contributions of branches and bias as bars, and compare their sum with the logit.
 * @param {Evidence} evidence
 * @param {string} name
 */
function sumCheck({ logit, bias, branches }, name) {
  const contributions = BRANCHES.map((branch) => branches[branch]);
  const decimals = decimalsFor([logit, bias, ...contributions], 4);
  const exact = contributions.reduce((sum, contribution) => sum + contribution, bias);
  const total = snapToObserved(exact, logit, decimals);
  // The bias is only rounded, as it is shown in other views too; the branches absorb the remainder.
  const roundedBias = Number(bias.toFixed(decimals));
  const shown = [...roundToTotal(contributions, Number(total.toFixed(decimals)) - roundedBias, decimals), roundedBias];
  const bound = Math.max(...[...contributions, bias].map(Math.abs));
  const items = [...BRANCHES, /** @type {const} */ ("bias")].map((key, i) =>
    h(
      "li",
      { dataset: key === "bias" ? {} : { branch: key } },
      h("span", { class: "name" }, key === "bias" ? t("deeper.bias") : branchName(key)),
      signedBar(shown[i], bound),
      h("span", { class: "number" }, i ? term(shown[i], decimals) : fixed(shown[i], decimals)),
    ),
  );
  const best = order(contributions, 1)[0];
  const difference = Math.abs(exact - logit);
  return h(
    "div",
    { class: "deeper-sum tells-worth" },
    h("h4", {}, t("deeper.sum_check")),
    h("ul", { class: "deeper-bars" }, items),
    h(
      "p",
      { class: "deeper-total" },
      h("strong", { class: "number" }, t("deeper.sum_result", { total: fixed(total, decimals), logit: fixed(logit, decimals), name })),
      difference > ROUNDING_TOLERANCE ? ` ${t("deeper.sum_off", { off: fixed(difference, 4) })}` : "",
    ),
    h(
      "p",
      {},
      contributions[best] > 0
        ? t("deeper.evidence_most", { branch: branchName(BRANCHES[best]), value: fixed(shown[best], decimals), name })
        : t("deeper.evidence_no_branch", { name }),
    ),
  );
}

/** Create the lists of what the two maps say, and what they do not. @param {Evidence} evidence */
function limitations(evidence) {
  const scope = evidence.linear === undefined ? "" : evidence.linear ? t("deeper.evidence_linear") : t("deeper.evidence_piece");
  /** @param {string} kind @param {string} [addition] */
  const list = (kind, addition) =>
    h(
      "div",
      {},
      h("h4", {}, t(`deeper.limits_${kind}`)),
      h(
        "ul",
        { class: "deeper-list" },
        h("li", {}, t(`deeper.limits_${kind}_says`)),
        h("li", {}, t(`deeper.limits_${kind}_not`)),
        addition && h("li", {}, addition),
      ),
    );
  return h("div", { class: "deeper-pair" }, list("exact", scope), list("cam"));
}
