// A session: its tasks as the conversation that they are, live.

import { Problem, sessionPath } from "./api.js";
import { attribute, h, keyedList, write } from "./dom.js";
import { age, moment, oneLine, plural, span } from "./format.js";
import { plain, prose } from "./prose.js";
import { EventStream, TERMINAL } from "./stream.js";
import { hasEnded } from "./task-state.js";

/** @typedef {import("./api.js").Task} Task */
/** @typedef {import("./api.js").SessionDetail} SessionDetail */

/** Milliseconds: how often the session is read at most, while its tasks change. */
const PAUSE = 400;
/** Events after which it is read again. */
const TURNING_POINTS = new Set([
  "task_created",
  "task_started",
  "approval_requested",
  "approval_resolved",
  ...TERMINAL,
]);
/** Tasks that are shown of a long session: the last ones. */
const MOST = 100;

/** Shows one session until it is closed. */
export class SessionView {
  #parts;
  /** @type {EventStream | null} */
  #stream = null;
  #timer = 0;
  #closed = false;
  /** Whether it is this page that deletes it. */
  #erases = false;
  #about = h("p", { class: "crumbs" });
  #fault = h("p", { class: "fault", role: "alert" });
  #before = h("div", { class: "turns" });
  #turns = h("ol", { class: "turns", "aria-label": "Tasks of this session" });
  #earlier = h("p", { class: "hint", hidden: true });
  #showTurns = keyedList(this.#turns, exchange);
  #waiting = new Waiting();
  /** @type {SessionDetail | null} */
  #session = null;
  #ticks = 0;

  /** @param {import("./task-view.js").Parts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /** Read the session, and follow the events of all of its tasks. */
  async open() {
    const session = await this.#read();
    if (!session || this.#closed) return;
    this.#parts.setTitle(`Session ${oneLine(session.id, 60)}`);
    this.#parts.host.replaceChildren(this.#page(session));
    this.#show(session);
    this.#stream = new EventStream({
      path: `${sessionPath(this.#parts.id)}/events`,
      paused: document.hidden,
      onEvent: (event) => {
        this.#waiting.take(event);
        if (TURNING_POINTS.has(event.event_type)) this.#soon();
      },
      onState: (state) => (state === "deleted" ? this.#gone() : this.#parts.onLost(state === "reconnecting")),
      isOver: async () => ((await this.#read()) ? null : "deleted"),
    });
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#stream?.close();
  }

  pause() {
    this.#stream?.pause();
  }

  resume() {
    this.#stream?.resume();
  }

  /** Time has passed: ages grow. */
  tick() {
    this.#ticks += 1;
    if (this.#session && this.#ticks % 20 === 0) this.#show(this.#session);
  }

  /** Read it again in a moment, once for many events. */
  #soon() {
    if (this.#timer || this.#closed) return;
    this.#timer = setTimeout(async () => {
      this.#timer = 0;
      const session = await this.#read().catch(() => null);
      if (session && !this.#closed) this.#show(session);
      this.#parts.onChange();
    }, PAUSE);
  }

  /** @returns {Promise<SessionDetail | null>} null: it is gone, and the page says so */
  async #read() {
    try {
      return await this.#parts.api.session(this.#parts.id);
    } catch (error) {
      if (!(error instanceof Problem && error.status === 404)) throw error;
      this.#gone();
      return null;
    }
  }

  #gone() {
    if (this.#closed) return;
    this.close();
    this.#parts.onLost(false);
    this.#parts.say("The session is deleted.");
    this.#parts.onChange();
    if (this.#erases) return void (location.hash = "#/");
    this.#parts.setTitle("No such session");
    this.#parts.host.replaceChildren(
      h(
        "div",
        { class: "empty" },
        h("h1", null, "This session is not there"),
        h("p", null, "It was deleted, or there never was one of this ID."),
        h("p", null, h("code", null, oneLine(this.#parts.id))),
      ),
    );
  }

  /** @param {SessionDetail} session */
  #page(session) {
    const { api, continueIn } = this.#parts;
    const fork = async () => {
      location.hash = `#/sessions/${(await api.fork(session.id)).id}`;
    };
    const erase = async () => {
      if (!confirm("Delete this session, with all of its tasks and files?")) return;
      this.#erases = true;
      try {
        await api.deleteSession(session.id);
      } catch (error) {
        this.#erases = false;
        throw error;
      }
      this.#gone();
    };
    return h(
      "article",
      { class: "session" },
      h(
        "header",
        null,
        this.#about,
        h("h1", null, h("bdi", null, session.id)),
        h(
          "div",
          { class: "state" },
          h(
            "button",
            { type: "button", class: "primary", onclick: () => continueIn(session.id) },
            "New task in this session",
          ),
          h("button", { type: "button", class: "quiet", onclick: () => this.#attempt(fork) }, "Fork"),
          h("span", { class: "spacer" }),
          h("button", { type: "button", class: "danger", onclick: () => this.#attempt(erase) }, "Delete"),
        ),
        this.#fault,
      ),
      h("h2", { class: "unseen" }, "Conversation"),
      this.#before,
      this.#earlier,
      this.#turns,
    );
  }

  /** @param {() => Promise<void>} what */
  async #attempt(what) {
    write(this.#fault, "");
    try {
      await what();
    } catch (error) {
      write(this.#fault, error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {SessionDetail} session */
  #show(session) {
    this.#session = session;
    const own = session.tasks.filter(({ parent_task_id }) => parent_task_id === null);
    const children = session.tasks.length - own.length;
    this.#about.replaceChildren(
      h("a", { href: "#/", class: "narrow-only" }, "← Tasks"),
      h("span", null, plural(own.length, "task"), children ? ` and ${plural(children, "sub-agent")}` : ""),
      h("span", null, `since ${moment(session.created_at)}`),
      ...(session.forked_from
        ? [
            h(
              "span",
              null,
              "forked from ",
              h("a", { href: `#/sessions/${session.forked_from}` }, h("bdi", null, session.forked_from)),
            ),
          ]
        : []),
    );
    if (session.forked_from && !this.#before.childElementCount) {
      const inherited = session.messages.slice(0, session.messages.length - answered(own));
      this.#before.append(
        ...inherited
          .slice(-MOST)
          .map(({ role, content }) =>
            h("div", { class: `bubble ${role}` }, role === "user" ? plain(content) : prose(content)),
          ),
      );
    }
    this.#earlier.hidden = own.length <= MOST;
    write(this.#earlier, `… ${plural(own.length - MOST, "earlier task")}: the list has them all`);
    const shown = own.slice(-MOST).map((task) => ({ task, waits: this.#waiting.has(task) }));
    this.#showTurns(shown, ({ task }) => task.task_id);
  }
}

/** How many messages these tasks have made: one each, and one for an answer. @param {Task[]} tasks */
const answered = (tasks) => tasks.length + tasks.filter(({ result }) => result).length;

/** Which tasks wait for a person's word, for a call of their own or of a sub-agent of theirs. */
export class Waiting {
  /** @type {Map<string, Set<string>>} */
  #calls = new Map();

  /** @param {import("./stream.js").TaskEvent} event */
  take({ event_type, task_id, parent_task_id, call_id }) {
    const owner = parent_task_id ?? task_id;
    const calls = this.#calls.get(owner) ?? new Set();
    this.#calls.set(owner, calls);
    if (event_type === "approval_requested") calls.add(`${task_id} ${call_id}`);
    if (event_type === "approval_resolved") calls.delete(`${task_id} ${call_id}`);
    // What has ended waits for nothing, though nobody has answered.
    if (TERMINAL.has(event_type)) for (const one of calls) if (one.startsWith(`${task_id} `)) calls.delete(one);
  }

  /** @param {Task} task */
  has(task) {
    return !hasEnded(task) && Boolean(this.#calls.get(task.task_id)?.size);
  }
}

/** What was asked, and what came of it. @param {{task: Task}} first */
function exchange({ task: first }) {
  const status = h("a", { class: "pill", href: `#/tasks/${first.task_id}` });
  const about = h("span", { class: "about" });
  const answer = h("div", { class: "bubble assistant" });
  let shown = "";
  return {
    element: h(
      "li",
      null,
      h("div", { class: "bubble user" }, plain(first.task)),
      answer,
      h("p", { class: "below" }, status, about),
    ),
    /** @param {{task: Task, waits: boolean}} now */
    update({ task, waits }) {
      const took =
        task.started_at && task.completed_at
          ? ` · ${span(Date.parse(task.completed_at) - Date.parse(task.started_at))}`
          : "";
      write(about, `${age(task.created_at, Date.now())}${took}`);
      const says = waits ? "waits for your word" : task.status;
      if (says === shown) return;
      shown = says;
      attribute(status, "data-status", task.status);
      write(status, says);
      attribute(status, "aria-label", `Open the task, ${says}: ${oneLine(task.task, 80)}`);
      const text = task.result?.answer ?? task.error;
      answer.hidden = !text;
      answer.classList.toggle("error", task.status === "failed");
      if (text) answer.replaceChildren(task.result ? prose(text) : plain(text));
    },
  };
}
