/** Keyboard shortcuts: 1 to 9 choose a block, Q W E R switch its branches, Escape leaves full screen or closes the lens. */

import { BLOCKS, BRANCHES } from "./numbers.js";
import { switched } from "./state.js";

const SWITCH_KEYS = ["q", "w", "e", "r"];

/** Listen to the shortcuts. @param {import("./state.js").Store} store */
export function addKeys(store) {
  addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    // Ignore auto-repeat, which would switch a branch back and forth, and keys within a dialog.
    if (event.repeat || document.querySelector("dialog[open]")) return;
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, select, textarea")) return;
    const key = event.key.toLowerCase();
    const { block, off } = store.get();
    const number = Number(key);
    if (number >= 1 && number <= BLOCKS.length) store.update({ block: BLOCKS[number - 1], lens: null }, { push: true });
    else if (SWITCH_KEYS.includes(key)) store.update({ off: switched(off, block, BRANCHES[SWITCH_KEYS.indexOf(key)]) });
    else if (key === "escape" && document.fullscreenElement) void document.exitFullscreen();
    else if (key === "escape" && document.querySelector(".lens:not([hidden])")) store.update({ lens: null });
    else return;
    event.preventDefault();
  });
}
