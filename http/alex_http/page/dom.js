// DOM made by calls. What a stranger wrote can only become text here: nothing is ever parsed as HTML.

/** @typedef {Node | string | number | null | undefined | false | (Node | string | null)[]} Child */
/** @typedef {Record<string, unknown> | null} Props */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Props} [props] attributes; those that begin with "on" are listeners. `true` is an attribute without a
 *   value; one that is false, null or undefined is left out
 * @param {...Child} children strings become text
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/**
 * Make an element of SVG, as `h` makes one of HTML.
 *
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Props} [props]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function svg(tag, props, ...children) {
  return fill(/** @type {SVGElementTagNameMap[T]} */ (document.createElementNS(SVG, tag)), props, children);
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Props | undefined} props
 * @param {Child[]} children
 */
function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name.startsWith("on") && typeof value === "function") {
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else {
      attribute(element, name, value);
    }
  }
  const there = children.flat().filter((child) => child !== null && child !== undefined && child !== false);
  element.append(...there.map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

/**
 * Set an attribute, or take it away (false, null, undefined), if that changes anything.
 *
 * @param {Element} element
 * @param {string} name
 * @param {unknown} value
 */
export function attribute(element, name, value) {
  if (value === false || value === null || value === undefined) {
    element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value === true ? "" : value)) {
    element.setAttribute(name, value === true ? "" : String(value));
  }
}

/**
 * Set the text of an element if it is another one: what the reader has selected in it stays selected.
 *
 * @param {Element} element
 * @param {string | number} text
 */
export function write(element, text) {
  if (element.textContent !== String(text)) element.textContent = String(text);
}

/**
 * Return the element of the page with this ID.
 *
 * @template {HTMLElement} E
 * @param {string} id
 * @param {new () => E} type what it has to be
 * @returns {E}
 */
export function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`the page has no #${id} of type ${type.name}`);
  return element;
}

/**
 * Keep the children of an element in step with a list: rows are made, updated in place, moved and removed, never
 * made anew, so that 500 of them cost little and what has the focus keeps it.
 *
 * @template T
 * @param {Element} parent has no other children
 * @param {(item: T) => {element: Element, update: (item: T) => void}} make
 * @returns {(items: T[], keyOf: (item: T) => string) => void} shows these items, each under its key
 */
export function keyedList(parent, make) {
  /** @type {Map<string, {element: Element, update: (item: T) => void}>} */
  const rows = new Map();
  return (items, keyOf) => {
    const keys = new Set(items.map(keyOf));
    for (const [key, row] of rows) {
      if (keys.has(key)) continue;
      row.element.remove();
      rows.delete(key);
    }
    let place = parent.firstElementChild;
    for (const item of items) {
      let row = rows.get(keyOf(item));
      if (!row) rows.set(keyOf(item), (row = make(item)));
      row.update(item);
      if (row.element === place) place = place.nextElementSibling;
      else parent.insertBefore(row.element, place);
    }
  };
}

/**
 * Return a function that has `draw` run once, before the browser paints next, however often it is called. In a tab
 * that nobody sees nothing is painted: there it is run twice a second.
 *
 * @param {() => void} draw
 */
export function beforePaint(draw) {
  let waits = false;
  const run = () => {
    waits = false;
    draw();
  };
  return () => {
    if (waits) return;
    waits = true;
    if (document.hidden) setTimeout(run, 500);
    else requestAnimationFrame(run);
  };
}

/**
 * Wait for a call of the server that may fail: the banner or the login tells of it, and it is tried again.
 *
 * @param {Promise<unknown>} work
 */
export async function quietly(work) {
  await work.catch(() => undefined);
}
