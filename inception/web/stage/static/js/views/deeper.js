/** The tabs of "Go deeper". A view is loaded when its tab is first opened. */

import { h, isPhone, isStill, loadStyle, replace, set } from "../dom.js";
import { showsChannel } from "../state.js";
import { t } from "../words.js";

/** @import {Deeper} from "../types.js" */
/** @import {Store} from "../state.js" */
/** @import {Source} from "../source.js" */

/** @typedef {(root: HTMLElement, store: Store, source: Source) => void} View */

/** @type {Record<Deeper, () => Promise<View>>} */
const VIEWS = {
  evidence: async () => (await import("./evidence.js")).createEvidence,
  unit: async () => (await import("./unit.js")).createUnit,
  cell: async () => (await import("./cell.js")).createCell,
  cost: async () => (await import("./cost.js")).createCost,
  census: async () => (await import("./census.js")).createCensus,
  dial: async () => (await import("./dial.js")).createDial,
  compare: async () => (await import("./compare.js")).createCompare,
  numbers: async () => (await import("./numbers_table.js")).createNumbers,
  about: async () => (await import("./about.js")).createAbout,
};
/** @type {Record<Deeper, string>} */
const TITLES = {
  evidence: "deeper.evidence",
  unit: "deeper.unit",
  cell: "deeper.cell",
  cost: "deeper.cost",
  census: "deeper.census",
  dial: "deeper.dial",
  compare: "deeper.compare",
  numbers: "deeper.numbers",
  about: "deeper.about",
};
/** Style sheets of some views, besides deeper.css. @type {Partial<Record<Deeper, string>>} */
const STYLES = { evidence: "unit", unit: "unit", census: "census" };
const NAMES = /** @type {Deeper[]} */ (Object.keys(VIEWS));

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @param {Source} source
 */
export function createDeeper(root, store, source) {
  const title = h("h2", { id: "deeper-title" });
  const tabs = h("div", { class: "deeper-tabs", role: "tablist", "aria-labelledby": "deeper-title", onkeydown: moveFocus });
  /** @type {Record<string, HTMLButtonElement>} */
  const buttons = {};
  /** @type {Record<string, HTMLButtonElement>} */
  const closeButtons = {};
  /** @type {Record<string, HTMLElement>} */
  const panels = {};
  for (const name of NAMES) {
    buttons[name] = h("button", {
      id: `deeper-tab-${name}`,
      role: "tab",
      type: "button",
      dataset: { deeper: name },
      "aria-controls": `deeper-${name}`,
      onclick: () => open(store.get().deeper === name ? null : name),
    });
    panels[name] = h("section", {
      id: `deeper-${name}`,
      class: "card deeper-panel",
      role: "tabpanel",
      tabindex: -1,
      "aria-labelledby": `deeper-tab-${name}`,
      hidden: true,
    });
    closeButtons[name] = h("button", { class: "plain deeper-close", type: "button", onclick: () => closePanel(name) });
    tabs.append(buttons[name]);
  }
  root.classList.add("deeper");
  root.append(h("div", { class: "deeper-head" }, title, tabs), ...Object.values(panels));

  /** @type {Set<Deeper>} */
  const loaded = new Set();
  let isFirstDraw = true;

  /** @param {Deeper | null} name */
  function open(name) {
    // On a phone the lens would cover the view.
    const isCovered = name !== null && !showsChannel(name) && isPhone();
    store.update(isCovered ? { deeper: name, lens: null } : { deeper: name }, { push: true });
  }

  /** Move the focus between tabs by arrow keys, Home and End. @param {KeyboardEvent} event */
  function moveFocus(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const last = NAMES.length - 1;
    const index = NAMES.findIndex((name) => buttons[name] === document.activeElement);
    const target = event.key === "Home" ? 0 : event.key === "End" ? last : step ? (index + step + NAMES.length) % NAMES.length : -1;
    if (index < 0 || target < 0) return;
    event.preventDefault();
    setTabStop(NAMES[target]);
    buttons[NAMES[target]].focus();
  }

  /**
   * Keep a single tab in the tab order.
   * @param {Deeper} target
   */
  function setTabStop(target) {
    for (const name of NAMES) set(buttons[name], { tabindex: name === target ? 0 : -1 });
  }

  /** @param {Deeper} name */
  async function load(name) {
    if (loaded.has(name)) return;
    loaded.add(name);
    const body = h("div", { class: "deeper-body" });
    const loadingMessage = h("p", { class: "quiet", role: "status" }, t("deeper.loading"));
    replace(panels[name], closeButtons[name], loadingMessage, body);
    try {
      const styles = ["deeper", STYLES[name] ?? []].flat();
      const [create] = await Promise.all([VIEWS[name](), ...styles.map(loadStyle)]);
      loadingMessage.remove();
      create(body, store, source);
    } catch (error) {
      // Opening the tab again retries.
      loaded.delete(name);
      replace(loadingMessage, t("notice.unreachable"));
      set(loadingMessage, { role: "alert" });
      console.error(error);
    }
  }

  /** Close a panel and return the focus to its tab. @param {Deeper} name */
  function closePanel(name) {
    open(null);
    buttons[name].focus();
  }

  /** @param {boolean} hasChanged  whether another tab was opened, or the open one closed */
  function draw(hasChanged) {
    const { deeper } = store.get();
    title.textContent = t("deeper.title");
    for (const name of NAMES) {
      buttons[name].textContent = t(TITLES[name]);
      set(buttons[name], { "aria-selected": String(name === deeper) });
      closeButtons[name].textContent = t("deeper.close");
      set(panels[name], { hidden: name !== deeper });
    }
    setTabStop(deeper ?? NAMES[0]);
    if (!deeper) return;
    void load(deeper);
    if (!hasChanged) return;
    const behavior = isFirstDraw || isStill() ? "auto" : "smooth";
    requestAnimationFrame(() => root.scrollIntoView({ block: "start", behavior }));
  }

  store.subscribe((_, __, changed) => {
    if (changed.has("deeper") || changed.has("lang")) draw(changed.has("deeper"));
  });
  draw(true);
  isFirstDraw = false;
}
