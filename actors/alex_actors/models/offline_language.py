"""What the offline model understands: from a task's text to what is meant by it, by rules.

The rules are forgiving in wording, case, punctuation and quotes. What none of them covers is Unknown, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from alex_actors.models import offline_parts, offline_rules
from alex_actors.models.offline_intents import (
    Intent,
    ReadFile,
    Simulate,
    Unknown,
    WriteFile,
)
from alex_actors.values import Value

_Split: TypeAlias = Callable[[str], list[str]]

_PRONOUNS = frozenset({"it", "that", "this", "that file", "the file", "this file"})


class Part(Value, frozen=True):
    """A part of a task: its text, and what is meant by it."""

    text: str
    intent: Intent


def understand(text: str) -> tuple[Part, ...]:
    """Return the parts of a task in the order in which they are to be done; at least one."""
    parts: list[Part] = []
    for piece in offline_parts.split_at_then(text):
        last = parts[-1].intent if parts else None
        if isinstance(last, Simulate) and offline_rules.says_fail(piece):
            parts[-1] = Part(f"{parts[-1].text} then fail", msgspec.structs.replace(last, fail=True))
        else:
            parts += _understand_piece(piece)
    return _resolve_pronouns(parts) or (Part(text, Unknown(text)),)


def _understand_piece(piece: str) -> list[Part]:
    """Understand it as one, else as sentences, else as clauses with "and": if each of them makes sense."""
    whole = Part(piece, offline_rules.intent_of(piece))
    if not isinstance(whole.intent, Unknown):
        return [whole]
    split: _Split
    for split in (offline_parts.split_at_sentences, offline_parts.split_at_and):
        pieces = split(piece)
        parts = [Part(text, offline_rules.intent_of(text)) for text in pieces] if len(pieces) > 1 else []
        if parts and not any(isinstance(part.intent, Unknown) for part in parts):
            return parts
    return [whole]


def _resolve_pronouns(parts: list[Part]) -> tuple[Part, ...]:
    """Put the file that was named last where a part says "it"."""
    path: str | None = None
    resolved = []
    for part in parts:
        intent = part.intent
        if isinstance(intent, ReadFile) and intent.path.lower() in _PRONOUNS and path is not None:
            part = Part(f"Read {path}", ReadFile(path))  # noqa: PLW2901 - the part that is meant
        elif isinstance(intent, ReadFile | WriteFile):
            path = intent.path
        resolved.append(part)
    return tuple(resolved)
