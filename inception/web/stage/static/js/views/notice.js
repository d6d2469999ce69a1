/** One sentence about what went wrong, while what was on the stage stays; and the page's own classes. */

import { h, replace } from "../dom.js";
import { t } from "../words.js";

/**
 * @param {HTMLElement} root
 * @param {import("../state.js").Store} store
 */
export function createNotice(root, store) {
  document.body.classList.toggle("in-lesson", store.get().step > 0);
  store.subscribe((state, data, changed) => {
    if (changed.has("step")) document.body.classList.toggle("in-lesson", state.step > 0);
    if (changed.has("busy")) document.body.classList.toggle("busy", data.busy);
    if (!changed.has("error")) return;
    root.hidden = !data.error;
    replace(
      root,
      h("span", {}, data.error ?? ""),
      h("button", { class: "plain", "aria-label": t("notice.close"), onclick: () => store.receive({ error: null }) }, "✕"),
    );
  });
}
