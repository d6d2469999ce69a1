/** The answer: the most probable classes, now and before; a row is also the choice of the class in question. */

import { classOf, isAnswerTo } from "../controller.js";
import { h, replace, roving, set } from "../dom.js";
import { clamp, movers, order, percent, points, shownClasses, softmax } from "../numbers.js";
import { placeOf } from "../ranking.js";
import { ALL_ON, channelSwitched, isAnythingOff, offList, switched } from "../state.js";
import { branchName, className, englishName, joined, t } from "../words.js";

/** @import {AllOff, Block} from "../types.js" */

const MOST_ROWS = 10;
const MOVED = 2; // classes that are said to have risen, and to have fallen, at most

/**
 * @param {HTMLElement} root
 * @param {import("../state.js").Store} store
 */
export function createAnswer(root, store) {
  const lead = h("p", { class: "lead quiet" });
  const fewer = h("button", { class: "plain", onclick: () => turn(-1) }, "−");
  const more = h("button", { class: "plain", onclick: () => turn(1) }, "+");
  const count = h("span", { class: "number" });
  const headline = h("h2");
  const rows = h("ol", { class: "rows" });
  const ranks = h("div", { class: "ranks" }, h("div", { class: "answer-lead" }, lead, h("span", { class: "count quiet" }, fewer, count, more)), headline, rows);
  const moved = h("p", { class: "quiet moved" });
  const reachRow = roving(ranks);
  const chips = h("div", { class: "chips" });
  const reachChip = roving(chips);
  const options = h("datalist", { id: "all-classes" });
  const search = h("input", { type: "search", list: "all-classes", onchange: pickByName, autocomplete: "off" });
  const tools = h("div", { class: "answer-tools" }, chips, search, options);
  root.append(ranks, moved, tools);
  let said = "";

  /** More rows, or fewer. @param {number} by */
  function turn(by) {
    store.update({ top: clamp(store.get().top + by, 1, MOST_ROWS) });
  }

  function draw() {
    const { cls, top } = store.get();
    const { network, base, now } = store.data();
    set(root, { "aria-label": t("answer.title") });
    set(fewer, { "aria-label": t("answer.fewer"), title: t("answer.fewer") });
    set(more, { "aria-label": t("answer.more"), title: t("answer.more") });
    count.textContent = t("answer.rows", { count: top });
    set(search, { placeholder: t("answer.search"), "aria-label": t("answer.choose") });
    if (!network || !base || !now || base.model !== network.name) {
      headline.textContent = t("stage.loading");
      root.classList.add("pending");
      return;
    }
    const before = softmax(base.logits, network.temperature);
    const after = softmax(now.logits, network.temperature);
    const first = order(after, 1)[0];
    const firstBefore = order(before, 1)[0];
    // All that is said is about what the answer was computed with; another answer may be on its way.
    const isOff = isAnythingOff(now.off);
    const isPending = !isAnswerTo(now, store.get());
    const doubtful = network.threshold !== null && after[first] < network.threshold;
    const name = className(network, first);

    const seconds = t("answer.seconds", { milliseconds: Math.round(1000 * base.seconds) });
    const facts = isOff ? [t("answer.without", { what: listed(now.off) })] : [t("answer.of", { count: network.labels.length }), ` · ${seconds}`];
    // Each in one piece: where there is no room for both, the second is not there.
    replace(lead, facts.map((fact) => h("span", {}, fact)));
    const calibrated = network.temperature === 1 ? "" : t("answer.calibrated", { temperature: network.temperature.toFixed(2) });
    set(lead, { title: isOff ? lead.textContent : calibrated });
    headline.classList.toggle("unsure", doubtful);
    const best = doubtful ? t("answer.not_sure", { name, p: percent(after[first]) }) : name;
    if (isOff && first !== firstBefore) replace(headline, h("s", {}, className(network, firstBefore)), " → ", best);
    else headline.textContent = best;
    headline.title = doubtful
      ? t("answer.not_sure_why", { threshold: percent(network.threshold ?? 0), count: network.labels.length })
      : (network.labels[first] ?? "");

    const shown = shownClasses(after, top, cls === null ? [firstBefore] : [firstBefore, cls]);
    const pinned = classOf(store.get(), store.data());
    replace(
      rows,
      shown.map((index) => {
        const p = after[index];
        const other = englishName(network, index);
        return h(
          "li",
          {},
          h(
            "button",
            {
              "aria-pressed": String(index === pinned),
              dataset: { class: index },
              title: t("answer.pin", { name: className(network, index) }),
              onclick: () => store.update({ cls: index === firstBefore || index === cls ? null : index }),
              onpointerenter: () => store.hover({ kind: "class", cls: index }),
              onpointerleave: () => store.hover({ kind: null }),
            },
            h("span", { class: "name" }, className(network, index), other && h("small", {}, " ", other)),
            h(
              "span",
              { class: "p number" },
              percent(p),
              isOff && h("span", { class: "was" }, t("answer.was", { p: percent(before[index]) })),
              isOff && h("span", { class: "by", title: t("answer.points", { points: points(p - before[index]) }) }, points(p - before[index])),
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
    root.classList.toggle("off", isOff);
    root.classList.toggle("pending", isPending);
    set(ranks, { "aria-busy": String(isPending) });
    drawMoved(isOff ? movers(before, after, MOVED) : { rose: [], fell: [] }, (index) => points(after[index] - before[index]));
    reachRow();
    drawChips();
    if (!isPending) announce(className(network, firstBefore), before[firstBefore], name, after[first], isOff);
  }

  /**
   * Which classes rose most and fell most.
   * @param {{rose: number[], fell: number[]}} classes
   * @param {(index: number) => string} by
   */
  function drawMoved({ rose, fell }, by) {
    const { network } = store.data();
    const list = (/** @type {number[]} */ all) => all.map((index) => network && `${className(network, index)} ${by(index)}`).join(t("answer.joiner"));
    const told = joined([rose.length ? t("answer.rose", { list: list(rose) }) : "", fell.length ? t("answer.fell", { list: list(fell) }) : ""]);
    set(moved, { title: told });
    replace(
      moved,
      told && h("span", { class: "unseen" }, told),
      rose.length > 0 && h("span", { "aria-hidden": "true" }, `▲ ${list(rose)}`),
      fell.length > 0 && h("span", { "aria-hidden": "true" }, `▼ ${list(fell)}`),
    );
  }

  /**
   * What is off, in words: branches, then channels.
   * @param {AllOff} off
   */
  function listed(off) {
    const all = offList(off);
    const branches = all.flatMap(([block, one]) => (typeof one === "number" ? [] : [{ block, branch: one }]));
    const channels = all.flatMap(([block, one]) => (typeof one === "number" ? channelOf(block, one) : []));
    return branches
      .map(({ block, branch }) => t("answer.item", { branch: branchName(branch), block }))
      .concat(channels.map(({ block, branch, channel }) => t("answer.item_channel", { channel, branch: branchName(branch), block })))
      .join(t("answer.joiner"));
  }

  /**
   * A channel that is off, with the branch that it belongs to; nothing before the network is known.
   * @param {Block} block
   * @param {number} number  in the block's output
   */
  function channelOf(block, number) {
    const { network } = store.data();
    return network ? [{ block, number, ...placeOf(network, block, number) }] : [];
  }

  function drawChips() {
    const { off, cls } = store.get();
    const list = offList(off);
    const channels = offList(store.get().offChannels).flatMap(([block, number]) => channelOf(block, number));
    const hadFocus = chips.contains(document.activeElement);
    replace(
      chips,
      list.map(([block, branch]) =>
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
      list.length + channels.length > 1 && h("button", { onclick: () => store.update({ ...ALL_ON }) }, t("answer.all_on")),
      cls !== null && h("button", { onclick: () => store.update({ cls: null }) }, t("answer.unpin")),
    );
    reachChip();
    if (hadFocus && !chips.childElementCount) rows.querySelector("button")?.focus({ preventScroll: true });
  }

  /**
   * Tell those who listen what changed.
   * @param {string} before
   * @param {number} pBefore
   * @param {string} after
   * @param {number} pAfter
   * @param {boolean} isOff
   */
  function announce(before, pBefore, after, pAfter, isOff) {
    const values = { before, p_before: percent(pBefore), after, p_after: percent(pAfter) };
    const text = !isOff
      ? t("answer.live_answer", { name: after, p: percent(pAfter) })
      : t(before === after ? "answer.live_same" : "answer.live_change", values);
    if (text === said) return;
    said = text;
    const live = document.getElementById("live");
    if (live) live.textContent = text;
  }

  function drawOptions() {
    const { network } = store.data();
    if (!network) return;
    replace(options, network.labels.map((_, index) => h("option", { value: className(network, index) })));
  }

  function pickByName() {
    const { network } = store.data();
    const wanted = search.value.trim().toLowerCase();
    if (!network || !wanted) return;
    const names = network.labels.map((label, index) => [className(network, index).toLowerCase(), label.toLowerCase()]);
    const exact = names.findIndex(([name]) => name === wanted);
    const index = exact >= 0 ? exact : names.findIndex((both) => both.some((name) => name.includes(wanted)));
    if (index >= 0) {
      search.value = "";
      store.update({ cls: index });
    } else {
      search.setCustomValidity(t("answer.none_found"));
      search.reportValidity();
      search.setCustomValidity("");
    }
  }

  store.subscribe((_, __, changed) => {
    if (["lang", "network", "base", "now", "off", "offChannels", "fill", "cls", "top"].some((name) => changed.has(/** @type {any} */ (name)))) draw();
    if (changed.has("lang") || changed.has("network")) drawOptions();
  });
  draw();
}
