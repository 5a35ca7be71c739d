"""Exit codes, and how what went wrong is told: in one line, with what to do, never with a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import click

from alex_http.client import (
    AlexError,
    ApiError,
    BadReply,
    BadRequest,
    Conflict,
    ConnectionFailed,
    Forbidden,
    GaveUp,
    KeyReused,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnknownSession,
    UnknownTask,
)
from alex_http.terminal.harmless import harmless


class Exit(IntEnum):
    """What a command's exit code says. docs/terminal.md has the table."""

    DONE = 0
    """It is done; the task that was followed is completed."""
    FAILED = 1
    """The task that was followed has failed."""
    USAGE = 2
    """The command line is wrong, or the server refused what it asks for (400); click's own."""
    CANCELLED = 3
    """The task that was followed was cancelled."""
    NO_SERVER = 4
    """No server answers there, or it is none of ours."""
    REFUSED = 5
    """A token is missing, wrong, or not enough (401, 403)."""
    UNKNOWN = 6
    """There is no such task or session (404)."""
    CONFLICT = 7
    """It cannot be done in the state that things are in (409, 422)."""
    LATER = 8
    """The server cannot do it now (429, 5xx): try again later."""
    NO_OUTPUT = 9
    """What it says cannot be written: the disk behind standard output is full, say."""
    DETACHED = 130
    """Ctrl-C: the task that was followed goes on. 128 + SIGINT, as shells have it."""


_WANTS_ACCESS = (
    "The server asks for a token: put one into ALEX_TOKEN, or name a file of one with --token-file. Where the "
    "server runs, `alex token create` makes one."
)


class Failed(click.ClickException):
    """A command ends, and says why."""

    def __init__(self, text: str, code: Exit) -> None:
        super().__init__(text)
        self.code = code
        self.exit_code = code  # type: ignore[misc]  # click reads it from the instance

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature: always standard error
        """Write it to standard error."""
        click.echo(f"alex: {harmless(self.message)}", err=True)


class NoServer(Exception):
    """Nothing answers where the server should be."""


@contextmanager
def told(url: str) -> Iterator[None]:
    """Turn errors of the client of the server at ``url`` into the end of the command."""
    try:
        yield
    except NoServer as error:
        raise Failed(_no_server(url), Exit.NO_SERVER) from error
    except AlexError as error:
        raise failure(error, url) from error
    except UnicodeError as error:  # what cannot be read, or not be sent, because it was read as it is (PEP 383)
        raise Failed("What was given is not UTF-8.", Exit.USAGE) from error
    except KeyboardInterrupt as interrupt:
        raise click.exceptions.Exit(Exit.DETACHED) from interrupt


def failure(error: AlexError, url: str) -> Failed:
    """Return how an error of the client is told, and the exit code that goes with it."""
    match error:
        case ConnectionFailed(maybe_received=False):
            return Failed(_no_server(url), Exit.NO_SERVER)
        case ConnectionFailed() | GaveUp():
            return Failed(str(error), Exit.NO_SERVER)
        case BadReply():
            return Failed(_stranger(url), Exit.NO_SERVER)
        case ApiError():
            return _refusal(error, url)
        case _:
            return Failed(str(error), Exit.FAILED)


def _refusal(error: ApiError, url: str) -> Failed:
    match error:
        case Unauthorized():
            return Failed(_WANTS_ACCESS, Exit.REFUSED)
        case Forbidden():
            return Failed(error.detail, Exit.REFUSED)
        case UnknownTask():
            return Failed(f"{_first_sentence(error)} `alex tasks` lists those that there are.", Exit.UNKNOWN)
        case UnknownSession():
            return Failed(f"{_first_sentence(error)} `alex sessions` lists those that there are.", Exit.UNKNOWN)
        case NotFound():
            return Failed(_stranger(url), Exit.NO_SERVER)
        case BadRequest():
            bad = [f"\n  {each.field}: {each.reason}" for each in error.errors]
            return Failed(error.detail + "".join(bad if len(bad) > 1 else ()), Exit.USAGE)
        case Conflict() | KeyReused():
            return Failed(error.detail, Exit.CONFLICT)
        case TooManyRequests() | Unavailable() if error.retry_after is not None:
            return Failed(f"{error.detail} Try again in {error.retry_after:g} s.", Exit.LATER)
        case Unavailable():  # also a proxy's word
            return Failed(f"{error.detail} ({error.status} from {url})", Exit.LATER)
        case _ if error.request_id is None:  # the server gives one with each reply
            return Failed(_stranger(url), Exit.NO_SERVER)
        case _:
            return Failed(f"{error.detail} ({error.status} from {url})", Exit.LATER)


def _first_sentence(error: ApiError) -> str:
    """Leave out how a program would go on: a person has a command for it."""
    return error.detail.partition(" GET ")[0]


def _stranger(url: str) -> str:
    return f"What answers at {url} is no Alex Runtime: say where it is with --server."


def _no_server(url: str) -> str:
    return f"No server at {url}: start one with `alex serve`, or say where it is with --server."
