"""Which lines of a log are wanted: by their task, session, event and level."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import translate

from alex_actors.logs.reading import parse_head
from alex_actors.logs.searching import time_of

LEVELS: Mapping[str, int] = {"debug": 0, "info": 1, "warning": 2, "error": 3, "critical": 4}

SHORTEST_END = 4
"""Characters from which on the end of an ID stands for it. What is shown of one is longer."""

_FIRST, _LAST = datetime(2, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
"""The first and the last moment that may be asked for: what is around them is reckoned with, too."""

_PLAIN_ID = re.compile(r"[\w.:-]+", re.ASCII)
_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_UNITS: Mapping[str, str] = {
    "ms": "milliseconds",
    "s": "seconds",
    "m": "minutes",
    "h": "hours",
    "d": "days",
}


class Filter:
    """Says whether a line is wanted. What is no line of a log is, unless it would have to have a task, say."""

    def __init__(
        self,
        *,
        task: str | None = None,
        session: str | None = None,
        events: Sequence[str] = (),
        level: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> None:
        """``task`` and ``session``: an ID, or its end. ``events``: patterns, such as ``task.*``."""
        self._task = task
        self._session = session
        self._events = re.compile("|".join(map(translate, events))) if events else None
        self._level = LEVELS[level] if level else None
        self._since = since
        self._until = until
        # IDs that JSON never escapes are searched for before anything is parsed: it is a tenth of the time.
        self._needles = [each.encode() for each in (task, session) if each and _PLAIN_ID.fullmatch(each)]
        self._asks_for_fields = any(one is not None for one in (task, session, self._events, self._level))

    def wants(self, line: bytes) -> bool:
        """Return whether a line is wanted."""
        return all(needle in line for needle in self._needles) and self._is_of_its_time(line) and self._fits(line)

    def _is_of_its_time(self, line: bytes) -> bool:
        if not (self._since or self._until) or (time := time_of(line)) is None:
            return True
        return (not self._since or time >= self._since) and (not self._until or time <= self._until)

    def _fits(self, line: bytes) -> bool:
        if not self._asks_for_fields:
            return True
        if (head := parse_head(line)) is None:
            return False
        return (
            _is(head.task_id, self._task)
            and _is(head.session_id, self._session)
            and (self._events is None or self._events.match(head.event) is not None)
            and (self._level is None or LEVELS.get(head.level, -1) >= self._level)
        )


def moment(text: str, *, now: datetime) -> datetime:
    """Return what ``10m`` (ago), ``2h`` or a time in ISO 8601 means; one without a zone is local.

    Raises ValueError, and OverflowError.
    """
    if ago := _AGO.fullmatch(text.strip()):
        try:
            return now - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        except OverflowError:
            return _FIRST
    return min(max(datetime.fromisoformat(text.strip()).astimezone(UTC), _FIRST), _LAST)


def _is(value: str, wanted: str | None) -> bool:
    """Return whether an ID is the wanted one, or ends as it."""
    return wanted is None or value == wanted or (len(wanted) >= SHORTEST_END and value.endswith(wanted))
