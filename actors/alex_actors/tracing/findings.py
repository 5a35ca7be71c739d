"""What a check of a log has found."""

from __future__ import annotations

import msgspec

MOST_LINES = 12
"""Lines that are kept of one violation: a task of which every line is wrong has a thousand."""


class Place(msgspec.Struct):
    """Where a line is, and what it says."""

    number: int
    """Counted from 1: in its file, once ``file`` says which; before that in all that was read."""
    file: str = ""
    text: str | None = None
    """None: it could not be read a second time."""


class Violation(msgspec.Struct):
    """A rule that a task broke."""

    task_id: str
    session_id: str
    rule: str
    """Its short name, one of ``RULES``."""
    what: str
    """What was seen: a sentence."""
    lines: list[Place]
    """Where, the first `MOST_LINES`."""


class Checked(msgspec.Struct):
    """What a log says of the rules."""

    lines: int = 0
    tasks: int = 0
    ended: int = 0
    runs: int = 0
    """Runs of the server, as far as the log tells them apart."""
    killed: int = 0
    """Runs after which the log goes on with another, and that were not stopped in order."""
    violations: list[Violation] = msgspec.field(default_factory=list)
    broken: int = 0
    """How many violations there are: not all are kept if they are very many."""
    unfinished: int = 0
    """Tasks that have no end where the log ends."""
    left: int = 0
    """Tasks that a killed run left, and that the next one did not find unfinished: ended, or never recorded, in
    the moment of the kill. The log cannot say which."""
    begun_before: int = 0
    """Tasks whose beginning is not in the log: it begins later, or was lost."""
    told_again: int = 0
    """Facts that a store actor told again after a crash."""
    lost: int = 0
    """Lines that could not be written, as the log itself says."""
    unreadable: int = 0
    """Lines that are none of a log, or were cut short."""
    blank: int = 0
    """Lines with nothing in them."""
    seconds: float = 0.0
    """What the check took."""
    files: list[str] = msgspec.field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether no rule was broken."""
        return self.broken == 0
