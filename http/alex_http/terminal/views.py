"""What a watcher shows: what all views have in common, and the two that are lines."""

from __future__ import annotations

import sys
from typing import Literal, Protocol, TextIO, TypeAlias

import click
import msgspec

from alex_http.client import Event
from alex_http.terminal.harmless import harmless, harmless_json, one_line
from alex_http.terminal.progress import Call, Progress, Tasks
from alex_http.terminal.words import fact

Shows: TypeAlias = Literal["task", "session", "turn"]
"""One task; all of a session; one turn of a chat, whose text the person has just typed."""


class View(Protocol):
    """Shows what happens. Everything that a stranger wrote is harmless where it comes out."""

    def event(self, event: Event, progress: Progress, call: Call | None) -> None:
        """Show an event. ``progress`` is its task after it; ``call`` what it is the end of."""

    def notice(self, text: str) -> None:
        """Show something of the connection, or of the person who watches."""

    def tick(self, tasks: Tasks, asking: tuple[Progress, Call] | None) -> None:
        """Show how things are, ten times a second. ``asking``: the call that waits for a key."""

    def close(self) -> None:
        """Leave what was shown, and nothing that would change."""


class Answers(Protocol):
    """Where answers go: standard output, which has nothing else."""

    def show(self, answer: str) -> None:
        """Write an answer."""


class PlainAnswers:
    """Answers as they are, for files and other programs."""

    def show(self, answer: str) -> None:
        """Write it, with a line feed at its end."""
        click.echo(harmless(answer))


class PlainView:
    """One line for each fact, at standard error; answers apart. With the task's ID if there may be several."""

    def __init__(self, *, answers: Answers, shows: Shows) -> None:
        self._answers = answers
        self._several = shows == "session"

    def event(self, event: Event, progress: Progress, call: Call | None) -> None:
        """Write a line, and the answer at the end."""
        told = fact(event, progress, call)
        if progress.has_ended and progress.answer is not None:
            self._answers.show(progress.answer)
        if told is not None:
            begin = f"{one_line(event.task_id)} " if self._several or event.event_type == "task_created" else ""
            click.echo(begin + told, err=True)

    def notice(self, text: str) -> None:
        """Write a line."""
        click.echo(harmless(text), err=True)

    def tick(self, tasks: Tasks, asking: tuple[Progress, Call] | None) -> None:
        """Write nothing: what changes all the time is no fact."""

    def close(self) -> None:
        """Do nothing."""


class JsonView(PlainView):
    """Events as lines of JSON, as the server's streams have them; notices at standard error."""

    def __init__(self) -> None:
        super().__init__(answers=PlainAnswers(), shows="session")

    def event(self, event: Event, progress: Progress, call: Call | None) -> None:  # noqa: ARG002 - as all views
        """Write an event."""
        moment = event.timestamp.isoformat(timespec="microseconds").replace("+00:00", "Z")
        head = {name: getattr(event, name) for name in event.__struct_fields__ if name != "data"}
        show_json(head | {"timestamp": moment} | event.data)


def show_json(value: object) -> None:
    """Write a value as one line of JSON."""
    click.echo(harmless_json(msgspec.json.encode(value).decode()))


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal."""
    return stream is not None and not stream.closed and stream.isatty()


def tolerate() -> None:
    """Have streams that cannot write all characters write others in their place, rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a stream that a test has put there has none
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
