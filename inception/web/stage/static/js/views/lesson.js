/** The lesson: a bar at the bottom of the page with questions about what the stage shows. */

import { subjectOf } from "../controller.js";
import { h, replace, set } from "../dom.js";
import { sentence, sentences } from "../lesson/sentences.js";
import { clearExample, isReady, stepAt, STEPS } from "../lesson/steps.js";
import { ALL_ON } from "../state.js";
import { gap, sentenceOf, t } from "../words.js";
import { button, restoring, resultAfter, resultOf, scoreList } from "./lesson_parts.js";

/** @import {State} from "../types.js" */
/** @import {Choice, Plan, Sentence, Step, Verdict} from "../lesson/types.js" */
/** @import {Result} from "./lesson_parts.js" */

const SCROLL_DELAY_MS = 700; // a view opened below the stage has its full height by then

/**
 * @typedef {object} Run  the step on the page, and the student's progress in it
 * @property {Step} step
 * @property {string} key  photo, network and crop that the step is about
 * @property {Plan | null} plan
 * @property {string | null} error
 * @property {string | null} answer  the latest answer
 * @property {boolean} isChecking  whether the answer is being checked
 * @property {boolean} isShowing  whether the right answer is being computed, for a student who gave up
 * @property {boolean} isShown  whether it was shown to one
 * @property {string[]} picked  the choices picked so far, where they are to be put in order
 * @property {Verdict | null} verdict
 */

/**
 * @param {HTMLElement} root
 * @param {import("../state.js").Store} store
 * @param {import("../source.js").Source} source
 */
export function createLesson(root, store, source) {
  const progress = h("span", { class: "lesson-count" });
  const title = h("h2", { tabindex: "-1" });
  const dots = h("span", { class: "lesson-dots", "aria-hidden": "true" });
  const foldButton = h("button", { class: "lesson-plain", onclick: () => setFolded(!root.classList.contains("folded")) });
  const leaveButton = h("button", { class: "lesson-plain", onclick: leave });
  const question = h("p", { class: "lesson-ask" });
  const controls = h("div", { class: "lesson-tools" });
  const feedback = h("div", { class: "lesson-verdict", role: "status" });
  const back = h("button", { class: "lesson-button", onclick: () => go(-1) });
  const next = h("button", { class: "lesson-button lesson-next", onclick: () => go(1) });
  root.append(
    h("div", { class: "lesson-head" }, progress, title, dots, foldButton, leaveButton),
    h("div", { class: "lesson-body" }, h("div", { class: "lesson-words" }, question, feedback), controls),
    h("div", { class: "lesson-way" }, back, next),
  );

  /** @type {Run | null} */
  let run = null;
  /** By the id of the step. @type {Map<string, Result>} */
  const results = new Map();
  /** The state before the lesson, part of which is restored when the student leaves it. @type {Readonly<State> | null} */
  let snapshot = null;
  let isOver = false;
  let isFocusPending = false;

  /** Return the key of the photo, network and crop that the current step is about. */
  const runKey = () => JSON.stringify([store.get().photo, store.get().model, run?.step.keepsCrop ? null : store.get().crop]);

  /** Return the key of the state's scene, without the position of its crop, which `isReady` compares. */
  const sceneKey = () => JSON.stringify([store.get().photo, store.get().model, store.get().crop === null]);
  let loadedSceneKey = sceneKey(); // of the channels on the stage; the state may be ahead of them

  const scenery = () => ({ state: store.get(), data: store.data(), source, subject: subjectOf(store.get()) });

  // ---------------------------------------------------------------- navigation

  /** @param {number} direction  1 or -1 */
  function go(direction) {
    if (direction > 0 && isOver) return leave();
    isFocusPending = true;
    if (direction > 0 && store.get().step === STEPS.length && !isOver) {
      isOver = true;
      store.update({ ...ALL_ON, lens: null, deeper: null });
      return draw();
    }
    if (direction < 0 && isOver) {
      isOver = false;
      return draw();
    }
    store.update({ step: store.get().step + direction }, { push: true });
  }

  function leave() {
    store.update({ step: 0 }, { push: true });
  }

  function restart() {
    results.clear();
    isFocusPending = true;
    store.update({ step: 1 }, { push: true });
  }

  /** Start the step of the state, unless it is already on the page. */
  function syncStep() {
    const step = stepAt(store.get().step);
    root.hidden = !step;
    if (!step) {
      if (run) restore();
      run = null;
      isOver = false;
      return;
    }
    if (!snapshot) snapshot = store.get();
    if (run?.step === step && run.key === runKey()) return void enterStep();
    isOver = false;
    run = { step, key: "", plan: null, error: null, answer: null, isChecking: false, isShowing: false, isShown: false, picked: [], verdict: null };
    run.key = runKey();
    setFolded(false);
    draw();
    void enterStep();
  }

  /** Load the plan of the step once the stage shows the photo that the step is about. */
  async function enterStep() {
    const current = run;
    const isLoaded = sceneKey() === loadedSceneKey && store.data().channels !== null;
    if (!current || current.plan || !isLoaded || !isReady(store.get(), store.data())) return;
    try {
      const plan = await current.step.enter(scenery());
      if (run !== current || current.plan) return;
      current.plan = plan;
      current.error = null;
      store.hover({ kind: null });
      store.update({ ...plan.patch });
      draw();
    } catch (error) {
      fail(current, error);
    }
  }

  /**
   * @param {Run} failedRun
   * @param {unknown} error
   */
  function fail(failedRun, error) {
    if (run !== failedRun || failedRun.verdict?.done) return;
    failedRun.isChecking = failedRun.isShowing = false;
    failedRun.error = sentenceOf(error);
    draw();
  }

  function restore() {
    const saved = snapshot;
    snapshot = null;
    if (saved) store.update(restoring(saved, store.get()));
  }

  // ---------------------------------------------------------------- the student's answers

  /** Check an answer. @param {string} answer */
  async function submit(answer) {
    const current = run;
    if (!current?.plan || current.isChecking || current.verdict?.done) return;
    const previousAnswer = current.answer;
    current.answer = answer;
    current.isChecking = true;
    try {
      settle(current, await current.step.check(current.plan, answer, scenery()));
    } catch (error) {
      current.answer = previousAnswer; // so that the same answer can be submitted again
      fail(current, error);
    }
  }

  /** Show the right answer. */
  async function giveUp() {
    const current = run;
    if (!current?.plan || !current.step.show || current.isChecking || current.isShowing || current.verdict?.done) return;
    current.isShowing = true;
    draw();
    try {
      settle(current, await current.step.show(current.plan, scenery()), true);
    } catch (error) {
      fail(current, error);
    }
  }

  /**
   * @param {Run} checkedRun
   * @param {Verdict} verdict
   * @param {boolean} [isShown]  whether the student asked for the answer
   */
  function settle(checkedRun, verdict, isShown = false) {
    if (run !== checkedRun || checkedRun.verdict?.done) return;
    checkedRun.isShown = isShown;
    checkedRun.isChecking = checkedRun.isShowing = false;
    checkedRun.error = null;
    results.set(checkedRun.step.id, resultAfter(results.get(checkedRun.step.id), verdict, isShown));
    checkedRun.verdict = verdict;
    draw();
    setFolded(false);
    if (verdict.patch) store.update(verdict.patch);
    if (verdict.patch?.deeper) setTimeout(() => run === checkedRun && scrollToDeeper(), SCROLL_DELAY_MS);
  }

  /** Scroll to the view that was opened below the stage. */
  function scrollToDeeper() {
    document.getElementById("deeper")?.scrollIntoView({ block: "start" });
  }

  /** Submit the answer that the stage shows, or update the button that confirms it. */
  function checkShownAnswer() {
    const { step, plan, verdict, answer, isChecking } = run ?? {};
    if (!step?.read || !plan || isChecking || verdict?.done) return;
    const shown = step.read(plan, store.get(), store.data(), answer ?? null);
    if (step.confirm) drawControls();
    else if (shown !== null && shown !== answer) void submit(shown);
  }

  // ---------------------------------------------------------------- drawing

  const network = () => store.data().network ?? { labels: [] };

  /** @param {Sentence} parts */
  const textOf = (parts) => sentence(parts, network());

  function draw() {
    const stepNumber = store.get().step;
    set(root, { "aria-label": t("lesson.title"), dataset: { step: run?.step.id ?? "", hide: hidesWorth() ? "worth" : "" } });
    set(leaveButton, { "aria-label": t("lesson.leave"), title: t("lesson.leave") });
    replace(leaveButton, "×");
    drawFold();
    back.textContent = t("lesson.back");
    next.textContent = t(isOver ? "lesson.close" : stepNumber === STEPS.length ? "lesson.finish" : "lesson.next");
    set(back, { disabled: stepNumber === 1 });
    next.classList.toggle("waits", !isOver && !run?.verdict?.done);
    const isHere = (/** @type {number} */ i) => !isOver && i + 1 === stepNumber;
    replace(dots, STEPS.map(({ id }, i) => h("i", { class: `${resultOf(results, id).kind}${isHere(i) ? " here" : ""}` })));
    if (isOver) return drawScore();
    if (!run) return;
    progress.textContent = t("lesson.step", { step: stepNumber, steps: STEPS.length });
    title.textContent = t(run.step.title);
    const { plan, error } = run;
    if (error) question.textContent = t("lesson.failed", { message: error });
    else replace(question, plan ? sentences(plan.ask, network()) : t("lesson.wait"));
    drawControls();
    drawVerdict();
    focusTitle();
  }

  const hidesWorth = () => Boolean(run?.step.hidesWorth && !run.verdict?.done && !isOver);

  function drawControls() {
    if (!run) return;
    const { step, plan, error, verdict } = run;
    if (error) return replace(controls, button(t("lesson.retry"), () => retry()));
    if (!plan) return replace(controls);
    const parts =
      step.kind === "order"
        ? orderControls(plan.choices)
        : step.kind === "choice"
          ? plan.choices.map(choiceButton)
          : actionButtons(step, plan);
    const example = plan.weak ? clearExample(store.data().start) : null;
    const isExampleOffered = example && example !== store.get().photo && !verdict?.done;
    keepFocus(() => replace(controls, parts, isExampleOffered && exampleOffer(example)));
  }

  /** @param {string} photo */
  function exampleOffer(photo) {
    const { step } = store.get();
    const openExample = () => store.update({ photo, crop: null, ...ALL_ON, cls: null, lens: null, step }, { push: true });
    return h("span", { class: "lesson-offer" }, t("lesson.example"), " ", button(t("lesson.example_take"), openExample));
  }

  /** @param {Choice} choice */
  function choiceButton({ id, says, branch }) {
    const isPicked = run?.answer === id;
    const result = !run?.verdict ? "" : id === run.verdict.answer ? "right" : isPicked ? "wrong" : "";
    return button(textOf(says), () => submit(id), {
      class: `lesson-choice ${result}`,
      dataset: { choice: id, ...(branch ? { branch } : {}) },
      "aria-pressed": String(isPicked),
      disabled: Boolean(run?.verdict?.done),
    });
  }

  /** @param {Choice[]} choices */
  function orderControls(choices) {
    const picked = run?.picked ?? [];
    const isDone = Boolean(run?.verdict);
    /** @param {string} id */
    const pick = (id) => {
      picked.push(id);
      drawControls();
      if (picked.length === choices.length) void submit(picked.join());
    };
    const pickedBars = picked.map((id) => {
      const choice = choices.find((candidate) => candidate.id === id);
      return h(
        "i",
        { dataset: { branch: choice?.branch ?? "" }, style: { "flex-grow": choice?.size ?? 1 } },
        choice ? textOf(choice.says) : "",
      );
    });
    return [
      ...choices.map(({ id, says, branch }) =>
        button(textOf(says), () => pick(id), {
          class: "lesson-choice",
          dataset: { choice: id, branch },
          disabled: isDone || picked.includes(id),
        }),
      ),
      !isDone && button(t("lesson.undo"), () => (picked.splice(0), drawControls()), { disabled: !picked.length }),
      h(
        "span",
        {
          class: "lesson-ribbon",
          role: "img",
          "aria-label": `${t("lesson.picked")}${gap()}${pickedBars.map((bar) => bar.textContent).join(t("answer.joiner"))}`,
        },
        pickedBars,
      ),
    ];
  }

  /**
   * @param {Step} step
   * @param {Plan} plan
   */
  function actionButtons(step, plan) {
    if (run?.verdict?.done) return [];
    const shown = step.read?.(plan, store.get(), store.data(), run?.answer ?? null) ?? null;
    const confirm = step.confirm && button(t(step.confirm), () => shown !== null && submit(shown), { class: "lesson-choice", disabled: shown === null });
    return [confirm, step.show && button(t("lesson.show"), () => void giveUp(), { dataset: { choice: "show" }, disabled: run?.isShowing })];
  }

  function retry() {
    if (run) run.error = null;
    draw();
    void enterStep();
    checkShownAnswer();
  }

  function drawVerdict() {
    const verdict = run?.verdict;
    feedback.className = `lesson-verdict ${!verdict || run?.isShown ? "" : verdict.right ? "right" : "wrong"}`;
    if (!verdict) return replace(feedback, run?.isShowing && t("lesson.wait"));
    const heading = verdict.right ? t("lesson.right") : verdict.done ? t("lesson.wrong") : t("lesson.not_yet");
    replace(feedback, !run?.isShown && h("b", {}, heading, gap()), sentences(verdict.says, network()));
  }

  function drawScore() {
    const right = [...results.values()].filter(({ kind }) => kind === "right").length;
    progress.textContent = "";
    title.textContent = t("lesson.score", { right, steps: STEPS.length });
    replace(question, t("lesson.takeaway"));
    replace(feedback, t("lesson.score_lead"));
    feedback.className = "lesson-verdict";
    replace(controls, scoreList(results, revisit), button(t("lesson.again"), restart));
    focusTitle();
  }

  /** @param {number} step */
  function revisit(step) {
    isOver = false;
    isFocusPending = true;
    if (step === store.get().step) return draw();
    store.update({ step }, { push: true });
  }

  /** Redraw the controls without losing the focus. @param {() => void} redraw */
  function keepFocus(redraw) {
    const focused = document.activeElement;
    const index = focused ? [...controls.querySelectorAll("button")].indexOf(/** @type {any} */ (focused)) : -1;
    redraw();
    if (index < 0) return;
    const target = controls.querySelectorAll("button")[index];
    if (target && !target.disabled) target.focus();
    else next.focus();
  }

  /** After the student went to a step, focus its title and scroll to the stage. */
  function focusTitle() {
    if (!isFocusPending) return;
    isFocusPending = false;
    title.focus({ preventScroll: true });
    scrollTo({ top: 0 });
  }

  /** @param {boolean} isFolded */
  function setFolded(isFolded) {
    root.classList.toggle("folded", isFolded);
    drawFold();
  }

  function drawFold() {
    const isFolded = root.classList.contains("folded");
    set(foldButton, { "aria-expanded": String(!isFolded), "aria-label": t(isFolded ? "lesson.larger" : "lesson.smaller") });
    replace(foldButton, isFolded ? "▴" : "▾");
  }

  // CSS reserves the height that the lesson covers at the end of the page.
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--lesson-height", `${root.hidden ? 0 : root.offsetHeight}px`);
  }).observe(root);

  store.subscribe((state, data, changed) => {
    /** @param {...string} names */
    const hasChanged = (...names) => names.some((name) => changed.has(/** @type {any} */ (name)));
    // Channels arrive last, and only those of the state; while the square is dragged, the scene is ahead of the state.
    if (changed.has("channels") && data.channels) loadedSceneKey = sceneKey();
    if (hasChanged("step", "photo", "model", "crop")) {
      if (changed.has("step") && state.step && !snapshot) isFocusPending = Boolean(state.photo && store.data().base);
      syncStep();
    }
    if (run && changed.has("channels")) void enterStep();
    if (run && hasChanged("lang", "network")) draw();
    if (run && hasChanged("off", "lens", "block", "crop", "now")) checkShownAnswer();
  });
  syncStep();
}
