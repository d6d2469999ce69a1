/** Pacing of pictures that are uploaded one after another. */

const POLL_INTERVAL_MS = 20;

/**
 * Wait until a new scene has arrived and is complete, or until nothing is in flight. There is no timeout, because another
 * picture would supersede the one still being computed.
 * @param {import("../state.js").Store} store
 * @param {Pick<import("../controller.js").Controller, "settled">} controller
 * @param {() => boolean} [isComplete]  whether all that is needed of the scene has arrived
 */
export async function waitForScene(store, controller, isComplete = () => true) {
  const previousScene = store.data().base;
  let isSettled = false;
  void controller.settled().then(() => (isSettled = true));
  while (!isSettled && (store.data().base === previousScene || !isComplete()))
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
}
