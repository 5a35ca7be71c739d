// The HTTP API, one method a call. docs/api.md says what each does; this is all that the page knows of the server.

/**
 * @typedef {object} Task
 * @property {string} task_id
 * @property {string} session_id
 * @property {"pending" | "running" | "completed" | "failed" | "cancelled"} status
 * @property {string} task what was asked
 * @property {string} agent_preset
 * @property {string} tool_preset
 * @property {string} model
 * @property {string} multitask_strategy
 * @property {string | null} parent_task_id
 * @property {string} created_at
 * @property {string | null} started_at
 * @property {string | null} completed_at
 * @property {number} current_iteration
 * @property {number} tokens_used
 * @property {number} cost_usd
 * @property {string | null} error
 * @property {string | null} termination_reason
 * @property {{answer: string, stop_reason: string} | null} result
 * @property {number} max_iterations
 */
/**
 * @typedef {object} Session
 * @property {string} id
 * @property {string} created_at
 * @property {string} updated_at
 * @property {number} task_count
 * @property {string | null} last_task
 * @property {string | null} forked_from
 */
/** @typedef {Session & {messages: {role: string, content: string}[], tasks: Task[]}} SessionDetail */
/** @typedef {{agents: string[], tools: string[], models: string[], defaults: Record<string, string>}} Choices */
/**
 * @typedef {object} Approval a tool call that waits for a person's word
 * @property {string} task_id
 * @property {string} session_id
 * @property {string} call_id
 * @property {number} iteration
 * @property {string} tool_name
 * @property {object} arguments
 * @property {string} requested_at
 * @property {string | null} expires_at
 */
/** @typedef {{approvals: Approval[], next_cursor: string | null}} Approvals */
/** @typedef {{approved: boolean, reason?: string, arguments?: object}} Decision */
/**
 * @typedef {object} Health
 * @property {string} status
 * @property {string} version
 * @property {Record<string, {status: string, detail?: string}>} components
 */

/** Milliseconds after which a call has failed. A cancel or a delete may take ten seconds. */
const PATIENCE = 30_000;

/** An error as the server tells it: `application/problem+json` (RFC 9457). */
export class Problem extends Error {
  /** @param {number} status @param {{detail?: string, errors?: {field: string, reason: string}[]}} body */
  constructor(status, body) {
    super(body.detail ?? `The server answered ${status}.`);
    this.status = status;
    /** What is wrong, by the name of the field. */
    this.fields = new Map((body.errors ?? []).map(({ field, reason }) => [field, reason]));
  }
}

/** There was no reply: the server is down, or the network is. */
export class Unreachable extends Error {
  constructor() {
    super("The server does not answer.");
  }
}

/**
 * A server's API. It tells of three things as DOM events: `reached` and `unreachable` (whether the last call had a
 * reply), and `locked` (a token is needed, or the one that was sent is no good; `detail` says why it is no good).
 */
export class Api extends EventTarget {
  #fetch;
  #logins = 0;

  /** @param {{fetch: typeof globalThis.fetch}} parts */
  constructor({ fetch }) {
    super();
    this.#fetch = fetch;
  }

  /**
   * Submit a task. The same key and body again, after a lost reply say, give the first task.
   *
   * @param {object} body
   * @param {string} key
   * @returns {Promise<Task>}
   */
  submit(body, key) {
    return this.#json("POST", "/api/tasks", { body, headers: { "Idempotency-Key": key } });
  }

  /** @param {Record<string, string | number>} query @returns {Promise<{tasks: Task[], total: number}>} */
  tasks(query) {
    return this.#json("GET", `/api/tasks${search(query)}`);
  }

  /** @param {string} id @returns {Promise<Task>} */
  task(id) {
    return this.#json("GET", taskPath(id));
  }

  /**
   * A page of its events, those behind one.
   *
   * @param {string} id @param {number} after @returns {Promise<{events: import("./stream.js").TaskEvent[]}>}
   */
  events(id, after) {
    return this.#json("GET", `${taskPath(id)}/events${search({ after, limit: 1000 })}`);
  }

  /** @param {string} id @returns {Promise<unknown>} */
  cancel(id) {
    return this.#json("POST", `${taskPath(id)}/cancel`);
  }

  /** Tool calls that wait, the oldest first. @param {number} limit @returns {Promise<Approvals>} */
  approvals(limit) {
    return this.#json("GET", `/api/approvals${search({ limit })}`);
  }

  /** @param {string} id @param {string} callId @param {Decision} decision @returns {Promise<Task>} */
  decide(id, callId, decision) {
    return this.#json("POST", `${taskPath(id)}/approvals/${encodeURIComponent(callId)}`, { body: decision });
  }

  /** @param {Record<string, string | number>} query @returns {Promise<{sessions: Session[], total: number}>} */
  sessions(query) {
    return this.#json("GET", `/api/sessions${search(query)}`);
  }

  /** @param {string} id @returns {Promise<SessionDetail>} */
  session(id) {
    return this.#json("GET", sessionPath(id));
  }

  /** @param {string} id @returns {Promise<SessionDetail>} the new session */
  fork(id) {
    return this.#json("POST", `${sessionPath(id)}/fork`);
  }

  /** @param {string} id */
  async deleteSession(id) {
    await this.#call("DELETE", sessionPath(id));
  }

  /**
   * What a task may choose from, and what it gets if it does not: the contract of this very server has it.
   *
   * @returns {Promise<Choices>}
   */
  async choices() {
    const contract = await this.#json("GET", "/openapi.json");
    const fields = contract.components.schemas.SubmitBody.properties;
    const names = (/** @type {string} */ field) => fields[field].anyOf[0].enum.filter(Boolean);
    const fallback = (/** @type {string} */ field) =>
      /which means `(.+?)`/.exec(fields[field].description)?.[1] ?? "";
    return {
      agents: names("agent_preset"),
      tools: names("tool_preset"),
      models: names("model"),
      defaults: {
        agent_preset: fallback("agent_preset"),
        tool_preset: fallback("tool_preset"),
        model: fallback("model"),
      },
    };
  }

  /** How the server is. It answers 503 with the same body if it is not well. @returns {Promise<Health>} */
  async health() {
    return (await this.#send("GET", "/health", {})).json();
  }

  /** Its figures, in Prometheus' text format. @returns {Promise<string>} */
  async metrics() {
    return (await this.#call("GET", "/metrics")).text();
  }

  /** Have the browser keep a token, in a cookie that no script can read. @param {string} token */
  async login(token) {
    await this.#call("POST", "/api/login", { body: { token } });
  }

  async logout() {
    await this.#call("POST", "/api/logout");
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{body?: object, headers?: Record<string, string>}} [more]
   */
  async #json(method, path, more) {
    return parsed(await (await this.#call(method, path, more)).text());
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{body?: object, headers?: Record<string, string>}} [more]
   */
  async #call(method, path, more = {}) {
    const logins = this.#logins;
    const reply = await this.#send(method, path, more);
    if (path === "/api/login" && reply.ok) this.#logins += 1;
    if (reply.ok) return reply;
    const problem = new Problem(reply.status, await reply.json().catch(() => ({})));
    // Who may not even read has no good token. That of a POST that is refused may be one to read with.
    // What was asked before a login says nothing of it, though the answer comes after.
    const refused = reply.status === 401 || (reply.status === 403 && method === "GET");
    if (refused && path !== "/api/login" && logins === this.#logins) {
      this.#tell("locked", reply.status === 401 ? "" : problem.message);
    }
    throw problem;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{body?: object, headers?: Record<string, string>}} more
   */
  async #send(method, path, { body, headers }) {
    /** @type {RequestInit} */
    const request = {
      method,
      headers: { Accept: "application/json, text/plain", ...headers },
      signal: AbortSignal.timeout(PATIENCE),
    };
    if (body) {
      request.body = JSON.stringify(body);
      request.headers = { ...request.headers, "Content-Type": "application/json" };
    }
    let reply;
    try {
      reply = await this.#fetch(path, request);
    } catch {
      this.#tell("unreachable");
      throw new Unreachable();
    }
    this.#tell("reached");
    return reply;
  }

  /** @param {string} type @param {unknown} [detail] */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/**
 * Read JSON. Numbers that JavaScript would round are kept as they are written, by browsers that can
 * (https://github.com/tc39/proposal-json-parse-with-source): a person is to decide on the very arguments of a
 * call.
 *
 * @param {string} text
 * @returns {any} any: what it is, the callers say
 */
export function parsed(text) {
  const { rawJSON } = /** @type {{rawJSON?: (text: string) => object}} */ (/** @type {unknown} */ (JSON));
  if (!rawJSON) return JSON.parse(text);
  /** @param {string} _name @param {unknown} value @param {{source: string}} context */
  const exact = (_name, value, context) =>
    typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER ? rawJSON(context.source) : value;
  return JSON.parse(text, /** @type {(name: string, value: unknown) => unknown} */ (exact));
}

/** @param {string} id */
export const taskPath = (id) => `/api/tasks/${encodeURIComponent(id)}`;

/** @param {string} id */
export const sessionPath = (id) => `/api/sessions/${encodeURIComponent(id)}`;

/** @param {Record<string, string | number>} query those that are empty are left out */
function search(query) {
  const given = Object.entries(query).filter(([, value]) => value !== "");
  return given.length ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : "";
}
