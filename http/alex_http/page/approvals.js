// Tool calls that wait for a person's word: approve, with other arguments if need be, or deny.

import { parsed } from "./api.js";
import { h, keyedList, write } from "./dom.js";
import { age, oneLine, pretty, span } from "./format.js";

/** @typedef {Pick<import("./task-state.js").Call, "id" | "name" | "args" | "expiresAt">} Call */
/** @typedef {import("./api.js").Decision} Decision */
/**
 * `asked`: when, and in which session, for who does not look at its task.
 *
 * @typedef {{taskId: string, call: Call, asked?: {at: string, session: string}}} Question
 */
/** @typedef {(taskId: string, callId: string, decision: Decision) => Promise<unknown>} Decide */

/**
 * Makes the questions.
 *
 * @param {{decide: Decide}} parts
 */
export function questions({ decide }) {
  const list = h("div");
  const element = h(
    "section",
    { class: "questions card", "aria-label": "Waits for your word", hidden: true },
    h("h2", null, "Waits for your word"),
    list,
  );
  const update = keyedList(list, (/** @type {Question} */ one) => question(one, decide));
  return {
    element,
    /** @param {Question[]} waiting is also given when time has passed, for the countdowns */
    show(waiting) {
      const hadFocus = element.contains(document.activeElement);
      update(waiting, ({ taskId, call }) => `${taskId} ${call.id}`);
      element.hidden = waiting.length === 0;
      if (hadFocus && !element.contains(document.activeElement)) element.closest("main")?.focus();
    },
  };
}

/** @param {Question} about @param {Decide} decide */
function question({ taskId, call, asked }, decide) {
  const name = oneLine(call.name, 80);
  const original = pretty(call.args);
  const rows = Math.min(12, original.split("\n").length);
  const args = h("textarea", { class: "code", rows, spellcheck: "false", dir: "ltr" });
  args.value = original;
  const reason = h("input", { maxlength: "2000", dir: "auto", placeholder: "for the model, and for the record" });
  const fault = h("p", { class: "fault", role: "alert" });
  const left = h("span", { class: "about" });
  const since = h("span");

  /** @param {boolean} approved */
  async function answer(approved) {
    const main = element.closest("main");
    const pressed = document.activeElement;
    try {
      const changed = approved && args.value !== original;
      for (const button of buttons) button.disabled = true;
      write(fault, "");
      await decide(taskId, call.id, {
        approved,
        ...(reason.value.trim() && { reason: reason.value.trim() }),
        ...(changed && { arguments: anObject(args.value) }),
      });
      // A button that cannot be pressed any more has no focus either.
      if (document.activeElement === document.body) main?.focus();
    } catch (error) {
      write(fault, error instanceof Error ? error.message : String(error));
      for (const button of buttons) button.disabled = false;
      if (pressed instanceof HTMLElement) pressed.focus();
    }
  }

  const buttons = [
    h("button", { type: "button", class: "primary", onclick: () => answer(true) }, "Approve"),
    h("button", { type: "button", class: "danger", onclick: () => answer(false) }, "Deny"),
  ];
  const element = h(
    "article",
    { "aria-label": `Run ${name}?` },
    h("h3", null, "Run ", h("code", null, name), "? ", left),
    asked &&
      h(
        "p",
        { class: "about" },
        h("a", { href: `#/tasks/${taskId}` }, taskId),
        ` in session `,
        h("a", { href: `#/sessions/${asked.session}` }, h("bdi", null, asked.session)),
        ", asked ",
        since,
      ),
    h("label", null, "Arguments", args),
    h("label", null, "Reason", reason),
    fault,
    h("div", { class: "send" }, buttons),
  );
  const until = call.expiresAt ? Date.parse(call.expiresAt) : null;
  return {
    element,
    update() {
      write(left, until ? `denied by itself in ${span(until - Date.now())}` : "");
      if (asked) write(since, age(asked.at, Date.now()));
    },
  };
}

/** @param {string} text @returns {object} */
function anObject(text) {
  let value = null;
  try {
    value = parsed(text);
  } catch (error) {
    throw new Error(`The arguments are no JSON: ${error instanceof Error ? error.message : error}`);
  }
  if (value !== null && typeof value === "object" && !Array.isArray(value)) return value;
  throw new Error("The arguments must be a JSON object.");
}
