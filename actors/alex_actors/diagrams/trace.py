"""What happened, in a simulated run or as a log tells it: messages, answers, crashes, facts, in their order."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from alex_actors.values import Context, Value

Kind: TypeAlias = Literal[
    "sent",  # `who` put the message `what` into the mailbox of `peer`
    "handled",  # `who` handled the message `what` of `peer`; its cause is the sending
    "answered",  # `who` answered `peer` with `what`; its cause is the sending of what was asked
    "gave up",  # `who` did not wait any longer for the answer of `peer` to `what`
    "crashed",  # `who` crashed of the exception `what`
    "restarted",  # `who` was made anew, in place
    "stopped",  # `who` ended
    "lost",  # the message `what` came to `who` after its end
    "logged",  # `who` stated the fact `what`
    "failed",  # `who` broke what must always hold, in the words of `what`
]

NO_CAUSE = -1

TIMERS = "Timers"
"""Who sends what a timer sends. Knows nothing of one timer when another is due."""

LONGEST_VALUE = 60
"""Characters of a field's value in one line of a trace: enough for an ID and a short text."""

ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
"""What the default text of an object has, and is not the same in every process."""

MESSAGES = ("sent", "handled", "answered", "gave up")
"""The kinds that go from one to another."""


class Fact(Value, frozen=True):
    """A line of a log: what happened, by name, and of what."""

    name: str
    fields: dict[str, Any]  # what was logged, of whatever type

    def __str__(self) -> str:
        """Return it as one short line."""
        ordered = sorted(self.fields.items(), key=lambda field: not isinstance(field[1], BaseException))
        return " ".join((self.name, *(f"{name}={text}" for name, value in ordered if (text := _short(value)))))


class Entry(Value, frozen=True):
    """One thing that happened."""

    index: int
    """Its place in the trace, from 0."""
    step: int
    """The scheduler's step in which it happened, from 1; 0 before the first."""
    at: float
    """Virtual time: seconds since the run began."""
    kind: Kind
    who: str
    """Whose doing it was: an actor, a client, `Timers`, …"""
    peer: str
    """The other side, if there is one."""
    what: object
    """The message, answer, exception or text."""
    cause: int
    """The index of the entry that brought it about, besides the entry before of the same `who`; -1 if none."""

    def __str__(self) -> str:
        """Return one line of text, the same for the same run in any process."""
        arrow = {"sent": "->", "handled": "<-", "answered": "=>", "gave up": "/>"}.get(self.kind, "")
        parties = f"{self.who} {arrow} {self.peer}" if self.peer else self.who
        return f"{self.step:>5} {self.at:>12.6f}  {self.kind:<9}  {parties}: {describe(self.what)}"


class Trace:
    """The entries of one run."""

    real_time = False
    """Whether everything takes time: then a message is one arrow though it was on its way, if the order allows it,
    and each row has a time of its own."""
    least_label = 46
    """Characters that a drawing leaves for what an arrow carries: the name of a message and an ID or two."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.step = 0
        """The scheduler's step at the moment."""
        self.at = 0.0
        """Virtual time at the moment, in seconds."""
        self.muted = False
        """Whether nothing is added: what happens has no effect."""

    def add(self, kind: Kind, who: str, what: object, *, peer: str = "", cause: int = NO_CAUSE) -> int:
        """Add an entry; return its index, for the entries that it causes."""
        if self.muted:
            return NO_CAUSE
        index = len(self.entries)
        self.entries.append(Entry(index, self.step, self.at, kind, who, peer, what, cause))
        return index

    def latest_of_step(self) -> int:
        """Return the index of the latest entry, if it is of the step at the moment."""
        return len(self.entries) - 1 if self.entries and self.entries[-1].step == self.step else NO_CAUSE

    def __iter__(self) -> Iterator[Entry]:
        """Go through the entries in order."""
        return iter(self.entries)

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(self.entries)

    def __str__(self) -> str:
        """Return it as text, a line an entry."""
        return "\n".join(map(str, self.entries))

    def left_out(self, entries: Sequence[Entry]) -> str:
        """Return what stands where these are not shown."""
        return f"… {counted(len(entries))} that do not matter …"

    def summary(self, shown: int) -> str:
        """Return a sentence that says that so many are shown, and not all."""
        return f"{shown} of {counted(len(self.entries))}: what led here. The rest does not matter."

    def causes_of(self, indices: Iterable[int]) -> set[int]:
        """Return the indices of all entries that led to the given ones, these included.

        An entry follows from its cause and from whatever its ``who`` did before: Lamport's happened-before
        ("Time, clocks, and the ordering of events in a distributed system", CACM 1978).
        """
        before = self._entries_before()
        found: set[int] = set()
        waiting = list(indices)
        while waiting:
            index = waiting.pop()
            if index < 0 or index in found:
                continue
            found.add(index)
            waiting += (self.entries[index].cause, before[index])
        return found

    def _entries_before(self) -> list[int]:
        """Return for each entry the index of the entry before of the same ``who``."""
        last: dict[str, int] = {}
        before = []
        for entry in self.entries:
            before.append(last.get(entry.who, NO_CAUSE))
            if entry.who != TIMERS:
                last[entry.who] = entry.index
        return before


def counted(entries: int) -> str:
    """Return how many entries there are, in words."""
    return f"{entries} entries" if entries != 1 else "1 entry"


def describe(value: object, *, fields: bool = True) -> str:
    """Return a message, an answer or an exception as one short line: its type, and its fields if wanted."""
    if isinstance(value, str | Fact):
        return str(value)
    if isinstance(value, BaseException):
        text = ADDRESS.sub("", " ".join(str(value).split()))
        return f"{type(value).__name__}: {text}" if text else type(value).__name__
    name = type(value).__name__.lstrip("_")
    if not isinstance(value, msgspec.Struct):
        return name if type(value).__module__ != "builtins" else _short(value)
    shown = ", ".join(_fields(value)) if fields else ""
    return f"{name}({shown})" if shown else name


def _fields(value: msgspec.Struct) -> Iterator[str]:
    for name in value.__struct_fields__:
        field = getattr(value, name)
        if isinstance(field, Context) or field is None:
            continue
        text = _short(field)
        if text:
            yield f"{name}={text}"


def _short(value: object) -> str:
    """Return a value in at most `LONGEST_VALUE` characters; nothing of an object that has no text of its own."""
    if isinstance(value, str | int | float | bool | bytes):
        text = repr(value)
    elif isinstance(value, BaseException):
        text = describe(value)
    elif isinstance(value, msgspec.Struct):
        text = _kinds(value)
    elif isinstance(value, Collection):
        text = f"[{', '.join(_kinds(one) for one in value)}]" if _of_structs(value) else f"[{len(value)}]"
    else:
        return ""
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _of_structs(values: Collection[object]) -> bool:
    return bool(values) and all(isinstance(value, msgspec.Struct) for value in values)


def _kinds(value: object) -> str:
    """Return what a struct is, and what is in it, by type: of an event that is on its way, what it says it is."""
    kind = getattr(value, "event_type", None)
    if isinstance(kind, str):
        return kind
    name = type(value).__name__
    if not isinstance(value, msgspec.Struct):
        return name
    parts = [getattr(value, field) for field in value.__struct_fields__]
    inner = [part for part in parts if isinstance(part, msgspec.Struct)]
    inner += [one for part in parts if isinstance(part, tuple) and _of_structs(part) for one in part]
    return f"{name}({', '.join(map(_kinds, inner))})" if inner else name
