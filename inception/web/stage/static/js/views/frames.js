/** Pictures that are sent one after another: the name of their files, and waiting for the answer to each. */

export const FRAME = "camera-frame.jpg"; // a file of this name is deleted by the server once it has read it
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
