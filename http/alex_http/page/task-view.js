// A task, live: its progress, its answer as it comes, its steps, its diagram, and what can be done about it.

import { Problem, taskPath } from "./api.js";
import { questions } from "./approvals.js";
import { Diagram } from "./diagram-model.js";
import { DiagramView } from "./diagram-view.js";
import { attribute, beforePaint, h, quietly, write } from "./dom.js";
import { age, count, money, oneLine, shellQuoted, span } from "./format.js";
import { copyButton, plain, prose } from "./prose.js";
import { rawEvents } from "./raw.js";
import { stepList } from "./steps.js";
import { EventStream } from "./stream.js";
import { SubAgents } from "./sub-agents.js";
import { apply, hasEnded, spoken, unknownTask, waitingCalls } from "./task-state.js";
import { WaitingLine } from "./waiting-line.js";

/** @typedef {import("./api.js").Task} Task */

/** Characters of an answer that are shown while it is written: its end. */
const LIVE = 20_000;
/** Events after which the task is read again: its status is another one. */
const TURNING_POINTS = new Set(["task_started", "task_completed", "task_failed", "task_cancelled"]);

/**
 * What a view is given.
 *
 * @typedef {object} Parts
 * @property {import("./api.js").Api} api
 * @property {string} id of what is shown
 * @property {HTMLElement} host
 * @property {(text: string) => void} say tells screen readers
 * @property {(title: string) => void} setTitle
 * @property {(reconnecting: boolean) => void} onLost is told whether the stream is
 * @property {(task: Task) => void} onTask is told of each task that was read
 * @property {(id: string, turn: number | null) => void} onWaits is told in which turn a task waits for a person's
 *   word; null: it does not
 * @property {() => void} onChange is told that a session is another one
 * @property {(sessionId: string) => void} continueIn has the next task submitted in a session
 */

/** Shows one task until it is closed. */
export class TaskView {
  #parts;
  #state = unknownTask();
  #diagram = new Diagram();
  #diagramView = new DiagramView(this.#diagram);
  #steps = stepList();
  #raw = rawEvents(
    () => this.#state.events,
    (text) => this.#parts.say(text),
  );
  #subAgents;
  #line;
  #questions = questions({
    decide: (taskId, callId, decision) => this.#parts.api.decide(taskId, callId, decision),
  });
  #live = h("pre", { class: "plain live", dir: "auto", tabindex: "0" });
  #answer = h("div");
  #answerBox = h(
    "section",
    { class: "card answer", "aria-label": "Answer", hidden: true },
    h("h2", null, "Answer"),
    this.#answer,
  );
  #pill = h("span", { class: "pill" });
  #bar = h("progress", { "aria-label": "Turns of the limit" });
  #figures = { Turns: h("dd"), Tokens: h("dd"), Cost: h("dd"), Time: h("dd") };
  #fault = h("p", { class: "fault", role: "alert" });
  #cancel = h("button", { type: "button", class: "danger", onclick: () => this.#askCancel() }, "Cancel task");
  #draw = beforePaint(() => this.#show());
  /** @type {Task | null} */
  #task = null;
  /** @type {EventStream | null} */
  #stream = null;
  #shownAnswer = "";
  #said = "";
  #ticks = 0;
  #closed = false;

  /** @param {Parts} parts */
  constructor(parts) {
    this.#parts = parts;
    this.#subAgents = new SubAgents({ api: parts.api });
    this.#line = new WaitingLine({ api: parts.api });
  }

  /** Read the task, and follow its events. */
  async open() {
    try {
      this.#task = await this.#parts.api.task(this.#parts.id);
    } catch (error) {
      if (error instanceof Problem && error.status === 404) return this.#gone();
      throw error;
    }
    if (this.#closed) return;
    this.#parts.onTask(this.#task);
    this.#parts.host.replaceChildren(this.#page(this.#task));
    this.#show();
    this.#stream = new EventStream({
      path: `${taskPath(this.#parts.id)}/events`,
      paused: document.hidden,
      onEvent: (event) => this.#take(event),
      onState: (state) => (state === "deleted" ? this.#gone() : this.#parts.onLost(state === "reconnecting")),
      isOver: () => this.#isOver(),
    });
  }

  close() {
    this.#closed = true;
    this.#stream?.close();
  }

  /** Nobody looks: the connection is for a tab that is seen. */
  pause() {
    if (!hasEnded(this.#state)) this.#stream?.pause();
  }

  resume() {
    this.#stream?.resume();
  }

  /** Time has passed: called twice a second, and seldom in a tab that nobody sees. */
  async tick() {
    if (!this.#task || hasEnded(this.#state) || hasEnded(this.#task)) return;
    this.#draw();
    if (this.#ticks++ % 5) return;
    if (!document.hidden) await this.#line.refresh(this.#task);
    // Without its events, the title of a tab that nobody sees tells the status all the same.
    await (document.hidden ? this.#read() : this.#readSubAgents());
  }

  /** @param {import("./stream.js").TaskEvent} event */
  #take(event) {
    apply(this.#state, event);
    this.#diagram.add(event);
    this.#draw();
    if (!TURNING_POINTS.has(event.event_type)) return;
    if (hasEnded(this.#state)) this.#stream?.close();
    // What fails here is read again: by the next tick, and when the stream is there again.
    if (!hasEnded(this.#task ?? this.#state)) quietly(this.#read());
    quietly(this.#readSubAgents());
  }

  async #read() {
    this.#task = await this.#parts.api.task(this.#parts.id);
    this.#parts.onTask(this.#task);
    this.#draw();
  }

  /** A sub-agent has none of its own. */
  async #readSubAgents() {
    const delegates = [...this.#state.calls.values()].some(({ name }) => name === "delegate");
    if (!this.#task || this.#task.parent_task_id || !delegates) return;
    await this.#subAgents.refresh(this.#task);
    this.#draw();
  }

  /** @returns {Promise<"deleted" | "ended" | null>} */
  async #isOver() {
    try {
      await this.#read();
    } catch (error) {
      return error instanceof Problem && error.status === 404 ? "deleted" : null;
    }
    return hasEnded(this.#state) ? "ended" : null;
  }

  #gone() {
    this.close();
    this.#parts.onLost(false);
    this.#parts.setTitle("No such task");
    this.#parts.host.replaceChildren(
      h(
        "div",
        { class: "empty" },
        h("h1", null, "This task is not there"),
        h("p", null, "It was deleted with its session, or there never was one of this ID."),
        h("p", null, h("code", null, oneLine(this.#parts.id))),
      ),
    );
  }

  async #askCancel() {
    this.#cancel.disabled = true;
    write(this.#fault, "");
    try {
      await this.#parts.api.cancel(this.#parts.id);
    } catch (error) {
      write(this.#fault, error instanceof Error ? error.message : String(error));
      this.#cancel.disabled = false;
    }
  }

  /** What is there from the beginning. @param {Task} task */
  #page(task) {
    const figures = Object.entries(this.#figures).map(([name, dd]) => h("div", null, h("dt", null, name), dd));
    return h(
      "article",
      { class: "task" },
      this.#header(task),
      this.#line.element,
      h("section", { class: "progress", "aria-label": "Progress" }, this.#bar, h("dl", null, figures)),
      this.#questions.element,
      this.#answerBox,
      this.#subAgents.element,
      h("div", { class: "two" }, card("Steps", this.#steps.element), card("Sequence", this.#diagramView.element)),
      this.#raw.element,
    );
  }

  /** @param {Task} task */
  #header(task) {
    const { say } = this.#parts;
    const title = oneLine(task.task, 160);
    const curl = () => `curl -s ${shellQuoted(`${location.origin}${taskPath(task.task_id)}`)}`;
    const copyLink = copyButton("Copy link", () => location.href, say);
    const space = h("span", { class: "spacer" });
    return h(
      "header",
      null,
      crumbs(task),
      h(
        "p",
        { class: "crumbs id" },
        h("code", null, task.task_id),
        copyButton("Copy ID", () => task.task_id, say),
      ),
      h("h1", { dir: "auto" }, title),
      title !== task.task.trim() && h("details", null, h("summary", null, "The whole task"), plain(task.task)),
      h(
        "div",
        { class: "state" },
        this.#pill,
        this.#cancel,
        space,
        h("span", { class: "copies" }, copyLink, copyButton("Copy curl", curl, say)),
      ),
      this.#fault,
    );
  }

  /** What a person is asked for, here and by sub-agents. */
  #waiting() {
    const own = waitingCalls(this.#state).map((call) => ({ taskId: this.#parts.id, call }));
    return hasEnded(this.#state) ? [] : [...own, ...this.#subAgents.questions()];
  }

  #show() {
    if (this.#closed || !this.#task) return;
    const task = this.#task;
    const status = hasEnded(this.#state) ? this.#state.status : task.status;
    const waits = this.#waiting().length > 0;
    attribute(this.#pill, "data-status", waits ? "waiting" : status);
    write(this.#pill, waits ? "waits for you" : this.#state.reason === "timeout" ? "failed: timeout" : status);
    if (hasEnded({ status }) && document.activeElement === this.#cancel) this.#parts.host.focus();
    this.#cancel.hidden = hasEnded({ status });
    this.#showFigures(task, status);
    this.#questions.show(this.#waiting());
    this.#steps.show(this.#state.turns);
    this.#diagramView.draw();
    this.#raw.draw();
    this.#showAnswer();
    this.#tell(status);
  }

  /** @param {Task} task @param {string} status */
  #showFigures(task, status) {
    const { iteration, limit, tokens, cost, startedAt, duration } = this.#state;
    const turns = Math.max(iteration, task.current_iteration);
    const most = limit || task.max_iterations;
    this.#bar.hidden = status !== "running";
    this.#bar.max = most;
    this.#bar.value = turns;
    write(this.#figures.Turns, `${count(turns)} of ${count(most)}`);
    write(this.#figures.Tokens, count(Math.max(tokens, task.tokens_used)));
    write(this.#figures.Cost, money(Math.max(cost, task.cost_usd)));
    const runs = startedAt && status === "running" ? Date.now() - Date.parse(startedAt) : 0;
    write(this.#figures.Time, duration === null ? (startedAt ? span(runs) : "waits") : span(duration));
  }

  #showAnswer() {
    const { answer, error } = this.#state;
    const ended = hasEnded(this.#state);
    const text = ended ? (answer ?? error ?? "") : spoken(this.#state);
    this.#answerBox.hidden = text === "";
    const kind = this.#state.status === "failed" ? "error" : "answer";
    attribute(this.#answerBox, "data-kind", ended ? kind : "live");
    write(
      /** @type {HTMLElement} */ (this.#answerBox.firstElementChild),
      ended ? (answer === null ? "No answer" : "Answer") : "Answer, as it is written",
    );
    if (ended) {
      if (this.#shownAnswer === `ended ${text.length}`) return;
      this.#shownAnswer = `ended ${text.length}`;
      this.#answer.replaceChildren(answer === null ? plain(text) : prose(answer));
    } else if (text !== this.#shownAnswer) {
      this.#write(text);
    }
  }

  /** Add what is new to the text that is being written: selecting in it goes on working. @param {string} text */
  #write(text) {
    if (!this.#live.isConnected) this.#answer.replaceChildren(this.#live);
    const node = this.#live.firstChild;
    if (node instanceof Text && text.length <= LIVE && this.#shownAnswer && text.startsWith(this.#shownAnswer)) {
      node.appendData(text.slice(this.#shownAnswer.length));
    } else {
      this.#live.textContent = text.length <= LIVE ? text : `… ${text.slice(-LIVE)}`;
    }
    this.#shownAnswer = text;
  }

  /** Tell of the status in the title, and to screen readers if it is another one. @param {string} status */
  #tell(status) {
    const waits = this.#waiting().length > 0;
    const says = waits ? "waits for your word" : status;
    if (says === this.#said) return;
    this.#parts.onWaits(this.#parts.id, waits ? this.#state.iteration : null);
    if (this.#said) this.#parts.say(`The task ${waits ? "" : "is "}${says}.`);
    this.#said = says;
    this.#parts.setTitle(`${says}: ${oneLine(this.#task?.task ?? "", 60)}`);
  }
}

/** @param {string} title @param {HTMLElement} content */
const card = (title, content) =>
  h("section", { class: "card", "aria-label": title }, h("h2", null, title), content);

/** Where a task belongs, and what it was given. @param {Task} task */
function crumbs(task) {
  const session = h("a", { href: `#/sessions/${task.session_id}` }, h("bdi", null, task.session_id));
  return h(
    "p",
    { class: "crumbs" },
    h("a", { href: "#/", class: "narrow-only" }, "← Tasks"),
    task.parent_task_id && h("a", { href: `#/tasks/${task.parent_task_id}` }, "↑ its task"),
    h("span", null, "Session ", session),
    h("span", null, `${task.agent_preset} · ${task.tool_preset} tools · ${task.model}`),
    h("time", { datetime: task.created_at }, age(task.created_at, Date.now())),
  );
}
