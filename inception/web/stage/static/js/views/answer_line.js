/** A line at the top of a narrow window: the answer before and after, while something is off and the answer is out of view. */

import { h, replace } from "../dom.js";
import { order, percent, softmax } from "../numbers.js";
import { isAnythingOff } from "../state.js";
import { className } from "../words.js";

/** @param {import("../state.js").Store} store */
export function createAnswerLine(store) {
  // Screen readers hear of each answer from the answer itself.
  const line = h("p", { class: "answer-line", "aria-hidden": "true", hidden: true });
  document.body.append(line);
  let isAnswerInView = true;

  function draw() {
    const { network, base, now } = store.data();
    if (isAnswerInView || !network || !now || base?.model !== network.name || !isAnythingOff(now.off)) {
      line.hidden = true;
      return;
    }
    const before = softmax(base.logits, network.temperature);
    const after = softmax(now.logits, network.temperature);
    const [first] = order(before, 1);
    const [best] = order(after, 1);
    line.hidden = false;
    replace(
      line,
      h("b", {}, className(network, first)),
      h("span", {}, `${percent(before[first])} → ${percent(after[first])}`),
      best !== first && [h("b", {}, className(network, best)), h("span", {}, percent(after[best]))],
    );
  }

  const headline = /** @type {Element} */ (document.querySelector("#answer h2"));
  new IntersectionObserver((entries) => {
    isAnswerInView = entries[entries.length - 1].isIntersecting;
    draw();
  }).observe(headline);
  store.subscribe((_, __, changed) => {
    if (changed.has("base") || changed.has("now") || changed.has("network") || changed.has("lang")) draw();
  });
}
