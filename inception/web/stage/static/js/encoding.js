/** Synchronous encoding of canvases: `toBlob` and `convertToBlob` wait until Chromium is idle, which may take seconds. */

/**
 * Encode a canvas as the bytes of an image file.
 * @param {HTMLCanvasElement} canvas
 * @param {string} [type]
 * @param {number} [quality]  of lossy types, 0 to 1
 */
export function imageBytes(canvas, type = "image/png", quality = 1) {
  const binary = atob(canvas.toDataURL(type, quality).replace(/^[^,]*,/, ""));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

/**
 * Encode a canvas as a blob.
 * @param {HTMLCanvasElement} canvas
 * @param {string} [type]
 * @param {number} [quality]  of lossy types, 0 to 1
 */
export function imageBlob(canvas, type = "image/png", quality = 1) {
  return new Blob([imageBytes(canvas, type, quality)], { type });
}
