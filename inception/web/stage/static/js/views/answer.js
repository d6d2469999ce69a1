/** The answer: the most probable classes, with and without what is off. Clicking a row selects the class to explain. */

import { classOf, isAnswerTo } from "../controller.js";
import { h, replace, roving, set } from "../dom.js";
import { clamp, grouped, movers, order, percent, points, shownClasses, softmax } from "../numbers.js";
import { placeOf } from "../ranking.js";
import { ALL_ON, channelSwitched, isAnythingOff, offList, switched } from "../state.js";
import { branchName, className, englishName, findClass, joined, t } from "../words.js";

/** @import {AllOff, Block} from "../types.js" */

const MAX_ROWS = 10;
const MAX_MOVERS = 2; // classes named as risen, and as fallen

/**
 * @param {HTMLElement} root
 * @param {import("../state.js").Store} store
 */
export function createAnswer(root, store) {
  const lead = h("p", { class: "lead quiet" });
  const fewer = h("button", { class: "plain", onclick: () => changeRowCount(-1) }, "−");
  const more = h("button", { class: "plain", onclick: () => changeRowCount(1) }, "+");
  const rowCount = h("span", { class: "number" });
  const headline = h("h2");
  const rows = h("ol", { class: "rows" });
  const ranks = h(
    "div",
    { class: "ranks" },
    h("div", { class: "answer-lead" }, lead, h("span", { class: "count quiet" }, fewer, rowCount, more)),
    headline,
    rows,
  );
  const moved = h("p", { class: "quiet moved" });
  const updateRowTabStop = roving(ranks);
  const chips = h("div", { class: "chips" });
  const updateChipTabStop = roving(chips);
  const options = h("datalist", { id: "all-classes" });
  const search = h("input", {
    type: "search",
    list: "all-classes",
    onchange: selectByName,
    oninput: () => (message.textContent = ""),
    autocomplete: "off",
  });
  const message = h("p", { class: "toast", role: "status" });
  const tools = h("div", { class: "answer-tools" }, chips, search, message, options);
  const brief = h("p", { class: "answer-brief number", "aria-hidden": "true" });
  root.append(ranks, moved, tools, brief);
  new IntersectionObserver(([{ isIntersecting }]) => root.classList.toggle("away", !isIntersecting)).observe(rows);
  let announced = ""; // text last sent to the live region

  /** @param {number} change */
  function changeRowCount(change) {
    store.update({ top: clamp(store.get().top + change, 1, MAX_ROWS) });
  }

  function draw() {
    const { cls, top } = store.get();
    const { network, base, now } = store.data();
    set(root, { "aria-label": t("answer.title") });
    set(fewer, { "aria-label": t("answer.fewer"), title: t("answer.fewer") });
    set(more, { "aria-label": t("answer.more"), title: t("answer.more") });
    rowCount.textContent = t("answer.rows", { count: top });
    set(search, { placeholder: t("answer.search"), "aria-label": t("answer.choose") });
    if (!network || !base || !now || base.model !== network.name) {
      headline.textContent = t("stage.loading");
      root.classList.add("pending");
      return;
    }
    const before = softmax(base.logits, network.temperature);
    const after = softmax(now.logits, network.temperature);
    const bestClass = order(after, 1)[0];
    const bestClassBefore = order(before, 1)[0];
    // Describe what was off when this answer was computed, not the current state: a newer answer may be in flight.
    const isOff = isAnythingOff(now.off);
    const isPending = !isAnswerTo(now, store.get());
    const isUnsure = network.threshold !== null && after[bestClass] < network.threshold;
    const name = className(network, bestClass);

    const duration = t("answer.seconds", { milliseconds: Math.round(1000 * base.seconds) });
    const facts = isOff
      ? [t("answer.without", { what: describeOff(now.off) })]
      : [t("answer.title"), t("answer.of", { count: grouped(network.labels.length) }), ` · ${duration}`];
    // One span each: those for which there is no room are hidden as a whole.
    replace(lead, facts.map((fact) => h("span", {}, fact)));
    const calibration = network.temperature === 1 ? "" : t("answer.calibrated", { temperature: network.temperature.toFixed(2) });
    set(lead, { title: isOff ? lead.textContent : calibration });
    headline.classList.toggle("unsure", isUnsure);
    const headlineText = isUnsure ? t("answer.not_sure", { name, p: percent(after[bestClass]) }) : name;
    if (isOff && bestClass !== bestClassBefore) replace(headline, h("s", {}, className(network, bestClassBefore)), " → ", headlineText);
    else headline.textContent = headlineText;
    headline.title = isUnsure
      ? t("answer.not_sure_why", { threshold: percent(network.threshold ?? 0), count: grouped(network.labels.length) })
      : (network.labels[bestClass] ?? "");

    const classes = shownClasses(after, top, cls === null ? [bestClassBefore] : [bestClassBefore, cls]);
    const selectedClass = classOf(store.get(), store.data());
    replace(
      rows,
      classes.map((index) => {
        const p = after[index];
        const english = englishName(network, index);
        return h(
          "li",
          {},
          h(
            "button",
            {
              "aria-pressed": String(index === selectedClass),
              dataset: { class: index },
              title: t("answer.pin", { name: className(network, index) }),
              onclick: () => store.update({ cls: index === bestClassBefore || index === cls ? null : index }),
              onpointerenter: () => store.hover({ kind: "class", cls: index }),
              onpointerleave: () => store.hover({ kind: null }),
            },
            h("span", { class: "name" }, className(network, index), english && h("small", {}, " ", english)),
            h(
              "span",
              { class: "p number" },
              isOff && h("span", { class: "was" }, t("answer.was", { p: percent(before[index]) })),
              h(
                "span",
                {},
                percent(p),
                isOff &&
                  h("span", { class: "by", title: t("answer.points", { points: points(p - before[index]) }) }, points(p - before[index])),
              ),
            ),
            h(
              "span",
              { class: "bar" },
              h("i", { style: { width: `${100 * p}%` } }),
              isOff && h("em", { style: { left: `calc(${100 * before[index]}% - 1.5px)` } }),
            ),
          ),
        );
      }),
    );
    const nowText = bestClass === bestClassBefore ? percent(after[bestClass]) : `${name} ${percent(after[bestClass])}`;
    brief.textContent = `${className(network, bestClassBefore)} ${percent(before[bestClassBefore])} → ${nowText}`;
    root.classList.toggle("off", isOff);
    root.classList.toggle("pending", isPending);
    set(ranks, { "aria-busy": String(isPending) });
    drawMoved(before, after, classes);
    updateRowTabStop();
    drawChips();
    if (!isPending) announce(className(network, bestClassBefore), before[bestClassBefore], name, after[bestClass], isOff, isUnsure);
  }

  /**
   * Show the class that changed most outside the rows; the tooltip and screen readers get those that rose and fell most.
   * @param {ArrayLike<number>} before
   * @param {ArrayLike<number>} after
   * @param {number[]} listed  classes in the rows
   */
  function drawMoved(before, after, listed) {
    const { network } = store.data();
    const { rose, fell } = movers(before, after, listed.length + 1); // at least one of each is not listed
    const changeOf = (/** @type {number} */ index) => after[index] - before[index];
    const listText = (/** @type {number[]} */ classes) =>
      classes.map((index) => network && `${className(network, index)} ${points(changeOf(index))}`).join(t("answer.joiner"));
    const others = [...rose, ...fell].filter((index) => !listed.includes(index));
    const largest = others.sort((a, b) => Math.abs(changeOf(b)) - Math.abs(changeOf(a))).slice(0, 1);
    const sentences = joined([
      rose.length ? t("answer.rose", { list: listText(rose.slice(0, MAX_MOVERS)) }) : "",
      fell.length ? t("answer.fell", { list: listText(fell.slice(0, MAX_MOVERS)) }) : "",
    ]);
    set(moved, { title: sentences });
    replace(
      moved,
      sentences && h("span", { class: "unseen" }, sentences),
      largest.length > 0 && h("span", { "aria-hidden": "true" }, t("answer.also", { list: listText(largest) })),
    );
  }

  /**
   * Describe what is off: branches first, then channels.
   * @param {AllOff} off
   */
  function describeOff(off) {
    const entries = offList(off);
    const branches = entries.flatMap(([block, part]) => (typeof part === "number" ? [] : [{ block, branch: part }]));
    const channels = entries.flatMap(([block, part]) => (typeof part === "number" ? locateChannel(block, part) : []));
    return branches
      .map(({ block, branch }) => t("answer.item", { branch: branchName(branch), block }))
      .concat(channels.map(({ block, branch, channel }) => t("answer.item_channel", { channel, branch: branchName(branch), block })))
      .join(t("answer.joiner"));
  }

  /**
   * Return the branch of a channel and its number there, as a list of one; empty until the network has been loaded.
   * @param {Block} block
   * @param {number} number  in the block's output
   */
  function locateChannel(block, number) {
    const { network } = store.data();
    return network ? [{ block, number, ...placeOf(network, block, number) }] : [];
  }

  function drawChips() {
    const { off, cls } = store.get();
    const branches = offList(off);
    const channels = offList(store.get().offChannels).flatMap(([block, number]) => locateChannel(block, number));
    const hadFocus = chips.contains(document.activeElement);
    replace(
      chips,
      branches.length + channels.length > 1 &&
        h("button", { class: "all-on", onclick: () => store.update({ ...ALL_ON }) }, t("answer.all_on")),
      branches.map(([block, branch]) =>
        h(
          "button",
          {
            "aria-label": t("block.off_chip", { branch: branchName(branch), block }),
            onclick: () => store.update({ off: switched(store.get().off, block, branch) }),
          },
          `${block} ${branchName(branch)} ✕`,
        ),
      ),
      channels.map(({ block, branch, channel, number }) =>
        h(
          "button",
          {
            "aria-label": t("block.off_chip_channel", { channel, branch: branchName(branch), block }),
            onclick: () => store.update({ offChannels: channelSwitched(store.get().offChannels, block, number) }),
          },
          `${block} ${branchName(branch)} #${channel} ✕`,
        ),
      ),
      cls !== null && h("button", { onclick: () => store.update({ cls: null }) }, t("answer.unpin")),
    );
    updateChipTabStop();
    if (hadFocus && !chips.childElementCount) rows.querySelector("button")?.focus({ preventScroll: true });
  }

  /**
   * Announce a changed answer to screen readers.
   * @param {string} before
   * @param {number} pBefore
   * @param {string} after
   * @param {number} pAfter
   * @param {boolean} isOff
   * @param {boolean} isUnsure
   */
  function announce(before, pBefore, after, pAfter, isOff, isUnsure) {
    const values = { before, p_before: percent(pBefore), after, p_after: percent(pAfter) };
    const answer = !isOff
      ? t("answer.live_answer", { name: after, p: percent(pAfter) })
      : t(before === after ? "answer.live_same" : "answer.live_change", values);
    const text = joined([answer, isUnsure ? t("answer.live_unsure") : ""]);
    if (text === announced) return;
    announced = text;
    const liveRegion = document.getElementById("live");
    if (liveRegion) liveRegion.textContent = text;
  }

  function drawOptions() {
    const { network } = store.data();
    if (!network) return;
    replace(options, network.labels.map((_, index) => h("option", { value: className(network, index) })));
  }

  function selectByName() {
    const { network } = store.data();
    if (!network || !search.value.trim()) return;
    const index = findClass(network, search.value);
    message.textContent = index < 0 ? t("answer.none_found") : "";
    if (index < 0) return;
    search.value = "";
    store.update({ cls: index });
  }

  store.subscribe((_, __, changed) => {
    if (
      ["lang", "network", "base", "now", "off", "offChannels", "fill", "cls", "top"].some((name) => changed.has(/** @type {any} */ (name)))
    )
      draw();
    if (changed.has("lang") || changed.has("network")) drawOptions();
  });
  draw();
}
