"""What is recorded and told of texts and errors: without secrets, and as JSON can have it."""

from __future__ import annotations

from alex_actors.ports import AgentError
from alex_actors.redact import Redactor
from alex_actors.text import encodable, failure_line, one_line, text_of


def recordable(text: str, redactor: Redactor) -> str:
    """Return a text without secrets, and as JSON can have it: half of a surrogate pair is replaced."""
    return redactor.text(encodable(text))


def told(error: BaseException, redactor: Redactor) -> str:
    """Return an error's text in one line; of one that was not written for people, with its type."""
    text = one_line(text_of(error), redactor=redactor) if isinstance(error, AgentError) else ""
    return text or failure_line(error, redactor=redactor)


def out_of_iterations(limit: int) -> str:
    """Return what the answer of a task says that has had as many turns as it may."""
    count = f"{limit} iteration{'' if limit == 1 else 's'}"
    return f"Stopped after {count}, the limit of this task, without a final answer."
