// The events of a task as they were sent.

import { h, write } from "./dom.js";
import { count, visible } from "./format.js";
import { copyButton } from "./prose.js";

/** Events that are shown: the last ones. All of them can be copied. */
const MOST = 200;

/**
 * Makes the view of raw events.
 *
 * @param {() => object[]} events all of them so far
 * @param {(text: string) => void} say
 */
export function rawEvents(events, say) {
  const text = h("pre", { class: "plain", tabindex: "0", role: "group", "aria-label": "Events as JSON" });
  const number = h("span", { class: "about" });
  const lines = (/** @type {object[]} */ some) => some.map((event) => JSON.stringify(event)).join("\n");
  const element = h(
    "details",
    { class: "card raw" },
    h("summary", null, "Events ", number),
    copyButton("Copy all events", () => lines(events()), say),
    text,
  );
  let shown = 0;
  const draw = () => {
    const all = events();
    write(number, count(all.length));
    if (!element.open || all.length === shown) return;
    shown = all.length;
    const clipped = all
      .slice(-MOST)
      .map((event) => visible(JSON.stringify(event)))
      .map((line) => (line.length > 2000 ? `${line.slice(0, 2000)}…` : line));
    text.textContent = (all.length > MOST ? `… ${count(all.length - MOST)} earlier\n` : "") + clipped.join("\n");
  };
  element.addEventListener("toggle", draw);
  return { element, draw };
}
