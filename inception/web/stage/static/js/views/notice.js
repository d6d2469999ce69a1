/** One sentence about what went wrong, while what was on the stage stays; and the page's own classes. */

import { h, replace } from "../dom.js";
import { t } from "../words.js";

/**
 * @param {HTMLElement} root
 * @param {import("../state.js").Store} store
 */
export function createNotice(root, store) {
  /** The device whose memory was full, until the visitor has closed the sentence about it. @type {string | null} */
  let full = null;
  let isTold = false;

  function draw() {
    const text = store.data().error ?? (full ? t("notice.memory", { device: full }) : null);
    root.hidden = !text;
    root.classList.toggle("calm", !store.data().error);
    replace(root, h("span", {}, text), h("button", { class: "plain", "aria-label": t("notice.close"), onclick: close }, "✕"));
  }

  function close() {
    if (!store.data().error) full = null;
    store.receive({ error: null });
    draw();
  }

  document.body.classList.toggle("in-lesson", store.get().step > 0);
  store.subscribe((state, data, changed) => {
    if (changed.has("step")) document.body.classList.toggle("in-lesson", state.step > 0);
    if (changed.has("busy")) document.body.classList.toggle("busy", data.busy);
    if (data.base?.full && !isTold) {
      isTold = true;
      full = data.base.full;
      draw();
    }
    if (changed.has("error")) draw();
  });
}
