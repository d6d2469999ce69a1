/** The photo, the square that the network sees, and what a hovered channel or cell sees of it. */

import { newPhoto, NO_BLOCK, withFill } from "../controller.js";
import { h, replace, roving, set, svg } from "../dom.js";
import { allOff, FIRST_LAB, isAnythingOff } from "../state.js";
import { cellSquare, channelValues, cropSquare, fitted, isSignedBlock, paletteOf, visible } from "../maps.js";
import { clamp } from "../numbers.js";
import { sentenceOf, t } from "../words.js";
import { greySquare, paintOverlay } from "../colours.js";

/** @import {Crop} from "../types.js" */

const OVERLAY = 224; // pixels of a channel's map over the photo

/**
 * @param {HTMLElement} root
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 * @param {Pick<import("../controller.js").Controller, "refresh" | "settled">} controller
 */
export function createPhoto(root, store, source, controller) {
  const image = h("img", { crossorigin: "anonymous", draggable: "false" });
  const overlay = h("canvas", { hidden: true });
  const lines = svg("svg", { "aria-hidden": "true" });
  const crop = h("button", { class: "photo-crop", onpointerdown: drag, onkeydown: nudge });
  const frame = h("div", { class: "photo-frame" }, image, crop, overlay, lines);
  // The frame is a square, which a whole screen is not.
  const screen = h("div", { class: "photo-screen", onfullscreenchange: drawHover }, frame);
  const chooser = h("input", { type: "file", accept: "image/*", class: "unseen", tabindex: "-1", onchange: choose });
  const whole = h("button", { class: "plain", onclick: toggleWhole });
  const actions = h("div", { class: "photo-actions" });
  const examples = h("div", { class: "photo-examples" });
  const reachAction = roving(actions);
  const reachExample = roving(examples);
  root.append(screen, actions, examples, chooser);
  /** @type {ReturnType<typeof import("./camera.js").createCamera> | null} */
  let camera = null;
  async function toggleCamera() {
    try {
      const { createCamera } = await import("./camera.js");
      camera ??= createCamera(frame, store, source, controller, drawWords);
    } catch {
      return store.receive({ error: t("notice.unreachable") });
    }
    await camera.toggle();
  }

  async function toggleLab() {
    if (camera?.isOn()) await camera.toggle(); // the laboratory goes back to its last frame
    store.update({ lab: store.get().lab ? null : FIRST_LAB, step: 0 }, { push: true });
  }

  for (const kind of ["dragenter", "dragover"]) frame.addEventListener(kind, () => frame.classList.add("over"));
  for (const kind of ["dragleave", "drop"]) frame.addEventListener(kind, () => frame.classList.remove("over"));

  /** Size of the photo in pixels. */
  const size = () => {
    const { base } = store.data();
    if (base) return base.photo;
    return { width: image.naturalWidth || 1, height: image.naturalHeight || 1 };
  };

  function drawWords() {
    set(root, { "aria-label": t("photo.title") });
    set(crop, { "aria-label": t("photo.square"), title: t("photo.drag") });
    set(chooser, { "aria-label": t("photo.choose") });
    whole.textContent = t("photo.whole");
    set(whole, { title: t("photo.whole_title") });
    replace(
      actions,
      h("button", { class: "plain", title: `${t("photo.drop")} ${t("photo.paste")}`, onclick: () => chooser.click() }, t("photo.choose")),
      h(
        "button",
        { class: "plain", title: t("photo.camera_privacy"), onclick: toggleCamera },
        t(camera?.isOn() ? "photo.stop" : "photo.camera"),
      ),
      h("button", { class: "plain", title: t("lab.title"), "aria-pressed": String(store.get().lab !== null), onclick: toggleLab }, t("photo.draw")),
      whole,
      document.fullscreenEnabled &&
        h(
          "button",
          { class: "plain photo-full", "aria-label": t("photo.fullscreen"), title: t("photo.fullscreen"), onclick: () => screen.requestFullscreen() },
          svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4" })),
        ),
    );
    reachAction();
    drawExamples();
    drawPhoto();
  }

  function drawExamples() {
    const { start } = store.data();
    set(examples, { role: "group", "aria-label": t("photo.examples") });
    replace(
      examples,
      (start?.examples ?? []).map(({ stem }) => {
        const name = stem.replaceAll("_", " ");
        return h(
          "button",
          {
            "aria-pressed": String(store.get().photo === `example:${stem}`),
            "aria-label": t("photo.example", { name }),
            title: name,
            onclick: () => store.update(newPhoto(`example:${stem}`), { push: true }),
          },
          h("img", { src: source.photoUrl(`example:${stem}`, true), alt: "", loading: "lazy" }),
        );
      }),
    );
    reachExample();
  }

  function drawPhoto() {
    const { photo } = store.get();
    if (!photo) return;
    const address = source.photoUrl(photo);
    if (image.src !== address) image.src = address;
    const name = photo.startsWith("example:") ? photo.slice(8).replaceAll("_", " ") : t("photo.own");
    image.alt = t("photo.alt", { name });
  }

  /** Put the square, and what lies over it, where they belong. */
  function place() {
    const photo = size();
    const { left, top, scale } = fitted(photo);
    const square = cropSquare(photo, chosen());
    const box = {
      left: `${left + square.left * scale}%`,
      top: `${top + square.top * scale}%`,
      width: `${square.side * scale}%`,
      height: `${square.side * scale}%`,
    };
    for (const element of [crop, overlay, lines]) set(element, { style: box });
    set(whole, { "aria-pressed": String(isWhole()) });
    crop.classList.toggle("full", photo.width === photo.height && square.side >= photo.width - 1);
  }

  // ---------------------------------------------------------------- the square

  /** The square while it is dragged. @type {Crop | null} */
  let shown = null;

  let isTaken = false; // whether the scene is about the square of the state

  /** The square that is dragged, or the one that the network took, or before it has answered the one that was chosen. */
  const chosen = () => {
    const { base } = store.data();
    return shown ?? (isTaken && base ? base.crop : (store.get().crop ?? base?.crop ?? null));
  };

  /** @returns {Crop} */
  function current() {
    const photo = size();
    const square = cropSquare(photo, chosen());
    return [square.left / photo.width, square.top / photo.height, square.side / Math.min(photo.width, photo.height)];
  }

  /**
   * A square at a place of the photo, as near to it as fits; a network takes one size of square only.
   * @param {number} left  in pixels of the photo
   * @param {number} top
   * @returns {Crop}
   */
  function within(left, top) {
    const photo = size();
    const { side } = cropSquare(photo, chosen());
    const x = clamp(left, 0, Math.max(0, photo.width - side)) / photo.width;
    const y = clamp(top, 0, Math.max(0, photo.height - side)) / photo.height;
    const values = [x, y, side / Math.min(photo.width, photo.height)];
    return /** @type {Crop} */ (values.map((value) => Math.round(value * 1000) / 1000));
  }

  const isWhole = () => (chosen()?.[2] ?? 1) > 1;

  /** All of the photo, padded to a square; or the centre again. */
  function toggleWhole() {
    const { width, height } = size();
    const longer = Math.max(width, height);
    store.update({ crop: isWhole() ? null : [(width - longer) / 2 / width, (height - longer) / 2 / height, longer / Math.min(width, height)] });
  }

  /** @param {PointerEvent} event */
  function drag(event) {
    // A second finger, or another button of the mouse, moves nothing; nor is there room to move the whole photo.
    if (!event.isPrimary || event.button !== 0 || isWhole()) return;
    event.preventDefault();
    crop.setPointerCapture(event.pointerId);
    const photo = size();
    const begun = cropSquare(photo, current());
    const pixel = Math.max(photo.width, photo.height) / frame.clientWidth;
    const listening = new AbortController();
    /** @param {PointerEvent} moved */
    const move = (moved) => {
      if (moved.pointerId !== event.pointerId) return;
      const x = begun.left + (moved.clientX - event.clientX) * pixel;
      const y = begun.top + (moved.clientY - event.clientY) * pixel;
      shown = within(x, y);
      place();
      stream();
    };
    /** @param {PointerEvent} ended */
    const end = (ended) => {
      if (ended.pointerId !== event.pointerId) return;
      listening.abort();
      const dropped = shown;
      shown = null;
      if (!dropped) return;
      // Back where it was, the state does not change; but what was streamed has to go.
      if (JSON.stringify(dropped) === JSON.stringify(store.get().crop)) void controller.refresh();
      else store.update({ crop: dropped });
    };
    crop.addEventListener("pointermove", move, { signal: listening.signal });
    crop.addEventListener("lostpointercapture", end, { signal: listening.signal });
  }

  // One answer after another while the square moves, never two at once.
  let streaming = false;
  async function stream() {
    if (streaming) return;
    streaming = true;
    while (shown) {
      const crop = shown;
      const { photo, model, fill } = store.get();
      const off = allOff(store.get());
      const subject = { photo, model, crop };
      try {
        const [base, now] = await Promise.all([source.scene(subject, {}), isAnythingOff(off) ? source.scene(withFill(subject, fill), off) : null]);
        const isSame = store.get().photo === photo && store.get().model === model;
        if (shown && isSame) store.receive({ base, now: now ?? base, ...NO_BLOCK });
      } catch {
        break; // reported when the square is let go
      }
      if (crop === shown) break;
    }
    streaming = false;
  }

  /** @param {KeyboardEvent} event */
  function nudge(event) {
    const photo = size();
    const square = cropSquare(photo, chosen());
    const step = square.side / 20;
    const [x, y] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key] ?? [0, 0];
    if (!x && !y) return;
    event.preventDefault();
    if (isWhole()) return; // there is no room to move it
    store.update({ crop: within(square.left + x, square.top + y) });
  }

  function choose() {
    const file = chooser.files?.[0];
    chooser.value = "";
    if (file) void openFile(store, source, file);
  }

  // ---------------------------------------------------------------- what a channel or a cell sees

  function drawHover() {
    const hover = store.hovered();
    const { lens, block } = store.get();
    const { network, channels, field } = store.data();
    const at = hover.kind === "tile" || hover.kind === "cell" ? hover : lens ? { kind: "cell", ...lens } : null;
    const branch = at?.branch ?? (hover.kind === "lane" ? hover.branch : undefined);
    const values = at && branch && channels && at.channel !== undefined ? channelValues(channels, branch, at.channel, store.get().scale) : null;
    // The lens shows the map of its channel itself, where it can be seen.
    overlay.hidden = !values || (at?.kind === "cell" && document.fullscreenElement !== screen);
    if (values && branch && channels && !overlay.hidden) {
      const palette = paletteOf(isSignedBlock(channels), store.get().colours);
      paintOverlay(overlay, cutOut(), values, channels[branch].side, OVERLAY, palette);
    }
    replace(lines);
    if (!network || !branch) return;
    const facts = network.blocks[block].branches[branch];
    const side = network.blocks[block].side;
    const row = at?.row ?? (at ? undefined : Math.floor(side / 2));
    const column = at?.column ?? (at ? undefined : Math.floor(side / 2));
    if (row === undefined || column === undefined) return;
    set(lines, { viewBox: `0 0 ${network.size} ${network.size}`, dataset: { branch } });
    const whole = visible(cellSquare(facts.field, row, column), network);
    lines.append(rectangle(whole, "field window"));
    if (field?.[branch]) {
      const core = field[branch];
      const across = (core.right - core.left) / 2;
      const down = (core.bottom - core.top) / 2;
      const x = facts.field.start + column * facts.field.stride + facts.field.size / 2;
      const y = facts.field.start + row * facts.field.stride + facts.field.size / 2;
      const square = visible({ left: x - across, top: y - down, right: x + across, bottom: y + down }, network);
      lines.append(rectangle(square, "field effective"));
    }
  }

  /** The square that the network sees, in grey. */
  function cutOut() {
    const square = cropSquare({ width: image.naturalWidth, height: image.naturalHeight }, chosen());
    return greySquare(image, square, OVERLAY);
  }

  image.addEventListener("load", place);
  store.subscribe((_, __, changed) => {
    if (changed.has("lang") || changed.has("lab")) drawWords();
    if (changed.has("start") || changed.has("photo")) {
      drawExamples();
      drawPhoto();
    }
    if (changed.has("base")) drawPhoto(); // a JPEG of it may have come
    if (changed.has("base")) isTaken = shown === null;
    else if (changed.has("crop") || changed.has("photo")) isTaken = false;
    if (changed.has("base") || changed.has("crop") || changed.has("photo")) place();
    if (changed.has("lens") || changed.has("block") || changed.has("channels") || changed.has("field")) drawHover();
  });
  store.onHover(drawHover);
  drawWords();
  acceptAnywhere(store, source);
}

/**
 * @param {{left: number, top: number, right: number, bottom: number}} square
 * @param {string} name
 */
function rectangle(square, name) {
  return svg("rect", {
    class: name,
    x: square.left,
    y: square.top,
    width: Math.max(0, square.right - square.left),
    height: Math.max(0, square.bottom - square.top),
  });
}

/**
 * A photo may be dropped or pasted anywhere on the page.
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 */
function acceptAnywhere(store, source) {
  /** @param {DataTransfer | null} transfer */
  const take = async (transfer) => {
    const files = [...(transfer?.files ?? [])];
    const file = files.find((one) => one.type.startsWith("image/"));
    if (file) await openFile(store, source, file);
    else if (files.length) store.receive({ error: t("photo.not_image") });
  };
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    void take(event.dataTransfer);
  });
  addEventListener("paste", (event) => void take(event.clipboardData));
}

let files = 0; // that were chosen so far

/**
 * Show a file, unless another file or an example is chosen while it is sent.
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 * @param {File} file
 */
export async function openFile(store, source, file) {
  const number = ++files;
  const before = store.get().photo;
  const isWanted = () => {
    const { photo } = store.get();
    // The camera and Draw change the photo by themselves; an example is chosen.
    return number === files && (photo === before || !photo.startsWith("example:"));
  };
  try {
    store.receive({ busy: true, error: null });
    const photo = await source.upload(file, file.name);
    if (isWanted()) store.update(newPhoto(photo), { push: true });
  } catch (error) {
    if (isWanted()) store.receive({ busy: false, error: sentenceOf(error) });
  }
}
