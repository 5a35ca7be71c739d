"""Alex Runtime: what it is made of, in the order in which it is started, and its command line.

``compose`` starts everything from top to bottom, and stops it in the reverse order. Who holds a reference to
whom is what each constructor is given.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import click
from sqlalchemy.exc import SQLAlchemyError

from alex_actors.agent_launcher import AgentLauncher
from alex_actors.agents import OfflineAgent, ReActAgent
from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.clock import SystemClock
from alex_actors.data_directory import DataDirectory, DirectoryError
from alex_actors.dispatchers import PinnedDispatcher, PoolDispatcher
from alex_actors.executor import AsyncioExecutor
from alex_actors.health import HealthCheck
from alex_actors.ids import TimeOrderedIds
from alex_actors.log import Log
from alex_actors.message_log import MessageLog
from alex_actors.messages import ask
from alex_actors.models import OFFLINE, OfflineModel
from alex_actors.runtime import ActorRuntime
from alex_actors.session_actor import SessionActor
from alex_actors.store.database import DatabaseError, open_readers, open_writer
from alex_actors.store.reader import StoreReader
from alex_actors.store.writer import StoreWriter
from alex_actors.task_store_actor import StoreCondition, TaskStoreActor
from alex_actors.task_store_protocol import InterruptUnfinished
from alex_actors.timers import ThreadTimers
from alex_actors.tools import Toolbox, built_in_tools
from alex_actors.values import Context
from alex_config import Settings, SettingsError, load
from alex_http.app import create_app
from alex_http.catalog import Catalog
from alex_http.hosts import CannotExpose, check_host
from alex_http.server import CannotListen, Server
from alex_http.shutdown import Shutdown

__version__ = "0.1.0"

POOL_THREADS = 4
"""For all actors but the two that are pinned. Handlers never block, so more than the cores gain nothing."""

RECOVERY_TIMEOUT = 60.0
"""Seconds to end what a previous run left unfinished: at most ``limits.max_unfinished_tasks`` tasks."""


@contextmanager
def compose(settings: Settings, *, data: DataDirectory, log: Log, shutdown: Shutdown) -> Iterator[Server]:
    """Start everything, and yield the server, which listens already; then stop everything.

    Raises DatabaseError, SQLAlchemyError or CannotListen, with what was started before stopped again.
    """
    logger, clock = log.logger, SystemClock()
    # Seeded once: asking the system for each ID gives up the GIL each time. IDs have to be unique, not secret.
    ids = TimeOrderedIds(clock=clock, random_bits=random.Random(secrets.randbits(256)).getrandbits)  # noqa: S311 - see above
    observer = MessageLog(log=logger) if settings.log.level == "debug" else None
    stop_within = settings.timeouts.shutdown_seconds / 10  # the server gets four of them, the five others one each
    with ExitStack() as stops:
        writer = open_writer(data.database, synchronous=settings.store.synchronous)
        readers = open_readers(data.database, connections=settings.server.threads + 1)  # and one for the store
        stops.callback(readers.dispose)
        reader = StoreReader(engine=readers)

        timers = ThreadTimers(clock=clock, log=logger)
        stops.callback(timers.stop, timeout=stop_within)

        broadcasting = PinnedDispatcher(name="broadcaster", log=logger, observer=observer)
        stops.callback(broadcasting.stop, timeout=stop_within)
        broadcaster = broadcasting.spawn(lambda: BroadcasterActor(log=logger), supervisor=shutdown.crashed)

        storing = PinnedDispatcher(name="store", log=logger, observer=observer)

        def stop_storing() -> None:
            if storing.stop(timeout=stop_within):  # else its thread uses the connection: closing it is a crash
                writer.dispose()

        stops.callback(stop_storing)
        condition = StoreCondition()
        store = storing.spawn(
            lambda: TaskStoreActor(
                writer=StoreWriter(engine=writer), reader=reader, broadcaster=broadcaster,
                clock=clock, timers=timers, log=logger, condition=condition,
            ),
            supervisor=shutdown.crashed,
        )  # fmt: skip
        interrupt = InterruptUnfinished(context=Context(ids.trace(), sender="compose"))
        recovered = ask(store, interrupt, timeout=RECOVERY_TIMEOUT)

        agent = _offline_agent(settings, data=data, clock=clock)
        executor = AsyncioExecutor(
            agent_for=lambda _task: agent, clock=clock, log=logger, max_ahead=settings.agents.max_events_ahead
        )
        stops.callback(executor.stop, timeout=stop_within)

        acting = PoolDispatcher(name="actors", threads=POOL_THREADS, log=logger, observer=observer)
        stops.callback(acting.stop, timeout=stop_within)
        launcher = AgentLauncher(
            spawner=acting, store=store, executor=executor, timers=timers, clock=clock, log=logger,
            cancel_grace=settings.agents.cancel_grace_seconds,
        )  # fmt: skip
        session = acting.spawn(
            lambda: SessionActor(
                store=store, launch_agent=launcher.launch, ids=ids, clock=clock, log=logger,
                next_place=recovered.last_place + 1,
                max_unfinished=settings.limits.max_unfinished_tasks,
                max_running=settings.limits.max_running_tasks,
            ),
            supervisor=shutdown.crashed,
        )  # fmt: skip

        health = HealthCheck(
            session=session, store=store, broadcaster=broadcaster,
            store_condition=condition, executor=executor, pool=acting,
        )  # fmt: skip
        runtime = ActorRuntime(
            session=session, store=store, reader=reader, launch_agent=launcher.launch,
            ids=ids, log=logger,
            ask_timeout=settings.timeouts.ask_seconds, cancel_grace=settings.agents.cancel_grace_seconds,
            health=health.components, ready=lambda: not shutdown.requested,
        )  # fmt: skip
        app = create_app(
            runtime=runtime, catalog=_catalog(settings), ids=ids, clock=clock, log=logger,
            version=__version__, max_body=settings.server.max_body_bytes,
        )  # fmt: skip
        server = Server(
            app=app, host=settings.server.host, port=settings.server.port, ids=ids, clock=clock, log=logger,
            workers=settings.server.threads, connections=settings.server.max_connections,
            max_body=settings.server.max_body_bytes, grace=stop_within * 4,
        )  # fmt: skip
        stops.callback(server.close)
        yield server


def _offline_agent(settings: Settings, *, data: DataDirectory, clock: SystemClock) -> OfflineAgent:
    tools = built_in_tools(shell_timeout=settings.tools.shell_timeout_seconds)
    react = ReActAgent(
        model=OfflineModel(sleep=asyncio.sleep),
        toolbox=Toolbox(tools=tools, presets=settings.presets.tools),
        persona=settings.presets.agents.__getitem__,
        workspace=lambda task: data.workspace(task.session_key),
        clock=clock,
    )
    return OfflineAgent(react=react, sleep=asyncio.sleep)


def _catalog(settings: Settings) -> Catalog:
    return Catalog(
        agent_presets=tuple(settings.presets.agents),
        tool_presets=tuple(settings.presets.tools),
        models=(OFFLINE,),
        tool_preset=settings.tools.preset,
        model=OFFLINE,
        max_iterations=settings.agents.max_iterations,
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="alex")
def main() -> None:
    """Run tasks for AI agents, and let people and programs follow them."""


@main.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes one that is free.  [default: 8080]")
@click.option("--data-dir", help="Where everything is kept.  [default: this user's data directory]")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="A file of settings (TOML).")
@click.option("--log-level", help="debug, info, warning or error.  [default: info]")
def serve(
    host: str | None, port: int | None, data_dir: str | None, config_file: Path | None, log_level: str | None
) -> None:
    """Serve the HTTP API until SIGTERM or Ctrl-C; a second Ctrl-C stops at once."""
    overrides: dict[str, dict[str, object]] = {
        "server": {"host": host, "port": port},
        "store": {"data_dir": data_dir},
        "log": {"level": log_level},
    }
    try:
        settings = load(config_file=config_file, environ=os.environ, overrides=overrides, cwd=Path.cwd())
        check_host(settings.server.host)
        exit_code = _serve(settings)
    except (SettingsError, CannotExpose, DirectoryError, DatabaseError, SQLAlchemyError, CannotListen) as error:
        _say(f"alex: {error}")
        exit_code = 2
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: it was closed before the start
        with suppress(OSError):
            stream.flush()
    os._exit(exit_code)  # not sys.exit: a tool that hangs in a thread must not keep the process from ending


def _serve(settings: Settings) -> int:
    with ExitStack() as stops:
        data = DataDirectory(settings.store.resolved_data_dir())
        stops.callback(data.release)
        try:
            log = Log.open(
                level=settings.log.level, log_file=data.log_file, stdout=sys.stdout, environ=os.environ,
                now=SystemClock().now,
            )  # fmt: skip
        except OSError as error:
            msg = (
                f"The log {data.log_file} cannot be written ({error.strerror}). "
                "Give this user write access to it, or choose another directory with --data-dir."
            )
            raise DirectoryError(msg) from error
        stops.callback(log.close)
        log.capture()
        shutdown = Shutdown(log=log)
        shutdown.watch_signals()
        with compose(settings, data=data, log=log, shutdown=shutdown) as server:
            shutdown.watch(server)
            log.logger.info("server.listening", url=server.url, version=__version__, data_dir=str(data.path))
            _say(f"Alex Runtime {__version__} listens on {server.url}")
            server.serve()
        log.logger.info("server.stopped", exit_code=shutdown.exit_code)
        return shutdown.exit_code


def _say(text: str) -> None:
    """Tell a person at standard error; if nobody reads it any more, that is no reason to stop."""
    with suppress(OSError):
        click.echo(text, err=True)


if __name__ == "__main__":
    main()
