/** The lesson: a bar at the bottom of the page with questions about what the stage shows. */

import { subjectOf } from "../controller.js";
import { h, replace, set } from "../dom.js";
import { sentence, sentences } from "../lesson/sentences.js";
import { clearExample, isReady, stepAt, STEPS } from "../lesson/steps.js";
import { ALL_ON } from "../state.js";
import { sentenceOf, t } from "../words.js";
import { button, resultOf, scoreList } from "./lesson_parts.js";

/** @import {State} from "../types.js" */
/** @import {Choice, Plan, Sentence, Step, Verdict} from "../lesson/types.js" */

const LOADED = 700; // milliseconds

/**
 * @typedef {object} Run  a step while it is on the page
 * @property {Step} step
 * @property {string} about  the photo and network that it is about
 * @property {Plan | null} plan
 * @property {string | null} error
 * @property {string | null} answer  the last one
 * @property {boolean} isChecking  whether it is being checked
 * @property {boolean} isShowing  whether the right answer is being computed, for a student who gave up
 * @property {string[]} picked  of things to put in order
 * @property {Verdict | null} verdict
 */

/**
 * @param {HTMLElement} root
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 */
export function createLesson(root, store, source) {
  const count = h("span", { class: "lesson-count" });
  const title = h("h2", { tabindex: "-1" });
  const dots = h("span", { class: "lesson-dots", "aria-hidden": "true" });
  const fold = h("button", { class: "lesson-plain", onclick: () => setFolded(!root.classList.contains("folded")) });
  const leave = h("button", { class: "lesson-plain", onclick: () => store.update({ step: 0 }, { push: true }) });
  const ask = h("p", { class: "lesson-ask" });
  const tools = h("div", { class: "lesson-tools" });
  const said = h("div", { class: "lesson-verdict", role: "status" });
  const back = h("button", { class: "lesson-button", onclick: () => go(-1) });
  const next = h("button", { class: "lesson-button lesson-next", onclick: () => go(1) });
  root.append(
    h("div", { class: "lesson-head" }, count, title, dots, fold, leave),
    h("div", { class: "lesson-body" }, h("div", { class: "lesson-words" }, ask, said), tools),
    h("div", { class: "lesson-way" }, back, next),
  );

  /** @type {Run | null} */
  let run = null;
  /** Whether each step was answered rightly at the first try. @type {Map<string, boolean>} */
  const results = new Map();
  /** What the stage showed before the lesson. @type {Partial<State> | null} */
  let before = null;
  let isOver = false;
  let asksForFocus = false;

  const about = () => JSON.stringify([store.get().photo, store.get().model, run?.step.keepsCrop ? null : store.get().crop]);

  /** The photo and network of a scene. Where a square lies is compared by `isReady`. */
  const key = () => JSON.stringify([store.get().photo, store.get().model, store.get().crop === null]);
  let shownKey = key(); // of the scene on the stage; others are still computed, or failed

  const scenery = () => ({ state: store.get(), data: store.data(), source, subject: subjectOf(store.get()) });

  // ---------------------------------------------------------------- going through the steps

  /** @param {number} way */
  function go(way) {
    asksForFocus = true;
    if (way > 0 && store.get().step === STEPS.length && !isOver) {
      isOver = true;
      store.update({ ...ALL_ON, lens: null, deeper: null });
      return draw();
    }
    if (way < 0 && isOver) {
      isOver = false;
      return draw();
    }
    store.update({ step: store.get().step + way }, { push: true });
  }

  function again() {
    results.clear();
    asksForFocus = true;
    store.update({ step: 1 }, { push: true });
  }

  /** Begin the step that the state names, unless it is on the page already. */
  function follow() {
    const step = stepAt(store.get().step);
    root.hidden = !step;
    if (!step) {
      if (run) restore();
      run = null;
      isOver = false;
      return;
    }
    if (!before) before = picture();
    if (run?.step === step && run.about === about()) return void begin();
    isOver = false;
    run = { step, about: "", plan: null, error: null, answer: null, isChecking: false, isShowing: false, picked: [], verdict: null };
    run.about = about();
    setFolded(false);
    draw();
    void begin();
  }

  /** Find out what the step needs, as soon as the stage shows the photo that it is about. */
  async function begin() {
    const mine = run;
    if (!mine || mine.plan || key() !== shownKey || !isReady(store.get(), store.data())) return;
    try {
      const plan = await mine.step.enter(scenery());
      if (run !== mine || mine.plan) return;
      mine.plan = plan;
      mine.error = null;
      store.hover({ kind: null });
      store.update({ ...plan.patch });
      draw();
    } catch (error) {
      fail(mine, error);
    }
  }

  /**
   * @param {Run} mine
   * @param {unknown} error
   */
  function fail(mine, error) {
    if (run !== mine || mine.verdict?.done) return;
    mine.isChecking = mine.isShowing = false;
    mine.error = sentenceOf(error);
    draw();
  }

  /** The part of the state that comes back when the student leaves the lesson. @returns {Partial<State>} */
  function picture() {
    const { photo, block, crop, off, offChannels, fill, cls, lens, view, sort, deeper } = store.get();
    return { photo, block, crop, off, offChannels, fill, cls, lens, view, sort, deeper };
  }

  function restore() {
    const was = before;
    before = null;
    if (!was) return;
    const { photo, ...rest } = was;
    const looks = { view: was.view, sort: was.sort, deeper: was.deeper, ...ALL_ON, lens: null };
    store.update(photo === store.get().photo ? rest : looks);
  }

  // ---------------------------------------------------------------- answers

  /** @param {string} answer */
  async function submit(answer) {
    const mine = run;
    if (!mine?.plan || mine.isChecking || mine.verdict?.done) return;
    const last = mine.answer;
    mine.answer = answer;
    mine.isChecking = true;
    try {
      settle(mine, await mine.step.check(mine.plan, answer, scenery()));
    } catch (error) {
      mine.answer = last; // it may be given again
      fail(mine, error);
    }
  }

  async function giveUp() {
    const mine = run;
    if (!mine?.plan || !mine.step.show || mine.isChecking || mine.isShowing || mine.verdict?.done) return;
    mine.isShowing = true;
    draw();
    try {
      settle(mine, await mine.step.show(mine.plan, scenery()));
    } catch (error) {
      fail(mine, error);
    }
  }

  /**
   * @param {Run} mine
   * @param {Verdict} verdict
   */
  function settle(mine, verdict) {
    if (run !== mine || mine.verdict?.done) return;
    mine.isChecking = mine.isShowing = false;
    mine.error = null;
    if (!results.has(mine.step.id)) results.set(mine.step.id, verdict.right);
    mine.verdict = verdict;
    draw();
    setFolded(false);
    if (verdict.patch) store.update(verdict.patch);
    if (verdict.patch?.deeper) setTimeout(bringUp, LOADED); // it has its full height only once it is loaded
  }

  /** Scroll to what opened under the stage. */
  function bringUp() {
    document.getElementById("deeper")?.scrollIntoView({ block: "start" });
  }

  /** Check the answer that the stage shows, if there is one. */
  function watch() {
    const { step, plan, verdict, answer, isChecking } = run ?? {};
    if (!step?.read || !plan || isChecking || verdict?.done) return;
    const shown = step.read(plan, store.get(), store.data(), answer ?? null);
    if (step.confirm) drawTools();
    else if (shown !== null && shown !== answer) void submit(shown);
  }

  // ---------------------------------------------------------------- drawing

  const names = () => store.data().network ?? { labels: [] };

  /** @param {Sentence} one */
  const words = (one) => sentence(one, names());

  function draw() {
    const number = store.get().step;
    set(root, { "aria-label": t("lesson.title"), dataset: { hide: hidesWorth() ? "worth" : "" } });
    set(leave, { "aria-label": t("lesson.leave"), title: t("lesson.leave") });
    replace(leave, "×");
    drawFold();
    back.textContent = t("lesson.back");
    next.textContent = t(number === STEPS.length ? "lesson.finish" : "lesson.next");
    set(back, { disabled: number === 1 });
    next.hidden = isOver;
    next.classList.toggle("waits", !run?.verdict?.done);
    replace(dots, STEPS.map(({ id }, i) => h("i", { class: `${resultOf(results, id)}${i + 1 === number ? " here" : ""}` })));
    if (isOver) return drawScore();
    if (!run) return;
    count.textContent = t("lesson.step", { step: number, steps: STEPS.length });
    title.textContent = t(run.step.title);
    const { plan, error } = run;
    if (error) ask.textContent = t("lesson.failed", { message: error });
    else replace(ask, plan ? sentences(plan.ask, names()) : t("lesson.wait"));
    drawTools();
    drawVerdict();
    focusTitle();
  }

  const hidesWorth = () => Boolean(run?.step.hidesWorth && !run.verdict?.done && !isOver);

  function drawTools() {
    if (!run) return;
    const { step, plan, error, verdict } = run;
    if (error) return replace(tools, button(t("lesson.retry"), () => retry()));
    if (!plan) return replace(tools);
    const parts = step.kind === "order" ? order(plan.choices) : step.kind === "choice" ? plan.choices.map(choice) : act(step, plan);
    const example = plan.weak ? clearExample(store.data().start) : null;
    const offers = example && example !== store.get().photo && !verdict?.done;
    keepFocus(() => replace(tools, parts, offers && offer(example)));
  }

  /** @param {string} photo */
  function offer(photo) {
    const { step } = store.get();
    const take = () => store.update({ photo, crop: null, ...ALL_ON, cls: null, lens: null, step }, { push: true });
    return h("span", { class: "lesson-offer" }, t("lesson.example"), " ", button(t("lesson.example_take"), take));
  }

  /** @param {Choice} one */
  function choice({ id, says, branch }) {
    const isTaken = run?.answer === id;
    const result = isTaken && run?.verdict ? (run.verdict.right ? "right" : "wrong") : "";
    return button(words(says), () => submit(id), {
      class: `lesson-choice ${result}`,
      dataset: { choice: id, ...(branch ? { branch } : {}) },
      "aria-pressed": String(isTaken),
      disabled: Boolean(run?.verdict?.done),
    });
  }

  /** @param {Choice[]} choices */
  function order(choices) {
    const picked = run?.picked ?? [];
    const isDone = Boolean(run?.verdict);
    /** @param {string} id */
    const pick = (id) => {
      picked.push(id);
      drawTools();
      if (picked.length === choices.length) void submit(picked.join());
    };
    const ribbon = picked.map((id) => {
      const one = choices.find((each) => each.id === id);
      return h("i", { dataset: { branch: one?.branch ?? "" }, style: { "flex-grow": one?.size ?? 1 } }, one ? words(one.says) : "");
    });
    return [
      ...choices.map(({ id, says, branch }) =>
        button(words(says), () => pick(id), {
          class: "lesson-choice",
          dataset: { choice: id, branch },
          disabled: isDone || picked.includes(id),
        }),
      ),
      !isDone && button(t("lesson.undo"), () => (picked.splice(0), drawTools()), { disabled: !picked.length }),
      h("span", { class: "lesson-ribbon", role: "img", "aria-label": `${t("lesson.picked")} ${ribbon.map((one) => one.textContent).join(", ")}` }, ribbon),
    ];
  }

  /**
   * @param {Step} step
   * @param {Plan} plan
   */
  function act(step, plan) {
    if (run?.verdict?.done) return [];
    const shown = step.read?.(plan, store.get(), store.data(), run?.answer ?? null) ?? null;
    const confirm = step.confirm && button(t(step.confirm), () => shown !== null && submit(shown), { class: "lesson-choice", disabled: shown === null });
    return [confirm, step.show && button(t("lesson.show"), () => void giveUp(), { dataset: { choice: "show" }, disabled: run?.isShowing })];
  }

  function retry() {
    if (run) run.error = null;
    draw();
    void begin();
    watch();
  }

  function drawVerdict() {
    const verdict = run?.verdict;
    said.className = `lesson-verdict ${verdict ? (verdict.right ? "right" : "wrong") : ""}`;
    if (!verdict) return replace(said, run?.isShowing && t("lesson.wait"));
    const gaveUp = !verdict.right && run?.answer === null;
    const head = verdict.right ? t("lesson.right") : verdict.done ? t("lesson.wrong") : t("lesson.not_yet");
    replace(said, !gaveUp && h("b", {}, head, " "), sentences(verdict.says, names()));
  }

  function drawScore() {
    const right = [...results.values()].filter(Boolean).length;
    count.textContent = t("lesson.title");
    title.textContent = t("lesson.score", { right, steps: STEPS.length });
    ask.textContent = t("lesson.score_lead");
    replace(said);
    said.className = "lesson-verdict";
    replace(tools, scoreList(results, revisit), button(t("lesson.again"), again));
    focusTitle();
  }

  /** @param {number} step */
  function revisit(step) {
    isOver = false;
    asksForFocus = true;
    if (step === store.get().step) return draw();
    store.update({ step }, { push: true });
  }

  /** Draw the buttons again without losing the focus. @param {() => void} work */
  function keepFocus(work) {
    const focused = document.activeElement;
    const at = focused ? [...tools.querySelectorAll("button")].indexOf(/** @type {any} */ (focused)) : -1;
    work();
    if (at < 0) return;
    const now = tools.querySelectorAll("button")[at];
    if (now && !now.disabled) now.focus();
    else next.focus();
  }

  /** Move the focus to the title of a step that the student went to, and scroll to the stage. */
  function focusTitle() {
    if (!asksForFocus) return;
    asksForFocus = false;
    title.focus({ preventScroll: true });
    scrollTo({ top: 0 });
  }

  /** @param {boolean} folded */
  function setFolded(folded) {
    root.classList.toggle("folded", folded);
    drawFold();
  }

  function drawFold() {
    const folded = root.classList.contains("folded");
    set(fold, { "aria-expanded": String(!folded), "aria-label": t(folded ? "lesson.larger" : "lesson.smaller") });
    replace(fold, folded ? "▴" : "▾");
  }

  // The page keeps as much room free at its end as the lesson covers.
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--lesson-height", `${root.hidden ? 0 : root.offsetHeight}px`);
  }).observe(root);

  store.subscribe((state, _, changed) => {
    /** @param {...string} names */
    const any = (...names) => names.some((name) => changed.has(/** @type {any} */ (name)));
    if (changed.has("base")) shownKey = key();
    if (any("step", "photo", "model", "crop")) {
      if (changed.has("step") && state.step && !before) asksForFocus = Boolean(state.photo && store.data().base);
      follow();
    }
    if (run && any("base", "network", "start")) void begin();
    if (run && any("lang", "network")) draw();
    if (run && any("off", "lens", "block", "crop", "now")) watch();
  });
  follow();
}
