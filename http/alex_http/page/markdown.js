// Markdown, the part of it that models write, as a tree of elements. What is HTML in it stays text.

/**
 * @typedef {{tag: string, href?: string, start?: number, children: Part[]}} Element `start` is where an ordered
 *   list begins to count
 */
/** @typedef {Element | string} Part */

/** Quotes and lists in each other; what is deeper stays text. */
const DEEPEST = 8;

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const HEADING = /^ {0,3}(#{1,6})(?: |$)/;
const RULE = /^ {0,3}([-*_])(?: *\1){2,} *$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})(?:([-*+])|(\d{1,9})[.)])( +|$)/;
const TABLE_RULE = /^:?-+:?$/;
const BLANK = /^\s*$/;

/**
 * Read a text.
 *
 * @param {string} text
 * @returns {Part[]} elements `p`, `h3` to `h6`, `pre`, `blockquote`, `ul`, `ol`, `li`, `table`, `tr`, `th`, `td`,
 *   `hr`, `br`, `code`, `strong`, `em`, `del` and `a`
 */
export function markdown(text) {
  return blocks(text.replaceAll("\t", "    ").split(/\r\n|[\r\n\u2028\u2029]/), 0);
}

/** @param {string[]} lines @param {number} depth @returns {Part[]} */
function blocks(lines, depth) {
  /** @type {Part[]} */
  const found = [];
  let at = 0;
  while (at < lines.length) {
    const block = BLANK.test(lines[at]) ? { next: at + 1 } : blockAt(lines, at, depth);
    if ("part" in block) found.push(block.part);
    at = block.next;
  }
  return found;
}

/** @typedef {{part: Part, next: number}} Block and the number of the line behind it */

/** @param {string[]} lines @param {number} at @param {number} depth @returns {Block} */
function blockAt(lines, at, depth) {
  const line = lines[at];
  const heading = HEADING.exec(line);
  if (heading) {
    // The page has headings of its own above those of an answer.
    const tag = `h${Math.min(6, heading[1].length + 2)}`;
    return { part: { tag, children: inline(headingText(line.slice(heading[0].length))) }, next: at + 1 };
  }
  if (FENCE.test(line)) return fenced(lines, at);
  if (RULE.test(line)) return { part: { tag: "hr", children: [] }, next: at + 1 };
  if (QUOTE.test(line) && depth < DEEPEST) {
    const next = firstFrom(lines, at, (one) => !QUOTE.test(one));
    const inside = lines.slice(at, next).map((one) => one.replace(QUOTE, ""));
    return { part: { tag: "blockquote", children: blocks(inside, depth + 1) }, next };
  }
  if (ITEM.test(line) && depth < DEEPEST) return list(lines, at, depth);
  if (line.includes("|") && cells(lines[at + 1] ?? "").every((cell) => TABLE_RULE.test(cell)))
    return table(lines, at);
  const next = firstFrom(lines, at + 1, startsBlock);
  return { part: { tag: "p", children: inline(lines.slice(at, next).join("\n").trim()) }, next };
}

/** What a heading says, without the marks that may close it. @param {string} line */
function headingText(line) {
  const text = line.trim();
  let end = text.length;
  while (text[end - 1] === "#") end -= 1;
  return end === 0 || text[end - 1] === " " ? text.slice(0, end).trim() : text;
}

/** Whether a line ends the paragraph above it. @param {string} line */
function startsBlock(line) {
  return (
    BLANK.test(line) ||
    FENCE.test(line) ||
    HEADING.test(line) ||
    QUOTE.test(line) ||
    ITEM.test(line) ||
    RULE.test(line)
  );
}

/** @param {string[]} lines @param {number} from @param {(line: string) => boolean} test */
function firstFrom(lines, from, test) {
  let at = from;
  while (at < lines.length && !test(lines[at])) at += 1;
  return at;
}

/**
 * Code up to its end, or to that of the text: it may be cut off.
 *
 * @param {string[]} lines
 * @param {number} at
 * @returns {Block}
 */
function fenced(lines, at) {
  const fence = /** @type {RegExpExecArray} */ (FENCE.exec(lines[at]))[1];
  const end = firstFrom(lines, at + 1, (line) => (FENCE.exec(line)?.[1] ?? "").startsWith(fence));
  return { part: { tag: "pre", children: [lines.slice(at + 1, end).join("\n")] }, next: end + 1 };
}

/** @param {string[]} lines @param {number} at @param {number} depth @returns {Block} */
function list(lines, at, depth) {
  const first = /** @type {RegExpExecArray} */ (ITEM.exec(lines[at]));
  const ordered = first[3] !== undefined;
  /** @type {Part[]} */
  const items = [];
  let next = at;
  while (next < lines.length) {
    const item = ITEM.exec(lines[next]);
    if (!item || (item[3] !== undefined) !== ordered || RULE.test(lines[next])) break;
    const indent = item[0].length;
    const end = itemEnd(lines, next + 1, indent);
    const inside = lines
      .slice(next, end)
      .map((line, n) => (n === 0 ? line.slice(indent) : line.replace(new RegExp(`^ {1,${indent}}`), "")));
    items.push({ tag: "li", children: tight(blocks(inside, depth + 1)) });
    next = firstFrom(lines, end, (line) => !BLANK.test(line));
  }
  /** @type {Element} */
  const part = { tag: ordered ? "ol" : "ul", children: items };
  if (ordered && first[3] !== "1") part.start = Number(first[3]);
  return { part, next };
}

/**
 * The line behind an item: what is indented belongs to it, as does text that goes on.
 *
 * @param {string[]} lines
 * @param {number} from
 * @param {number} indent
 */
function itemEnd(lines, from, indent) {
  let at = from;
  while (at < lines.length) {
    const inside = lines[at].startsWith(" ".repeat(Math.min(indent, 2)));
    if (BLANK.test(lines[at])) {
      if (!/^ {2,}\S/.test(lines[at + 1] ?? "")) return at;
    } else if (!inside && startsBlock(lines[at])) {
      return at;
    }
    at += 1;
  }
  return at;
}

/** An item's only paragraph needs no box of its own. @param {Part[]} parts @returns {Part[]} */
function tight(parts) {
  const [first, ...rest] = parts;
  if (typeof first === "string" || first?.tag !== "p") return parts;
  return rest.every((part) => typeof part !== "string" && part.tag !== "p") ? [...first.children, ...rest] : parts;
}

/** @param {string[]} lines @param {number} at @returns {Block} */
function table(lines, at) {
  const next = firstFrom(lines, at + 2, (line) => !line.includes("|"));
  const width = cells(lines[at]).length;
  const row = (/** @type {string} */ line, /** @type {string} */ tag) => ({
    tag: "tr",
    children: cells(line)
      .slice(0, width)
      .map((cell) => ({ tag, children: inline(cell) })),
  });
  return {
    part: {
      tag: "table",
      children: [row(lines[at], "th"), ...lines.slice(at + 2, next).map((line) => row(line, "td"))],
    },
    next,
  };
}

/** @param {string} line */
function cells(line) {
  return line
    .trim()
    .replace(/^\||\|$/g, "")
    .split("|")
    .map((cell) => cell.trim());
}

/** Marks, longest first, with what they make of the text up to the same mark. @type {[string, string][]} */
const MARKS = [
  ["**", "strong"],
  ["__", "strong"],
  ["~~", "del"],
  ["*", "em"],
  ["_", "em"],
];
const SPECIAL = /[`*_~[\\\n<h]/g;
const ADDRESS = /(?:https?:\/\/)[^\s<>"`]*[^\s<>"`.,;:!?)\]*_~']/y;
const LINK = /\[([^[\]\n]{1,1000})\]\(<?(https?:\/\/[^\s<>]{1,2000}?)>?(?: "[^"\n]{0,200}")?\)/y;

/** @param {string} text @param {number} [depth] @returns {Part[]} */
function inline(text, depth = 0) {
  /** @type {Part[]} */
  const found = [];
  /** Up to where no mark of a kind is closed: not to look there again and again. @type {Map<string, number>} */
  const unclosed = new Map();
  let plain = 0;
  let at = 0;
  while (at < text.length) {
    SPECIAL.lastIndex = at;
    const special = SPECIAL.exec(text);
    if (!special) break;
    at = special.index;
    const span = spanAt(text, at, depth, unclosed);
    if (span) {
      if (at > plain) found.push(text.slice(plain, at));
      found.push(span.part);
      at = plain = span.next;
    } else {
      at += 1;
    }
  }
  if (plain < text.length) found.push(text.slice(plain));
  return found;
}

/**
 * What begins here, if it is more than a character.
 *
 * @param {string} text
 * @param {number} at
 * @param {number} depth
 * @param {Map<string, number>} unclosed
 * @returns {Block | null}
 */
function spanAt(text, at, depth, unclosed) {
  switch (text[at]) {
    case "\\":
      return /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "") ? { part: text[at + 1], next: at + 2 } : null;
    case "\n":
      // Models mean a line where they end one.
      return { part: { tag: "br", children: [] }, next: at + 1 };
    case "`":
      return code(text, at);
    case "[":
    case "<":
    case "h":
      return link(text, at, depth);
    default:
      return depth < DEEPEST ? marked(text, at, depth, unclosed) : null;
  }
}

/** @param {string} text @param {number} at @returns {Block | null} */
function code(text, at) {
  const ticks = /** @type {RegExpMatchArray} */ (text.slice(at, at + 20).match(/^`+/))[0];
  const end = text.indexOf(ticks, at + ticks.length);
  if (end < 0) return null;
  const inside = text.slice(at + ticks.length, end).replaceAll("\n", " ");
  return {
    part: { tag: "code", children: [/^ .* $/.test(inside) ? inside.slice(1, -1) : inside] },
    next: end + ticks.length,
  };
}

/**
 * A link, to the web only: `[text](https://…)`, `<https://…>`, `https://…`.
 *
 * @param {string} text
 * @param {number} at
 * @param {number} depth
 * @returns {Block | null}
 */
function link(text, at, depth) {
  LINK.lastIndex = at;
  const named = text[at] === "[" && LINK.exec(text);
  if (named)
    return {
      part: { tag: "a", href: named[2], children: depth < DEEPEST ? inline(named[1], DEEPEST) : [named[1]] },
      next: LINK.lastIndex,
    };
  const angle = text[at] === "<" ? 1 : 0;
  ADDRESS.lastIndex = at + angle;
  const bare = text[at] !== "[" && ADDRESS.exec(text);
  if (!bare || /\w/.test(text[at - 1] ?? "")) return null;
  const closed = angle && text[ADDRESS.lastIndex] === ">" ? 1 : 0;
  return { part: { tag: "a", href: bare[0], children: [bare[0]] }, next: ADDRESS.lastIndex + closed };
}

/**
 * @param {string} text
 * @param {number} at
 * @param {number} depth
 * @param {Map<string, number>} unclosed
 * @returns {Block | null}
 */
function marked(text, at, depth, unclosed) {
  for (const [mark, tag] of MARKS) {
    const from = at + mark.length;
    if (!text.startsWith(mark, at) || /\s/.test(text[from] ?? " ")) continue;
    if (mark.includes("_") && /\w/.test(text[at - 1] ?? "")) continue;
    const end = closing(text, mark, from, unclosed);
    if (end < 0) continue;
    return { part: { tag, children: inline(text.slice(from, end), depth + 1) }, next: end + mark.length };
  }
  return null;
}

/**
 * Where a mark that was opened is closed; -1 if it is not, or not soon: what is emphasised is short.
 *
 * @param {string} text
 * @param {string} mark
 * @param {number} from
 * @param {Map<string, number>} unclosed
 */
function closing(text, mark, from, unclosed) {
  const most = Math.min(text.length, from + 1000);
  const start = Math.max(from + 1, unclosed.get(mark) ?? 0);
  for (let end = text.indexOf(mark, start); end > 0 && end < most; end = text.indexOf(mark, end + 1)) {
    const double = mark.length === 1 && (text[end + 1] === mark || text[end - 1] === mark);
    const inWord = mark.includes("_") && /\w/.test(text[end + mark.length] ?? "");
    if (!/\s/.test(text[end - 1]) && !double && !inWord) return end;
  }
  unclosed.set(mark, Math.max(start, most));
  return -1;
}
