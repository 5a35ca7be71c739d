"""Servers for live tests: one that all share, and as many more as a test starts itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Protocol

import pytest

from alex_actors.data_directory import log_file_of
from alex_actors.tracing.checking import check_files
from tests.live.client import Client
from tests.live.model_server import ModelServer, models_of, settings_of
from tests.live.process import ServerProcess
from tests.peers.node import MissingPeer, skip_without


class Start(Protocol):
    """Starts a server; a second one in the same ``directory`` has the data of the first."""

    def __call__(
        self,
        *arguments: str,
        directory: Path | None = None,
        settings: Mapping[str, str] | None = None,
        stdout: IO[bytes] | int | None = None,
        shell: str | None = None,
        forked: bool = True,
    ) -> ServerProcess:
        """Return the server, which listens already."""


def broken_rules(server: ServerProcess) -> list[str]:
    """Return what of the server's log breaks a rule, as ``alex trace --check`` finds it: of every test's tasks."""
    log = log_file_of(server.data_dir)
    return (
        [f"{one.task_id} {one.rule}: {one.what}" for one in check_files([log]).violations] if log.is_file() else []
    )


@contextmanager
def sound(server: ServerProcess) -> Iterator[ServerProcess]:
    """Serve meanwhile; then the server stops in good order, and its log has no fault and no broken rule."""
    try:
        server.wait_until_listening()
        yield server
        assert server.stop() == 0
        assert server.troubles() == []
        assert broken_rules(server) == []
    finally:
        server.kill()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that tests share: each has sessions of its own there. Logs all that it can."""
    with sound(ServerProcess(tmp_path_factory.mktemp("shared"), "--log-level", "debug")) as server:
        yield server


@pytest.fixture(scope="session")
def client(server: ServerProcess) -> Iterator[Client]:
    """A client of the shared server."""
    with Client(server.url) as client:
        yield client


@pytest.fixture(scope="session")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A model server that tests share: each scripts it for words of its own."""
    try:
        server = ModelServer(tmp_path_factory.mktemp("model"))
    except MissingPeer as missing:
        skip_without(missing)
    with server:
        yield server


@pytest.fixture(scope="session")
def modelled(tmp_path_factory: pytest.TempPathFactory, model_server: ModelServer) -> Iterator[ServerProcess]:
    """A server that tests share, whose tasks may choose among models of the model server."""
    directory = tmp_path_factory.mktemp("modelled")
    (directory / "alex.toml").write_text(models_of(model_server))
    server = ServerProcess(directory, settings=settings_of(model_server), forked=True)
    try:
        server.wait_until_listening()
        yield server
        assert server.stop() == 0
        assert server.troubles() == []
        assert broken_rules(server) == []
    finally:
        server.kill()


@pytest.fixture(scope="session")
def model_client(modelled: ServerProcess) -> Iterator[Client]:
    """A client of that server."""
    with Client(modelled.url) as client:
        yield client


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A function that starts servers, which end with the test at the latest."""
    broken: list[str] = []
    with ExitStack() as stops:

        def start_one(
            *arguments: str,
            directory: Path | None = None,
            settings: Mapping[str, str] | None = None,
            stdout: IO[bytes] | int | None = None,
            shell: str | None = None,
            forked: bool = True,
        ) -> ServerProcess:
            server = ServerProcess(
                directory or tmp_path,
                *arguments,
                settings=settings,
                stdout=stdout,
                shell=shell,
                forked=forked,
            )
            stops.callback(lambda: broken.extend(broken_rules(server)))
            stops.callback(server.kill)
            server.wait_until_listening()
            return server

        yield start_one
    assert broken == []
