"""An application with tokens, without sockets: what the tests of access share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from falcon import testing

from alex_actors.values import Owner
from alex_http.access import Access
from alex_http.tokens import Scope, TokenFile
from tests.unit.fake_runtime import FakeRuntime, Log, application
from tests.unit.held_requests import HeldClient


class SetClock:
    """A clock that goes on when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


class Guarded:
    """A server, its tokens, and clients of it."""

    def __init__(
        self,
        directory: Path,
        *,
        host: str = "127.0.0.1",
        allowed_hosts: Sequence[str] = (),
        cors_origins: Sequence[str] = (),
        requests_per_minute: int = 0,
    ) -> None:
        self.runtime = FakeRuntime()
        self.log = Log()
        self.clock = SetClock()
        self.path = directory / "tokens.json"
        self._made = 0
        self.file = TokenFile(self.path, now=self.clock.now, random_hex=self._random_hex)
        self.access = Access(
            tokens=self.path,
            host=host,
            allowed_hosts=allowed_hosts,
            cors_origins=cors_origins,
            requests_per_minute=requests_per_minute,
            clock=self.clock,
        )
        self.app = application(self.runtime, self.log, access=self.access, clock=self.clock)

    def _random_hex(self, size: int) -> str:
        self._made += 1
        return f"{self._made:0{2 * size}x}"

    def make(self, name: str = "ann", *, scope: Scope = "write", owner: str | None = None) -> str:
        """Make a token, and return it."""
        return self.file.create(name=name, owner=Owner(owner or name), scope=scope)[1]

    def request(
        self,
        method: str = "GET",
        path: str = "/api/tasks",
        *,
        token: str | None = None,
        body: str | None = None,
        address: str = "127.0.0.1",
        **headers: str,
    ) -> testing.Result:
        """Send a request; names of headers have ``_`` for ``-``."""
        sent = {"Host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        client = HeldClient(self.app)
        return client.simulate_request(method, path, headers=sent, body=body, remote_addr=address)

    def reasons(self) -> list[str]:
        """Return why requests were denied, as the log has it."""
        return [line["reason"] for line in self.log.lines if line["event"] == "http.denied"]
