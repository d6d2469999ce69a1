/** A dialog with all channels of the unfolded block. */

import { h, replace, roving, set } from "../dom.js";
import { BRANCHES } from "../numbers.js";
import { firstChannel, measuredFor, sortedChannels, worthOf } from "../ranking.js";
import { branchName, t } from "../words.js";
import { createTile, greyPhoto } from "./tile.js";

/** State and data that the dialog shows. @type {import("../state.js").Name[]} */
const DEPENDENCIES = ["channels", "worth", "sort", "tuned", "scale", "colours", "lang", "offChannels"];

/**
 * @param {HTMLElement} root
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 */
export function createAllChannels(root, store, source) {
  const title = h("h2");
  const close = h("button", { class: "button", onclick: () => dialog.close() });
  // A channel chosen here opens on the stage, behind the dialog.
  const body = h("div", { class: "all-channels", onclick: closeAfterChoice });
  const updateTabStop = roving(body);
  const dialog = h("dialog", { class: "all", onclose: () => store.update({ view: "sorted" }) });
  dialog.append(h("div", { class: "dialog-head" }, title, close), body);
  root.append(dialog);

  function draw() {
    const state = store.get();
    const { network, channels, baseChannels, worth, base } = store.data();
    if (!network || !channels || !base) return;
    const square = greyPhoto(source, state, base, network);
    const count = network.blocks[state.block].channels;
    title.textContent = t("block.all_title", { block: state.block, count });
    close.textContent = t("block.close");
    set(dialog, { "aria-label": title.textContent });
    replace(
      body,
      BRANCHES.map((branch) => {
        const worths = worthOf(network, state.block, branch, worth);
        const sorted = sortedChannels((baseChannels ?? channels)[branch], worths, state.sort, measuredFor(state, store.data(), branch));
        const off = state.offChannels[state.block] ?? [];
        const first = firstChannel(network, state.block, branch);
        const { low, high } = channels[branch];
        // Hide channels that are zero everywhere, except ablated ones, which can be turned back on here.
        const shown = sorted.filter((channel) => low[channel] || high[channel] || off.includes(first + channel));
        const silent = sorted.length - shown.length;
        return h(
          "section",
          { dataset: { branch } },
          h("h3", {}, `${branchName(branch)} · `, t("block.channels", { count: sorted.length })),
          h(
            "div",
            { class: "grid" },
            shown.map((channel) =>
              createTile(store, { branch, channel, channels, worth: worths?.[channel] ?? null, square }),
            ),
          ),
          silent > 0 && h("p", { class: "quiet" }, t("block.silent", { count: silent })),
        );
      }),
    );
    updateTabStop();
  }

  /** @param {MouseEvent} event */
  function closeAfterChoice(event) {
    const tile = /** @type {Element} */ (event.target).closest(".tile");
    if (!tile) return;
    const isByKeyboard = tile.matches(":focus-visible");
    dialog.close(); // moves the focus
    if (isByKeyboard) /** @type {HTMLElement | null} */ (root.querySelector(".lens-map"))?.focus({ preventScroll: true });
  }

  /** Open, close or redraw the dialog after a change. @param {Set<import("../state.js").Name>} changed */
  function sync(changed) {
    const { view } = store.get();
    const isOpen = view === "all";
    if (isOpen && !dialog.open) {
      if (!store.data().channels) return; // opened once they have loaded
      draw();
      dialog.showModal();
    } else if (!isOpen && dialog.open) dialog.close();
    else if (isOpen && DEPENDENCIES.some((name) => changed.has(name))) draw();
  }

  store.subscribe((_, __, changed) => sync(changed));
  sync(new Set());
}
