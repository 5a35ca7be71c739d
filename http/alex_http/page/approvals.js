// Tool calls that wait for a person's word: approve, with other arguments if need be, or deny.

import { h, keyedList, write } from "./dom.js";
import { oneLine, pretty, span } from "./format.js";

/** @typedef {import("./task-state.js").Call} Call */
/** @typedef {import("./api.js").Decision} Decision */

/**
 * Makes the questions.
 *
 * @param {{decide: (callId: string, decision: Decision) => Promise<unknown>}} parts
 */
export function questions({ decide }) {
  const list = h("div");
  const element = h(
    "section",
    { class: "questions card", "aria-label": "Waits for your word", hidden: true },
    h("h2", null, "Waits for your word"),
    list,
  );
  const update = keyedList(list, (/** @type {Call} */ call) => question(call, decide));
  return {
    element,
    /** @param {Call[]} calls that wait; also called each second, for the countdowns */
    show(calls) {
      const hadFocus = element.contains(document.activeElement);
      update(calls, (call) => call.id);
      element.hidden = calls.length === 0;
      if (hadFocus && !element.contains(document.activeElement)) element.closest("main")?.focus();
    },
  };
}

/** @param {Call} call @param {(callId: string, decision: Decision) => Promise<unknown>} decide */
function question(call, decide) {
  const original = pretty(call.args);
  const args = h("textarea", {
    name: "arguments",
    class: "code",
    rows: Math.min(12, original.split("\n").length),
    spellcheck: "false",
    dir: "auto",
  });
  args.value = original;
  const reason = h("input", {
    name: "reason",
    maxlength: "2000",
    dir: "auto",
    placeholder: "for the model, and for the record",
  });
  const fault = h("p", { class: "fault", role: "alert" });
  const left = h("span", { class: "about" });
  const buttons = [
    h("button", { type: "button", class: "primary", onclick: () => answer(true) }, "Approve"),
    h("button", { type: "button", class: "danger", onclick: () => answer(false) }, "Deny"),
  ];

  /** @param {boolean} approved */
  async function answer(approved) {
    /** @type {Decision} */
    const decision = { approved };
    if (reason.value.trim()) decision.reason = reason.value.trim();
    try {
      if (approved && args.value !== original) decision.arguments = anObject(args.value);
      for (const button of buttons) button.disabled = true;
      write(fault, "");
      await decide(call.id, decision);
    } catch (error) {
      write(fault, error instanceof Error ? error.message : String(error));
      for (const button of buttons) button.disabled = false;
    }
  }

  return {
    element: h(
      "article",
      { "aria-label": `Run ${oneLine(call.name, 80)}?` },
      h("h3", null, "Run ", h("code", null, oneLine(call.name, 80)), "? ", left),
      h("label", null, "Arguments", args),
      h("label", null, "Reason", reason),
      fault,
      h("div", { class: "send" }, buttons),
    ),
    update: () =>
      write(
        left,
        call.expiresAt ? `denied by itself in ${span(Math.max(0, Date.parse(call.expiresAt) - Date.now()))}` : "",
      ),
  };
}

/** @param {string} text @returns {object} */
function anObject(text) {
  let value = null;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`The arguments are no JSON: ${error instanceof Error ? error.message : error}`);
  }
  if (value === null || typeof value !== "object" || Array.isArray(value))
    throw new Error("The arguments must be a JSON object.");
  return value;
}
