/** One sentence about what went wrong; what was on the stage stays. */

import { h, replace } from "../dom.js";
import { t } from "../words.js";

/**
 * @param {HTMLElement} root
 * @param {import("../state.js").Store} store
 */
export function createNotice(root, store) {
  store.subscribe((_, data, changed) => {
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
