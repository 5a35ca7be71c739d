// What the page's modules do without a page: run by test_page_units.py, which says where they are.

import assert from "node:assert/strict";
import { test } from "node:test";

const page = (name) => import(new URL(name, process.env.PAGE));
const { markdown } = await page("markdown.js");
const { parseMetrics, quantilesBetween, rate, total } = await page("metrics.js");
const { apply, hasEnded, spoken, unknownTask, waitingCalls } = await page("task-state.js");
const { Diagram } = await page("diagram-model.js");
const { EventStream } = await page("stream.js");
const { oneLine, pretty, shellQuoted, span } = await page("format.js");
const { Api, Problem, Unreachable, parsed } = await page("api.js");
const { Waiting } = await page("session-view.js");

// Markdown, written as tags.

const written = (part) => {
  if (typeof part === "string") return part;
  const href = part.href ? ` ${part.href}` : "";
  return `<${part.tag}${href}>${part.children.map(written).join("")}</${part.tag}>`;
};
const html = (text) => markdown(text).map(written).join("");

/** Milliseconds of a core that some work takes, however busy the machine is. */
const took = (work) => {
  const began = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(began);
  return (user + system) / 1000;
};

for (const [text, expected] of [
  ["one\n\ntwo", "<p>one</p><p>two</p>"],
  ["one\ntwo", "<p>one<br></br>two</p>"],
  ["## Head ##", "<h4>Head</h4>"],
  ["# C# #\n#no\n#", "<h3>C#</h3><p>#no</p><h3></h3>"],
  ["a\u2028# b", "<p>a</p><h3>b</h3>"],
  ["**bold** *em* _em_ ~~no~~ `a*b*`", "<p><strong>bold</strong> <em>em</em> <em>em</em> <del>no</del> <code>a*b*</code></p>"],
  ["**a *b* c**", "<p><strong>a <em>b</em> c</strong></p>"],
  ["snake_case_name 2 * 3 * 4", "<p>snake_case_name 2 * 3 * 4</p>"],
  ["\\*not\\*", "<p>*not*</p>"],
  ["```js\n<b>\n```\nafter", "<pre><b></pre><p>after</p>"],
  ["```\ncut off", "<pre>cut off</pre>"],
  ["- a\n- b\n  1. c\n  2. d\n- e", "<ul><li>a</li><li>b<ol><li>c</li><li>d</li></ol></li><li>e</li></ul>"],
  ["> quote\n> more", "<blockquote><p>quote<br></br>more</p></blockquote>"],
  ["a | b\n--|--\n1 | **2** | 3", "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td><strong>2</strong></td></tr></table>"],
  ["[text](https://a.example/b) [bad](javascript:alert(1))", "<p><a https://a.example/b>text</a> [bad](javascript:alert(1))</p>"],
  ["See https://a.example/b?c=d.", "<p>See <a https://a.example/b?c=d>https://a.example/b?c=d</a>.</p>"],
  ["<script>alert(1)</script>", "<p><script>alert(1)</script></p>"],
  ["a\n***\nb", "<p>a</p><hr></hr><p>b</p>"],
]) {
  test(`Markdown: ${JSON.stringify(text)}`, () => assert.equal(html(text), expected));
}

test("Markdown: markup of a stranger is one string", () => {
  assert.deepEqual(markdown("<img src=x onerror=alert(1)>"), [{ tag: "p", children: ["<img src=x onerror=alert(1)>"] }]);
});

for (const piece of ["> ", "- ", "*", "_a ", "**a ", "`", "[", "|", "http://", "* a\n", "<", "\n> * 1. "]) {
  test(`Markdown: much of ${JSON.stringify(piece)} takes no long time`, () => {
    assert.ok(took(() => markdown(piece.repeat(50_000 / piece.length))) < 2000);
  });
}

const SPACES = " ".repeat(49_000);
for (const [name, text] of Object.entries({
  "a heading with spaces": `# ${SPACES}\u2028`,
  "a heading with closing marks": `# a${" #".repeat(24_000)}x`,
  "a heading of one mark": `# ${"#".repeat(49_000)}x`,
  "a rule": `- - -${SPACES}x`,
  "the second line of a table": `a|b\n${SPACES}x`,
  "the second line of a table, with columns": `a|b\n${"- | ".repeat(12_000)}x`,
  "an item": `-${SPACES}`,
  "a fence": `\`\`\`${SPACES}\n`,
  "an address": `http://${".".repeat(49_000)}`,
  "a named link": `[a](https://${"b".repeat(2_100)} "`.repeat(24),
})) {
  test(`Markdown: ${name}, however long, takes no long time`, () => {
    assert.ok(took(() => markdown(text)) < 500);
  });
}

// Metrics.

const SCRAPE = `# HELP alex_tasks Tasks.
# TYPE alex_tasks gauge
alex_tasks{status="running"} 3.0
alex_tasks{status="pending"} 1.0
alex_odd{text="a\\"b,c=\\"d"} 1e3 1700000000
other_total 5
`;

test("metrics are read with their labels", () => {
  const samples = parseMetrics(SCRAPE, "alex_");

  assert.equal(total(samples, "alex_tasks"), 4);
  assert.equal(total(samples, "alex_tasks", { status: "running" }), 3);
  assert.equal(total(samples, "alex_odd"), 1000);
  assert.equal(total(samples, "other_total"), null);
});

const counted = (at, value) => ({ at, samples: [{ name: "c_total", labels: {}, value }] });

test("a rate is that of the time between two scrapes, over a restart too", () => {
  assert.equal(rate(counted(0, 10), counted(2000, 30), "c_total"), 10);
  assert.equal(rate(counted(0, 10), counted(2000, 4), "c_total"), 2);
});

test("quantiles are those of what was observed between two scrapes", () => {
  const scrape = (...counts) => ({
    at: 0,
    samples: ["0.1", "1", "+Inf"].map((le, n) => ({ name: "h_bucket", labels: { le }, value: counts[n] })),
  });

  assert.deepEqual(quantilesBetween(scrape(5, 5, 5), scrape(15, 15, 15), "h", [0.5]), [0.05]);
  assert.deepEqual(quantilesBetween(scrape(0, 0, 0), scrape(0, 10, 10), "h", [0.5]), [0.55]);
  assert.deepEqual(quantilesBetween(scrape(0, 0, 0), scrape(0, 0, 10), "h", [0.5]), [1]);
  assert.equal(quantilesBetween(scrape(5, 5, 5), scrape(5, 5, 5), "h", [0.5]), null);
});

// What a task's events make of it.

const stamped = (events) => events.map((event, n) => ({ event_id: n + 1, timestamp: new Date(n * 1000).toISOString(), ...event }));
const stateOf = (...events) => {
  const state = unknownTask();
  for (const event of stamped(events)) apply(state, event);
  return state;
};
const BEGUN = [
  { event_type: "task_created", task: "x" },
  { event_type: "task_started" },
  { event_type: "iteration_start", iteration: 1, total_iters: 50 },
  { event_type: "thinking", iteration: 1, message_count: 2 },
];
const delta = (text, iteration = 1) => ({ event_type: "assistant_delta", iteration, delta: text });
const asked = { event_type: "approval_requested", iteration: 1, call_id: "c", tool_name: "shell", arguments: { command: "ls" } };

test("what is said grows, and begins anew after an error that is tried again", () => {
  assert.equal(spoken(stateOf(...BEGUN, delta("Hel"), delta("lo"))), "Hello");

  const failed = { event_type: "error", iteration: 1, phase: "think", error: "cut", recoverable: true };
  assert.equal(spoken(stateOf(...BEGUN, delta("Hel"), failed, delta("Good"))), "Good");
});

test("what is said begins anew after a restart of the server", () => {
  assert.equal(spoken(stateOf(...BEGUN, delta("Hel"), { event_type: "task_resumed" }, delta("Good"))), "Good");
});

test("text beside tool calls is no answer", () => {
  const state = stateOf(...BEGUN, delta("I look."), { event_type: "think_complete", iteration: 1, content: "I look.", tool_call_count: 1 });

  assert.equal(spoken(state), "");
  assert.equal(state.turns[0].text, "I look.");
  assert.equal(state.turns[0].duration, 2000);
});

test("a call waits, is approved with other arguments, and is done", () => {
  const waiting = stateOf(...BEGUN, asked);
  assert.deepEqual(waitingCalls(waiting).map(({ id, name }) => [id, name]), [["c", "shell"]]);

  const state = stateOf(...BEGUN, asked, { event_type: "approval_resolved", call_id: "c", approved: true, reason: null, arguments: { command: "id" } },
    { event_type: "tool_call_stream", call_id: "c", chunk: "uid", is_complete: false },
    { event_type: "tool_call_complete", call_id: "c", tool_name: "shell", result: "uid=0", error: null, duration: 3 });
  const call = state.calls.get("c");
  assert.deepEqual([call.status, call.args, call.output, call.result], ["done", { command: "id" }, "uid", "uid=0"]);
  assert.deepEqual(waitingCalls(state), []);
});

test("what had not ended is stopped by the end of the task", () => {
  const state = stateOf(...BEGUN, asked, { event_type: "task_cancelled", status: "cancelled", termination_reason: "cancelled", error: "cancelled", total_iterations: 1, total_tokens: 7, duration: 9 });

  assert.ok(hasEnded(state));
  assert.equal(state.calls.get("c").status, "stopped");
  assert.deepEqual([state.tokens, state.duration], [7, 9]);
});

test("a session waits for a word no longer than the sub-agent that asked for it", () => {
  const waiting = new Waiting();
  const about = { task_id: "child", parent_task_id: "task", call_id: "c" };
  const waits = () => waiting.has({ task_id: "task", status: "running" });

  waiting.take({ ...about, event_type: "approval_requested" });
  assert.ok(waits());
  waiting.take({ ...about, event_type: "task_cancelled" });
  assert.ok(!waits());
});

// The diagram.

test("the diagram has an arrow for each message, and only those who take part", () => {
  const diagram = new Diagram();
  for (const event of stamped([...BEGUN,
    { event_type: "think_complete", iteration: 1, content: "", tool_call_count: 1, usage: { input_tokens: 10, output_tokens: 2 }, duration: 12 },
    { event_type: "tool_call_start", iteration: 1, call_id: "c", tool_name: "shell" },
    { event_type: "tool_call_complete", call_id: "c", tool_name: "shell", error: null, duration: 3 },
    { event_type: "task_completed", status: "completed", duration: 4 }])) diagram.add(event);

  assert.deepEqual(diagram.rows.map(({ from, to, label }) => [from, to, label]), [
    ["Client", "Session", "submit"],
    ["Session", "Store", "record the task"],
    ["Session", "Agent", "your turn"],
    ["Agent", "Agent", "Turn 1"],
    ["Agent", "Model", "2 messages"],
    ["Model", "Agent", "1 tool call · 12 tokens · 12 ms"],
    ["Agent", "Tools", "shell"],
    ["Tools", "Agent", "shell · 3.0 ms"],
    ["Agent", "Store", "completed"],
    ["Store", "Client", "answer · 4.0 ms"],
  ]);
  assert.deepEqual(diagram.busy, [
    { actor: "Agent", begin: 2, end: 8 },
    { actor: "Model", begin: 4, end: 5 },
    { actor: "Tools", begin: 6, end: 7 },
  ]);
  assert.ok(!diagram.actors.has("Person"));
});

// Streams.

class FakeSource extends EventTarget {
  static made = [];
  CLOSED = 2;
  readyState = 1;

  constructor(url) {
    super();
    this.url = url;
    FakeSource.made.push(this);
  }

  send(type, id, data) {
    this.dispatchEvent(Object.assign(new Event(type), { data: JSON.stringify(data), lastEventId: String(id) }));
  }

  lose(readyState) {
    this.readyState = readyState;
    this.dispatchEvent(new Event("error"));
  }

  close() {
    this.readyState = this.CLOSED;
  }
}

const streamed = (over) => {
  FakeSource.made = [];
  const seen = { events: [], states: [] };
  seen.stream = new EventStream({
    path: "/s", EventSource: FakeSource, isOver: over ?? (async () => null),
    onEvent: (event) => seen.events.push(event.event_id),
    onState: (state) => seen.states.push(state),
  });
  return seen;
};

test("an event that is sent twice is given once, and an error of a task is an event", () => {
  const seen = streamed();
  const [source] = FakeSource.made;

  for (const id of [1, 2, 2, 1, 3]) source.send("error", id, { event_id: id });

  assert.deepEqual(seen.events, [1, 2, 3]);
  assert.deepEqual(seen.states, []);
});

test("a connection that the browser tries again is left to it", () => {
  const seen = streamed();

  FakeSource.made[0].lose(0);

  assert.deepEqual(seen.states, ["reconnecting"]);
  assert.equal(FakeSource.made.length, 1);
});

test("a stream that is paused goes on behind its last event", () => {
  const seen = streamed();
  FakeSource.made[0].send("thinking", 7, { event_id: 7 });

  seen.stream.pause();
  seen.stream.resume();

  assert.deepEqual(FakeSource.made.map(({ url }) => url), ["/s", "/s?after=7"]);
});

test("a stream that is paused while it looks why it was refused is not opened until it goes on", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const seen = streamed();
  FakeSource.made[0].lose(2);

  seen.stream.pause();
  await new Promise(setImmediate);
  context.mock.timers.tick(60_000);

  assert.equal(FakeSource.made.length, 1);
  seen.stream.resume();
  assert.equal(FakeSource.made.length, 2);
});

test("a stream that was refused is opened again, unless it is over", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const seen = streamed();
  FakeSource.made[0].send("thinking", 7, { event_id: 7 });
  FakeSource.made[0].lose(2);
  await Promise.resolve().then(() => undefined);
  await new Promise(setImmediate);
  context.mock.timers.tick(500);
  assert.deepEqual(FakeSource.made.map(({ url }) => url), ["/s", "/s?after=7"]);
  seen.stream.close();

  const gone = streamed(async () => "deleted");
  FakeSource.made[0].lose(2);
  await new Promise(setImmediate);
  context.mock.timers.tick(60_000);
  assert.deepEqual(gone.states, ["reconnecting", "deleted"]);
  assert.equal(FakeSource.made.length, 1);
});

// The API.

const answering = (status, body) => async () => new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });

test("a problem has the server's words, and those of each field", async () => {
  const api = new Api({ fetch: answering(400, { detail: "no", errors: [{ field: "task", reason: "must be" }] }) });

  await assert.rejects(api.submit({}, "k"), (error) => error instanceof Problem && error.message === "no" && error.fields.get("task") === "must be");
});

test("who is told to show a token is asked for one, and a write that is not allowed asks for none", async () => {
  const locked = [];
  for (const [status, call] of [[401, "tasks"], [403, "tasks"], [403, "cancel"]]) {
    const api = new Api({ fetch: answering(status, { detail: "no" }) });
    api.addEventListener("locked", () => locked.push(`${status} ${call}`));
    await api[call](call === "tasks" ? {} : "t").catch(() => undefined);
  }

  assert.deepEqual(locked, ["401 tasks", "403 tasks"]);
});

test("a server that does not answer is no problem of the request", async () => {
  const api = new Api({ fetch: () => Promise.reject(new TypeError("refused")) });

  await assert.rejects(api.tasks({}), Unreachable);
});

test("numbers that JavaScript would round are kept as they were sent", { skip: !JSON.rawJSON }, async () => {
  const sent = '{"big":12345678901234567891,"small":1.5,"huge":1e400}';
  const api = new Api({ fetch: async () => new Response(sent) });

  assert.equal(JSON.stringify(parsed(sent)), sent);
  assert.equal(JSON.stringify(await api.task("t")), sent);
  assert.equal(parsed(sent).small, 1.5);
});

// Texts.

test("what nobody could see of arguments is shown, and is the same value", () => {
  const args = { path: "a\u202Egpj.exe\u{E0041}\u200B\u0085", good: "é مرحبا\n" };

  const text = pretty(args);

  assert.ok(text.includes(String.raw`a\u202egpj.exe\udb40\udc41\u200b\u0085`));
  assert.ok(text.includes("é مرحبا"));
  assert.deepEqual(JSON.parse(text), args);
});

test("a title has nothing in it that turns what stands beside it around", () => {
  assert.equal(oneLine("a\u202Eb\u0007\n\tc\u200F"), "ab c");
  assert.equal(oneLine("x".repeat(300), 10), `${"x".repeat(9)}…`);
});

test("spans and texts for a shell are written as people and shells read them", () => {
  assert.deepEqual([0, 3.2, 1250, 61_000, 3_700_000].map(span), ["0 ms", "3.2 ms", "1.25 s", "1 min 01 s", "1 h 01 min"]);
  assert.equal(shellQuoted("it's"), `'it'\\''s'`);
});
