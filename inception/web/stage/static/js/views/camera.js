/** The camera: uploads frames one at a time, each after the answer to the one before. The server deletes a frame once read. */

import { h } from "../dom.js";
import { imageBlob } from "../encoding.js";
import { FRAME } from "../state.js";
import { sentenceOf, t } from "../words.js";
import { waitForScene } from "./frames.js";

const FRAME_SIDE = 320; // pixels
const MIN_PAUSE_MS = 120; // between two frames

/**
 * @param {HTMLElement} frame  of the photo
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 * @param {Pick<import("../controller.js").Controller, "settled">} controller
 * @param {() => void} onToggle  called when the camera starts and stops
 */
export function createCamera(frame, store, source, controller, onToggle) {
  /** @type {MediaStream | null} */
  let stream = null;
  let isOpening = false;
  /** The last frame uploaded. @type {{photo: string, blob: Blob} | null} */
  let lastFrame = null;
  const video = h("video", { autoplay: true, playsinline: true, muted: true });
  const note = h("p", { class: "quiet camera-note" });

  async function start() {
    if (isOpening) return;
    isOpening = true;
    /** @type {MediaStream | null} */
    let ownStream = null;
    try {
      ownStream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      isOpening = false;
      store.update({ lab: null, step: 0 });
      stream = ownStream;
      for (const track of ownStream.getTracks()) track.onended = () => void stop(); // the camera was unplugged
      lastFrame = null;
      onToggle();
      video.srcObject = stream;
      frame.firstElementChild?.after(video); // below the square and the maps
      note.textContent = t("photo.camera_privacy");
      frame.closest(".top")?.after(note);
      await video.play();
    } catch {
      isOpening = false;
      if (ownStream !== stream) return; // stopped before it played
      release();
      store.receive({ error: t(isSecureContext ? "photo.camera_refused" : "photo.camera_insecure") });
    }
    while (ownStream && ownStream === stream) {
      if (!document.hidden) await sendFrame(ownStream);
      await new Promise((resolve) => setTimeout(resolve, MIN_PAUSE_MS));
    }
  }

  /**
   * Send the current frame and wait until its scene is on the stage.
   * @param {MediaStream} ownStream  the frame is dropped if the camera was stopped meanwhile
   */
  async function sendFrame(ownStream) {
    const side = Math.min(video.videoWidth, video.videoHeight);
    if (!side) return;
    const canvas = h("canvas", { width: FRAME_SIDE, height: FRAME_SIDE });
    const left = (video.videoWidth - side) / 2;
    const top = (video.videoHeight - side) / 2;
    canvas.getContext("2d")?.drawImage(video, left, top, side, side, 0, 0, FRAME_SIDE, FRAME_SIDE);
    const blob = imageBlob(canvas, "image/jpeg", 0.85);
    try {
      const photo = await source.upload(blob, FRAME);
      if (ownStream !== stream) return;
      lastFrame = { photo, blob };
      store.update({ photo, crop: null });
      await waitForScene(store, controller);
    } catch (error) {
      store.receive({ error: sentenceOf(error) });
      if (ownStream === stream) await stop();
    }
  }

  function release() {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
    video.remove();
    note.remove();
    onToggle();
  }

  /** Stop the camera and keep the last frame as an ordinary photo, unless another photo was chosen meanwhile. */
  async function stop() {
    release();
    const frameToKeep = lastFrame;
    if (!frameToKeep) return;
    try {
      const photo = await source.upload(frameToKeep.blob, "photo.jpg");
      if (!stream && store.get().photo === frameToKeep.photo) store.update({ photo });
    } catch (error) {
      store.receive({ error: sentenceOf(error) });
    }
  }

  store.subscribe((state, _, changed) => {
    if (!stream) return;
    if (changed.has("lang")) note.textContent = t("photo.camera_privacy");
    // The visitor chose another photo, which the next frame would replace.
    if (changed.has("photo") && state.photo !== lastFrame?.photo) release();
    else if (changed.has("step") && state.step) void stop(); // the lesson needs a photo that stays the same
  });

  return { toggle: () => (stream ? stop() : start()), isOn: () => stream !== null };
}
