"""Alex Runtime: what it is made of, in the order in which it is started.

``System.start`` starts everything from top to bottom; it is stopped in the reverse order. Who holds a reference
to whom is what each constructor is given.
"""

from __future__ import annotations

import gc
import os
import random
import secrets
import sys
from contextlib import ExitStack
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from alex_actors.agents.configured import ConfiguredAgents
from alex_actors.clock import SystemClock
from alex_actors.core import Core
from alex_actors.cores import Cores
from alex_actors.data_directory import DataDirectory, DirectoryError, remedy
from alex_actors.dispatchers import PinnedDispatcher, PoolDispatcher
from alex_actors.health import HealthCheck
from alex_actors.ids import TimeOrderedIds
from alex_actors.log import Log
from alex_actors.loop_thread import TOOL_THREADS
from alex_actors.message_log import MessageLog
from alex_actors.metrics.system_metrics import SystemMetrics
from alex_actors.metrics.task_meter import TaskMeter
from alex_actors.metrics.task_metrics import TaskMetrics
from alex_actors.models.configured import configured_models
from alex_actors.store.database import DatabaseError, explain, open_readers, open_writer
from alex_actors.store.database_file import OpenedFiles
from alex_actors.store.reader import StoreReader
from alex_actors.store.writer import StoreWriter
from alex_actors.timers import ThreadTimers
from alex_actors.tools import ShellCommands
from alex_actors.tracing.otlp_live import LiveSpans
from alex_actors.tracing.otlp_settings import asked_models
from alex_actors.workspaces import WorkspaceKeeper
from alex_config import Settings
from alex_http import __version__
from alex_http.app import create_app
from alex_http.command_line import main
from alex_http.configured import access_of, catalog_of, limits_of
from alex_http.metrics import Metrics
from alex_http.operations import PROBES, http_health
from alex_http.refusals import Refusals
from alex_http.serving import CANNOT_START, say, serve_command
from alex_http.shutdown import Shutdown
from alex_http.transport import Server
from alex_http.transport.server import FEED_READERS

POOL_THREADS = 4
"""For all actors but the two that are pinned. Handlers never block, so more than the cores gain nothing."""


class System:
    """All parts of the server. ``stops`` gets what stops each of them, as it is started."""

    def __init__(
        self,
        settings: Settings,
        *,
        data: DataDirectory,
        log: Log,
        shutdown: Shutdown,
        shell_commands: ShellCommands,
        cores: Cores,
        stops: ExitStack,
    ) -> None:
        self._settings = settings
        self._data = data
        self._log, self._lost_lines = log.logger, lambda: log.lost
        self._shutdown = shutdown
        self._shell_commands = shell_commands
        self._cores = cores
        self._stops = stops
        self._clock = SystemClock()
        # Seeded once: asking the system for each ID gives up the GIL each time. IDs are unique, not secret.
        bits = random.Random(secrets.randbits(256)).getrandbits  # noqa: S311 - see above
        self._ids = TimeOrderedIds(clock=self._clock, random_bits=bits)
        self._journal = MessageLog(log=self._log) if settings.log.level == "debug" else None
        # Of ten shares of the time for a stop, the server gets four, the five others that may take long one each.
        self._stop_within = settings.timeouts.shutdown_seconds / 10

    def start(self) -> Server:
        """Start everything, and return the server, which listens already.

        Raises DatabaseError, SQLAlchemyError or CannotListen.
        """
        self._open_store()
        self._start_agents()
        self._start_actors()
        return self._start_server()

    def _open_store(self) -> None:
        """The database, and the thread of the actor that writes it; timers; who copies and removes workspaces."""
        settings, log = self._settings, self._log
        writer = open_writer(self._data.database, synchronous=settings.store.synchronous)
        self._data.note_database()
        # Each of the server's threads, the probes' and the streams' among them, and what agents read on; the
        # store actor; the workspaces.
        threads = settings.server.threads + FEED_READERS + TOOL_THREADS
        readers = open_readers(self._data.database, connections=threads + 4)
        self._stops.callback(readers.dispose)
        self._writer, self._reader = StoreWriter(engine=writer), StoreReader(engine=readers)
        self._timers = ThreadTimers(clock=self._clock, log=log)
        self._stops.callback(self._timers.stop, timeout=self._stop_within)
        self._workspaces = WorkspaceKeeper(
            directory=self._data.workspaces, log=log, most_bytes=settings.tools.max_workspace_bytes,
            most_entries=settings.tools.max_workspace_files,
        )  # fmt: skip
        self._stops.callback(self._workspaces.stop, timeout=self._stop_within)
        self._broadcasting = PinnedDispatcher(name="broadcaster", log=log, journal=self._journal)
        self._stops.callback(self._broadcasting.stop, timeout=self._stop_within)
        self._storing = storing = PinnedDispatcher(name="store", log=log, journal=self._journal)

        def stop_storing() -> None:
            if storing.stop(timeout=self._stop_within):  # else its thread uses the connection: closing is a crash
                readers.dispose()  # first: the last to close empties the log of SQLite, if it may write
                writer.dispose()

        self._stops.callback(stop_storing)

    def _start_agents(self) -> None:
        """The thread of the agents, with the models, tools and MCP servers that they work with."""
        self._agents = ConfiguredAgents(
            self._settings, data=self._data, reader=self._reader, shell_commands=self._shell_commands,
            cores=self._cores, environ=os.environ, random=random.Random().random,  # noqa: S311 - spreads retries
            clock=self._clock, log=self._log, stops=self._stops, stop_within=self._stop_within,
        )  # fmt: skip

    def _start_actors(self) -> None:
        """The pool of all actors but the two that are pinned, and all actors; who knows whom, Core says."""
        limits, timeouts = self._settings.limits, self._settings.timeouts
        self._pool = PoolDispatcher(name="actors", threads=POOL_THREADS, log=self._log, journal=self._journal)
        self._stops.callback(self._pool.stop, timeout=self._stop_within)
        models, tools = catalog_of(self._settings).models, self._agents.tool_names
        self._meter = TaskMeter(clock=self._clock, models=models, tools=tools)
        self._core = Core(
            broadcasting=self._broadcasting, storing=self._storing, acting=self._pool,
            writer=self._writer, reader=self._reader, executor=self._agents.executor, timers=self._timers,
            workspaces=self._workspaces, clock=self._clock, ids=self._ids, log=self._log,
            max_unfinished=limits.max_unfinished_tasks, max_running=limits.max_running_tasks,
            ask_timeout=timeouts.ask_seconds, cancel_grace=self._settings.agents.cancel_grace_seconds,
            resume=self._settings.agents.recovery == "resume", failed=self._shutdown.crashed,
            keep_ended=timedelta(days=self._settings.store.keep_ended_days) or None,  # 0 days: for ever
            readers=self._agents.thread.readers, meter=self._meter,
        )  # fmt: skip
        core = self._core
        self._agents.delegate_to(lambda: core.sub_agents)
        core.start()
        self._workspaces.sweep(self._reader)

    def _start_server(self) -> Server:
        """What HTTP calls, and what serves it."""
        settings, core, shutdown = self._settings, self._core, self._shutdown
        health = HealthCheck(
            session=core.session, store=core.store, broadcaster=core.broadcaster,
            store_condition=core.condition, store_files=OpenedFiles(self._data.database),
            restarts=core.restarts, pool=self._pool,
            executor=self._agents.executor, agents_thread=self._agents.thread,
        )  # fmt: skip
        runtime = core.runtime(
            health=lambda: {
                **health.components(),
                **self._agents.components(),
                "http": http_health(streams=server.streams, waiting=server.waiting),
            },
            ready=lambda: not shutdown.requested and health.store_failure() is None,
        )
        http, max_body = settings.server, settings.server.max_body_bytes
        access = access_of(settings, tokens=self._data.tokens, clock=self._clock)
        metrics = self._measured()
        app = create_app(
            runtime=runtime, access=access, catalog=catalog_of(settings), ids=self._ids, clock=self._clock,
            log=self._log, version=__version__, max_body=max_body, max_import=http.max_import_bytes,
            metrics=metrics,
        )  # fmt: skip
        server = Server(
            app=app, refuse=Refusals(
                ids=self._ids, clock=self._clock, log=self._log, origins=access.origins, requests=metrics.requests
            ),
            limits=limits_of(settings, access), probes=PROBES,
            host=http.host, port=http.port, clock=self._clock, log=self._log, workers=http.threads,
            connections=http.max_connections, streams=settings.limits.max_streams,
            streams_per_address=settings.limits.max_streams_per_client, max_body=max_body,
            grace=4 * self._stop_within, loop=None if http.loop == "auto" else http.loop,
        )  # fmt: skip
        metrics.serve(streams=server.streams, waiting=lambda: server.waiting)
        self._stops.callback(server.close)
        return server

    def _measured(self) -> Metrics:
        """What ``/metrics`` tells, but for the server's own."""
        agents, core = self._agents, self._core
        system = SystemMetrics(
            dispatchers=(self._broadcasting, self._storing, self._pool), restarts=core.restarts,
            executor=agents.executor, agents_thread=agents.thread, mcp_servers=agents.mcp_servers,
            database=self._data.database, lost_lines=self._lost_lines,
        )  # fmt: skip
        return Metrics(version=__version__, collectors=(TaskMetrics(self._meter), system))


def _open_log(settings: Settings, data: DataDirectory, spans: LiveSpans | None) -> Log:
    try:
        return Log.open(
            level=settings.log.level, log_file=data.log_file, stdout=sys.stdout, environ=os.environ,
            now=SystemClock().now, max_file_bytes=settings.log.max_file_bytes, keep_files=settings.log.keep_files,
            also=None if spans is None else spans.take,
        )  # fmt: skip
    except OSError as error:
        msg = (
            f"The log {data.log_file} cannot be written ({error.strerror}). "
            f"{remedy(error)}, or choose another directory with --data-dir."
        )
        raise DirectoryError(msg) from error


def run(settings: Settings) -> int:
    """Serve until a signal or the crash of a part; return the exit code."""
    cores = Cores(one=settings.server.one_core)  # before there are threads
    with ExitStack() as first, ExitStack() as stops:
        data = DataDirectory(settings.store.resolved_data_dir())
        first.callback(data.release)
        spans = LiveSpans.if_wanted(os.environ)
        log = _open_log(settings, data, spans)
        first.callback(log.close)
        log.capture()
        log.logger.info("server.starting", version=__version__)  # what stands before is of another process
        if spans is not None:
            first.callback(spans.stop, timeout=settings.timeouts.shutdown_seconds / 10)
            models = asked_models(configured_models(settings))
            spans.start(log=log.logger, level=settings.log.level, version=__version__, models=models)
        shell_commands = ShellCommands(cores=cores)
        first.callback(shell_commands.kill_all)  # those of agents that did not stop in time
        shutdown = Shutdown(log=log, before_abort=shell_commands.kill_all)
        shutdown.watch_signals()
        try:
            server = System(
                settings, data=data, log=log, shutdown=shutdown, shell_commands=shell_commands, cores=cores,
                stops=stops,
            ).start()  # fmt: skip
            shutdown.watch(server)
            # What is there by now stays: a full collection, which stops all threads, need not look at it. With the
            # SDK of a model it took a tenth of a second.
            gc.collect()
            gc.freeze()
            log.logger.info("server.listening", url=server.url, version=__version__, data_dir=str(data.path))
            say(f"Alex Runtime {__version__} listens on {server.url}")
            server.serve()
            stops.close()
        except SQLAlchemyError as error:  # what a previous run left cannot be read, or its end not be recorded
            raise DatabaseError(explain(error, data.database)) from error
        except CANNOT_START:
            raise
        except Exception as error:
            log.logger.critical("process.crashed", exc_info=error)
            raise
        log.logger.info("server.stopped", exit_code=shutdown.exit_code)
        return shutdown.exit_code


serve = serve_command(run)

if __name__ == "__main__":
    main()
