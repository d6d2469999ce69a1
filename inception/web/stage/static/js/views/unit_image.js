/** Images optimised to excite or inhibit a channel, or four variants that excite it, shown while they are optimised. */

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
 * @property {number[]} activations  the channel's value for each image
 * @property {string | null} url
 * @property {Path | null} path  how the network processes a finished image, compared with photos
 *
 * @typedef {object} Path
 * @property {{block: string, natural: boolean | null}[]} blocks  `natural` is null where the photos differ too much to say
 * @property {number} photos  how many photos the image is compared with
 * @property {boolean} silent  whether none of the photos drives the channel in the direction of the goal
 */

/** @param {Source} source */
export function createUnitImage(source) {
  const root = h("figure", { class: "unit-image" });
  const picture = h("img", { alt: "", hidden: true });
  const progressBar = h("progress", { max: 1, value: 0, hidden: true });
  const statusText = h("p", { class: "quiet", role: "status" });
  const pathText = h("p", { class: "quiet", hidden: true });
  const startButton = h("button", { class: "button", onclick: () => void optimise() });
  const frame = h("div", { class: "unit-canvas" }, picture, startButton);
  const goalPicker = h("div");
  /** @type {Goal} */
  let goal = "excites";
  /** @type {{model: string, block: Block, branch: Branch, channel: number} | null} */
  let unit = null;
  let latestRequest = 0;
  let isFromAtlas = false; // whether the image on the page is the small one of an atlas
  /** The response on the page; null before the first one and after an error. @type {Growth | null} */
  let shown = null;

  /** Request the image after a step. @param {number} step  the latest step received; -1 requests only a cached image */
  const request = (step) => /** @type {Promise<Growth>} */ (source.unitImage(/** @type {NonNullable<typeof unit>} */ (unit), goal, step));

  /** @param {NonNullable<typeof unit>} nextUnit */
  function draw(nextUnit) {
    const isSame = JSON.stringify(nextUnit) === JSON.stringify(unit);
    unit = nextUnit;
    drawWords();
    if (!isSame) void showCached();
  }

  function drawWords() {
    labelStartButton();
    set(progressBar, { "aria-label": t("unit_image.title") });
    replace(
      goalPicker,
      choices(
        t("unit_image.title"),
        /** @type {const} */ (["excites", "inhibits", "varied"]),
        goal,
        (option) => t(`unit_image.${option}`),
        (option) => {
          goal = option;
          drawWords();
          void showCached();
        },
      ),
    );
    if (shown) show(shown);
    replace(
      root,
      h("h4", {}, t("unit_image.title")),
      goalPicker,
      frame,
      progressBar,
      statusText,
      pathText,
      h("p", { class: "quiet" }, t("unit_image.warning")),
    );
  }

  function labelStartButton() {
    startButton.textContent = t(isFromAtlas ? "unit_image.larger" : "unit_image.start");
  }

  /** Show the image if the server has it cached. */
  async function showCached() {
    const requestId = ++latestRequest;
    show({ step: 0, steps: 0, activations: [], url: null, path: null });
    const cached = await request(-1).catch(() => null);
    if (requestId === latestRequest && cached?.url) show(cached);
  }

  async function optimise() {
    const requestId = ++latestRequest;
    shown = null;
    startButton.hidden = true;
    set(progressBar, { hidden: false, value: 0 });
    statusText.textContent = t("unit_image.growing");
    let step = 0;
    try {
      for (;;) {
        const growth = await request(step);
        if (requestId !== latestRequest || !root.isConnected) return;
        show(growth);
        if (growth.step >= growth.steps) return;
        step = growth.step;
      }
    } catch (error) {
      if (requestId !== latestRequest) return;
      shown = null;
      startButton.hidden = false;
      set(progressBar, { hidden: true });
      replace(statusText, failure(error));
    }
  }

  /** @param {Growth} growth */
  function show(growth) {
    shown = growth;
    const { step, steps, activations, url, path } = growth;
    const isDone = step >= steps;
    set(picture, { src: url, hidden: !url, alt: url && unit ? t("unit_image.alt", { channel: unit.channel }) : "" });
    // An atlas holds small images, which take a single step.
    isFromAtlas = Boolean(url) && steps === 1;
    startButton.hidden = Boolean(url) && !isFromAtlas;
    labelStartButton();
    set(progressBar, { hidden: isDone, value: steps ? step / steps : 0 });
    const value = activations.map(short).join(t("answer.joiner"));
    if (url) statusText.textContent = t(isDone ? "unit_image.done" : "unit_image.growing_to", { value });
    else statusText.textContent = "";
    set(pathText, { hidden: !path });
    pathText.textContent = path ? pathSummary(path, goal) : "";
  }

  return { root, draw };
}

/**
 * Describe how the network processes an image, in one or two sentences.
 * @param {Path} path
 * @param {Goal} goal
 */
export function pathSummary({ blocks, photos, silent }, goal) {
  const silentNote = silent ? [t(goal === "inhibits" ? "unit_image.none_inhibits" : "unit_image.none_excites", { photos })] : [];
  const like = blocks.filter((entry) => entry.natural).map((entry) => entry.block);
  const unlike = blocks.filter((entry) => entry.natural === false).map((entry) => entry.block);
  return joined([...silentNote, pathSentence(like, unlike, blocks.map((entry) => entry.block), photos)]);
}

/**
 * Return the sentence that compares the image with photos, block by block.
 * @param {string[]} like  blocks that process the image as they do photos
 * @param {string[]} unlike  blocks that process it differently
 * @param {string[]} blocks  all blocks, including those where the photos differ too much to say
 * @param {number} photos
 */
function pathSentence(like, unlike, blocks, photos) {
  const last = blocks.at(-1) ?? "";
  const list = new Intl.ListFormat(language());
  const coversAll = like.length + unlike.length === blocks.length;
  if (!like.length && !unlike.length) return t("unit_image.path_unknown", { last });
  if (!unlike.length) return coversAll ? t("unit_image.path_like", { last }) : t("unit_image.path_like_in", { like: list.format(like) });
  const chance = photos + 1;
  if (!like.length) {
    return coversAll
      ? t("unit_image.path_unlike", { last, photos, chance })
      : t("unit_image.path_unlike_in", { unlike: list.format(unlike), photos, chance });
  }
  return t("unit_image.path_mixed", { like: list.format(like), unlike: list.format(unlike), photos, chance });
}
