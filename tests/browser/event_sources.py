"""EventSources that nobody here wrote, a browser's and npm's, and what is seen of them."""

from __future__ import annotations

import json
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from playwright.sync_api import Page

from alex_actors.events import EVENT_TYPES
from tests.live.process import SOON, Json, until

HERE = Path(__file__).parent
WATCH = (HERE / "watch.js").read_text()
NODE_MODULES = HERE / "node_modules"

ABOUT_THE_STREAM = ("connected", "session_deleted")
"""Types of frames that tell of the stream itself: they have no ID of their own."""
TYPES = [*EVENT_TYPES.values(), *ABOUT_THE_STREAM, "message"]
"""What is listened for. A frame that names no type would be a ``message``."""

Frame: TypeAlias = tuple[str, str, Json]
"""An event as an EventSource gives it: its ID, its type, its data decoded."""


class Seen(msgspec.Struct, frozen=True):
    """One thing that an EventSource did, as ``watch.js`` tells it; a ``reply`` is that to one of its requests."""

    what: Literal["open", "error", "frame", "reply"]
    type: str = ""
    id: str = ""
    data: str = ""
    closed: bool = False
    status: int = 0


class EventSource(ABC):
    """An EventSource that somebody else runs."""

    @abstractmethod
    def seen(self) -> list[Seen]:
        """Return all that it did so far, in order."""

    @abstractmethod
    def replies(self) -> list[int]:
        """Return the statuses of the replies to its requests, in order."""

    def frames(self, *types: str) -> list[Seen]:
        """Return the frames of these types that it got."""
        return [one for one in self.seen() if one.what == "frame" and one.type in types]

    def events(self) -> list[Frame]:
        """Return what it got of the log: all frames but those about the stream."""
        return [
            (one.id, one.type, json.loads(one.data))
            for one in self.seen()
            if one.what == "frame" and one.type not in ABOUT_THE_STREAM
        ]

    def closed(self) -> bool:
        """Return whether it gave up."""
        return any(one.closed for one in self.seen())

    def wait_for(self, event: Json) -> None:
        """Wait until it got this event."""
        wanted = str(event["event_id"])
        until(
            lambda: any(one.id == wanted for one in self.frames(event["event_type"])), f"event {wanted} is there"
        )

    def wait_for_iteration(self, task_id: str, iteration: int) -> None:
        """Wait until it got the beginning of an iteration of a task."""

        def begun() -> bool:
            events = (json.loads(one.data) for one in self.frames("iteration_start"))
            return any((event["task_id"], event["iteration"]) == (task_id, iteration) for event in events)

        until(begun, f"iteration {iteration} of {task_id} is there")

    def wait_until_closed(self) -> None:
        """Wait until it gave up."""
        until(self.closed, "the EventSource is closed")

    def statuses(self, count: int) -> list[int]:
        """Wait for ``count`` replies, of which a browser may tell later than its page; return all statuses."""
        until(lambda: len(self.replies()) >= count, f"{count} replies are there")
        return self.replies()


def as_frames(recorded: list[Json]) -> list[Frame]:
    """Return recorded events as an EventSource has to get them."""
    return [(str(event["event_id"]), event["event_type"], event) for event in recorded]


class InPage(EventSource):
    """A browser's, in a page of a server's, or of anybody's."""

    def __init__(self, page: Page, url: str) -> None:
        self._page = page
        self._seen: list[Seen] = []
        self._replies: list[int] = []
        page.on("response", lambda reply: self._replies.append(reply.status) if reply.url == url else None)
        page.evaluate(f"() => {{ {WATCH} }}")  # alone it would be taken for the function to call
        page.evaluate(
            "([url, types]) => { seen = []; watch(new EventSource(url), types, (one) => seen.push(one)) }",
            [url, TYPES],
        )

    def seen(self) -> list[Seen]:
        """Return all that it did so far, in order."""
        self._seen += msgspec.convert(self._page.evaluate("seen.splice(0)"), list[Seen])
        return self._seen

    def replies(self) -> list[int]:
        """Return the statuses of the replies to its requests, in order."""
        self.seen()  # Playwright tells of what happened only while it is asked for something
        return self._replies


class InNode(EventSource):
    """That of npm's package ``eventsource``, in a process of its own, which writes what it sees into a file."""

    def __init__(self, node: str, url: str, output: Path) -> None:
        self._seen: list[Seen] = []
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                [node, str(HERE / "watch_in_node.mjs"), url, *TYPES],
                stdin=subprocess.DEVNULL,
                stdout=file,
            )

    def seen(self) -> list[Seen]:
        """Return all that it did so far, in order."""
        *lines, _unfinished = self._output.read_bytes().split(b"\n")
        self._seen += [msgspec.json.decode(line, type=Seen) for line in lines[len(self._seen) :]]
        return self._seen

    def replies(self) -> list[int]:
        """Return the statuses of the replies to its requests, in order."""
        return [one.status for one in self.seen() if one.what == "reply"]

    def end(self) -> None:
        """End it however it is, and do not leave it behind."""
        self._process.kill()
        self._process.wait(timeout=SOON)
