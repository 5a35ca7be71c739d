"""What there is to draw of a run, whatever draws it: who takes part, which arrows, and what is left out."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterator, Sequence
from typing import Literal, TypeAlias, assert_never

import msgspec

from alex_actors.diagrams.trace import NO_CAUSE, TIMERS, Entry, Fact, Trace, describe
from alex_actors.messages import Ask
from alex_actors.values import Context, Value

Shape: TypeAlias = Literal[
    "message",  # an arrow, where it is handled
    "arrival",  # as above, of a message whose sending has a row of its own: that of the same number
    "sent",  # a mark where such a message was sent
    "lost",  # an arrow: its receiver has stopped
    "waiting",  # an arrow, where it was sent: not handled when the run ended
    "elsewhere",  # as above: it was handled, in a step that is left out
    "answer",
    "gave up",
    "crashed",
    "restarted",
    "stopped",
    "logged",
    "left out",  # goes across all lifelines
    "failed",  # as above, and comes last
]

ARROWS: tuple[Shape, ...] = ("message", "arrival", "waiting", "lost", "elsewhere", "answer", "gave up")

WORTH_A_LINE = 3
"""How many entries left out in one place are worth a line there: with fewer, the numbers of the steps tell."""

MOST_LINES = 6
"""Lines that a text takes at most. Most facts have one or two at 80 columns."""
_AMOUNT = re.compile(r"(\d) (µs|ms|s|min|h)\b")
"""A number and its unit, which stay together."""
LEAST_TO_WRAP = 10
"""Characters of a line below which a text is cut: it would be a column of syllables."""


class Row(Value, frozen=True):
    """One row of a diagram: an arrow, a mark on a lifeline, or words across all of them."""

    shape: Shape
    step: int
    """As in the trace."""
    at: float
    """Virtual time in seconds."""
    source: str
    """The lifeline where an arrow begins, or the one that is marked."""
    target: str
    """The lifeline that an arrow points to, or that a ``sent`` is meant for; else empty."""
    words: str
    """What stands before the message."""
    what: object
    """The message, answer, exception or text."""

    def label(self, room: int) -> str:
        """Return its words and its message, in at most ``room`` characters."""
        if len(self.words) >= room:
            return cut(self.words, room)
        return f"{self.words}{brief(self.what, room - len(self.words))}"

    def lines(self, room: int) -> list[str]:
        """Return them in lines of at most ``room`` characters: a text goes on below itself, and is not cut."""
        if not isinstance(self.what, str) or room < LEAST_TO_WRAP:
            return [self.label(room)]
        text = f"{self.words}{plain(self.what)}"
        if len(text) <= room:
            return [text]
        whole = _AMOUNT.sub("\\1\N{NO-BREAK SPACE}\\2", text)
        wrapped = textwrap.wrap(
            whole, room, subsequent_indent="  ", max_lines=MOST_LINES, placeholder="…", break_on_hyphens=False
        )
        return [line.replace("\N{NO-BREAK SPACE}", " ") for line in wrapped]

    def title(self) -> str:
        """Return all that there is to say of it, of any length."""
        arrow = f" -> {plain(self.target)}" if self.target else ""
        where = f"step {self.step}, {duration(self.at)}"
        if self.source:
            where += f", {plain(self.source)}{arrow}"
        return f"{where}: {self.words}{plain(describe(self.what))}"


class Diagram:
    """What there is to draw of a run: its participants, and its rows from top to bottom.

    A message is one arrow, where it is handled, as long as that does not make its sender or its receiver seem to
    do things in another order than they did: then its sending has a mark of its own. So the picture has the same
    happened-before order (Lamport, CACM 1978) as the run.
    """

    def __init__(self, trace: Trace, shown: Collection[int] | None = None) -> None:
        self._trace = trace
        self.least_label = trace.least_label
        self.real_time = trace.real_time
        """Whether it is of a log: what that says is texts, which are not shortened if there is room below."""
        self._ends = _ends_of_messages(trace)
        self._entries = _chosen(trace, shown, self._ends)
        self._present = {entry.index for entry in self._entries}
        self._sendings = {end.index: trace.entries[sent] for sent, end in self._ends.items()}
        self._has_stopped = _who_has_stopped(trace)
        self._given_up: set[int] = set()
        self._numbers = self._numbers_of_split()
        self.left_out = len(trace) - len(self._entries)
        """How many entries are not shown."""
        self.participants = self._find_participants()
        """Their names: clients first, otherwise as they first appear."""
        rows = list(self._make_rows())
        self.rows = [row for row in rows if row.shape != "failed"]
        """All but the failures."""
        self.failures = [row for row in rows if row.shape == "failed"]

    def summary(self) -> str:
        """Return a sentence that says what is left out; nothing if nothing is."""
        if not self.left_out:
            return ""
        return self._trace.summary(len(self._entries))

    def lines_of(self, row: Row, room: int) -> list[str]:
        """Return what stands beside a row's arrow, in lines of at most ``room`` characters."""
        return row.lines(room) if self.real_time else [row.label(room)]

    def _find_participants(self) -> list[str]:
        names: dict[str, None] = {}
        for entry in self._entries:
            if entry.kind not in ("failed", "stopped"):  # a scenario only stops
                parties = (entry.peer, entry.who) if entry.kind == "handled" else (entry.who, entry.peer)
                sending = self._sendings.get(entry.index)
                if entry.kind == "lost" and sending:
                    parties = (sending.who, sending.peer)
                names.update(dict.fromkeys(name for name in parties if name))
        handlers = {entry.who for entry in self._trace if entry.kind == "handled"}
        askers = {entry.who for entry in self._trace if entry.kind == "sent" and isinstance(entry.what, Ask)}
        return sorted(names, key=lambda name: name not in askers - handlers)  # a stable sort

    def _numbers_of_split(self) -> dict[int, int]:
        """Return the sendings that have a row of their own, by index, each with its number, from 1."""
        first_row: dict[str, int] = {}  # of all that each does after the entry that the loop is at
        split = []
        for entry in reversed(self._entries):
            end = self._ends.get(entry.index)
            row = entry.index
            if end is not None and end.index in self._present:
                parties = (entry.peer,) if entry.who == TIMERS else (entry.who, entry.peer)
                late = entry.at != end.at and not self.real_time
                if late or any(first_row.get(name, end.index) < end.index for name in parties):
                    split.append(entry.index)
                else:
                    row = end.index
            first_row[entry.who] = min(row, first_row.get(entry.who, row))
            if entry.kind == "answered":
                first_row[entry.peer] = row
        return {index: number for number, index in enumerate(reversed(split), 1)}

    def _make_rows(self) -> Iterator[Row]:
        last, missing = -1, list[Entry]()
        for entry in self._entries:
            missing += self._trace.entries[last + 1 : entry.index]
            last = entry.index
            row = self._row(entry)
            if row is None:
                continue
            yield from self._gap(entry, missing)
            missing = []
            yield row
        if self._entries:
            yield from self._gap(self._entries[-1], [*missing, *self._trace.entries[last + 1 :]])

    def _gap(self, entry: Entry, missing: Sequence[Entry]) -> Iterator[Row]:
        if len(missing) >= WORTH_A_LINE:
            yield Row("left out", entry.step, entry.at, "", "", "", self._trace.left_out(missing))

    def _row(self, entry: Entry) -> Row | None:
        """Return the row of an entry; None of a message that is drawn where it is handled."""
        match entry.kind:
            case "sent":
                return self._row_of_sending(entry)
            case "handled" | "lost":
                return self._row_of_end(entry)
            case "answered":
                late = entry.cause != NO_CAUSE and entry.cause in self._given_up
                words = ("too late: " if late else "") + (
                    "raises " if isinstance(entry.what, BaseException) else ""
                )
                return _row("answer", entry, words, target=entry.peer)
            case "gave up":
                self._given_up.add(entry.cause)
                return _row("gave up", entry, "gave up on ", source=entry.peer, target=entry.who)
            case "crashed" | "failed":
                return _row(entry.kind, entry, f"{entry.kind.upper()}: ")
            case "stopped" if entry.who not in self.participants:
                return None
            case "restarted" | "stopped":
                reason = entry.what if entry.what not in (None, "", entry.kind) else ""
                return _row(entry.kind, entry, f"{entry.kind}: " if reason else entry.kind, what=reason)
            case "logged":
                return _row("logged", entry, "")
            case _:
                assert_never(entry.kind)

    def _row_of_sending(self, entry: Entry) -> Row | None:
        number = self._numbers.get(entry.index)
        if number is not None:
            to = "itself" if entry.peer == entry.who else entry.peer
            return _row("sent", entry, f"({number}) sent to {to}: ", target=entry.peer)
        end = self._ends.get(entry.index)
        if end is None and entry.peer in self._has_stopped:
            return _row("lost", entry, "never handled: ", target=entry.peer)
        if end is None:
            return _row("waiting", entry, "still unhandled: ", target=entry.peer)
        if end.index not in self._present:
            return _row("elsewhere", entry, f"not handled until step {end.step}: ", target=entry.peer)
        return None

    def _row_of_end(self, entry: Entry) -> Row:
        """Return the row of a message that is handled, or lost."""
        sending = self._sendings.get(entry.index)
        number = self._numbers.get(sending.index) if sending else None
        words = "" if number is None else f"({number}) "
        if entry.kind == "lost":
            source = sending.who if sending else entry.who
            target = sending.peer if sending else entry.who
            return _row("lost", entry, f"{words}never handled: ", source=source, target=target)
        if sending is None and entry.cause != NO_CAUSE:
            words = "again: "  # what crashed its actor is handled once more
        shape: Shape = "message" if number is None else "arrival"
        return _row(shape, entry, words, source=entry.peer or entry.who, target=entry.who)


def brief(value: object, room: int) -> str:
    """Return a message as one line of at most ``room`` characters: its IDs before its other fields."""
    text = "None" if value is None else plain(describe(value))
    if len(text) <= room or isinstance(value, Fact) or not isinstance(value, msgspec.Struct):
        return cut(text, room)
    name = describe(value, fields=False)
    left = room - len(name) - len("(…)")
    kept: dict[str, str] = {}
    fields = sorted(value.__struct_fields__, key=lambda field: not _is_telling(field))
    for field in fields:
        content = getattr(value, field)
        if content is None or isinstance(content, Context):
            continue
        text = repr(content) if isinstance(content, str) else describe(content, fields=False)
        text = f"{field}={text}, "
        if len(text) <= left:
            kept[field] = text
            left -= len(text)
    return cut(f"{name}({''.join(kept.get(field, '') for field in value.__struct_fields__)}…)", room)


def duration(seconds: float) -> str:
    """Return virtual time in readable units: ``250 ms``, ``1.5 s``, ``2 min 3 s``, ``1 h``."""
    microseconds = round(seconds * 1e6)
    if 0 < microseconds < 1000:
        return f"{microseconds} µs"
    if 0 < microseconds < 1_000_000:
        return f"{microseconds / 1000:g} ms"
    minutes, rest = divmod(microseconds, 60_000_000)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] * (hours > 0) + [f"{minutes} min"] * (minutes > 0)
    if rest or not parts:
        parts.append(f"{rest / 1e6:g} s")
    return " ".join(parts)


def _row(  # every part of a row has its default from the entry
    shape: Shape, entry: Entry, words: str, *, source: str = "", target: str = "", what: object = None
) -> Row:
    what = entry.what if what is None else what
    return Row(shape, entry.step, entry.at, source or entry.who, target, words, what)


def _chosen(trace: Trace, shown: Collection[int] | None, ends: dict[int, Entry]) -> list[Entry]:
    """Return the entries to show: the given ones but for a message that was handled, and did not matter there.

    A message is kept whose handling comes after all that is shown: it was on its way.
    """
    if shown is None:
        return list(trace)
    chosen = frozenset(shown)
    last = max((entry.index for entry in trace if entry.index in chosen and entry.kind != "failed"), default=0)
    return [
        e
        for e in trace
        if e.index in chosen and (ends.get(e.index, e).index in chosen or ends[e.index].index > last)
    ]


def _ends_of_messages(trace: Trace) -> dict[int, Entry]:
    """Return for each message where it was first handled, or lost, by the index of its sending."""
    ends: dict[int, Entry] = {}
    sent: dict[int, int] = {}  # what was lost does not say by which sending: the object tells, by its id
    for entry in trace:
        if entry.kind == "sent":
            sent[id(entry.what)] = entry.index
        elif entry.kind in ("handled", "lost"):
            cause = entry.cause
            if cause == NO_CAUSE and entry.kind == "lost":
                cause = sent.get(id(entry.what), NO_CAUSE)
            if cause != NO_CAUSE:
                ends.setdefault(cause, entry)
    return ends


def _who_has_stopped(trace: Trace) -> set[str]:
    stopped: set[str] = set()
    for entry in trace:
        if entry.kind == "stopped":
            stopped.add(entry.who)
        elif entry.who in stopped and entry.kind in ("restarted", "handled"):
            stopped.discard(entry.who)
    return stopped


def _is_telling(field: str) -> bool:
    return field in ("id", "status", "error") or field.endswith("_id")


def plain(text: str) -> str:
    """Return text in one line, without what a terminal would obey or a file cannot hold."""
    return "".join(letter if letter.isprintable() else "�" for letter in " ".join(text.split()))


def cut(text: str, room: int) -> str:
    """Return the beginning of a text, in at most ``room`` characters."""
    return text if len(text) <= room else f"{text[: max(0, room - 1)]}…"
