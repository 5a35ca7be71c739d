// The sequence diagram of a task, as rows: who sent what to whom and when, by the task's events alone.

import { oneLine, plural, span } from "./format.js";

/** @typedef {import("./stream.js").TaskEvent} TaskEvent */
/** @typedef {"Client" | "Session" | "Store" | "Agent" | "Model" | "Tools" | "Person"} Actor */
/**
 * @typedef {object} Row
 * @property {number} at milliseconds since the task was created
 * @property {Actor} from
 * @property {Actor} to the same as `from`: it is a note
 * @property {string} label
 * @property {"call" | "reply" | "note" | "turn"} kind a reply answers a call; a turn is a line across all
 * @property {boolean} bad
 */
/**
 * Somebody is busy, from one row to another one.
 *
 * @typedef {{actor: Actor, begin: number, end: number | null}} Busy `end` null: still
 */

/** Those who may take part, from left to right. @type {Actor[]} */
export const ACTORS = ["Client", "Session", "Store", "Agent", "Model", "Tools", "Person"];

/** The diagram of one task: give it the task's events, in their order. */
export class Diagram {
  /** @type {Row[]} */
  rows = [];
  /** @type {Busy[]} */
  busy = [];
  /** Who has taken part so far. @type {Set<Actor>} */
  actors = new Set();
  #began = 0;
  /**
   * @type {Map<string, {busy: Busy, at: number}>} what is under way: the agent, the model, tool calls, questions
   */
  #open = new Map();

  /** @param {TaskEvent} event */
  add(event) {
    const at = Date.parse(event.timestamp);
    this.#began ||= at;
    DRAWN[event.event_type]?.(this, event, at - this.#began);
  }

  /**
   * Draw an arrow, or a note if it begins and ends with the same.
   *
   * @param {number} at @param {Actor} from @param {Actor} to @param {string} label @param {Row["kind"]} kind
   * @param {boolean} [bad]
   */
  row(at, from, to, label, kind, bad = false) {
    this.actors.add(from).add(to);
    this.rows.push({ at: Math.max(0, at), from, to, label: oneLine(label, 80), kind, bad });
  }

  /**
   * From the last row on, `actor` is busy with `key`.
   *
   * @param {string} key @param {Actor} actor @param {number} at
   */
  begin(key, actor, at) {
    if (this.#open.has(key)) return;
    const busy = { actor, begin: this.rows.length - 1, end: null };
    this.busy.push(busy);
    this.#open.set(key, { busy, at });
  }

  /** How long that lasts at `at`, if it does. @param {string} key @param {number} at */
  since(key, at) {
    const found = this.#open.get(key);
    return found ? at - found.at : null;
  }

  /** That ends with the last row. @param {string} key */
  end(key) {
    const found = this.#open.get(key);
    this.#open.delete(key);
    if (found) found.busy.end = this.rows.length - 1;
  }

  /** All that is under way ends with the last row. */
  endAll() {
    for (const key of [...this.#open.keys()]) this.end(key);
  }
}

/** @type {Record<string, (to: Diagram, event: TaskEvent, at: number) => void>} */
const DRAWN = {
  task_created(to, _event, at) {
    to.row(at, "Client", "Session", "submit", "call");
    to.row(at, "Session", "Store", "record the task", "call");
  },
  task_started(to, _event, at) {
    to.row(at, "Session", "Agent", "your turn", "call");
    to.begin("agent", "Agent", at);
  },
  task_resumed(to, _event, at) {
    to.endAll();
    to.row(at, "Store", "Agent", "go on from what is recorded", "call");
    to.begin("agent", "Agent", at);
  },
  iteration_start(to, { iteration }, at) {
    to.row(at, "Agent", "Agent", `Turn ${iteration}`, "turn");
  },
  thinking(to, { message_count }, at) {
    to.row(at, "Agent", "Model", plural(message_count, "message"), "call");
    to.begin("model", "Model", at);
  },
  think_complete(to, { content, tool_call_count, usage, duration }, at) {
    const took = duration ?? to.since("model", at);
    const said = tool_call_count ? plural(tool_call_count, "tool call") : content ? "text" : "nothing";
    const tokens = usage ? plural(usage.input_tokens + usage.output_tokens, "token") : null;
    to.row(
      at,
      "Model",
      "Agent",
      [said, tokens, took === null ? null : span(took)].filter(Boolean).join(" · "),
      "reply",
    );
    to.end("model");
  },
  tool_call_start(to, { call_id, tool_name }, at) {
    to.row(at, "Agent", "Tools", tool_name, "call");
    to.begin(`tool ${call_id}`, "Tools", at);
  },
  tool_call_complete(to, { call_id, tool_name, error, duration }, at) {
    to.row(
      at,
      "Tools",
      "Agent",
      `${tool_name} · ${error === null ? span(duration) : oneLine(error, 40)}`,
      "reply",
      error !== null,
    );
    to.end(`tool ${call_id}`);
  },
  approval_requested(to, { call_id, tool_name }, at) {
    to.row(at, "Agent", "Person", `${tool_name}?`, "call");
    to.begin(`person ${call_id}`, "Person", at);
  },
  approval_resolved(to, { call_id, approved, reason, arguments: others }, at) {
    const said = approved ? (others ? "approved, with other arguments" : "approved") : "denied";
    to.row(at, "Person", "Agent", reason ? `${said}: ${reason}` : said, "reply", !approved);
    to.end(`person ${call_id}`);
  },
  context_compressed(to, { original_count, compressed_count }, at) {
    to.row(at, "Agent", "Agent", `shortened: ${original_count} to ${compressed_count} messages`, "note");
  },
  error(to, { error, recoverable }, at) {
    to.row(at, "Agent", "Agent", error, "note", !recoverable);
  },
  task_completed: ended,
  task_failed: ended,
  task_cancelled: ended,
};

/** @param {Diagram} to @param {TaskEvent} event @param {number} at */
function ended(to, { status, error, duration }, at) {
  const bad = status === "failed";
  const done = status === "completed";
  // A task that was cancelled while it waited in line never had an agent.
  const from = to.actors.has("Agent") ? "Agent" : "Session";
  to.row(at, from, "Store", done ? status : `${status}: ${error}`, "call", bad);
  to.endAll();
  to.row(at, "Store", "Client", `${done ? "answer" : status} · ${span(duration)}`, "reply", bad);
}
