/** Groups of buttons that are one stop of the tabulator key; arrow keys go from one to the next. */

const STEPS = /** @type {Record<string, number>} */ ({ ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 });

/** Narrow windows have no room for some buttons. @param {HTMLElement} member */
const isShown = (member) => member.getClientRects().length > 0;

/**
 * Make a group of its buttons, also of those that are put into it later: call the result after each change.
 * @param {HTMLElement} group
 * @returns {() => void}
 */
export function roving(group) {
  const members = () => /** @type {HTMLElement[]} */ ([...group.querySelectorAll("button:not([disabled])")]);

  /** @param {HTMLElement | undefined} [wanted] */
  function reach(wanted) {
    const all = members();
    const one =
      wanted ??
      all.find((member) => member === document.activeElement) ??
      all.find((member) => member.getAttribute("aria-pressed") === "true" && isShown(member)) ??
      all[0];
    for (const member of all) member.tabIndex = member === one ? 0 : -1;
  }

  group.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step) return;
    const all = members().filter(isShown);
    const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    if (at < 0) return;
    event.preventDefault();
    const next = all[(at + step + all.length) % all.length];
    reach(next);
    next.focus();
  });
  return () => reach();
}
