/** Name, lesson, comparison, camera, link, network, language. */

import { h, replace, set } from "../dom.js";
import { t } from "../words.js";
import { loadWords } from "../words.js";
import { newPhoto } from "../controller.js";

/** @import {Language} from "../types.js" */

/** @type {[Language, string][]} */
const LANGUAGES = [
  ["en", "EN"],
  ["zh", "中文"],
];

/**
 * @param {HTMLElement} root
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 */
export function createHeader(root, store, source) {
  const tagline = h("p", { class: "tagline" });
  const nav = h("nav");
  root.append(h("h1", {}, "InceptionLens"), tagline, nav);

  function draw() {
    const { lang, model, step } = store.get();
    const { start } = store.data();
    set(nav, { "aria-label": "InceptionLens" });
    tagline.textContent = t("header.tagline");
    const said = h("span", { role: "status", class: "quiet" });
    replace(
      nav,
      h(
        "button",
        { class: "plain", "aria-pressed": String(step > 0), onclick: () => store.update({ step: step ? 0 : 1 }, { push: true }) },
        t("header.lesson"),
      ),
      h("button", { class: "plain wide", onclick: () => store.update({ deeper: "compare" }) }, t("header.compare")),
      h("button", { class: "plain wide", onclick: () => share(said) }, t("header.share")),
      said,
      h(
        "select",
        {
          "aria-label": t("header.model"),
          onchange: (/** @type {Event} */ event) => {
            const chosen = /** @type {HTMLSelectElement} */ (event.target).value;
            store.update({ model: chosen, cls: null, lens: null }, { push: true });
          },
        },
        (start?.models ?? []).map((one) =>
          h("option", { value: one.name, selected: one.name === model }, modelName(one.name)),
        ),
      ),
      h(
        "span",
        { class: "languages", role: "group", "aria-label": t("header.language") },
        LANGUAGES.map(([code, name]) =>
          h(
            "button",
            {
              class: "plain",
              lang: code,
              "aria-pressed": String(code === lang),
              onclick: async () => {
                await loadWords(code);
                store.update({ lang: code });
              },
            },
            name,
          ),
        ),
      ),
    );
  }

  /** @param {HTMLElement} said */
  async function share(said) {
    try {
      await navigator.clipboard.writeText(location.href);
      said.textContent = t("header.shared");
    } catch {
      prompt(t("header.share"), location.href);
    }
  }

  store.subscribe((_, __, changed) => {
    if (["lang", "model", "start", "step"].some((name) => changed.has(/** @type {any} */ (name)))) draw();
  });
  draw();
  acceptAnywhere(store, source);
}

/** @param {string} name */
export function modelName(name) {
  const key = `model.${name.replace("tiny-imagenet", "embedded")}`;
  const words = t(key);
  return words === key ? name : words;
}

/**
 * A photo may be dropped or pasted anywhere on the page.
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 */
function acceptAnywhere(store, source) {
  /** @param {DataTransfer | null} transfer */
  const take = async (transfer) => {
    const file = [...(transfer?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (file) await openFile(store, source, file);
    return Boolean(file);
  };
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    void take(event.dataTransfer);
  });
  addEventListener("paste", (event) => void take(event.clipboardData));
}

/**
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 * @param {File} file
 */
export async function openFile(store, source, file) {
  try {
    store.receive({ busy: true, error: null });
    store.update(newPhoto(await source.upload(file, file.name)), { push: true });
  } catch (error) {
    store.receive({ busy: false, error: error instanceof Error ? error.message : String(error) });
  }
}
