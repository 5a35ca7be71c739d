// The sequence diagram, drawn with SVG as its rows come.

import { h, svg, write } from "./dom.js";
import { clock, plural, span } from "./format.js";
import { ACTORS } from "./diagram-model.js";

/** @typedef {import("./diagram-model.js").Diagram} Diagram */
/** @typedef {import("./diagram-model.js").Row} Row */

/** Rows that are drawn: the last ones of a long task. */
const MOST = 200;
const ROW = 28;
/** Pixels at the left, for the times. */
const MARGIN = 48;
/** Pixels beside the first and the last actor, for half a name. */
const EDGE = 25;
/** Pixels between two actors, at least: what does not fit can be scrolled to. */
const LEAST = 40;
/** Pixels from which on the agent and the model, who say most, stand further apart than others. */
const ROOMY = 60;
const FURTHER = 1.8;
const BAR = 8;

/** Shows a diagram that grows. */
export class DiagramView {
  #diagram;
  #heads = svg("svg", { class: "heads", height: 30, "aria-hidden": "true" });
  #lines = svg("g");
  #bars = svg("g");
  #rows = svg("g");
  #moving = svg("g", null, this.#lines, this.#bars, this.#rows);
  #drawing = svg("svg", { class: "drawing", "aria-hidden": "true" }, this.#moving);
  #earlier = h("p", { class: "hint", hidden: true });
  #scroll = h(
    "div",
    { class: "scroll", tabindex: "0", role: "group", "aria-label": "Sequence diagram" },
    this.#heads,
    this.#drawing,
  );
  #list = h("ol", { class: "as-list", tabindex: "0" });
  #text = h("details", null, h("summary", null, "As a list"), this.#list);
  /** The rows that are drawn: from `#first` up to `#next`. */
  #first = 0;
  #next = 0;
  #listed = 0;
  #layout = "";
  #width = 0;
  #follows = true;
  /** Where each actor's line is. @type {Map<string, number>} */
  #x = new Map();

  element = h("div", { class: "diagram" }, this.#earlier, this.#scroll, this.#text);

  /** @param {Diagram} diagram */
  constructor(diagram) {
    this.#diagram = diagram;
    // Whoever scrolls up stays there; back at the end, the diagram is followed again.
    this.#scroll.addEventListener("scroll", () => {
      const { scrollTop, clientHeight, scrollHeight } = this.#scroll;
      this.#follows = scrollHeight - scrollTop - clientHeight < ROW;
    });
    this.#text.addEventListener("toggle", () => this.#writeList());
    new ResizeObserver(() => this.draw()).observe(this.#scroll);
  }

  /** Draw what is new. */
  draw() {
    const { rows } = this.#diagram;
    const follows = this.#follows;
    this.#lay();
    const first = Math.max(0, rows.length - MOST);
    for (; this.#first < first; this.#first += 1) this.#rows.firstElementChild?.remove();
    this.#next = Math.max(this.#next, this.#first);
    for (; this.#next < rows.length; this.#next += 1)
      this.#rows.append(this.#drawRow(rows[this.#next], this.#next));

    const height = (rows.length - first) * ROW + 12;
    this.#drawing.setAttribute("height", String(height));
    this.#moving.setAttribute("transform", `translate(0 ${-first * ROW})`);
    this.#drawLines(first, rows.length);
    this.#earlier.hidden = first === 0;
    write(this.#earlier, `… ${plural(first, "earlier row")} not drawn`);
    if (follows) this.#scroll.scrollTop = this.#scroll.scrollHeight;
    this.#writeList();
  }

  /** Place the actors that take part; if that has changed, all is drawn anew. */
  #lay() {
    const actors = ACTORS.filter((actor) => this.#diagram.actors.has(actor));
    const layout = `${actors.join()} ${this.#scroll.clientWidth}`;
    if (layout === this.#layout) return;
    this.#layout = layout;
    this.#x = places(actors, this.#scroll.clientWidth - MARGIN - 2 * EDGE);
    this.#width = Math.max(...this.#x.values(), MARGIN) + EDGE;
    for (const drawing of [this.#heads, this.#drawing]) drawing.setAttribute("width", String(this.#width));
    this.#heads.replaceChildren(
      ...[...this.#x].map(([actor, x]) => svg("text", { x, y: 19, "text-anchor": "middle" }, actor)),
    );
    this.#rows.replaceChildren();
    this.#first = this.#next = Math.max(0, this.#diagram.rows.length - MOST);
  }

  /**
   * The actors' lines, and bars where they are busy.
   *
   * @param {number} first
   * @param {number} end
   */
  #drawLines(first, end) {
    const top = first * ROW;
    const bottom = end * ROW + 8;
    this.#lines.replaceChildren(
      svg("path", { class: "lifeline", d: [...this.#x.values()].map((x) => `M${x} ${top}V${bottom}`).join("") }),
      svg("rect", { class: "unseen-box", x: 0, y: top, width: this.#width, height: 1 }),
    );
    const seen = this.#diagram.busy.filter((busy) => busy.end === null || busy.end >= first);
    this.#bars.replaceChildren(
      ...seen.map(({ actor, begin, end: last }) => {
        const from = Math.max(top, middle(begin));
        const to = last === null ? bottom : middle(last);
        const x = this.#xOf(actor) - BAR / 2;
        return svg("rect", {
          class: last === null ? "bar busy" : "bar",
          x,
          y: from,
          width: BAR,
          height: Math.max(2, to - from),
          rx: 2,
        });
      }),
    );
  }

  /** @param {Row} row @param {number} n */
  #drawRow(row, n) {
    const y = middle(n);
    const from = this.#xOf(row.from);
    const to = this.#xOf(row.to);
    const width = this.#width;
    const time = svg("text", { class: "time", x: MARGIN - 6, y: y + 3, "text-anchor": "end" }, clock(row.at));
    const group = svg(
      "g",
      { class: `row ${row.kind}${row.bad ? " bad" : ""}` },
      svg("title", null, sentence(row)),
      time,
    );
    if (row.kind === "turn") {
      group.append(svg("path", { class: "turn-line", d: `M${MARGIN} ${y}H${width}` }));
      group.append(svg("text", { class: "label", x: MARGIN, y: y - 4 }, row.label));
      return group;
    }
    if (row.from !== row.to) {
      const side = to > from ? 1 : -1;
      const tip = to - (side * BAR) / 2;
      group.append(svg("path", { class: "arrow", d: `M${from + (side * BAR) / 2} ${y}H${tip}` }));
      group.append(svg("path", { class: "tip", d: `M${tip} ${y}l${-7 * side} -4v8z` }));
    }
    const label = clipped(row.label, width - MARGIN);
    const place = this.#placeOf(label, Math.min(from, to) + BAR, Math.max(from, to) - BAR);
    group.append(svg("text", { class: "label", y: from === to ? y + 4 : y - 5, ...place }, label));
    return group;
  }

  /**
   * Where a label stands: in the middle of its gap. One that is wider leaves the agent's bar free, and all of it
   * is in the drawing.
   *
   * @param {string} label @param {number} left @param {number} right
   */
  #placeOf(label, left, right) {
    const long = label.length * CHARACTER;
    if (long <= right - left) return { x: (left + right) / 2, "text-anchor": "middle" };
    const isBeforeAgent = left < right && right < this.#xOf("Agent");
    if (isBeforeAgent) return { x: Math.max(right, MARGIN + long), "text-anchor": "end" };
    return left + long > this.#width
      ? { x: this.#width, "text-anchor": "end" }
      : { x: left, "text-anchor": "start" };
  }

  /** @param {string} actor */
  #xOf(actor) {
    return this.#x.get(actor) ?? MARGIN;
  }

  /** The same in words, as long as somebody has it open. */
  #writeList() {
    if (!this.#text.open) return;
    const { rows } = this.#diagram;
    for (const row of rows.slice(this.#listed)) this.#list.append(h("li", null, sentence(row)));
    this.#listed = rows.length;
  }
}

/** @param {number} n */
const middle = (n) => n * ROW + 18;

/** @param {Row} row */
function sentence({ from, to, label, kind, at, bad }) {
  const who = kind === "turn" ? label : from === to ? `${from}: ${label}` : `${from} to ${to}: ${label}`;
  return `${who}${bad ? " (!)" : ""}, after ${span(at)}`;
}

/** About as wide as a character of a label is. */
const CHARACTER = 5.7;

/** @param {string} label @param {number} room */
const clipped = (label, room) =>
  label.length * CHARACTER > room ? `${label.slice(0, Math.floor(room / CHARACTER) - 1)}…` : label;

/**
 * Where each actor's line is.
 *
 * @param {import("./diagram-model.js").Actor[]} actors
 * @param {number} room
 * @returns {Map<string, number>}
 */
function places(actors, room) {
  const gaps = Math.max(1, actors.length - 1);
  const isRoomy = room / gaps > ROOMY;
  const sharesOf = (/** @type {string} */ actor) => (isRoomy && actor === "Model" ? FURTHER : 1);
  const shares = actors.slice(1).reduce((sum, actor) => sum + sharesOf(actor), 0);
  const share = Math.max(LEAST, room / Math.max(1, shares));
  let x = MARGIN + EDGE;
  return new Map(actors.map((actor, n) => [actor, (x += n ? share * sharesOf(actor) : 0)]));
}
