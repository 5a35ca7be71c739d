// All tool calls that wait for a person's word, of all tasks, the oldest first: each can be answered here.

import { questions } from "./approvals.js";
import { h, quietly, write } from "./dom.js";
import { plural } from "./format.js";

/** @typedef {import("./api.js").Approvals} Approvals */

/** Shows the list until it is closed. It asks for nothing itself: whoever has the page look at the server does. */
export class ApprovalsView {
  #parts;
  #read;
  #heading = h("h1");
  #none = h("p", { class: "hint" });
  #more = h("p", { class: "hint" });
  #questions;
  /** @type {import("./approvals.js").Question[]} */
  #waiting = [];

  /**
   * @param {import("./task-view.js").Parts} parts
   * @param {() => Promise<void>} read asks for the list, and has it shown
   */
  constructor(parts, read) {
    this.#parts = parts;
    this.#read = read;
    this.#questions = questions({
      decide: async (taskId, callId, decision) => {
        await parts.api.decide(taskId, callId, decision);
        parts.onChange();
        await quietly(read()); // the word is given, whatever comes of this
      },
    });
  }

  /** Read the list. */
  async open() {
    await this.#read();
  }

  /** Show a list. @param {Approvals} list */
  show({ approvals, next_cursor }) {
    const { host, say, setTitle } = this.#parts;
    if (!this.#heading.isConnected) host.replaceChildren(this.#page());
    this.#waiting = approvals.map((one) => ({
      taskId: one.task_id,
      call: { id: one.call_id, name: one.tool_name, args: one.arguments, expiresAt: one.expires_at },
      asked: { at: one.requested_at, session: one.session_id },
    }));
    const text = `${plural(approvals.length, "question")} for you`;
    if (this.#heading.textContent && this.#heading.textContent !== text) say(text);
    write(this.#heading, text);
    setTitle(text);
    const none = "A tool call that waits for a person's word is shown here, until somebody has decided on it.";
    write(this.#none, approvals.length ? "" : none);
    write(this.#more, next_cursor === null ? "" : "There are more: these have waited longest.");
    this.tick();
  }

  /** Time has passed: less is left. */
  tick() {
    this.#questions.show(this.#waiting);
  }

  close() {}

  pause() {}

  resume() {}

  #page() {
    const back = h("p", { class: "crumbs" }, h("a", { href: "#/", class: "narrow-only" }, "← Tasks"));
    return h(
      "article",
      { class: "session" },
      h("header", null, back, this.#heading, this.#none),
      this.#questions.element,
      this.#more,
    );
  }
}
