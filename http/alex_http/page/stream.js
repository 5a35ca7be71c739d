// A stream of server-sent events that is followed until it ends, over restarts of the server and of the network.

import { parsed } from "./api.js";

/**
 * An event of a task. `event_id`s grow over the whole server, so that one is a position in every stream.
 *
 * @typedef {{event_id: number, event_type: string, timestamp: string, [field: string]: any}} TaskEvent
 */
/** @typedef {"open" | "reconnecting" | "deleted" | "ended"} StreamState */

/** An `EventSource` gives an event only to who listens for its very type. */
export const TYPES = [
  "task_created",
  "task_started",
  "task_resumed",
  "task_analysis",
  "iteration_start",
  "thinking",
  "assistant_delta",
  "think_complete",
  "tool_call_start",
  "tool_call_stream",
  "tool_call_complete",
  "approval_requested",
  "approval_resolved",
  "context_compressed",
  "iteration_complete",
  "error",
  "task_completed",
  "task_failed",
  "task_cancelled",
];

/** The last event of a task is one of these. */
export const TERMINAL = new Set(["task_completed", "task_failed", "task_cancelled"]);

const FIRST_WAIT = 500;
const LONGEST_WAIT = 8000;

/**
 * Follows one stream. At most one is open at a time in a tab: a browser allows six connections to a server in
 * all.
 */
export class EventStream {
  #path;
  #onEvent;
  #onState;
  #isOver;
  #EventSource;
  /** @type {EventSource | null} */
  #source = null;
  #timer = 0;
  #wait = FIRST_WAIT;
  #last = 0;
  #paused;
  #closed = false;

  /**
   * @param {object} parts
   * @param {string} parts.path
   * @param {(event: TaskEvent) => void} parts.onEvent is called once for each event, in their order
   * @param {(state: StreamState) => void} parts.onState
   * @param {() => Promise<"deleted" | "ended" | null>} parts.isOver looks why the server has refused the stream;
   *   null: it may be tried again
   * @param {boolean} [parts.paused] whether it is opened only by `resume`
   * @param {typeof globalThis.EventSource} [parts.EventSource]
   */
  constructor({ path, onEvent, onState, isOver, paused = false, EventSource = globalThis.EventSource }) {
    this.#path = path;
    this.#onEvent = onEvent;
    this.#onState = onState;
    this.#isOver = isOver;
    this.#EventSource = EventSource;
    this.#paused = paused;
    this.#open();
  }

  /** Let go of the connection, and remember where it was. */
  pause() {
    this.#paused = true;
    this.#letGo();
  }

  /** Go on behind the last event that came. */
  resume() {
    this.#paused = false;
    this.#open();
  }

  #letGo() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #open() {
    if (this.#closed || this.#paused || this.#source) return;
    clearTimeout(this.#timer);
    const source = new this.#EventSource(this.#last ? `${this.#path}?after=${this.#last}` : this.#path);
    this.#source = source;
    for (const type of TYPES) {
      source.addEventListener(type, (event) => {
        // A lost connection is an "error", too, but has no data.
        if ("data" in event) this.#receive(/** @type {MessageEvent} */ (event));
      });
    }
    source.addEventListener("open", () => {
      this.#wait = FIRST_WAIT;
      this.#onState("open");
    });
    source.addEventListener("session_deleted", () => this.#end("deleted"));
    source.addEventListener("error", (event) => {
      if (!("data" in event)) this.#lost(source);
    });
  }

  /** Follow it no more. */
  close() {
    this.#closed = true;
    this.#letGo();
  }

  /** @param {MessageEvent} message */
  #receive({ data, lastEventId }) {
    const id = Number(lastEventId);
    if (this.#closed || id <= this.#last) return;
    this.#last = id;
    this.#onEvent(parsed(data));
  }

  /** @param {EventSource} source */
  async #lost(source) {
    if (source !== this.#source) return;
    this.#onState("reconnecting");
    // It tries again by itself, from the last event on, unless the server has refused it.
    if (source.readyState !== source.CLOSED) return;
    this.#letGo();
    const over = await this.#isOver().catch(() => null);
    if (over) return this.#end(over);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), this.#wait);
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT);
  }

  /** @param {StreamState} state */
  #end(state) {
    if (this.#closed) return;
    this.close();
    this.#onState(state);
  }
}
