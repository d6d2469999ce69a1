/** The camera on the stage: one frame after another is answered; the server deletes each once it has read it. */

import { h } from "../dom.js";
import { imageBlob } from "../encoding.js";
import { FRAME } from "../state.js";
import { sentenceOf, t } from "../words.js";
import { answered } from "./frames.js";

const SIDE = 320; // pixels of a frame that is sent
const PAUSE = 120; // milliseconds between two frames at least

/**
 * @param {HTMLElement} frame
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 * @param {Pick<import("../controller.js").Controller, "settled">} controller
 * @param {() => void} onToggle
 */
export function createCamera(frame, store, source, controller, onToggle) {
  /** @type {MediaStream | null} */
  let stream = null;
  let isOpening = false;
  /** The last frame that the stage was given. @type {{photo: string, blob: Blob} | null} */
  let sent = null;
  const video = h("video", { autoplay: true, playsinline: true, muted: true });

  async function start() {
    if (isOpening) return;
    isOpening = true;
    /** @type {MediaStream | null} */
    let mine = null;
    try {
      mine = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      isOpening = false;
      store.update({ lab: null });
      stream = mine;
      sent = null;
      onToggle();
      video.srcObject = stream;
      frame.firstElementChild?.after(video); // below the square and the maps
      await video.play();
    } catch {
      isOpening = false;
      if (mine !== stream) return; // it was stopped before it played
      release();
      store.receive({ error: t(isSecureContext ? "photo.camera_refused" : "photo.camera_insecure") });
    }
    while (mine && mine === stream) {
      if (!document.hidden) await answer(mine);
      await new Promise((done) => setTimeout(done, PAUSE));
    }
  }

  /**
   * Send the frame of this moment, and wait for its answer.
   * @param {MediaStream} mine
   */
  async function answer(mine) {
    const side = Math.min(video.videoWidth, video.videoHeight);
    if (!side) return;
    const canvas = h("canvas", { width: SIDE, height: SIDE });
    const left = (video.videoWidth - side) / 2;
    const top = (video.videoHeight - side) / 2;
    canvas.getContext("2d")?.drawImage(video, left, top, side, side, 0, 0, SIDE, SIDE);
    const blob = imageBlob(canvas, "image/jpeg", 0.85);
    try {
      const photo = await source.upload(blob, FRAME);
      if (mine !== stream) return;
      sent = { photo, blob };
      store.update({ photo, crop: null });
      await answered(store, controller);
    } catch (error) {
      store.receive({ error: sentenceOf(error) });
      if (mine === stream) await stop();
    }
  }

  function release() {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
    video.remove();
    onToggle();
  }

  /** Stop, and make the last frame a photo like any other, unless another was chosen meanwhile. */
  async function stop() {
    release();
    const last = sent;
    if (!last) return;
    try {
      const photo = await source.upload(last.blob, "photo.jpg");
      if (!stream && store.get().photo === last.photo) store.update({ photo });
    } catch (error) {
      store.receive({ error: sentenceOf(error) });
    }
  }

  store.subscribe((state, _, changed) => {
    if (!stream) return;
    // Another photo was chosen, which the next frame would replace.
    if (changed.has("photo") && state.photo !== sent?.photo) release();
    else if (changed.has("step") && state.step) void stop(); // the lesson is about one photo
  });

  return { toggle: () => (stream ? stop() : start()), isOn: () => stream !== null };
}
