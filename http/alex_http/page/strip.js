// The strip in the header: how the server is, how much it does, and two small plots.

import { Problem } from "./api.js";
import { attribute, h, svg, write } from "./dom.js";
import { count, span } from "./format.js";
import { parseMetrics, quantilesBetween, rate, total } from "./metrics.js";

/** @typedef {import("./metrics.js").Scrape} Scrape */

/** Milliseconds that are plotted. */
const PLOTTED = 120_000;
/** Milliseconds over which a rate is taken: submits are rare on most servers. */
const WINDOW = 10_000;
/** Milliseconds without a look, after which a line is broken: the tab was not seen. */
const GAP = 25_000;
const WIDTH = 96;
const HEIGHT = 24;

/** @typedef {{at: number, value: number | null}} Point `at` in milliseconds; null: there was none */

/** Owns the strip. It hides what the server does not tell. */
export class Strip {
  /** Whether tasks run or wait; or it is not known yet how many end a second. */
  hasWork = true;
  #api;
  #hasMetrics = true;
  #health = h("a", { class: "health", href: "health", target: "_blank", rel: "noopener" });
  #work = h("span", { class: "figure" });
  #done = plot("tasks/s", "Tasks that ended a second, over the last two minutes");
  #latency = plot(
    "submit p50 / p95",
    "How long a submit took: median and 95th percentile, over the last two minutes; without one, since the start",
  );
  /** @type {Scrape[]} */
  #scrapes = [];
  /** @type {Point[]} */
  #rates = [];
  /** Two lines. @type {Point[][]} */
  #quantiles = [[], []];

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

  /** The server does not answer: what was known of it says nothing. */
  lose() {
    this.#health.hidden = false;
    attribute(this.#health, "data-health", "down");
    attribute(this.#health, "title", null);
    write(this.#health, "no answer");
    this.#work.hidden = true;
    this.#scrapes = []; // it may be started again, and count from nothing
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
    const running = total(now.samples, "alex_tasks", { status: "running" });
    const waiting = total(now.samples, "alex_tasks", { status: "pending" });
    this.#work.hidden = running === null;
    write(this.#work, `${count(running ?? 0)} running · ${count(waiting ?? 0)} waiting`);
    const [before] = this.#scrapes;
    this.hasWork = !before || Boolean(running || waiting);
    if (running !== null) this.#plot(before ?? NOTHING, now);
    const recent = this.#scrapes.findIndex(({ at }) => now.at - at < WINDOW);
    this.#scrapes = [...(recent < 0 ? [] : this.#scrapes.slice(recent)), now];
  }

  async #metrics() {
    try {
      return await this.#api.metrics();
    } catch (error) {
      if (error instanceof Problem && error.status === 404) this.#hasMetrics = false;
      this.hasWork = false; // as far as it is known
      throw error;
    }
  }

  /**
   * Draw what two looks tell of the time between them.
   *
   * @param {Scrape} before empty at the first look: the server's whole time
   * @param {Scrape} now
   */
  #plot(before, now) {
    const { at } = now;
    const perSecond = before.at ? (rate(before, now, "alex_tasks_ended_total") ?? 0) : null;
    this.#rates = added(this.#rates, { at, value: perSecond });
    this.#done.element.hidden = perSecond === null;
    if (perSecond !== null) this.#done.show(perSecond.toFixed(perSecond < 10 ? 1 : 0), [this.#rates]);
    const submits = { method: "POST", route: "/api/tasks" };
    const [name, quantiles] = ["alex_http_request_seconds", [0.5, 0.95]];
    const seconds = quantilesBetween(before, now, name, quantiles, submits);
    this.#quantiles = this.#quantiles.map((line, n) =>
      added(line, { at, value: before.at && seconds ? seconds[n] : null }),
    );
    const last = this.#quantiles.map((line) => line.findLast(({ value }) => value !== null)?.value ?? null);
    const shown = last[0] === null ? quantilesBetween(NOTHING, now, name, quantiles, submits) : last;
    this.#latency.element.hidden = !shown;
    if (shown) this.#latency.show(shown.map((one) => span((one ?? 0) * 1000)).join(" / "), this.#quantiles);
  }
}

/** What a server counts before its first task. @type {Scrape} */
const NOTHING = { at: 0, samples: [] };

/** @param {Point[]} points @param {Point} point @returns {Point[]} those that are plotted */
const added = (points, point) => [...points.filter(({ at }) => point.at - at < PLOTTED), point];

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
    /** @param {string} text @param {Point[][]} series */
    show(text, series) {
      write(value, text);
      const most = Math.max(...series.flat().map(({ value }) => value ?? 0)) || 1;
      series.forEach((points, n) => attribute(lines[n], "d", line(points, most)));
    },
  };
}

/**
 * A line through points, the newest at the right; a gap where there is none.
 *
 * @param {Point[]} points
 * @param {number} most
 */
function line(points, most) {
  let draws = "";
  let last = -Infinity;
  const now = points.at(-1)?.at ?? 0;
  for (const { at, value } of points) {
    if (value === null) continue;
    const x = WIDTH * (1 - (now - at) / PLOTTED);
    const y = HEIGHT - 2 - (value / most) * (HEIGHT - 4);
    draws += `${at - last > GAP ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
    last = at;
  }
  return draws;
}
