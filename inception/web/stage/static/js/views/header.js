/** Name, lesson, comparison, camera, link, network, language. */

import { h, replace, set } from "../dom.js";
import { newPhoto } from "../controller.js";
import { roving } from "../roving.js";
import { language, loadWords, sentenceOf, t } from "../words.js";

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
      h("button", { class: "plain wide", onclick: () => share(said) }, t("header.share")),
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
  acceptAnywhere(store, source);
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

/**
 * A photo may be dropped or pasted anywhere on the page.
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 */
function acceptAnywhere(store, source) {
  /** @param {DataTransfer | null} transfer */
  const take = async (transfer) => {
    const files = [...(transfer?.files ?? [])];
    const file = files.find((one) => one.type.startsWith("image/"));
    if (file) await openFile(store, source, file);
    else if (files.length) store.receive({ error: t("photo.not_image") });
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
    store.receive({ busy: false, error: sentenceOf(error) });
  }
}
