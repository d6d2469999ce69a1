/** Image files of canvases, encoded at once: `toBlob` and `convertToBlob` wait until Chromium is idle, some for seconds. */

/**
 * @param {HTMLCanvasElement} canvas
 * @param {string} [type]
 * @param {number} [quality]  of lossy types, 0 to 1
 */
export function imageBytes(canvas, type = "image/png", quality = 1) {
  const letters = atob(canvas.toDataURL(type, quality).replace(/^[^,]*,/, ""));
  return Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {string} [type]
 * @param {number} [quality]  of lossy types, 0 to 1
 */
export function imageBlob(canvas, type = "image/png", quality = 1) {
  return new Blob([imageBytes(canvas, type, quality)], { type });
}
