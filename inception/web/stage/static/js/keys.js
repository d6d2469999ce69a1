/** Keys for presenters: 1 to 9 choose a block, Q W E R switch its branches, Escape closes what is open. */

import { BLOCKS, BRANCHES } from "./numbers.js";
import { switched } from "./state.js";

const SWITCHES = ["q", "w", "e", "r"];

/** @param {import("./state.js").Store} store */
export function addKeys(store) {
  addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    // A key that is held down does not switch back and forth; a dialog keeps its keys to itself.
    if (event.repeat || document.querySelector("dialog[open]")) return;
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, select, textarea")) return;
    const key = event.key.toLowerCase();
    const { block, off } = store.get();
    const number = Number(key);
    if (number >= 1 && number <= BLOCKS.length) store.update({ block: BLOCKS[number - 1], lens: null }, { push: true });
    else if (SWITCHES.includes(key)) store.update({ off: switched(off, block, BRANCHES[SWITCHES.indexOf(key)]) });
    else if (key === "escape" && document.fullscreenElement) void document.exitFullscreen();
    else if (key === "escape" && store.get().lens) store.update({ lens: null });
    else return;
    event.preventDefault();
  });
}
