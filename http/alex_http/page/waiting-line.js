// Why a task has not begun: the tasks of its session before it.

import { h } from "./dom.js";
import { oneLine, plural } from "./format.js";
import { hasEnded } from "./task-state.js";

/** @typedef {import("./api.js").Task} Task */

/** A session's tasks that are looked through. */
const MOST = 200;

/** Owns the line of words that says what a task waits for. */
export class WaitingLine {
  #api;

  element = h("p", { class: "hint", hidden: true });

  /** @param {{api: import("./api.js").Api}} parts */
  constructor({ api }) {
    this.#api = api;
  }

  /** Look what is before it. @param {Task} task */
  async refresh(task) {
    this.element.hidden = task.status !== "pending";
    if (this.element.hidden) return;
    const { tasks } = await this.#api.tasks({ session_id: task.session_id, limit: MOST });
    const ahead = task.multitask_strategy === "parallel" ? [] : tasks.filter((one) => isAhead(one, task));
    const [next] = ahead.slice(-1);
    const others = ahead.length - 1;
    this.element.replaceChildren(
      ...(next
        ? [
            "It begins when the tasks of its session before it have ended: ",
            h("a", { href: `#/tasks/${next.task_id}` }, h("bdi", null, oneLine(next.task, 80))),
            others ? `, and ${plural(others, "more task")}` : "",
            ".",
          ]
        : ["It begins when there is room for it."]),
    );
  }
}

/** @param {Task} one @param {Task} task */
const isAhead = (one, task) =>
  !hasEnded(one) &&
  one.parent_task_id === null &&
  one.task_id !== task.task_id &&
  one.created_at <= task.created_at;
