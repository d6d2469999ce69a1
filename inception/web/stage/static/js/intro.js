/** Animation on a first visit: shows the four branches on the photo, then switches one off. Ends at the first input. */

import { isStill } from "./dom.js";
import { BRANCHES, order } from "./numbers.js";

/** @import {Branch, Subsets} from "./types.js" */

const START_DELAY_MS = 1500;
const LANE_MS = 900; // for each branch
const SWITCH_MS = 2600; // with the branch off

/** Play the animation, unless the address or the visitor's settings prevent it. @param {import("./state.js").Store} store */
export function playIntro(store) {
  if (isStill() || location.search || store.get().step) return;
  let isOver = false;
  /** @type {(() => void) | null} */
  let wake = null;

  const end = () => {
    if (isOver) return;
    isOver = true;
    wake?.();
    for (const type of INPUT_EVENTS) removeEventListener(type, end, true);
    store.hover({ kind: null });
    store.update({ off: {} }, { silent: true });
  };
  // Assistive technology may send a click alone; a file from the desktop sends only events of dragging.
  const INPUT_EVENTS = ["pointerdown", "keydown", "wheel", "touchstart", "click", "change", "dragenter"];
  for (const type of INPUT_EVENTS) addEventListener(type, end, true);

  /** @param {number} milliseconds */
  const wait = (milliseconds) =>
    new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
      wake = () => resolve();
      setTimeout(resolve, milliseconds);
    });

  /** @param {() => boolean} isTrue */
  const until = async (isTrue) => {
    while (!isOver && !isTrue()) await wait(100);
  };

  void (async () => {
    await until(() => store.data().subsets !== null && store.data().channels !== null);
    await wait(START_DELAY_MS);
    for (const branch of BRANCHES) {
      if (isOver) return;
      store.hover({ kind: "lane", branch });
      await wait(LANE_MS);
    }
    const { subsets } = store.data();
    if (isOver) return;
    if (!subsets) return end();
    store.hover({ kind: null });
    store.update({ off: { [subsets.block]: [mostDecisive(subsets)] } }, { silent: true });
    await wait(SWITCH_MS);
    end();
  })();
}

/**
 * Return the branch without which the most probable class loses most of its lead.
 * @param {Subsets} subsets
 * @returns {Branch}
 */
function mostDecisive(subsets) {
  const { logits, classes } = subsets;
  /** @param {number} row */
  const lead = (row) => {
    const values = logits.subarray(row * classes, (row + 1) * classes);
    const top = order(logits.subarray(15 * classes, 16 * classes), 1)[0];
    const runnerUp = order(values, 2).find((index) => index !== top) ?? top;
    return values[top] - values[runnerUp];
  };
  const leads = BRANCHES.map((_, i) => lead(15 & ~(1 << i)));
  return BRANCHES[leads.indexOf(Math.min(...leads))];
}
