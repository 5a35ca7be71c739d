"""Text for people and for records: short enough, without secrets, and always valid Unicode."""

from __future__ import annotations

from alex_actors.redact import NO_SECRETS, Redactor

LONGEST_ERROR = 2_000
"""Characters of an error that a task keeps: the log has the rest."""


def shortened(text: str, length: int) -> str:
    """Return a text of at most ``length`` characters, with an ellipsis where it was cut."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def encodable(text: str) -> str:
    """Return a text as JSON can have it: half of a surrogate pair is replaced."""
    return text.encode("utf-8", "replace").decode()


def text_of(error: BaseException) -> str:
    """Return what an exception says of itself; nothing if it fails in saying it."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - somebody else's exception may be of any class
        return ""


def one_line(text: str, *, redactor: Redactor = NO_SECRETS) -> str:
    """Return an error's text as one line without secrets, not longer than a screen."""
    # Secrets first: half of one, at the end of what is kept, would not be known as one.
    line = " ".join(redactor.text(encodable(text)).split())
    return redactor.text(shortened(line, LONGEST_ERROR))


def failure_line(error: BaseException, *, redactor: Redactor = NO_SECRETS) -> str:
    """Return an exception that was not written for people as one line: its type, and what it says."""
    name, text = type(error).__name__, text_of(error)
    return one_line(f"{name}: {text}" if text else name, redactor=redactor)
