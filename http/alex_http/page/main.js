// The page: what stands behind `#` says what is shown, so that a link shows the same to everybody.
//
// Read on in api.js (calls), stream.js (events), task-state.js (what they mean), task-view.js (how it looks).

import { Api } from "./api.js";
import { ApprovalsView } from "./approvals-view.js";
import { byId, h, quietly, write } from "./dom.js";
import { Lists } from "./lists.js";
import { Login } from "./login.js";
import { SessionView } from "./session-view.js";
import { Strip } from "./strip.js";
import { SubmitForm } from "./submit.js";
import { TaskView } from "./task-view.js";

/** Milliseconds between two looks at the server; only while somebody sees the page. */
const LOOK = 2000;
/** The same while nothing runs: each look is a few lines in the server's log. */
const SELDOM = 10_000;
/** The same after something has happened. */
const SOON = 300;
/** Tool calls that wait for a person's word, of which the page knows at most. */
const MOST_ASKED = 100;
const TICK = 500;

const EXAMPLES = [
  "What is 2 + 2?",
  "Count from 1 to 10",
  "Create a file called plan.md with content: # Plan. Then read plan.md",
  "Simulate 20 steps of 500 ms",
];

const api = new Api({ fetch: globalThis.fetch.bind(globalThis) });
const main = byId("main", HTMLElement);
const banner = byId("banner", HTMLElement);
const lists = new Lists({ api });
const strip = new Strip({ api, element: byId("strip", HTMLElement), onAsked: readApprovals });
const form = new SubmitForm({
  api,
  onTask: (task) => {
    onTask(task);
    location.hash = `#/tasks/${task.task_id}`;
  },
});
const login = new Login({
  api,
  store: storage(),
  onLogin: () => Promise.all([route(), refresh()]),
  onLogout: () => location.reload(),
});

/** What is shown. @type {TaskView | SessionView | ApprovalsView | null} */
let view = null;
const lost = { server: false, stream: false };
let hasChoices = false;
let nextLook = 0;
let isLooking = false;
let hurries = false;
/** Reads of what waits for a person: how many there were, and the latest that was answered. */
let asks = 0;
let answered = 0;

/** Show what the address says. */
async function route() {
  view?.close();
  view = null;
  tellLost({ stream: false });
  const [, kind, id = ""] = /^#\/(?:(tasks|sessions)\/([^/]+)|approvals)$/.exec(location.hash) ?? [];
  const isList = location.hash === "#/approvals";
  document.body.dataset.view = kind || isList ? "detail" : "list";
  lists.mark(location.hash);
  if (kind === "sessions") form.beside("session", decoded(id));
  if (!kind) form.beside("other", "");
  if (!kind && !isList) return showWelcome();
  const parts = {
    api,
    id: decoded(id),
    host: main,
    say,
    setTitle,
    // Where a stream goes on there is a server.
    onLost: (/** @type {boolean} */ stream) => tellLost(stream ? { stream } : { stream, server: false }),
    onTask,
    onWaits: lists.setWaits.bind(lists),
    onChange: lookSoon,
    continueIn,
  };
  const opened = isList
    ? new ApprovalsView(parts, readApprovals)
    : kind === "tasks"
      ? new TaskView(parts)
      : new SessionView(parts);
  view = opened;
  main.replaceChildren();
  await quietly(opened.open());
  if (view === opened && !main.childElementCount && !login.isOpen)
    setTimeout(() => view === opened && route(), LOOK);
}

function showWelcome() {
  setTitle("");
  const suggest = (/** @type {string} */ text) =>
    h("li", null, h("button", { type: "button", onclick: () => form.suggest(text) }, text));
  main.replaceChildren(
    h(
      "div",
      { class: "empty" },
      h("h1", null, "What should be done?"),
      h(
        "p",
        null,
        "Submit a task, or choose one of the list. Here you see it run: each turn of its agent, each tool,",
        " what it says, and who tells whom.",
      ),
      h("ul", { class: "examples", "aria-label": "Examples" }, EXAMPLES.map(suggest)),
    ),
  );
}

/** Whether the list and a task are two views. */
const isNarrow = () => matchMedia("(max-width: 899px)").matches;

/** @param {string} sessionId */
function continueIn(sessionId) {
  if (isNarrow()) location.hash = "#/";
  form.continueIn(sessionId);
}

/** A task was read, since it has changed. @param {import("./api.js").Task} task */
function onTask(task) {
  lists.put(task);
  if (location.hash === `#/tasks/${task.task_id}`) form.beside("task", task.session_id);
  lookSoon();
}

/** @param {string} text for screen readers */
function say(text) {
  write(byId("said", HTMLElement), text);
}

/** @param {string} title */
function setTitle(title) {
  document.title = title ? `${title} – Alex Runtime` : "Alex Runtime";
}

/** @param {{server?: boolean, stream?: boolean}} what was lost, or is there again */
function tellLost(what) {
  const wasLost = lost.server;
  Object.assign(lost, what);
  if (lost.server) strip.lose();
  else if (wasLost) lookSoon();
  const text = lost.server
    ? "The server does not answer. Trying again…"
    : lost.stream
      ? "The connection was lost. Reconnecting…"
      : "";
  write(banner, text);
  document.body.classList.toggle("lost", text !== "");
}

/** Where a browser keeps things; null if it is told to keep nothing. */
function storage() {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

/** @param {string} id */
function decoded(id) {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

/** Ask which tool calls wait for a person's word, and show it wherever it is told. */
async function readApprovals() {
  const number = ++asks;
  const list = await api.approvals(MOST_ASKED);
  if (number < answered) return; // replies may overtake each other
  answered = number;
  strip.ask(list.approvals.length, list.next_cursor !== null);
  lists.setListed(list.approvals);
  if (view instanceof ApprovalsView) view.show(list);
}

/** Ask for all that changes without events. */
async function refresh() {
  if (!hasChoices) await quietly(form.loadChoices().then(() => (hasChoices = true)));
  if (login.isOpen) return;
  await Promise.all([quietly(lists.refresh()), quietly(strip.refresh())]);
  // Another call may wait in place of one: who looks at the list is to see that, too.
  if (view instanceof ApprovalsView) await quietly(readApprovals());
}

/** Look at the server again and again, as long as somebody looks at the page. */
async function look() {
  hurries = false;
  isLooking = true;
  if (!document.hidden && !login.isOpen) await refresh();
  isLooking = false;
  const works = lost.server || lists.hasWork || strip.hasWork;
  nextLook = setTimeout(look, hurries ? SOON : works ? LOOK : SELDOM);
}

/** Something has happened: the next look need not be waited for. */
function lookSoon() {
  hurries = true;
  if (isLooking) return;
  clearTimeout(nextLook);
  nextLook = setTimeout(look, SOON);
}

api.addEventListener("unreachable", () => {
  tellLost({ server: true });
  hasChoices = false; // it may be started again with others
});
api.addEventListener("reached", () => lost.server && tellLost({ server: false }));
addEventListener("hashchange", async () => {
  const cameFromDetail = view !== null;
  await route();
  main.focus();
  // The list is below the form there, and whoever comes back from a task has seen the form.
  if (!view && cameFromDetail && isNarrow()) byId("lists", HTMLElement).scrollIntoView();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return view?.pause();
  view?.resume();
  lookSoon();
});
setInterval(() => view && quietly(Promise.resolve(view.tick())), TICK);
route();
look();
