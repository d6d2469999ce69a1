/** The photo with the crop that the network sees, and the map and receptive field of the hovered channel or cell. */

import { needsRequests, newPhoto, NO_BLOCK, withFill } from "../controller.js";
import { h, replace, roving, set, svg } from "../dom.js";
import { allOff, FIRST_LAB, isAnythingOff } from "../state.js";
import { cellSquare, channelValues, cropSquare, fitted, isSignedBlock, paletteOf, visible, wholeCrop } from "../maps.js";
import { clamp, percent } from "../numbers.js";
import { exampleName, sentenceOf, t } from "../words.js";
import { drawSquare, greyCopy, paintOverlay } from "../colours.js";

/** @import {Crop} from "../types.js" */

const OVERLAY_SIZE = 224; // side of a channel's map over the photo, in pixels

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
  const caption = h("p", { class: "photo-caption", hidden: true });
  const crop = h("button", { class: "photo-crop", onpointerdown: drag, onkeydown: nudge });
  const frame = h("div", { class: "photo-frame" }, image, crop, overlay, lines, caption);
  // In full screen, this element fills the screen and the frame within it stays square.
  const fullscreenBox = h("div", { class: "photo-screen", onfullscreenchange: drawHover }, frame);
  const fileInput = h("input", { type: "file", accept: "image/*", class: "unseen", tabindex: "-1", onchange: openChosenFile });
  const wholeButton = h("button", { class: "plain", onclick: toggleWhole });
  const actions = h("div", { class: "photo-actions" });
  const examples = h("div", { class: "photo-examples" });
  const reachAction = roving(actions);
  const reachExample = roving(examples);
  root.append(fullscreenBox, actions, examples, fileInput);
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
    if (camera?.isOn()) await camera.toggle(); // keeps the last frame as a photo, which the laboratory later restores
    store.update({ lab: store.get().lab ? null : FIRST_LAB, step: 0 }, { push: true });
  }

  for (const kind of ["dragenter", "dragover"]) frame.addEventListener(kind, () => frame.classList.add("over"));
  for (const kind of ["dragleave", "drop"]) frame.addEventListener(kind, () => frame.classList.remove("over"));

  /** Return the size of the photo in pixels. */
  const photoSize = () => {
    const { base } = store.data();
    if (base) return base.photo;
    return { width: image.naturalWidth || 1, height: image.naturalHeight || 1 };
  };

  function drawWords() {
    set(root, { "aria-label": t("photo.title") });
    set(crop, { "aria-label": t("photo.square"), title: t("photo.drag") });
    set(fileInput, { "aria-label": t("photo.choose") });
    wholeButton.textContent = t("photo.whole");
    set(wholeButton, { title: t("photo.whole_title") });
    replace(
      actions,
      h("button", { class: "plain", title: `${t("photo.drop")} ${t("photo.paste")}`, onclick: () => fileInput.click() }, t("photo.choose")),
      h(
        "button",
        { class: "plain", title: t("photo.camera_privacy"), onclick: toggleCamera },
        t(camera?.isOn() ? "photo.stop" : "photo.camera"),
      ),
      h("button", { class: "plain", title: t("lab.title"), "aria-pressed": String(store.get().lab !== null), onclick: toggleLab }, t("photo.draw")),
      wholeButton,
      document.fullscreenEnabled &&
        h(
          "button",
          {
            class: "plain photo-full",
            "aria-label": t("photo.fullscreen"),
            title: t("photo.fullscreen"),
            onclick: () => fullscreenBox.requestFullscreen(),
          },
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
        const name = exampleName(stem);
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
    const url = source.photoUrl(photo);
    const isBroken = image.complete && !image.naturalWidth; // the connection was interrupted
    if (image.src !== url || isBroken) image.src = url;
    const name = photo.startsWith("example:") ? exampleName(photo.slice(8)) : t("photo.own");
    image.alt = t("photo.alt", { name });
  }

  /** Position the crop square and the layers over it. */
  function positionCrop() {
    const photo = photoSize();
    const { network } = store.data();
    const { left, top, scale } = fitted(photo);
    const square = cropSquare(photo, visibleCrop());
    const box = {
      left: `${left + square.left * scale}%`,
      top: `${top + square.top * scale}%`,
      width: `${square.side * scale}%`,
      height: `${square.side * scale}%`,
    };
    for (const element of [crop, overlay, lines]) set(element, { style: box });
    set(frame, { style: { background: isWhole() && network ? `rgb(${network.margin.join()})` : "" } });
    set(wholeButton, { "aria-pressed": String(isWhole()) });
    const isFull = photo.width === photo.height && square.side >= photo.width - 1;
    crop.classList.toggle("full", isFull);
    crop.classList.toggle("fixed", isFull || isWhole());
  }

  // ---------------------------------------------------------------- the crop

  /** The crop while it is being dragged. @type {Crop | null} */
  let draggedCrop = null;

  let isSceneCurrent = false; // whether `base` is the scene of the state's photo and crop

  /** Return the crop to draw: the dragged one, else that of a current scene, else that of the state. */
  const visibleCrop = () => {
    const { base } = store.data();
    return draggedCrop ?? (isSceneCurrent && base ? base.crop : (store.get().crop ?? base?.crop ?? null));
  };

  /** Return the visible crop as fractions of the photo, also for the centre square. @returns {Crop} */
  function explicitCrop() {
    const photo = photoSize();
    const square = cropSquare(photo, visibleCrop());
    return [square.left / photo.width, square.top / photo.height, square.side / Math.min(photo.width, photo.height)];
  }

  /**
   * Return a crop of the current size at a position, moved inside the photo if necessary.
   * @param {number} left  in pixels of the photo
   * @param {number} top  in pixels of the photo
   * @returns {Crop}
   */
  function clampedCrop(left, top) {
    const photo = photoSize();
    const { side } = cropSquare(photo, visibleCrop());
    const x = clamp(left, 0, Math.max(0, photo.width - side)) / photo.width;
    const y = clamp(top, 0, Math.max(0, photo.height - side)) / photo.height;
    const values = [x, y, side / Math.min(photo.width, photo.height)];
    return /** @type {Crop} */ (values.map((value) => Math.round(value * 1000) / 1000));
  }

  const isWhole = () => (visibleCrop()?.[2] ?? 1) > 1;

  /** Switch between the whole photo, padded to a square, and the centre square. */
  function toggleWhole() {
    store.update({ crop: isWhole() ? null : wholeCrop(photoSize()) });
  }

  /** @param {PointerEvent} event */
  function drag(event) {
    // Ignore further fingers and other mouse buttons; the whole photo has no room to move.
    if (!event.isPrimary || event.button !== 0 || isWhole()) return;
    event.preventDefault();
    crop.setPointerCapture(event.pointerId);
    const photo = photoSize();
    const startSquare = cropSquare(photo, explicitCrop());
    const pixelsPerCssPixel = Math.max(photo.width, photo.height) / frame.clientWidth;
    const listeners = new AbortController();
    /** @param {PointerEvent} moveEvent */
    const move = (moveEvent) => {
      if (moveEvent.pointerId !== event.pointerId) return;
      const x = startSquare.left + (moveEvent.clientX - event.clientX) * pixelsPerCssPixel;
      const y = startSquare.top + (moveEvent.clientY - event.clientY) * pixelsPerCssPixel;
      draggedCrop = clampedCrop(x, y);
      positionCrop();
      streamScenes();
    };
    /** @param {PointerEvent} endEvent */
    const end = (endEvent) => {
      if (endEvent.pointerId !== event.pointerId) return;
      listeners.abort();
      const dropped = draggedCrop;
      draggedCrop = null;
      if (!dropped) return;
      // Dropped where it was, the crop does not change the state, but the streamed scene is stale.
      if (JSON.stringify(dropped) === JSON.stringify(store.get().crop)) void controller.refresh();
      else store.update({ crop: dropped });
    };
    crop.addEventListener("pointermove", move, { signal: listeners.signal });
    crop.addEventListener("lostpointercapture", end, { signal: listeners.signal });
  }

  // While the crop is dragged, scenes are requested one at a time.
  let isStreaming = false;
  async function streamScenes() {
    if (isStreaming) return;
    isStreaming = true;
    while (draggedCrop) {
      const crop = draggedCrop;
      const { photo, model, fill } = store.get();
      const off = allOff(store.get());
      const subject = { photo, model, crop };
      try {
        const [base, now] = await Promise.all([source.scene(subject, {}), isAnythingOff(off) ? source.scene(withFill(subject, fill), off) : null]);
        const isPhotoUnchanged = store.get().photo === photo && store.get().model === model;
        // A copy: after the drop the same scene counts as a change, so that the views show what belongs to it.
        const streamed = { ...base };
        if (draggedCrop && isPhotoUnchanged) store.receive({ base: streamed, now: now ?? streamed, ...NO_BLOCK });
      } catch {
        break; // the request after the drop reports the error
      }
      if (crop === draggedCrop) break;
    }
    isStreaming = false;
  }

  /** @param {KeyboardEvent} event */
  function nudge(event) {
    const photo = photoSize();
    const square = cropSquare(photo, visibleCrop());
    const step = square.side / 20;
    const [x, y] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key] ?? [0, 0];
    if (!x && !y) return;
    event.preventDefault();
    if (isWhole()) return; // the whole photo has no room to move
    store.update({ crop: clampedCrop(square.left + x, square.top + y) });
  }

  function openChosenFile() {
    const file = fileInput.files?.[0];
    fileInput.value = "";
    if (file) void openFile(store, source, file);
  }

  // ---------------------------------------------------------------- map and receptive field

  function drawHover() {
    const hover = store.hovered();
    const { lens, block } = store.get();
    const { network, channels, field } = store.data();
    const target = hover.kind === "tile" || hover.kind === "cell" ? hover : lens ? { kind: "cell", ...lens } : null;
    const branch = target?.branch ?? (hover.kind === "lane" ? hover.branch : undefined);
    const values =
      target && branch && channels && target.channel !== undefined
        ? channelValues(channels, branch, target.channel, store.get().scale)
        : null;
    // Outside full screen, the lens itself shows the map of its channel.
    overlay.hidden = !values || (target?.kind === "cell" && document.fullscreenElement !== fullscreenBox);
    if (values && branch && channels && !overlay.hidden) {
      const palette = paletteOf(isSignedBlock(channels), store.get().colours);
      paintOverlay(overlay, greyCrop(), values, channels[branch].side, OVERLAY_SIZE, palette);
    }
    replace(lines);
    caption.hidden = !network || hover.kind !== "lane";
    if (!network || !branch) return;
    const facts = network.blocks[block].branches[branch];
    const side = network.blocks[block].side;
    const row = target?.row ?? (target ? undefined : Math.floor(side / 2));
    const column = target?.column ?? (target ? undefined : Math.floor(side / 2));
    if (row === undefined || column === undefined) return;
    set(lines, { viewBox: `0 0 ${network.size} ${network.size}`, dataset: { branch } });
    const fieldSquare = visible(cellSquare(facts.field, row, column), network);
    lines.append(rectangle(fieldSquare, "field window"));
    if (field?.[branch]) {
      const effective = field[branch];
      const halfWidth = (effective.right - effective.left) / 2;
      const halfHeight = (effective.bottom - effective.top) / 2;
      const x = facts.field.start + column * facts.field.stride + facts.field.size / 2;
      const y = facts.field.start + row * facts.field.stride + facts.field.size / 2;
      const square = visible({ left: x - halfWidth, top: y - halfHeight, right: x + halfWidth, bottom: y + halfHeight }, network);
      lines.append(rectangle(square, "field effective"));
    }
    replace(caption, t("photo.field"), field?.[branch] && [h("br"), t("photo.effective", { share: percent(field[branch].share) })]);
  }

  /** Return the crop that the network sees, in grey. */
  function greyCrop() {
    const square = cropSquare({ width: image.naturalWidth, height: image.naturalHeight }, visibleCrop());
    const canvas = h("canvas", { width: OVERLAY_SIZE, height: OVERLAY_SIZE });
    drawSquare(canvas, image, square, store.data().network?.margin);
    return greyCopy(canvas);
  }

  image.addEventListener("load", () => {
    // The element is as large as the photo, because its white background shows where the photo is transparent.
    const { left, top, width, height } = fitted({ width: image.naturalWidth, height: image.naturalHeight });
    set(image, { style: { left: `${left}%`, top: `${top}%`, width: `${width}%`, height: `${height}%` } });
    positionCrop();
  });
  store.subscribe((_, __, changed) => {
    if (changed.has("lang") || changed.has("lab")) drawWords();
    if (changed.has("start") || changed.has("photo")) {
      drawExamples();
      drawPhoto();
    }
    // The server sends a JPEG where the browser cannot decode the photo. Channels arrive only while there is a connection.
    if (changed.has("base") || changed.has("channels")) drawPhoto();
    if (changed.has("base")) isSceneCurrent = draggedCrop === null;
    else if (changed.has("crop") || changed.has("photo")) isSceneCurrent = false;
    if (changed.has("base") || changed.has("crop") || changed.has("photo") || changed.has("network")) positionCrop();
    if (changed.has("lens") || changed.has("block") || changed.has("channels") || changed.has("field")) drawHover();
  });
  store.onHover(drawHover);
  drawWords();
  acceptDropsAndPastes(store, source);
}

/**
 * @param {{left: number, top: number, right: number, bottom: number}} square
 * @param {string} className
 */
function rectangle(square, className) {
  return svg("rect", {
    class: className,
    x: square.left,
    y: square.top,
    width: Math.max(0, square.right - square.left),
    height: Math.max(0, square.bottom - square.top),
  });
}

/**
 * Open photos that are dropped or pasted anywhere on the page.
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 */
function acceptDropsAndPastes(store, source) {
  /** @param {DataTransfer | null} transfer */
  const openFirstPhoto = async (transfer) => {
    const files = [...(transfer?.files ?? [])];
    const file = files.find((candidate) => candidate.type.startsWith("image/"));
    if (file) await openFile(store, source, file);
    else if (files.length) store.receive({ error: t("photo.not_image") });
  };
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    void openFirstPhoto(event.dataTransfer);
  });
  addEventListener("paste", (event) => {
    const isText = event.target instanceof Element && event.target.closest("input, textarea");
    if (!isText) void openFirstPhoto(event.clipboardData);
  });
}

let filesOpened = 0; // counts calls of `openFile`, so that only the latest takes effect

/**
 * Upload and show a file, unless another file or an example is chosen during the upload.
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 * @param {File} file
 */
export async function openFile(store, source, file) {
  const fileNumber = ++filesOpened;
  const previousPhoto = store.get().photo;
  const isCurrent = () => {
    const { photo } = store.get();
    // Camera and laboratory change the photo on their own; only the visitor chooses an example.
    return fileNumber === filesOpened && (photo === previousPhoto || !photo.startsWith("example:"));
  };
  try {
    store.receive({ busy: true, error: null });
    const photo = await source.upload(file, file.name);
    if (!isCurrent()) return;
    const before = store.get();
    store.update(newPhoto(photo), { push: true });
    if (!needsRequests(before, store.get())) store.receive({ busy: false }); // it is the photo on the stage
  } catch (error) {
    if (isCurrent()) store.receive({ busy: false, error: sentenceOf(error) });
  }
}
