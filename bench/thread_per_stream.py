"""What is usually done: event streams of a Falcon app on plain waitress, each of which keeps a worker thread.

    python -m bench.thread_per_stream WORKERS

A task is counted in memory, and its events are put into a queue for each stream, which is what most such
servers do; nothing is recorded. The paths and frames are those of Alex Runtime, as far as the bench needs them.
"""

from __future__ import annotations

import json
import queue
import re
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import falcon
import waitress  # type: ignore[import-untyped]  # waitress has no types

Queues = list["queue.SimpleQueue[bytes]"]


class Tasks:
    """Tasks that simulate steps."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues
        self._last = 0

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Start one on a thread."""
        steps, milliseconds = map(int, re.findall(r"\d+", request.get_media()["task"]))
        threading.Thread(target=self._run, args=(steps, milliseconds / 1000), daemon=True).start()
        response.status = falcon.HTTP_201
        response.media = {"task_id": "task-0", "session_id": "session-0"}

    def _run(self, steps: int, seconds: float) -> None:
        self._publish("task_created")
        self._publish("task_started")
        for _ in range(steps):
            self._publish("iteration_start")
            time.sleep(seconds)  # the task's work, as the one that it stands beside has it
            self._publish("iteration_complete")
        self._publish("task_completed")

    def _publish(self, name: str) -> None:
        self._last += 1
        data = json.dumps(
            {"event_type": name, "timestamp": datetime.now(UTC).isoformat(), "filler": "x" * 200},
        )
        frame = f"id: {self._last}\nevent: {name}\ndata: {data}\n\n".encode()
        for stream in list(self._queues):
            stream.put(frame)


class Task:
    """Something of the size of a task."""

    def on_get(self, _request: falcon.Request, response: falcon.Response, task_id: str) -> None:
        """Return it."""
        response.media = {"task_id": task_id, "status": "completed", "filler": "x" * 700}


class Recorded:
    """The recorded events: none."""

    def on_get(self, _request: falcon.Request, response: falcon.Response, **_ids: str) -> None:
        """Return where the log ends."""
        response.media = {"events": [], "last_event_id": 0}


class Streams:
    """A stream of all events."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def on_get(self, _request: falcon.Request, response: falcon.Response, **_ids: str) -> None:
        """Open it."""
        response.content_type = "text/event-stream"
        response.stream = self._frames()

    def _frames(self) -> Iterator[bytes]:
        frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._queues.append(frames)
        yield b"event: connected\ndata: {}\n\n"
        while True:
            yield frames.get()


def main() -> None:
    """Serve until killed."""
    workers = int(sys.argv[1])
    queues: Queues = []
    app = falcon.App()
    app.add_route("/api/tasks", Tasks(queues))
    app.add_route("/api/tasks/{task_id}", Task())
    app.add_route("/api/tasks/{task_id}/events", Recorded())
    app.add_route("/api/sessions/{session_id}/events", Streams(queues))
    server = waitress.create_server(
        app, host="127.0.0.1", port=0, threads=workers, asyncore_use_poll=True, connection_limit=workers + 100
    )
    print(f"listens on http://127.0.0.1:{server.effective_port}", file=sys.stderr, flush=True)
    server.run()


if __name__ == "__main__":
    main()
