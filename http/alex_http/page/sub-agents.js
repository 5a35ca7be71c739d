// The sub-agents of a task: tasks of their own, with events of their own, that may wait for a person, too.

import { h, keyedList } from "./dom.js";
import { taskRow } from "./lists.js";
import { apply, hasEnded, unknownTask, waitingCalls } from "./task-state.js";

/** @typedef {import("./api.js").Task} Task */
/** @typedef {import("./approvals.js").Question} Question */

/** A session's tasks that are looked through. */
const MOST = 200;

/** Owns the list of one task's sub-agents. One task, one stream: these are asked for their events now and then. */
export class SubAgents {
  #api;
  #list = h("ul", { class: "rows" });
  #show = keyedList(this.#list, taskRow);
  /** What their events say, of those that work. @type {Map<string, import("./task-state.js").TaskState>} */
  #states = new Map();

  element = h(
    "section",
    { class: "card", "aria-label": "Sub-agents", hidden: true },
    h("h2", null, "Sub-agents"),
    this.#list,
  );

  /** @param {{api: import("./api.js").Api}} parts */
  constructor({ api }) {
    this.#api = api;
  }

  /** Look what they do. @param {Task} task the one that they work for */
  async refresh(task) {
    const { tasks } = await this.#api.tasks({ session_id: task.session_id, limit: MOST });
    const children = tasks.filter(({ parent_task_id }) => parent_task_id === task.task_id).reverse();
    this.element.hidden = children.length === 0;
    this.#show(children, ({ task_id }) => task_id);
    const working = children.filter((child) => !hasEnded(child));
    this.#states = new Map(working.map(({ task_id }) => [task_id, this.#states.get(task_id) ?? unknownTask()]));
    await Promise.all([...this.#states].map(([id, state]) => this.#read(id, state)));
  }

  /** Their calls that wait for a person's word. @returns {Question[]} */
  questions() {
    return [...this.#states].flatMap(([taskId, state]) => waitingCalls(state).map((call) => ({ taskId, call })));
  }

  /** @param {string} id @param {import("./task-state.js").TaskState} state */
  async #read(id, state) {
    const { events } = await this.#api.events(id, state.events.at(-1)?.event_id ?? 0);
    for (const event of events) apply(state, event);
  }
}
