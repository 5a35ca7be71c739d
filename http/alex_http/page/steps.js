// The steps of a task: its turns, and in each the tools that the model called.

import { attribute, h, keyedList, write } from "./dom.js";
import { count, oneLine, plural, span } from "./format.js";
import { aside, json, plain } from "./prose.js";

/** @typedef {import("./task-state.js").Call} Call */
/** @typedef {import("./task-state.js").Turn} Turn */

const SAYS = {
  waiting: "waits for your word",
  denied: "denied",
  running: "running",
  done: "done",
  failed: "failed",
  stopped: "stopped",
};

/** Turns that are shown: the last ones of a long task. */
const MOST = 100;

/** Makes the list of turns. @returns {{element: HTMLElement, show: (turns: Turn[]) => void}} */
export function stepList() {
  const list = h("ol", { class: "steps" });
  const earlier = h("p", { class: "hint", hidden: true });
  const update = keyedList(list, turnRow);
  return {
    element: h("div", null, earlier, list),
    show(turns) {
      update(turns.slice(-MOST), (turn) => String(turn.number));
      earlier.hidden = turns.length <= MOST;
      write(earlier, `… ${plural(turns.length - MOST, "earlier turn")} not shown`);
    },
  };
}

/** @param {Turn} first */
function turnRow(first) {
  const about = h("span", { class: "about" });
  const said = h("div", { class: "said" });
  const calls = h("ul", { class: "calls" });
  const notes = h("ul", { class: "notes" });
  const element = h(
    "li",
    null,
    h("h3", null, first.number ? `Turn ${first.number}` : "Before the first turn", " ", about),
    said,
    calls,
    notes,
  );
  const updateCalls = keyedList(calls, callRow);
  let shown = "";
  return {
    element,
    /** @param {Turn} turn */
    update(turn) {
      updateCalls(turn.calls, (call) => call.id);
      const now = `${turn.complete} ${turn.duration} ${turn.text.length} ${turn.toolCalls} ${turn.notes.length}`;
      if (now === shown) return;
      shown = now;
      write(about, aboutTurn(turn));
      // Text beside tool calls belongs here; other text is, or becomes, the answer.
      said.replaceChildren(...(turn.toolCalls && turn.text ? [aside(turn.text)] : []));
      notes.replaceChildren(...turn.notes.map((text) => h("li", { dir: "auto" }, oneLine(text, 1000))));
    },
  };
}

/** @param {Turn} turn */
function aboutTurn({ complete, duration, tokens, text, toolCalls }) {
  if (!complete && text) return `writing, ${count(text.length)} characters`;
  const said = toolCalls ? plural(toolCalls, "tool call") : complete ? "answered" : "";
  return [said, duration === null ? "" : span(duration), tokens === null ? "" : plural(tokens, "token")]
    .filter(Boolean)
    .join(" · ");
}

/** @param {Call} first */
function callRow(first) {
  const name = h("code", null);
  const brief = h("bdi", { class: "brief" });
  const state = h("span", { class: "about" });
  const body = h("div", { class: "body" });
  const details = h(
    "details",
    { class: "call" },
    h("summary", null, h("span", { class: "dot", "aria-hidden": "true" }), name, brief, state),
    body,
  );
  /** @type {Call} */
  let latest = first;
  let drawn = -1;
  const draw = () => {
    if (!details.open || drawn === latest.changes) return;
    drawn = latest.changes;
    body.replaceChildren(...callBody(latest));
  };
  // What nobody opens is never built: there may be a thousand.
  details.addEventListener("toggle", draw);
  let shown = -1;
  return {
    element: h("li", null, details),
    /** @param {Call} call */
    update(call) {
      if (call.changes === shown) return;
      shown = call.changes;
      latest = call;
      attribute(details, "data-call", call.status);
      write(name, oneLine(call.name, 80));
      write(brief, briefly(call.args));
      write(state, call.duration === null ? SAYS[call.status] : `${SAYS[call.status]} · ${span(call.duration)}`);
      draw();
    },
  };
}

/** The values of a call's arguments, on a line. @param {unknown} args */
function briefly(args) {
  if (args === null || typeof args !== "object") return "";
  return oneLine(
    Object.values(args)
      .map((one) => (typeof one === "string" ? one : JSON.stringify(one)))
      .join(", "),
    120,
  );
}

/** @param {Call} call */
function callBody({ args, output, result, error, reason, status }) {
  return [
    part("Arguments", json(args)),
    reason ? part(status === "denied" ? "Denied, because" : "Approved, because", plain(reason)) : null,
    output ? part("Output", plain(output)) : null,
    error === null ? null : part("Error", plain(error)),
    result === null ? null : part("Result", plain(result)),
  ].filter((one) => one !== null);
}

/** @param {string} title @param {HTMLElement} content */
const part = (title, content) => h("div", null, h("h4", null, title), content);
