/** One loop at the first visit: the four windows on the photo, then a switch and its effect. Ends at the first touch. */

import { isStill } from "./dom.js";
import { BRANCHES, order } from "./numbers.js";

/** @import {Branch, Subsets} from "./types.js" */

const BEFORE = 1500; // milliseconds
const LANE = 900;
const SWITCH = 2600;

/** @param {import("./state.js").Store} store */
export function playIntro(store) {
  if (isStill() || location.search || store.get().step) return;
  let isOver = false;
  /** @type {(() => void) | null} */
  let wake = null;

  const end = () => {
    if (isOver) return;
    isOver = true;
    wake?.();
    for (const kind of TOUCHES) removeEventListener(kind, end, true);
    store.hover({ kind: null });
    store.update({ off: {} }, { silent: true });
  };
  const TOUCHES = ["pointerdown", "keydown", "wheel", "touchstart"];
  for (const kind of TOUCHES) addEventListener(kind, end, true);

  /** @param {number} milliseconds */
  const wait = (milliseconds) =>
    new Promise((/** @type {(value?: unknown) => void} */ done) => {
      wake = () => done();
      setTimeout(done, milliseconds);
    });

  /** @param {() => boolean} isTrue */
  const until = async (isTrue) => {
    while (!isOver && !isTrue()) await wait(100);
  };

  void (async () => {
    await until(() => store.data().subsets !== null && store.data().channels !== null);
    await wait(BEFORE);
    for (const branch of BRANCHES) {
      if (isOver) return;
      store.hover({ kind: "lane", branch });
      await wait(LANE);
    }
    const { subsets } = store.data();
    if (isOver || !subsets) return;
    store.hover({ kind: null });
    store.update({ off: { [subsets.block]: [mostDecisive(subsets)] } }, { silent: true });
    await wait(SWITCH);
    end();
  })();
}

/**
 * The branch without which the first class loses most of its lead.
 * @param {Subsets} subsets
 * @returns {Branch}
 */
export function mostDecisive(subsets) {
  const { logits, classes } = subsets;
  /** @param {number} row */
  const lead = (row) => {
    const values = logits.subarray(row * classes, (row + 1) * classes);
    const first = order(logits.subarray(15 * classes, 16 * classes), 1)[0];
    const best = order(values, 2).find((index) => index !== first) ?? first;
    return values[first] - values[best];
  };
  const leads = BRANCHES.map((_, i) => lead(15 & ~(1 << i)));
  return BRANCHES[leads.indexOf(Math.min(...leads))];
}
