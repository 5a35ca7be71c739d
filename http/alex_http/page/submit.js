// The form that submits tasks.

import { Problem, Unreachable } from "./api.js";
import { byId, h, write } from "./dom.js";

/** @typedef {import("./api.js").Task} Task */

/** Owns the form. */
export class SubmitForm {
  #api;
  #onTask;
  #form = byId("submit", HTMLFormElement);
  #task = byId("task", HTMLTextAreaElement);
  #button = /** @type {HTMLButtonElement} */ (this.#form.querySelector("button[type=submit]"));
  /** The submit that may have been lost: repeated with its key, it is the same task. */
  #unanswered = { key: "", body: "" };
  /** The session that was filled in by the page. */
  #preset = "";

  /**
   * @param {{api: import("./api.js").Api, onTask: (task: Task) => void}} parts `onTask` is told what was submitted
   */
  constructor({ api, onTask }) {
    this.#api = api;
    this.#onTask = onTask;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#form.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.#submit();
    });
    this.#form.addEventListener("input", () => this.#grow());
  }

  /** Offer what this server has. */
  async loadChoices() {
    const { agents, tools, models, defaults } = await this.#api.choices();
    for (const [name, known] of Object.entries({ agent_preset: agents, tool_preset: tools, model: models })) {
      const select = this.#field(name);
      const chosen = select.value;
      // Sent as none, so that an agent preset may bring a model of its own.
      const first = h("option", { value: "" }, name === "model" && models.length > 1 ? "default" : defaults[name]);
      const others = known.filter((one) => one !== defaults[name] || (name === "model" && models.length > 1));
      select.replaceChildren(first, ...others.map((one) => h("option", null, one)));
      select.value = known.includes(chosen) ? chosen : "";
    }
  }

  /** Write a text into the form, for somebody to send. @param {string} text */
  suggest(text) {
    this.#task.value = text;
    this.#grow();
    this.#button.focus();
    this.#form.scrollIntoView({ block: "nearest" });
  }

  /** Have the next task in this session. @param {string} sessionId */
  continueIn(sessionId) {
    this.#field("session_id").value = sessionId;
    this.#preset = "";
    this.focus();
  }

  /**
   * Another view is shown. Beside a session, the next task is meant for it; and beside its tasks, if that is where
   * one has come from.
   *
   * @param {"session" | "task" | "other"} what
   * @param {string} sessionId whose; "" if nobody's
   */
  beside(what, sessionId) {
    const field = this.#field("session_id");
    if (what === "session") field.value = this.#preset = sessionId;
    else if (this.#preset !== sessionId && field.value === this.#preset) field.value = this.#preset = "";
  }

  focus() {
    this.#task.focus();
    this.#form.scrollIntoView({ block: "nearest" });
  }

  async #submit() {
    if (this.#button.disabled) return;
    this.#showFaults(new Map());
    const body = this.#body();
    if (!body.task.trim()) return this.#showFaults(new Map([["task", "Say what should be done."]]));
    const text = JSON.stringify(body);
    if (this.#unanswered.body !== text) this.#unanswered = { key: randomKey(), body: text };
    this.#button.disabled = true;
    try {
      const task = await this.#api.submit(body, this.#unanswered.key);
      this.#unanswered = { key: "", body: "" };
      this.#task.value = "";
      this.#grow();
      this.#onTask(task);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#button.disabled = false;
    }
  }

  /** What the form says; what it does not say is left out, and has the server's default. */
  #body() {
    /** @type {{task: string, [field: string]: string | number}} */
    const body = { task: this.#task.value };
    for (const [name, value] of new FormData(this.#form)) {
      const text = String(value).trim();
      if (name === "task" || text === "") continue;
      body[name] = name === "timeout_seconds" || name === "max_iterations" ? Number(text) : text;
    }
    return body;
  }

  /** @param {unknown} error */
  #failed(error) {
    if (error instanceof Problem && error.fields.size) return this.#showFaults(error.fields);
    const why = error instanceof Error ? error.message : String(error);
    const more =
      error instanceof Unreachable ? " Submit again: it will be one task, even if this one has arrived." : "";
    this.#showFaults(new Map([["", why + more]]));
  }

  /** @param {Map<string, string>} faults by the names of fields; those of others are shown below the form */
  #showFaults(faults) {
    const rest = new Map(faults);
    let first = null;
    for (const place of /** @type {NodeListOf<HTMLElement>} */ (this.#form.querySelectorAll("p.fault"))) {
      const name = place.dataset.for ?? "";
      const reason = name
        ? rest.get(name)
        : [...rest].map(([field, why]) => (field ? `${field} ${why}` : why)).join("; ");
      rest.delete(name);
      write(place, reason ? sentence(reason) : "");
      if (name) this.#mark(name, place, Boolean(reason));
      if (name && reason) first ??= this.#field(name);
    }
    first?.closest("details")?.setAttribute("open", "");
    first?.focus();
  }

  /** @param {string} name @param {HTMLElement} place @param {boolean} wrong */
  #mark(name, place, wrong) {
    place.id ||= `fault-${name}`;
    const field = this.#field(name);
    if (wrong) {
      field.setAttribute("aria-invalid", "true");
      field.setAttribute("aria-describedby", place.id);
    } else {
      field.removeAttribute("aria-invalid");
      field.removeAttribute("aria-describedby");
    }
  }

  /** @param {string} name @returns {HTMLInputElement} */
  #field(name) {
    return /** @type {HTMLInputElement} */ (this.#form.elements.namedItem(name));
  }

  /** The box is as high as its text, within bounds. */
  #grow() {
    const lines =
      this.#task.value.slice(0, 2000).split("\n").length +
      Math.floor(Math.min(this.#task.value.length, 2000) / 48);
    this.#task.rows = Math.min(12, Math.max(3, lines));
  }
}

/** @param {string} reason */
const sentence = (reason) => `${reason[0].toUpperCase()}${reason.slice(1)}${/[.!?]$/.test(reason) ? "" : "."}`;

/** `crypto.randomUUID` is not there for pages of other machines by http. */
function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}
