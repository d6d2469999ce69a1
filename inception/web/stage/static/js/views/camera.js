/** The camera on the stage: one frame after another is answered; the server deletes each once it has read it. */

import { h } from "../dom.js";
import { imageBlob } from "../encoding.js";
import { t } from "../words.js";
import { answered, FRAME } from "./frames.js";

const SIDE = 320; // pixels of a frame that is sent
const PAUSE = 120; // milliseconds between two frames at least

/**
 * @param {HTMLElement} frame
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 * @param {() => void} onToggle
 */
export function createCamera(frame, store, source, onToggle) {
  /** @type {MediaStream | null} */
  let stream = null;
  /** The last frame that was answered. @type {Blob | null} */
  let last = null;
  const video = h("video", { autoplay: true, playsinline: true, muted: true });

  async function start() {
    store.update({ lab: null });
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch {
      store.receive({ error: t("photo.camera_refused") });
      return;
    }
    onToggle();
    video.srcObject = stream;
    frame.firstElementChild?.after(video); // below the square and the maps
    await video.play();
    while (stream) {
      if (!document.hidden) await answer();
      await new Promise((done) => setTimeout(done, PAUSE));
    }
  }

  /** Send the frame of this moment, and wait for its answer. */
  async function answer() {
    const side = Math.min(video.videoWidth, video.videoHeight);
    if (!side) return;
    const canvas = h("canvas", { width: SIDE, height: SIDE });
    const left = (video.videoWidth - side) / 2;
    const top = (video.videoHeight - side) / 2;
    canvas.getContext("2d")?.drawImage(video, left, top, side, side, 0, 0, SIDE, SIDE);
    const blob = imageBlob(canvas, "image/jpeg", 0.85);
    try {
      const photo = await source.upload(blob, FRAME);
      if (!stream) return;
      store.update({ photo, crop: null });
      last = blob;
      await answered(store);
    } catch (error) {
      store.receive({ error: error instanceof Error ? error.message : String(error) });
      await stop();
    }
  }

  /** Stop, and make the last frame a photo like any other. */
  async function stop() {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
    video.remove();
    onToggle();
    if (last) store.update({ photo: await source.upload(last, "photo.jpg"), crop: null });
    last = null;
  }

  return { toggle: () => void (stream ? stop() : start()), isOn: () => stream !== null };
}
