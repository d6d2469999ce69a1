/** Pictures that are sent one after another: waiting for the answer to each. */

const STEP = 20; // milliseconds

/**
 * Wait until another scene has come and the rest that is wanted of it, or until nothing more is awaited: the next
 * picture would take the place of one whose answer is still computed, however long that takes.
 * @param {import("../state.js").Store} store
 * @param {Pick<import("../controller.js").Controller, "settled">} controller
 * @param {() => boolean} [isComplete]
 */
export async function answered(store, controller, isComplete = () => true) {
  const before = store.data().base;
  let isOver = false;
  void controller.settled().then(() => (isOver = true));
  while (!isOver && (store.data().base === before || !isComplete())) await new Promise((done) => setTimeout(done, STEP));
}
