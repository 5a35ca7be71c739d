"""What of a long trace is worth a row: of what repeats, its first and last times."""

from __future__ import annotations

from collections import Counter

from alex_actors.diagrams.trace import NO_CAUSE, Entry, Trace

KEPT = 3
"""How often what repeats is shown at its beginning, and again at its end."""

MANY = 10
"""From how many on it is not shown each time."""

WORTH_A_GAP = 12
"""Entries, sendings among them, from which on they are left out: six messages take less room than they explain."""


def worth_showing(trace: Trace) -> set[int] | None:
    """Return the indices of the entries to show; None if that is all of them."""
    names = {entry.index: _name(entry) for entry in trace if entry.kind != "sent"}
    counts = Counter(names.values())
    seen: Counter[tuple[str, str, str]] = Counter()
    shown: set[int] = set()
    for entry in trace:
        name = names.get(entry.index)
        if name is None:
            continue
        seen[name] += 1
        if counts[name] < MANY or seen[name] <= KEPT or seen[name] > counts[name] - KEPT:
            shown.add(entry.index)
            if entry.cause != NO_CAUSE:
                shown.add(entry.cause)
    shown |= _short_gaps(trace, shown)
    return None if len(shown) == len(trace) else shown


def _short_gaps(trace: Trace, shown: set[int]) -> set[int]:
    """Return what is not worth leaving out: a line would say that it is."""
    short: set[int] = set()
    gap: set[int] = set()
    for entry in (*trace, None):
        if entry is not None and entry.index not in shown:
            gap.add(entry.index)
        elif entry is None or entry.kind != "sent":
            if len(gap) < WORTH_A_GAP:
                short |= gap
            gap = set()
    return short


def _name(entry: Entry) -> tuple[str, str, str]:
    """Return what an entry repeats: who, whom, and the message or the fact by name."""
    words = str(entry.what).split(" ")
    return entry.who, entry.peer, " ".join(words[:3]) if words[0] == "http.request" else words[0]
