// How numbers, times and strangers' texts are shown.

const COUNT = new Intl.NumberFormat("en");
const DAY = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

/** 12345 as "12,345". @param {number} number */
export const count = (number) => COUNT.format(number);

/** "1 task", "2 tasks". @param {number} number @param {string} noun */
export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

/**
 * A time span: "3 ms", "1.25 s", "2 min 05 s", "3 h 10 min".
 *
 * @param {number} ms
 */
export function span(ms) {
  if (ms < 999.5) return `${Math.max(0, ms).toFixed(ms < 9.95 && ms > 0.05 ? 1 : 0)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const whole = Math.floor(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}

/** The same for a narrow column: "3 ms", "1.25 s", "2:05", "3:10:00". @param {number} ms */
export function clock(ms) {
  if (ms < 59_950) return span(ms);
  const [hours, minutes, seconds] = [ms / 3_600_000, (ms / 60_000) % 60, (ms / 1000) % 60].map(Math.floor);
  const parts = hours ? [hours, minutes, seconds] : [minutes, seconds];
  return parts.map((part, n) => (n ? String(part).padStart(2, "0") : part)).join(":");
}

/**
 * How long ago something was: "now", "12 s", "5 min", "3 h", then the day.
 *
 * @param {string} timestamp
 * @param {number} now milliseconds since 1970
 */
export function age(timestamp, now) {
  const seconds = (now - Date.parse(timestamp)) / 1000;
  if (seconds < 5) return "now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return moment(timestamp);
}

/** A point in time, in words. @param {string} timestamp */
export const moment = (timestamp) => DAY.format(new Date(timestamp));

/** US dollars: cents as soon as there are any. @param {number} dollars */
export const money = (dollars) => `$${dollars.toFixed(dollars >= 0.1 || dollars === 0 ? 2 : 4)}`;

/**
 * A text on one line for a place that has no box of its own (a title, a label): without control characters and
 * without those that turn the direction of what stands beside them, and not long.
 *
 * @param {string} text
 * @param {number} [most] characters
 */
export function oneLine(text, most = 200) {
  const head = text.slice(0, most * 4).replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, " ");
  const plain = head.replace(/[\p{Cf}\p{Cs}]/gu, "").trim();
  return plain.length > most ? `${plain.slice(0, most - 1).trimEnd()}…` : plain;
}

/** Characters that nobody sees, and those that turn the direction of what stands beside them. */
const UNSEEN = /[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Zl}\p{Zp}\x7f-\x9f]/gu;

/**
 * JSON for a person, who may have to decide by it: what could not be seen is written as its number. It is the same
 * value all the same.
 *
 * @param {string} text JSON
 */
export const visible = (text) =>
  text.replace(UNSEEN, (one) =>
    Array.from({ length: one.length }, (_, n) => `\\u${one.charCodeAt(n).toString(16).padStart(4, "0")}`).join(""),
  );

/** A value as JSON that a person reads. @param {unknown} value */
export const pretty = (value) => visible(JSON.stringify(value, null, 2));

/**
 * Quote a text for a POSIX shell.
 *
 * @param {string} text
 */
export const shellQuoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
