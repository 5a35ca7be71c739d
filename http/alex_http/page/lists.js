// The lists of tasks and of sessions beside the task that is shown.

import { h, keyedList, quietly, write, attribute, byId } from "./dom.js";
import { age, count, moment, oneLine, plural } from "./format.js";
import { hasEnded } from "./task-state.js";

/** @typedef {import("./api.js").Task} Task */
/** @typedef {import("./api.js").Session} Session */

const PAGE = 50;

/** Owns both lists. They are asked for again and again, a page at a time. */
export class Lists {
  #api;
  #tasks = new Pages(orderOfTask);
  #sessions = new Pages(orderOfSession);
  #show = "tasks";
  /** Turns in which tasks wait for a person's word, by their IDs. @type {Map<string, number>} */
  #waits = new Map();
  /** The same, of all tasks, as the server lists them. @type {Map<string, number>} */
  #listed = new Map();
  #asked = 0;
  #showTasks = keyedList(byId("tasks", HTMLUListElement), (/** @type {Task} */ task) =>
    taskRow(task, (one) => this.#isWaiting(one)),
  );
  #showSessions = keyedList(byId("sessions", HTMLUListElement), sessionRow);
  #status = byId("filter-status", HTMLSelectElement);
  #session = byId("filter-session", HTMLInputElement);

  /** @param {{api: import("./api.js").Api}} parts */
  constructor({ api }) {
    this.#api = api;
    const again = () => {
      this.#tasks = new Pages(orderOfTask);
      quietly(this.refresh());
    };
    this.#status.addEventListener("change", again);
    this.#session.addEventListener("change", again);
    byId("show-tasks", HTMLButtonElement).addEventListener("click", () => this.#choose("tasks"));
    byId("show-sessions", HTMLButtonElement).addEventListener("click", () => this.#choose("sessions"));
    byId("tasks-more", HTMLButtonElement).addEventListener("click", () => this.#more(this.#tasks));
    byId("sessions-more", HTMLButtonElement).addEventListener("click", () => this.#more(this.#sessions));
  }

  /** Ask for the first page of what is shown, and for one of the others that are shown. */
  async refresh() {
    const pages = this.#show === "tasks" ? this.#tasks : this.#sessions;
    await this.#load(pages, 0);
    if (pages.wanted > 1) await this.#load(pages, 1 + (this.#asked++ % (pages.wanted - 1)));
    if (this.#show === "tasks" && !this.#sessions.items.length) await this.#load(this.#sessions, 0);
  }

  /** A task is there, or has changed: no need to wait for the next look. @param {Task} task */
  put(task) {
    const other = this.#status.value && this.#status.value !== task.status;
    if (!other && (!this.#session.value || this.#session.value === task.session_id)) this.#tasks.put(task);
    this.#draw();
  }

  /** Which tasks wait for a person's word. @param {import("./api.js").Approval[]} approvals */
  setListed(approvals) {
    this.#listed = new Map(approvals.map(({ task_id, iteration }) => [task_id, iteration]));
    this.#draw();
  }

  /**
   * Whether a task waits for a person's word, as who looks at it knows: for a call of a sub-agent, say.
   *
   * @param {string} id
   * @param {number | null} turn in which it does
   */
  setWaits(id, turn) {
    if (turn !== null) this.#waits.set(id, turn);
    // Who looks at a task knows first.
    else if (this.#waits.delete(id)) this.#listed.delete(id);
    this.#draw();
  }

  /** As far as is known: in a later turn it has had its answer. @param {Task} task */
  #isWaiting(task) {
    const turn = this.#waits.get(task.task_id) ?? this.#listed.get(task.task_id) ?? -1;
    return !hasEnded(task) && task.current_iteration <= turn;
  }

  /** Whether a task of the list has not ended: it may change soon. */
  get hasWork() {
    return this.#tasks.items.some((task) => !hasEnded(task));
  }

  /** Mark the link to what is shown. @param {string} hash */
  mark(hash) {
    for (const link of document.querySelectorAll(".rows a")) {
      attribute(link, "aria-current", link.getAttribute("href") === hash ? "page" : null);
    }
  }

  /** @param {string} what */
  #choose(what) {
    this.#show = what;
    for (const one of ["tasks", "sessions"]) {
      byId(`show-${one}`, HTMLButtonElement).setAttribute("aria-pressed", String(one === what));
      byId(`${one}-pane`, HTMLDivElement).hidden = one !== what;
    }
    quietly(this.refresh());
  }

  /** @param {Pages<any>} pages */
  async #more(pages) {
    const next = pages.wanted;
    // If it fails, the next click asks for the same page.
    await quietly(this.#load(pages, next).then(() => (pages.wanted = next + 1)));
  }

  /** @param {Pages<any>} pages @param {number} number */
  async #load(pages, number) {
    const query = { limit: PAGE, offset: number * PAGE };
    if (pages === this.#sessions) {
      const { sessions, total } = await this.#api.sessions(query);
      this.#sessions.take(sessions, total, number);
    } else {
      const filter = { status: this.#status.value, session_id: this.#session.value.trim() };
      const { tasks, total } = await this.#api.tasks({ ...query, ...filter });
      pages.take(tasks, total, number); // of a filter that was changed meanwhile, nobody has these pages any more
    }
    this.#draw();
  }

  #draw() {
    this.#showTasks(this.#tasks.items, (task) => task.task_id);
    this.#showSessions(this.#sessions.items, (session) => session.id);
    const filtered = this.#status.value || this.#session.value;
    document.body.classList.toggle("no-tasks", this.#tasks.asked && !this.#tasks.items.length && !filtered);
    write(byId("tasks-none", HTMLElement), filtered ? "There is no such task." : "There are no tasks yet.");
    for (const [name, pages] of /** @type {[string, Pages<any>][]} */ ([
      ["tasks", this.#tasks],
      ["sessions", this.#sessions],
    ])) {
      byId(`${name}-none`, HTMLElement).hidden = pages.items.length > 0 || !pages.asked;
      const more = byId(`${name}-more`, HTMLButtonElement);
      more.hidden = pages.items.length >= pages.total;
      write(more, `Load more (${count(pages.items.length)} of ${count(pages.total)})`);
    }
    const known = byId("sessions-known", HTMLDataListElement);
    if (known.childElementCount !== this.#sessions.items.length) {
      known.replaceChildren(...this.#sessions.items.map(({ id }) => h("option", { value: id })));
    }
    this.mark(location.hash);
  }
}

/**
 * What is known of a long list, of which pages are asked for in turn while new items come in at its front.
 *
 * @template {Task | Session} T
 */
class Pages {
  /** In the list's order. @type {T[]} */
  items = [];
  total = 0;
  wanted = 1;
  asked = false;
  #orderOf;

  /** @param {(item: T) => string} orderOf what the list is sorted by, falling */
  constructor(orderOf) {
    this.#orderOf = orderOf;
  }

  /**
   * A page has everything between its first and its last item: what is known there and is not in it is gone.
   *
   * @param {T[]} page @param {number} total @param {number} number
   */
  take(page, total, number) {
    const key = this.#orderOf;
    const last = number * PAGE + page.length >= total ? "" : key(page[page.length - 1]);
    const first = number === 0 ? "\uffff" : page.length ? key(page[0]) : "";
    const ids = new Set(page.map(idOf));
    const others = this.items.filter((item) => !ids.has(idOf(item)) && (key(item) < last || key(item) > first));
    this.#set([...page, ...others]);
    this.total = total;
    this.asked = true;
  }

  /** @param {T} item */
  put(item) {
    const others = this.items.filter((one) => idOf(one) !== idOf(item));
    if (others.length === this.items.length) this.total += 1;
    this.#set([item, ...others]);
  }

  /** @param {T[]} items */
  #set(items) {
    const key = this.#orderOf;
    this.items = items.sort((one, other) => (key(one) < key(other) ? 1 : -1));
  }
}

/** @param {Task | Session} item */
const idOf = (item) => ("task_id" in item ? item.task_id : item.id);
/** @param {Task} task */
const orderOfTask = (task) => `${task.created_at} ${task.task_id}`;
/** @param {Session} session */
const orderOfSession = (session) => `${session.updated_at} ${session.id}`;

/** @param {Task} first @param {(task: Task) => boolean} [waits] for a person's word, as far as is known */
export function taskRow(first, waits = () => false) {
  const text = h("bdi", { class: "what" }, oneLine(first.task));
  const said = h("span", { class: "unseen" });
  const more = h("span", { class: "about" });
  const link = h(
    "a",
    { href: `#/tasks/${first.task_id}`, title: oneLine(first.task, 400) },
    dot(),
    text,
    said,
    more,
  );
  let shown = "";
  return {
    element: h("li", null, link),
    /** @param {Task} task */
    update(task) {
      const status = waits(task) ? "waiting" : task.status;
      const now = `${status} ${age(task.created_at, Date.now())} ${task.current_iteration}`;
      if (now === shown) return;
      shown = now;
      attribute(link, "data-status", status);
      write(said, status === "waiting" ? "waits for your word" : status);
      const turns =
        status === "waiting"
          ? "waits for you · "
          : status === "running"
            ? `turn ${task.current_iteration} · `
            : "";
      write(more, `${task.parent_task_id ? "sub-agent · " : ""}${turns}${age(task.created_at, Date.now())}`);
    },
  };
}

/** @param {Session} first */
function sessionRow(first) {
  const text = h("bdi", { class: "what" });
  const more = h("span", { class: "about" });
  const link = h("a", { href: `#/sessions/${first.id}`, title: `Made ${moment(first.created_at)}` }, text, more);
  return {
    element: h("li", null, link),
    /** @param {Session} session */
    update(session) {
      write(text, session.last_task === null ? session.id : oneLine(session.last_task));
      const used = age(session.updated_at, Date.now());
      write(more, `${plural(session.task_count, "task")} · ${used} · ${session.id}`);
    },
  };
}

const dot = () => h("span", { class: "dot", "aria-hidden": "true" });
