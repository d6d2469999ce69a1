/** Elements by name, attributes and children (text is always text); groups of buttons that are one stop of the tabulator key. */

const SVG = "http://www.w3.org/2000/svg";
const FOCUSABLE = "a[href], button:enabled, input:enabled, select:enabled, summary, [tabindex]";

/**
 * @typedef {Node | string | number | null | undefined | false} Child
 * @typedef {Record<string, any>} Attributes  `class`, `dataset`, `style` (object), `on…` (function), or an attribute
 */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, attributes = {}, ...children) {
  return build(document.createElement(tag), attributes, children);
}

/**
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function svg(tag, attributes = {}, ...children) {
  return build(/** @type {SVGElementTagNameMap[T]} */ (document.createElementNS(SVG, tag)), attributes, children);
}

/**
 * Replace all children of an element. The focus within it goes to what now has the same place.
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function replace(element, ...children) {
  const all = () => /** @type {HTMLElement[]} */ ([...element.querySelectorAll(FOCUSABLE)]);
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const at = element.contains(focused) && focused ? all().indexOf(focused) : -1;
  element.replaceChildren(...nodes(children));
  if (at >= 0) (all()[at] ?? all().at(-1))?.focus({ preventScroll: true });
}

/**
 * @template {HTMLElement | SVGElement} E
 * @param {E} element
 * @param {Attributes} attributes
 * @param {(Child | Child[])[]} children
 * @returns {E}
 */
function build(element, attributes, children) {
  set(element, attributes);
  element.append(...nodes(children));
  return element;
}

/**
 * Set attributes; null, undefined and false remove one.
 * @param {HTMLElement | SVGElement} element
 * @param {Attributes} attributes
 */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, String(one));
    else if (value === null || value === undefined || value === false) element.removeAttribute(name);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** Whether the visitor wants no motion. */
export function isStill() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** @type {Map<string, Promise<void>>} */
const styles = new Map();

/**
 * Load a style sheet that a first visit does without, once.
 * @param {string} name  of a file in css/
 * @returns {Promise<void>}
 */
export function loadStyle(name) {
  const known = styles.get(name);
  if (known) return known;
  const loading = new Promise((/** @type {(value: void) => void} */ done, fail) => {
    const href = new URL(`../css/${name}.css`, import.meta.url).href;
    const link = h("link", { rel: "stylesheet", href, onload: () => done(), onerror: () => fail(new Error(`${name}.css is missing`)) });
    document.head.append(link);
  });
  loading.catch(() => styles.delete(name));
  styles.set(name, loading);
  return loading;
}

/**
 * @param {(Child | Child[])[]} children
 * @returns {(Node | string)[]}
 */
function nodes(children) {
  return children
    .flat()
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}

// ---------------------------------------------------------------- groups of buttons

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
