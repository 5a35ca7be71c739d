// What a task is by its events alone: one after the other is applied to it, and views show what it has become.

import { TERMINAL } from "./stream.js";

/** @typedef {import("./stream.js").TaskEvent} TaskEvent */
/**
 * A tool call.
 *
 * @typedef {object} Call
 * @property {string} id
 * @property {string} name
 * @property {unknown} args
 * @property {string} output what it has said while it runs
 * @property {"waiting" | "denied" | "running" | "done" | "failed" | "stopped"} status `waiting`: for a word
 * @property {string | null} result
 * @property {string | null} error
 * @property {number | null} duration milliseconds
 * @property {string | null} expiresAt when a call that waits counts as denied
 * @property {string | null} reason of the person who decided
 * @property {number} changes counts up with each change, so that a view sees whether there was one
 */
/**
 * A turn of the model, with the tools that it called.
 *
 * @typedef {object} Turn
 * @property {number} number
 * @property {string} text what the model says
 * @property {boolean} complete whether that is all of it
 * @property {string | null} beganAt
 * @property {number | null} duration milliseconds, of the model's call; of a turn without one, its own
 * @property {number | null} tokens of the model's call
 * @property {number} toolCalls how many the model asked for
 * @property {Call[]} calls
 * @property {string[]} notes errors, and what else happened
 */
/**
 * @typedef {object} TaskState
 * @property {"pending" | "running" | "completed" | "failed" | "cancelled"} status
 * @property {string} task
 * @property {TaskEvent[]} events
 * @property {number} iteration
 * @property {number} limit of iterations; 0: not known yet
 * @property {number} tokens
 * @property {number} cost US dollars
 * @property {string | null} createdAt
 * @property {string | null} startedAt
 * @property {number | null} duration milliseconds, of a task that has ended
 * @property {string | null} reason why it ended
 * @property {string | null} answer
 * @property {string | null} error
 * @property {Turn[]} turns
 * @property {Map<string, Call>} calls by their IDs
 * @property {string | null} askedAt when the model was asked last
 */

/** @returns {TaskState} of a task of which nothing is known */
export const unknownTask = () => ({
  status: "pending",
  task: "",
  events: [],
  iteration: 0,
  limit: 0,
  tokens: 0,
  cost: 0,
  createdAt: null,
  startedAt: null,
  duration: null,
  reason: null,
  answer: null,
  error: null,
  turns: [],
  calls: new Map(),
  askedAt: null,
});

/** @type {Record<string, (state: TaskState, event: TaskEvent) => void>} */
const STEPS = {
  task_created(state, { task, timestamp }) {
    state.task = task;
    state.createdAt = timestamp;
  },
  task_started(state, { timestamp }) {
    state.status = "running";
    state.startedAt = timestamp;
  },
  task_resumed(state, { timestamp }) {
    state.status = "running";
    state.startedAt ??= timestamp;
    const turn = state.turns.at(-1);
    if (turn && !turn.complete) turn.text = "";
    note(turn, "The server was started again, and the agent went on.");
  },
  task_analysis(state, { goal }) {
    if (goal !== state.task) note(turnOf(state, state.iteration), goal);
  },
  iteration_start(state, { iteration, total_iters, timestamp }) {
    state.iteration = Math.max(state.iteration, iteration);
    state.limit = total_iters;
    turnOf(state, iteration).beganAt = timestamp;
  },
  thinking(state, { iteration, timestamp }) {
    state.askedAt = timestamp;
    begin(turnOf(state, iteration));
  },
  assistant_delta(state, { iteration, delta }) {
    const turn = turnOf(state, iteration);
    if (turn.complete) begin(turn);
    turn.text += delta;
  },
  think_complete(state, { iteration, content, tool_call_count, usage, duration, timestamp }) {
    const turn = turnOf(state, iteration);
    const sinceAsked = state.askedAt ? Date.parse(timestamp) - Date.parse(state.askedAt) : null;
    Object.assign(turn, {
      text: content,
      complete: true,
      toolCalls: tool_call_count,
      duration: duration ?? sinceAsked,
    });
    turn.tokens = usage ? usage.input_tokens + usage.output_tokens : null;
    spend(state, usage);
  },
  tool_call_start(state, { iteration, call_id, tool_name, arguments: args }) {
    const call = callOf(state, iteration, call_id);
    if (call.args === null || call.name !== tool_name) Object.assign(call, { name: tool_name, args });
    if (call.status !== "waiting") call.status = "running";
  },
  tool_call_stream(state, { call_id, chunk }) {
    callOf(state, state.iteration, call_id).output += chunk;
  },
  tool_call_complete(state, { call_id, tool_name, result, error, duration }) {
    const call = callOf(state, state.iteration, call_id);
    const status = call.status === "denied" ? "denied" : error === null ? "done" : "failed";
    Object.assign(call, { name: tool_name, result, error, duration, status });
  },
  approval_requested(state, { iteration, call_id, tool_name, arguments: args, expires_at }) {
    const call = callOf(state, iteration, call_id);
    Object.assign(call, { name: tool_name, args, status: "waiting", expiresAt: expires_at ?? null });
  },
  approval_resolved(state, { call_id, approved, reason, arguments: args }) {
    const call = callOf(state, state.iteration, call_id);
    Object.assign(call, { status: approved ? "running" : "denied", reason, args: args ?? call.args });
  },
  context_compressed(state, { original_count, compressed_count }) {
    note(
      turnOf(state, state.iteration),
      `The conversation was shortened from ${original_count} to ${compressed_count} messages.`,
    );
  },
  iteration_complete(state, { iteration, tokens_used, cost_usd, timestamp }) {
    const turn = turnOf(state, iteration);
    turn.duration ??= turn.beganAt ? Date.parse(timestamp) - Date.parse(turn.beganAt) : null;
    state.tokens = tokens_used;
    state.cost = cost_usd ?? state.cost;
  },
  error(state, { iteration, phase, error, recoverable, usage }) {
    const turn = turnOf(state, iteration);
    // The model is asked again: what it had begun to say counts for nothing.
    if (phase === "think" && recoverable) begin(turn);
    note(turn, `${recoverable ? "Tried again" : "Failed"} (${phase}): ${error}`);
    spend(state, usage);
  },
};

/**
 * Apply an event to the state of its task.
 *
 * @param {TaskState} state is changed
 * @param {TaskEvent} event comes behind all that were applied
 */
export function apply(state, event) {
  state.events.push(event);
  STEPS[event.event_type]?.(state, event);
  if (TERMINAL.has(event.event_type)) end(state, event);
  const call = event.call_id && state.calls.get(event.call_id);
  if (call) call.changes += 1;
}

/** @param {TaskState} state @param {TaskEvent} event */
function end(state, event) {
  state.status = event.status;
  state.reason = event.termination_reason;
  state.answer = event.final_answer ?? null;
  state.error = event.error ?? null;
  state.duration = event.duration;
  state.tokens = event.total_tokens;
  state.iteration = event.total_iterations;
  for (const call of state.calls.values()) {
    if (call.status !== "running" && call.status !== "waiting") continue;
    call.status = "stopped";
    call.changes += 1;
  }
}

/** Whether a task has ended. @param {{status: string}} task */
export const hasEnded = ({ status }) => status !== "pending" && status !== "running";

/** The calls that wait for a person's word. @param {TaskState} state */
export const waitingCalls = (state) => [...state.calls.values()].filter(({ status }) => status === "waiting");

/**
 * What the model is saying, if that may become the answer: text beside tool calls is part of its turn.
 *
 * @param {TaskState} state
 */
export function spoken(state) {
  const turn = state.turns.at(-1);
  return turn && !turn.toolCalls ? turn.text : "";
}

/** @param {TaskState} state @param {number} number @returns {Turn} */
function turnOf(state, number) {
  let turn = state.turns.findLast((one) => one.number === number);
  if (!turn) {
    turn = {
      number,
      text: "",
      complete: false,
      beganAt: null,
      duration: null,
      tokens: null,
      toolCalls: 0,
      calls: [],
      notes: [],
    };
    state.turns.push(turn);
  }
  return turn;
}

/** @param {TaskState} state @param {number} iteration @param {string} id @returns {Call} */
function callOf(state, iteration, id) {
  let call = state.calls.get(id);
  if (!call) {
    call = {
      id,
      name: "",
      args: null,
      output: "",
      status: "running",
      result: null,
      error: null,
      duration: null,
      expiresAt: null,
      reason: null,
      changes: 0,
    };
    state.calls.set(id, call);
    turnOf(state, iteration).calls.push(call);
  }
  return call;
}

/** What the model says begins anew. @param {Turn} turn */
function begin(turn) {
  turn.text = "";
  turn.complete = false;
  turn.toolCalls = 0;
}

/** @param {Turn | undefined} turn @param {string} text */
function note(turn, text) {
  turn?.notes.push(text);
}

/**
 * @param {TaskState} state
 * @param {{input_tokens: number, output_tokens: number, cost_usd: number | null} | undefined} usage
 */
function spend(state, usage) {
  if (!usage) return;
  state.tokens += usage.input_tokens + usage.output_tokens;
  state.cost += usage.cost_usd ?? 0;
}
