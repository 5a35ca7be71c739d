"""What the offline model understands: from a task's text to what is meant by it, by rules.

The rules are forgiving in wording, case, punctuation and quotes. What none of them covers is Unknown.
"""

from __future__ import annotations

import msgspec

from alex_actors.models import offline_parts, offline_rules
from alex_actors.models.offline_intents import Intent, ReadFile, Simulate, Unknown, WriteFile
from alex_actors.values import Value

MOST_PARTS = 100
"""Of a task: the model reads all of it again at every turn."""

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
        if len(parts) > MOST_PARTS:
            return (Part(text, Unknown(text, f"It follows up to {MOST_PARTS} parts of a task.")),)
    return _resolve_pronouns(parts) or (Part(text, Unknown(text)),)


def _understand_piece(piece: str) -> list[Part]:
    """Understand its lines, if each makes sense; else it as one; else its sentences, or its clauses with "and"."""
    lines = _understand_all(offline_parts.split_at_lines(piece))
    # After a file's content begins, lines belong to it.
    if len(lines) > 1 and not any(isinstance(line.intent, WriteFile) for line in lines):
        return lines
    whole = Part(piece, offline_rules.intent_of(piece))
    if isinstance(whole.intent, Unknown) and whole.intent.reason is None:
        for split in (offline_parts.split_at_sentences, offline_parts.split_at_and):
            parts = _understand_all(split(piece))
            if len(parts) > 1:
                return parts
    return [whole]


def _understand_all(pieces: list[str]) -> list[Part]:
    """Return the parts that these are; none if one of them makes no sense."""
    parts: list[Part] = []
    for piece in pieces:
        part = Part(piece, offline_rules.intent_of(piece))
        if isinstance(part.intent, Unknown):
            return []
        parts.append(part)
    return parts


def _resolve_pronouns(parts: list[Part]) -> tuple[Part, ...]:
    """Put the file that was named last where a part says "it"."""
    path: str | None = None
    resolved = []
    for part in parts:
        intent = part.intent
        if isinstance(intent, ReadFile) and intent.path.lower() in _PRONOUNS and path is not None:
            part = Part(f"Read {path}", ReadFile(path))
        elif isinstance(intent, ReadFile | WriteFile):
            path = intent.path
        resolved.append(part)
    return tuple(resolved)
