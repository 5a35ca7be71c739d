// The strip in the header: how the server is, how much it does, and two small plots.

import { Problem } from "./api.js";
import { attribute, h, svg, write } from "./dom.js";
import { count, span } from "./format.js";
import { parseMetrics, quantilesBetween, rate, total } from "./metrics.js";

/** @typedef {import("./metrics.js").Scrape} Scrape */

/** Looks that are plotted; at one each two seconds, two minutes. */
const LOOKS = 60;
/** Looks over which a rate is taken: submits are rare on most servers. */
const WINDOW = 5;
const WIDTH = 96;
const HEIGHT = 24;

/** Owns the strip. It hides what the server does not tell. */
export class Strip {
  #api;
  #hasMetrics = true;
  #health = h("a", { class: "health", href: "health", target: "_blank", rel: "noopener" });
  #work = h("span", { class: "figure" });
  #done = plot("tasks/s", "Tasks that ended a second, over the last two minutes");
  #latency = plot(
    "submit p50 / p95",
    "How long a submit took: median and 95th percentile, over the last two minutes",
  );
  /** @type {Scrape[]} */
  #scrapes = [];
  /** @type {(number | null)[]} */
  #rates = [];
  /** @type {(number[] | null)[]} */
  #quantiles = [];

  /** @param {{api: import("./api.js").Api, element: HTMLElement}} parts */
  constructor({ api, element }) {
    this.#api = api;
    element.append(this.#health, this.#work, this.#done.element, this.#latency.element);
    for (const part of [this.#health, this.#work, this.#done.element, this.#latency.element]) part.hidden = true;
  }

  /** Look at the server once. */
  async refresh() {
    await Promise.all([this.#askHealth(), this.#hasMetrics && this.#askMetrics()]);
  }

  async #askHealth() {
    const health = await this.#api.health();
    const bad = Object.entries(health.components ?? {}).filter(([, { status }]) => status !== "ok");
    this.#health.hidden = false;
    attribute(this.#health, "data-health", bad.length ? (health.status === "ok" ? "degraded" : "down") : "ok");
    write(this.#health, bad.length ? bad.map(([name, { status }]) => `${name} ${status}`).join(", ") : "healthy");
    attribute(
      this.#health,
      "title",
      bad.map(([name, { detail }]) => `${name}: ${detail ?? "?"}`).join("\n") || `version ${health.version}`,
    );
  }

  async #askMetrics() {
    /** @type {Scrape} */
    const now = { at: performance.now(), samples: parseMetrics(await this.#metrics(), "alex_") };
    this.#scrapes = [...this.#scrapes.slice(-WINDOW), now];
    const [before] = this.#scrapes;
    const running = total(now.samples, "alex_tasks", { status: "running" });
    const waiting = total(now.samples, "alex_tasks", { status: "pending" });
    this.#work.hidden = running === null;
    write(this.#work, `${count(running ?? 0)} running · ${count(waiting ?? 0)} waiting`);
    if (before === now) return;
    this.#rates = [
      ...this.#rates.slice(1 - LOOKS),
      rate(this.#scrapes.at(-2) ?? before, now, "alex_tasks_ended_total"),
    ];
    const submits = { method: "POST", route: "/api/tasks" };
    this.#quantiles = [
      ...this.#quantiles.slice(1 - LOOKS),
      quantilesBetween(before, now, "alex_http_request_seconds", [0.5, 0.95], submits),
    ];
    this.#draw(before, now);
  }

  async #metrics() {
    try {
      return await this.#api.metrics();
    } catch (error) {
      if (error instanceof Problem && error.status === 404) this.#hasMetrics = false;
      throw error;
    }
  }

  /** @param {Scrape} before @param {Scrape} now */
  #draw(before, now) {
    const perSecond = rate(before, now, "alex_tasks_ended_total");
    this.#done.element.hidden = perSecond === null;
    this.#done.show(perSecond === null ? "" : perSecond.toFixed(perSecond < 10 ? 1 : 0), [this.#rates]);
    const last = this.#quantiles.findLast((one) => one !== null);
    this.#latency.element.hidden = !last;
    if (last)
      this.#latency.show(
        last.map((seconds) => span(seconds * 1000)).join(" / "),
        [0, 1].map((n) => this.#quantiles.map((one) => one?.[n] ?? null)),
      );
  }
}

/** @param {string} label @param {string} title */
function plot(label, title) {
  const value = h("b");
  const lines = [svg("path", { class: "line" }), svg("path", { class: "line second" })];
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, "aria-hidden": "true" },
    lines,
  );
  return {
    element: h("span", { class: "figure plot", title }, drawing, h("span", null, value, ` ${label}`)),
    /** @param {string} text @param {(number | null)[][]} series */
    show(text, series) {
      write(value, text);
      const most = Math.max(...series.flat().map((one) => one ?? 0)) || 1;
      series.forEach((points, n) => attribute(lines[n], "d", line(points, most)));
    },
  };
}

/**
 * A line through points, the newest at the right; a gap where there is none.
 *
 * @param {(number | null)[]} points
 * @param {number} most
 */
function line(points, most) {
  let draws = "";
  let pen = "M";
  points.forEach((point, n) => {
    if (point === null) return void (pen = "M");
    const x = WIDTH - ((points.length - 1 - n) * WIDTH) / (LOOKS - 1);
    draws += `${pen}${x.toFixed(1)} ${(HEIGHT - 2 - (point / most) * (HEIGHT - 4)).toFixed(1)}`;
    pen = "L";
  });
  return draws;
}
