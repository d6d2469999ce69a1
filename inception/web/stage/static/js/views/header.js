/** The header: tagline, lesson, comparison, share link, network and language. */

import { h, replace, roving, set } from "../dom.js";
import { language, loadWords, t } from "../words.js";

/** @import {Language} from "../types.js" */

const STATUS_MS = 5000; // how long the status of a shared link stays

/** @type {[Language, string][]} */
const LANGUAGES = [
  ["en", "EN"],
  ["zh", "中文"],
];

/**
 * @param {HTMLElement} root
 * @param {import("../state.js").Store} store
 */
export function createHeader(root, store) {
  const tagline = h("p", { class: "tagline" });
  const views = h("span", { class: "views" });
  const updateViewTabStop = roving(views);
  const languages = h("span", { class: "languages", role: "group" });
  const updateLanguageTabStop = roving(languages);
  const networks = h("span", { class: "views" });
  const shareStatus = h("span", { role: "status", class: "toast" });
  const nav = h("nav", {}, views, networks, languages, shareStatus);
  root.append(tagline, nav); // after the name, which index.html contains

  function draw() {
    const { lang, model, step } = store.get();
    const { start } = store.data();
    // A better network that has to be downloaded first.
    const downloadable = start?.models.find((candidate) => candidate.megabytes !== null && store.data().network?.name !== candidate.name);
    const isDownloading = downloadable?.name === model;
    set(nav, { "aria-label": "InceptionLens" });
    set(languages, { "aria-label": t("header.language") });
    tagline.textContent = t("header.tagline");
    replace(
      views,
      h(
        "button",
        {
          class: "plain",
          "aria-pressed": String(step > 0),
          onclick: () => store.update({ step: step ? 0 : 1, lab: null }, { push: true }),
        },
        t("header.lesson"),
      ),
      h("button", { class: "plain wide", onclick: () => store.update({ deeper: "compare" }, { push: true }) }, t("header.compare")),
      h("button", { class: "plain", onclick: () => share() }, t("header.share")),
    );
    replace(
      networks,
      downloadable && h(
        "button",
        {
          class: "button wide",
          disabled: isDownloading,
          onclick: () => store.update({ model: downloadable.name, cls: null, lens: null }, { push: true }),
        },
        isDownloading
          ? t("model.fetching", { name: modelName(downloadable.name) })
          : t("model.fetch", { megabytes: downloadable.megabytes ?? "?" }),
      ),
      h(
        "select",
        {
          "aria-label": t("header.model"),
          onchange: (/** @type {Event} */ event) => {
            const chosen = /** @type {HTMLSelectElement} */ (event.target).value;
            store.update({ model: chosen, cls: null, lens: null }, { push: true });
          },
        },
        (start?.models ?? []).map((choice) =>
          h(
            "option",
            { value: choice.name, selected: choice.name === model },
            choice.available ? modelName(choice.name) : `${modelName(choice.name)} (${t("model.unavailable")})`,
          ),
        ),
      ),
    );
    replace(
      languages,
      LANGUAGES.map(([code, name]) =>
        h(
          "button",
          {
            class: "plain",
            lang: code,
            "aria-pressed": String(code === lang),
            onclick: () => changeLanguage(code),
          },
          name,
        ),
      ),
    );
    updateViewTabStop();
    updateLanguageTabStop();
  }

  /** @param {Language} code */
  async function changeLanguage(code) {
    try {
      await loadWords(code);
      store.update({ lang: language() }); // the visitor may have chosen another meanwhile
    } catch {
      store.receive({ error: t("notice.unreachable") });
    }
  }

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let statusTimer;
  /** Copy the address of the page. */
  async function share() {
    const { photo, lab } = store.get();
    const isPhotoLost = !lab && !photo.startsWith("example:");
    try {
      await navigator.clipboard.writeText(location.href);
      shareStatus.textContent = t(lab?.shape === "pen" ? "header.share_drawing" : isPhotoLost ? "header.share_own" : "header.shared");
      clearTimeout(statusTimer);
      statusTimer = setTimeout(() => (shareStatus.textContent = ""), STATUS_MS);
    } catch {
      prompt(t("header.share_failed"), location.href);
    }
  }

  store.subscribe((state, _, changed) => {
    if (["lang", "model", "start", "step", "network"].some((name) => changed.has(/** @type {any} */ (name)))) draw();
    // Closing the lesson moves the focus from it to its button.
    const losesFocus = changed.has("step") && !state.step && document.activeElement?.closest("#lesson");
    if (losesFocus) views.querySelector("button")?.focus({ preventScroll: true });
  });
  draw();
}

/** Return the displayed name of a network. @param {string} name */
export function modelName(name) {
  const keys = /** @type {Record<string, string>} */ ({
    "tiny-imagenet": "model.embedded",
    googlenet: "model.googlenet",
    torchvision: "model.torchvision",
  });
  return t(keys[name] ?? "model.own", { name });
}
