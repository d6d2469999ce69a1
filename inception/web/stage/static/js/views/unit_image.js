/** An image that excites a channel, or inhibits it, or four that excite it in different ways, as they grow. */

import { h, replace, set } from "../dom.js";
import { short } from "../numbers.js";
import { joined, language, t } from "../words.js";
import { choices, failure } from "./deeper_parts.js";

/** @import {Block, Branch} from "../types.js" */
/** @import {Source} from "../source.js" */

/**
 * @typedef {"excites" | "inhibits" | "varied"} Goal
 *
 * @typedef {object} Growth
 * @property {number} step
 * @property {number} steps
 * @property {number[]} activations  of each image
 * @property {string | null} url
 * @property {Path | null} path  how the network processes a finished image, beside photos
 *
 * @typedef {object} Path
 * @property {{block: string, natural: boolean | null}[]} blocks  null where photos cannot tell
 * @property {number} photos
 * @property {boolean} silent  whether none of the photos excites the channel, or inhibits it
 */

/** @param {Source} source */
export function createUnitImage(source) {
  const root = h("figure", { class: "unit-image" });
  const picture = h("img", { alt: "", hidden: true });
  const bar = h("progress", { max: 1, value: 0, hidden: true });
  const said = h("p", { class: "quiet", role: "status" });
  const way = h("p", { class: "quiet", hidden: true });
  const start = h("button", { class: "button", onclick: () => void grow() });
  const frame = h("div", { class: "unit-canvas" }, picture, start);
  const goals = h("div");
  /** @type {Goal} */
  let goal = "excites";
  /** @type {{model: string, block: Block, branch: Branch, channel: number} | null} */
  let unit = null;
  let turn = 0;
  let isSmall = false; // the image that is shown
  /** What is shown; null while nothing has come yet, and after an error. @type {Growth | null} */
  let shown = null;

  /** @param {number} step  the last one that is known here; -1 asks only for what the server has */
  const ask = (step) => /** @type {Promise<Growth>} */ (source.unitImage(/** @type {NonNullable<typeof unit>} */ (unit), goal, step));

  /** @param {NonNullable<typeof unit>} wanted */
  function draw(wanted) {
    const isSame = JSON.stringify(wanted) === JSON.stringify(unit);
    unit = wanted;
    drawWords();
    if (!isSame) void look();
  }

  function drawWords() {
    nameStart();
    set(bar, { "aria-label": t("unit_image.title") });
    replace(
      goals,
      choices(t("unit_image.title"), /** @type {const} */ (["excites", "inhibits", "varied"]), goal, (one) => t(`unit_image.${one}`), (one) => {
        goal = one;
        drawWords();
        void look();
      }),
    );
    if (shown) show(shown);
    replace(root, h("h4", {}, t("unit_image.title")), goals, frame, bar, said, way, h("p", { class: "quiet" }, t("unit_image.warning")));
  }

  function nameStart() {
    start.textContent = t(isSmall ? "unit_image.larger" : "unit_image.start");
  }

  /** Show the image if the server has it. */
  async function look() {
    const mine = ++turn;
    show({ step: 0, steps: 0, activations: [], url: null, path: null });
    const known = await ask(-1).catch(() => null);
    if (mine === turn && known?.url) show(known);
  }

  async function grow() {
    const mine = ++turn;
    shown = null;
    start.hidden = true;
    set(bar, { hidden: false, value: 0 });
    said.textContent = t("unit_image.growing");
    let step = 0;
    try {
      for (;;) {
        const growth = await ask(step);
        if (mine !== turn || !root.isConnected) return;
        show(growth);
        if (growth.step >= growth.steps) return;
        step = growth.step;
      }
    } catch (error) {
      if (mine !== turn) return;
      shown = null;
      start.hidden = false;
      set(bar, { hidden: true });
      replace(said, failure(error));
    }
  }

  /** @param {Growth} growth */
  function show(growth) {
    shown = growth;
    const { step, steps, activations, url, path } = growth;
    const isDone = step >= steps;
    set(picture, { src: url, hidden: !url, alt: url && unit ? t("unit_image.alt", { channel: unit.channel }) : "" });
    // An image of an atlas is small, and complete in one step.
    isSmall = Boolean(url) && steps === 1;
    start.hidden = Boolean(url) && !isSmall;
    nameStart();
    set(bar, { hidden: isDone, value: steps ? step / steps : 0 });
    const value = activations.map(short).join(", ");
    if (url) said.textContent = t(isDone ? "unit_image.done" : "unit_image.growing_to", { value });
    else said.textContent = "";
    set(way, { hidden: !path });
    way.textContent = path ? told(path, goal) : "";
  }

  return { root, draw };
}

/**
 * How the network processes an image, in one or two sentences.
 * @param {Path} path
 * @param {Goal} goal
 */
export function told({ blocks, photos, silent }, goal) {
  const none = silent ? [t(goal === "inhibits" ? "unit_image.none_inhibits" : "unit_image.none_excites", { photos })] : [];
  const like = blocks.filter((one) => one.natural).map((one) => one.block);
  const unlike = blocks.filter((one) => one.natural === false).map((one) => one.block);
  return joined([...none, sentence(like, unlike, blocks.map((one) => one.block), photos)]);
}

/**
 * @param {string[]} like
 * @param {string[]} unlike
 * @param {string[]} blocks  also those where photos cannot tell
 * @param {number} photos
 */
function sentence(like, unlike, blocks, photos) {
  const last = blocks.at(-1) ?? "";
  const list = new Intl.ListFormat(language());
  const isAll = like.length + unlike.length === blocks.length;
  if (!like.length && !unlike.length) return t("unit_image.path_unknown", { last });
  if (!unlike.length) return isAll ? t("unit_image.path_like", { last }) : t("unit_image.path_like_in", { like: list.format(like) });
  const chance = photos + 1;
  if (!like.length) {
    return isAll
      ? t("unit_image.path_unlike", { last, photos, chance })
      : t("unit_image.path_unlike_in", { unlike: list.format(unlike), photos, chance });
  }
  return t("unit_image.path_mixed", { like: list.format(like), unlike: list.format(unlike), photos, chance });
}
