/** Creation of DOM elements, without parsing HTML; groups of buttons that are one tab stop. */

const SVG = "http://www.w3.org/2000/svg";
const FOCUSABLE = "a[href], button:enabled, input:enabled, select:enabled, summary, [tabindex]";

/**
 * @typedef {Node | string | number | null | undefined | false} Child
 * @typedef {Record<string, any>} Attributes  `class`, `dataset`, `style` (object), `on…` (function), or an attribute
 */

/**
 * Create an HTML element.
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
 * Create an SVG element.
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
 * Replace all children of an element. Focus within it moves to the focusable element at the same position.
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function replace(element, ...children) {
  const focusable = () => /** @type {HTMLElement[]} */ ([...element.querySelectorAll(FOCUSABLE)]);
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const index = element.contains(focused) && focused ? focusable().indexOf(focused) : -1;
  element.replaceChildren(...nodes(children));
  if (index >= 0) (focusable()[index] ?? focusable().at(-1))?.focus({ preventScroll: true });
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
 * Set attributes and event listeners; null, undefined and false remove an attribute.
 * @param {HTMLElement | SVGElement} element
 * @param {Attributes} attributes
 */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, String(text));
    else if (value === null || value === undefined || value === false) element.removeAttribute(name);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** Whether the visitor prefers reduced motion. */
export function isStill() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Whether the window is as narrow as a phone's, where style sheets make the lens a bottom sheet. */
export function isPhone() {
  return matchMedia("(max-width: 700px)").matches;
}

/** Style sheets that are loaded or loading. @type {Map<string, Promise<void>>} */
const styles = new Map();

/**
 * Load a style sheet that a first visit does not need, once.
 * @param {string} name  of a file in css/
 * @returns {Promise<void>}
 */
export function loadStyle(name) {
  const existing = styles.get(name);
  if (existing) return existing;
  const loading = new Promise((/** @type {(value: void) => void} */ resolve, reject) => {
    const href = new URL(`../css/${name}.css`, import.meta.url).href;
    const link = h("link", {
      rel: "stylesheet",
      href,
      onload: () => resolve(),
      onerror: () => reject(new Error(`${name}.css is missing`)),
    });
    document.head.append(link);
  });
  loading.catch(() => styles.delete(name));
  styles.set(name, loading);
  return loading;
}

/**
 * Flatten children, without null, undefined and false.
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

const ARROW_STEPS = /** @type {Record<string, number>} */ ({ ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 });

/** Whether a button is rendered: narrow windows hide some. @param {HTMLElement} button */
const isShown = (button) => button.getClientRects().length > 0;

/**
 * Make the buttons of a group one tab stop, between which arrow keys move the focus (roving tabindex). Call the returned
 * function after the buttons have changed.
 * @param {HTMLElement} group
 * @returns {() => void}
 */
export function roving(group) {
  const enabledButtons = () => /** @type {HTMLElement[]} */ ([...group.querySelectorAll("button:not([disabled])")]);

  /** Set the tab stop: by default the focused button, the pressed one or the first. @param {HTMLElement | undefined} [chosen] */
  function setTabStop(chosen) {
    const buttons = enabledButtons();
    const tabStop =
      chosen ??
      buttons.find((button) => button === document.activeElement) ??
      buttons.find((button) => button.getAttribute("aria-pressed") === "true" && isShown(button)) ??
      buttons[0];
    for (const button of buttons) button.tabIndex = button === tabStop ? 0 : -1;
  }

  group.addEventListener("keydown", (event) => {
    const step = ARROW_STEPS[event.key];
    if (!step) return;
    const buttons = enabledButtons().filter(isShown);
    const index = buttons.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    if (index < 0) return;
    event.preventDefault();
    const next = buttons[(index + step + buttons.length) % buttons.length];
    setTabStop(next);
    next.focus();
  });
  return () => setTabStop();
}
