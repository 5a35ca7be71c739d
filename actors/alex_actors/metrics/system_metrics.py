"""The metrics of the parts of the server, read from each when they are asked for: else they cost nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import active_count
from typing import TYPE_CHECKING

from prometheus_client import Metric
from prometheus_client.registry import Collector

from alex_actors.mailbox import mailbox_of
from alex_actors.metrics.families import by_name, counter, gauge

if TYPE_CHECKING:
    from alex_actors.dispatchers import Handled, PoolDispatcher
    from alex_actors.executor import AsyncioExecutor
    from alex_actors.loop_thread import LoopThread
    from alex_actors.supervision import RestartPolicy

ACTORS = {"sessions": "SessionActor", "store": "TaskStoreActor", "broadcaster": "BroadcasterActor"}
"""The actors that are restarted, by the names of their components in ``/health``."""


class SystemMetrics(Collector):
    """Looks at actors, the agents' thread, the database's files and the log. Waits for none of them."""

    def __init__(
        self,
        *,
        dispatchers: Sequence[PoolDispatcher],
        restarts: Mapping[str, RestartPolicy],
        executor: AsyncioExecutor,
        agents_thread: LoopThread,
        mcp_servers: Callable[[], Mapping[str, bool]],
        database: Path,
        lost_lines: Callable[[], int],
    ) -> None:
        """``mcp_servers`` returns of each whether it is there, ``lost_lines`` how many the log has lost."""
        self._dispatchers = dispatchers
        self._restarts = restarts
        self._executor = executor
        self._thread = agents_thread
        self._mcp_servers = mcp_servers
        self._database = database
        self._lost_lines = lost_lines

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now. Any thread."""
        yield from self._actors()
        yield from self._agents()
        yield from self._files()
        yield counter(
            "alex_log_lost_lines_total", "Lines of the log that could not be written.", (),
            {(): self._lost_lines()},
        )  # fmt: skip
        connected = {name: float(up) for name, up in self._mcp_servers().items()}
        yield gauge("alex_mcp_server_up", "Whether an MCP server is connected.", ("server",), by_name(connected))

    def _actors(self) -> Iterator[Metric]:
        there = Counter(dict.fromkeys((*ACTORS.values(), "AgentActor"), 0))
        waiting = there.copy()
        handled: dict[str, Handled] = {}
        for dispatcher in self._dispatchers:
            mailboxes = list(map(mailbox_of, dispatcher.supervision.refs()))
            names = [mailbox.name for mailbox in mailboxes]
            there.update(names)
            for name, messages in zip(names, map(len, mailboxes), strict=True):
                if messages:  # of ten thousand, few have any
                    waiting[name] += messages
            handled |= dispatcher.handled_so_far()  # no class of actors is run by two of them
        yield gauge("alex_actors", "Actors that live.", ("actor",), by_name(there))
        yield gauge(
            "alex_mailbox_messages", "Messages that wait in mailboxes of actors.", ("actor",), by_name(waiting)
        )
        yield counter(
            "alex_actor_messages_total", "Messages that actors handled.", ("actor",),
            {(name,): one.messages for name, one in handled.items()},
        )  # fmt: skip
        yield counter(
            "alex_actor_handling_seconds_total", "How long actors were at work.", ("actor",),
            {(name,): one.seconds for name, one in handled.items()},
        )  # fmt: skip
        yield counter(
            "alex_actor_restarts_total", "Actors that crashed, and were made again.", ("actor",),
            {(ACTORS.get(name, name),): policy.in_all for name, policy in self._restarts.items()},
        )  # fmt: skip

    def _agents(self) -> Iterator[Metric]:
        thread = self._thread
        yield gauge("alex_agents_running", "Agents at work.", (), {(): self._executor.runs})
        yield gauge(
            "alex_approvals_waiting", "Tool calls that wait for a person's word.", (),
            {(): self._executor.approvals_waiting},
        )  # fmt: skip
        yield gauge(
            "alex_agents_loop_lag_seconds", "For how long the agents' thread has not come round.", (),
            {(): thread.lag()},
        )  # fmt: skip
        yield gauge("alex_threads", "Threads of Python that live.", (), {(): active_count()})
        yield gauge(
            "alex_tool_threads_busy", "Threads of tools that block which are at work.", ("threads",),
            by_name({"tools": thread.tools.busy, "functions": thread.functions.busy}),
        )  # fmt: skip

    def _files(self) -> Iterator[Metric]:
        log = self._database.with_name(f"{self._database.name}-wal")
        yield gauge("alex_store_database_bytes", "Size of the database file.", (), {(): _size(self._database)})
        yield gauge("alex_store_wal_bytes", "Size of the database's write-ahead log.", (), {(): _size(log)})


def _size(path: Path) -> int:
    """Return the size of a file in bytes; 0 if it is not there, or cannot be looked at."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
