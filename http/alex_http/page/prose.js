// Texts of strangers on the page: Markdown, plain text of any length, JSON, and buttons that copy.

import { h } from "./dom.js";
import { count, pretty } from "./format.js";
import { markdown } from "./markdown.js";

/** Characters. A longer text is not read as Markdown: its layout would take seconds. */
const MARKDOWN_UP_TO = 50_000;
/** Characters that are shown of a long text until somebody wants all of it. */
const BEGINNING = 8_000;
const ASIDE = 600;
/** Characters a block. Browsers lay out only those blocks of a long text that are on screen. */
const BLOCK = 8_000;

/**
 * A text by a model, as Markdown unless it is too long for that.
 *
 * @param {string} text
 */
export function prose(text) {
  if (text.length > MARKDOWN_UP_TO) return plain(text);
  return h("div", { class: "prose", dir: "auto" }, markdown(text).map(toDom));
}

/**
 * What a model said beside its tool calls: it may be long, and is not what one came for.
 *
 * @param {string} text
 */
export const aside = (text) => (text.length > ASIDE * 2 ? cut(text, ASIDE, () => [prose(text)]) : prose(text));

/**
 * A text as it is; of a long one the beginning, and a button for the rest.
 *
 * @param {string} text
 */
export function plain(text) {
  if (text.length <= BEGINNING * 1.25) return h("pre", { class: "plain", dir: "auto" }, text);
  return cut(text, BEGINNING, () => {
    const starts = Array.from({ length: Math.ceil(text.length / BLOCK) }, (_, n) => n * BLOCK);
    return starts.map((at) => h("pre", { class: "plain block", dir: "auto" }, text.slice(at, at + BLOCK)));
  });
}

/** @param {string} text @param {number} length of what is shown first @param {() => Node[]} whole */
function cut(text, length, whole) {
  const box = h(
    "div",
    { class: "plain-blocks", tabindex: "0" },
    h("pre", { class: "plain", dir: "auto" }, `${text.slice(0, length)}…`),
  );
  const all = () => box.replaceChildren(...whole());
  box.append(
    h("button", { type: "button", class: "quiet", onclick: all }, `Show all ${count(text.length)} characters`),
  );
  return box;
}

/** A value as JSON. @param {unknown} value */
export const json = (value) => plain(pretty(value));

/**
 * A button that copies.
 *
 * @param {string} label
 * @param {() => string} text is asked for when it is pressed
 * @param {(what: string) => void} say tells screen readers
 */
export function copyButton(label, text, say) {
  const button = h("button", { type: "button", class: "quiet" }, label);
  button.addEventListener("click", async () => {
    await copy(text());
    button.textContent = "Copied";
    say(`${label}: copied`);
    setTimeout(() => (button.textContent = label), 1500);
  });
  return button;
}

/** @param {string} text */
async function copy(text) {
  // The clipboard is there for pages of this machine and by https only; the old way is there for the others.
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const box = h("textarea", { "aria-hidden": "true", class: "unseen" });
  box.value = text;
  document.body.append(box);
  box.select();
  document.execCommand("copy");
  box.remove();
}

/** @param {import("./markdown.js").Part} part @returns {Node} */
function toDom(part) {
  if (typeof part === "string") return document.createTextNode(part);
  const children = part.children.map(toDom);
  switch (part.tag) {
    case "a":
      return h("a", { href: part.href, target: "_blank", rel: "noopener noreferrer" }, children);
    case "table":
      return h(
        "div",
        { class: "wide", tabindex: "0", role: "group", "aria-label": "Table" },
        h("table", null, children),
      );
    case "pre":
      return h("pre", { tabindex: "0" }, h("code", null, children));
    default:
      return h(/** @type {"p"} */ (part.tag), { start: part.start }, children);
  }
}
