/** Waiting for the answer to one of many pictures that are sent one after another. */

const STEP = 20; // milliseconds
const TRIES = 250;

/**
 * Wait until another scene has come and the rest that is wanted of it, or until it failed.
 * @param {import("../state.js").Store} store
 * @param {() => boolean} [isComplete]
 */
export async function answered(store, isComplete = () => true) {
  const before = store.data().base;
  for (let tries = 0; tries < TRIES && !store.data().error; tries++) {
    if (store.data().base !== before && isComplete()) return;
    await new Promise((done) => setTimeout(done, STEP));
  }
}
