// The strip in the header: how the server is, how much it does, and two small plots.

import { Problem } from "./api.js";
import { attribute, h, svg, write } from "./dom.js";
import { count, span } from "./format.js";
import { parseMetrics, quantilesBetween, rate, total } from "./metrics.js";

/** @typedef {import("./metrics.js").Scrape} Scrape */

/** Milliseconds that are plotted. */
const PLOTTED = 120_000;
/** Milliseconds over which a rate is taken, at least: submits are rare on most servers. */
const WINDOW = 10_000;
/** Milliseconds without a look, after which a line is broken: the tab was not seen. */
const GAP = 25_000;
/** Milliseconds after which it is asked who waits though as many do: one may wait in place of another. */
const ASKED_ANEW = 30_000;
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
  #asked = h("a", { class: "asked", href: "#/approvals", hidden: true });
  #does = h("span");
  #work = h("span", { class: "figure work" }, h("span", null, this.#asked, this.#does));
  #onAsked;
  /** How many calls waited for a person's word, of all owners, when that was told. */
  #told = 0;
  #toldAt = 0;
  #again = false;
  #done = plot("Tasks that ended a second, over the last two minutes");
  #latency = plot(
    "How long a submit took: median and 95th percentile, over the last two minutes; if there were few, ever",
  );
  /** @type {Scrape[]} */
  #scrapes = [];
  /** @type {Point[]} */
  #rates = [];
  /** Two lines. @type {Point[][]} */
  #quantiles = [[], []];

  /**
   * @param {object} parts
   * @param {import("./api.js").Api} parts.api
   * @param {HTMLElement} parts.element
   * @param {() => Promise<void>} parts.onAsked is told when other calls than before may wait for a person's word
   */
  constructor({ api, element, onAsked }) {
    this.#api = api;
    this.#onAsked = onAsked;
    element.append(this.#health, this.#work, this.#done.element, this.#latency.element);
    for (const part of [this.#health, this.#work, this.#done.element, this.#latency.element]) part.hidden = true;
  }

  /** Look at the server once. */
  async refresh() {
    await Promise.all([this.#askHealth(), this.#hasMetrics && this.#askMetrics()]);
  }

  /**
   * Show how many calls wait for a word of whoever looks.
   *
   * @param {number} number
   * @param {boolean} isMore there are more than that
   */
  ask(number, isMore) {
    this.#asked.hidden = number === 0;
    write(this.#asked, `${count(number)}${isMore ? "+" : ""} question${number === 1 ? "" : "s"} for you`);
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
    const work = [`${count(running ?? 0)} running`, waiting && `${count(waiting)} in line`];
    write(this.#does, work.filter(Boolean).join(" · "));
    const earlier = this.#scrapes.filter(({ at }) => now.at - at < PLOTTED);
    this.#scrapes = [...earlier, now];
    this.hasWork = !earlier.length || Boolean(running || waiting);
    if (running !== null) this.#plot(earlier, now);
    const asked = total(now.samples, "alex_approvals_waiting") ?? 0;
    const changed = asked !== this.#told;
    const isOld = asked > 0 && now.at - this.#toldAt >= ASKED_ANEW;
    if (!changed && !this.#again && !isOld) return;
    await this.#onAsked(); // if it fails, the next look tells it again
    this.#told = asked;
    this.#toldAt = now.at;
    this.#again = changed; // the number changes a moment before the list does
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

  /** Draw what the looks before this one tell of the time since. @param {Scrape[]} earlier @param {Scrape} now */
  #plot(earlier, now) {
    const { at } = now;
    const before = earlier.findLast((one) => at - one.at >= WINDOW) ?? earlier[0];
    // What ended in a second is not yet what ends each second.
    const began = before && { ...before, at: Math.min(before.at, at - WINDOW) };
    const perSecond = began ? (rate(began, now, "alex_tasks_ended_total") ?? 0) : null;
    this.#rates = added(this.#rates, { at, value: perSecond });
    const ended = perSecond?.toFixed(perSecond < 10 ? 1 : 0) ?? "–";
    this.#done.show(ended, "tasks/s", [this.#rates]);

    const latest = before && quantilesBetween(before, now, SECONDS, QUANTILES, SUBMITS);
    this.#quantiles = this.#quantiles.map((points, n) => added(points, { at, value: latest?.[n] ?? null }));
    const from = earlier[0] && submits(now) - submits(earlier[0]) >= ENOUGH ? earlier[0] : NOTHING;
    const found = quantilesBetween(from, now, SECONDS, QUANTILES, SUBMITS)?.map((one) => span(one * 1000));
    const isEnough = submits(now) - submits(from) >= ENOUGH;
    if (isEnough) this.#latency.show(found?.join(" / ") ?? "–", "submit p50 / p95", this.#quantiles);
    else this.#latency.show(found?.[0] ?? "–", "submit p50", this.#quantiles);
    for (const one of [this.#done, this.#latency]) one.element.hidden = false;
  }
}

const SECONDS = "alex_http_request_seconds";
const SUBMITS = { method: "POST", route: "/api/tasks" };
const QUANTILES = [0.5, 0.95];
/** Submits from which on their 95th percentile means something. */
const ENOUGH = 20;

/** @param {Scrape} scrape */
const submits = ({ samples }) => total(samples, `${SECONDS}_count`, SUBMITS) ?? 0;

/** What a server counts before its first task. @type {Scrape} */
const NOTHING = { at: 0, samples: [] };

/** @param {Point[]} points @param {Point} point @returns {Point[]} those that are plotted */
const added = (points, point) => [...points.filter(({ at }) => point.at - at < PLOTTED), point];

/** @param {string} title */
function plot(title) {
  const value = h("b");
  const unit = h("span");
  const lines = [svg("path", { class: "line" }), svg("path", { class: "line second" })];
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, "aria-hidden": "true" },
    lines,
  );
  return {
    element: h("span", { class: "figure plot", title }, drawing, h("span", null, value, " ", unit)),
    /** @param {string} text @param {string} label @param {Point[][]} series */
    show(text, label, series) {
      write(value, text);
      write(unit, label);
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
