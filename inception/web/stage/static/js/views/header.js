/** Name, lesson, comparison, camera, link, network, language. */

import { h, replace, roving, set } from "../dom.js";
import { language, loadWords, t } from "../words.js";

/** @import {Language} from "../types.js" */

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
  const views = h("span", { class: "views", role: "group" });
  const reachView = roving(views);
  const languages = h("span", { class: "languages", role: "group" });
  const reachLanguage = roving(languages);
  const rest = h("span", { class: "views" });
  const nav = h("nav", {}, views, rest, languages);
  root.append(tagline, nav); // behind the name, which is there from the start

  function draw() {
    const { lang, model, step } = store.get();
    const { start } = store.data();
    // A better network that has to be downloaded first.
    const fetchable = start?.models.find((one) => one.megabytes !== null && store.data().network?.name !== one.name);
    const fetching = fetchable?.name === model;
    set(nav, { "aria-label": "InceptionLens" });
    set(views, { "aria-label": "InceptionLens" });
    set(languages, { "aria-label": t("header.language") });
    tagline.textContent = t("header.tagline");
    const said = h("span", { role: "status", class: "quiet" });
    replace(
      views,
      h(
        "button",
        { class: "plain", "aria-pressed": String(step > 0), onclick: () => store.update({ step: step ? 0 : 1, lab: null }, { push: true }) },
        t("header.lesson"),
      ),
      h("button", { class: "plain wide", onclick: () => store.update({ deeper: "compare" }) }, t("header.compare")),
      h("button", { class: "plain", onclick: () => share(said) }, t("header.share")),
      said,
    );
    replace(
      rest,
      fetchable && h(
        "button",
        {
          class: "button wide",
          disabled: fetching,
          onclick: () => store.update({ model: fetchable.name, cls: null, lens: null }, { push: true }),
        },
        fetching ? t("model.fetching", { name: modelName(fetchable.name) }) : t("model.fetch", { megabytes: fetchable.megabytes ?? "?" }),
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
        (start?.models ?? []).map((one) =>
          h(
            "option",
            { value: one.name, selected: one.name === model },
            one.available ? modelName(one.name) : `${modelName(one.name)} (${t("model.unavailable")})`,
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
            onclick: () => speak(code),
          },
          name,
        ),
      ),
    );
    reachView();
    reachLanguage();
  }

  /** @param {Language} wanted */
  async function speak(wanted) {
    try {
      await loadWords(wanted);
      store.update({ lang: language() }); // another may have been chosen meanwhile
    } catch {
      store.receive({ error: t("notice.unreachable") });
    }
  }

  /** @param {HTMLElement} said */
  async function share(said) {
    const isOwn = !store.get().photo.startsWith("example:");
    try {
      await navigator.clipboard.writeText(location.href);
      said.textContent = t(isOwn ? "header.share_own" : "header.shared");
    } catch {
      prompt(t("header.share_failed"), location.href);
    }
  }

  store.subscribe((state, _, changed) => {
    if (["lang", "model", "start", "step", "network"].some((name) => changed.has(/** @type {any} */ (name)))) draw();
    // What was in the lesson goes to the button that opens it.
    const isLeft = changed.has("step") && !state.step && document.activeElement?.closest("#lesson");
    if (isLeft) views.querySelector("button")?.focus({ preventScroll: true });
  });
  draw();
}

/** @param {string} name */
export function modelName(name) {
  const keys = /** @type {Record<string, string>} */ ({
    "tiny-imagenet": "model.embedded",
    googlenet: "model.googlenet",
    torchvision: "model.torchvision",
  });
  return t(keys[name] ?? "model.own", { name });
}
