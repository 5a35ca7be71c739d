"""Requests that may wait, or whose reply may be a stream, on a connection that is the test's."""

from __future__ import annotations

from typing import Any

import falcon
from falcon import testing

from alex_http.exchange import Request
from alex_http.transport import HOLD, Feed, Hold

App = falcon.App[Request, falcon.Response]


class HeldConnection:
    """What a hold has of a connection."""

    def __init__(self) -> None:
        self.ending = False
        self.room = True
        self.queued = False
        self.reminders: dict[Hold, float] = {}

    def again(self) -> None:
        self.queued = True

    def remind(self, hold: Hold, seconds: float) -> None:
        self.reminders[hold] = seconds

    def forget(self, hold: Hold) -> None:
        self.reminders.pop(hold, None)

    def room_for_stream(self) -> bool:
        return self.room

    def failed(self, error: Exception) -> None:
        raise error


class HeldClient(testing.TestClient):
    """A client whose requests are answered by the first call of the application."""

    def simulate_request(self, *args: Any, **kwargs: Any) -> testing.Result:  # Any: as Falcon has it
        """Make a request."""
        return super().simulate_request(*args, **{"extras": {HOLD: Hold(HeldConnection())}, **kwargs})


class HeldRequest:
    """A request over all the calls of the application for it."""

    def __init__(
        self, app: App, method: str, path: str, *, query: str = "", body: str = "", **headers: str
    ) -> None:
        self._app = app
        self._request: dict[str, Any] = {  # Any: as above
            "method": method,
            "path": path,
            "query_string": query,
            "body": body,
        }
        self._headers = {"Host": "localhost", **{name.replace("_", "-"): text for name, text in headers.items()}}
        self.connection = HeldConnection()
        self.hold = Hold(self.connection)
        self.calls = 0
        self.result: testing.Result | None = None
        self._call()

    @property
    def reply(self) -> testing.Result:
        """The reply, which must be there."""
        assert self.result is not None
        return self.result

    @property
    def feed(self) -> Feed:
        """What the reply streams; it must be a stream."""
        assert self.hold.feed is not None
        return self.hold.feed

    def go_on(self) -> None:
        """Call the application again if somebody woke the request."""
        if self.connection.queued:
            self.connection.queued = False
            self._call()

    def let_time_pass(self) -> None:
        """Let the time be over for which it waits."""
        self.hold.time_is_over()
        self.go_on()

    def leave(self) -> None:
        """Have the client go."""
        self.hold.over()

    def _call(self) -> None:
        assert self.result is None
        self.calls += 1
        self.hold.called()
        result = testing.simulate_request(
            self._app, headers=self._headers, extras={HOLD: self.hold}, **self._request
        )
        if self.hold.waits:
            self.hold.park()
            self.go_on()
        else:
            self.result = result
            self.hold.over()
