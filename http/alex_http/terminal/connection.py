"""Where the server is, the token for it, and a client that tells when it is away."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import click
import httpx

from alex_http.client import Client
from alex_http.client.over_httpx import Address, limits
from alex_http.terminal.exits import Exit, Failed, NoServer, told
from alex_http.terminal.views import tolerate

SERVER_VARIABLE, TOKEN_VARIABLE = "ALEX_SERVER_URL", "ALEX_TOKEN"
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8080
"""As default.toml has them: reading all settings takes longer than the rest of a command."""
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a server listens on that listens everywhere
TIMEOUT, SILENCE = 30.0, 45.0
"""Seconds for a reply to begin or go on, and without a byte of a stream, as the client has them."""
GIVE_UP_AFTER = 300.0
"""Seconds for which a server that is away is looked for again, by what follows a task."""

_USER_INFO = re.compile(r"(?<=://)[^/?#\s]*@")
"""User name and password in a URL (RFC 3986, 3.2.1)."""

F = TypeVar("F", bound=Callable[..., object])


def connects(command: F) -> F:
    """Give a command the options that say which server it is about."""
    command = click.option(
        "--token-file", type=click.Path(path_type=Path, dir_okay=False),
        help="A file that has the token alone.  [default: the variable ALEX_TOKEN]",
    )(command)  # fmt: skip
    return click.option(
        "--server", metavar="URL",
        help="Where the server is.  [default: ALEX_SERVER_URL, else where `alex serve` listens]",
    )(command)  # fmt: skip


class Connection:
    """A client of one server, and whether it is there.

    ``away`` is called before each pause until it is tried again, ``back`` when it answers again.
    """

    def __init__(self, url: str, token: str | None) -> None:
        self.url = without_password(url)
        """As it is shown."""
        self.away: Callable[[], None] = lambda: None
        self.back: Callable[[], None] = lambda: None
        self._reached = False
        self._is_away = False
        try:
            address = Address(url, token=token, timeout=TIMEOUT, silence=SILENCE)
        except ValueError as error:
            raise Failed(without_password(f"{url}: {error}"), Exit.USAGE) from error
        self._http = httpx.Client(
            limits=limits(), trust_env=address.trust_env, event_hooks={"response": [self._answered]}
        )
        self.client = Client(
            url, token=token, timeout=TIMEOUT, silence=SILENCE, give_up_after=GIVE_UP_AFTER, http=self._http,
            sleep=self._sleep,
        )  # fmt: skip

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def _sleep(self, seconds: float) -> None:
        """Wait before another attempt; but a server that was never there is not waited for. Raises NoServer."""
        if not self._reached:
            raise NoServer
        self._is_away = True
        self.away()
        time.sleep(seconds)  # the client's own wait, told to the person before

    def _answered(self, response: httpx.Response) -> None:
        self._reached = True
        if self._is_away and response.status_code < 500:
            self._is_away = False
            self.back()


@contextmanager
def connected(server: str | None, token_file: Path | None) -> Iterator[Connection]:
    """Connect as the options say. Errors of the client end the command."""
    url = server_url(server, os.environ, Path.cwd())
    tolerate()
    with ExitStack() as stack:
        stack.enter_context(told(without_password(url)))
        connection = Connection(url, token_of(token_file, os.environ))
        stack.callback(connection.close)
        yield connection


def without_password(text: str) -> str:
    """Return a text without what stands before an ``@`` in its URLs: what is shown may be kept, or sent on."""
    return _USER_INFO.sub("", text)


def server_url(server: str | None, environ: Mapping[str, str], cwd: Path) -> str:
    """Return where the server is: as it was said, else where ``alex serve`` listens with the same settings."""
    url = server or environ.get(SERVER_VARIABLE)
    if url:
        return (url if "://" in url else f"http://{url}").rstrip("/")
    host, port = DEFAULT_HOST, DEFAULT_PORT
    settings = {name for name in environ if name.startswith("ALEX_")} - {SERVER_VARIABLE, TOKEN_VARIABLE}
    if settings or (cwd / "alex.toml").exists():  # one that is misspelt is said, as `alex serve` does
        host, port = _configured(environ, cwd)
    host = _EVERYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _configured(environ: Mapping[str, str], cwd: Path) -> tuple[str, int]:
    from alex_config import SettingsError, load  # where nothing is configured, it is not waited for

    try:
        settings = load(config_file=None, environ=environ, overrides={}, cwd=cwd)
    except SettingsError as error:
        raise Failed(f"{error}", Exit.USAGE) from error
    return settings.server.host, settings.server.port


def token_of(token_file: Path | None, environ: Mapping[str, str]) -> str | None:
    """Return the token: of the file if one is named, else of the environment. None if there is none."""
    if token_file is None:
        return environ.get(TOKEN_VARIABLE, "").strip() or None
    try:
        return token_file.read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise Failed(
            f"{token_file} cannot be read ({why}): --token-file takes a file of a token.", Exit.USAGE
        ) from error
