"""Servers on disks that fail."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tests.faults.disk import FaultyDisk, compile_shim
from tests.live.process import ServerProcess


class StartOn(Protocol):
    """Starts a server on a disk; the next one has the data of the one before."""

    def __call__(self, disk: FaultyDisk) -> ServerProcess:
        """Return the server, which listens already."""


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, compiled."""
    if shutil.which("gcc") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("gcc is not there, and CI has to have it")
        pytest.skip("gcc is not there")
    return compile_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def disk(shim: Path, tmp_path: Path) -> FaultyDisk:
    """The disk of the servers of this test."""
    return FaultyDisk(shim, tmp_path)


@contextmanager
def running_on(disk: FaultyDisk, directory: Path, *, recorded: bool = False) -> Iterator[ServerProcess]:
    """Run a server on a disk; in the end it is killed, unless it has ended."""
    server = ServerProcess(directory, shell=disk.shell(recorded=recorded))
    try:
        server.wait_until_listening()
        yield server
    finally:
        server.kill()


@pytest.fixture
def start_on(tmp_path: Path) -> Iterator[StartOn]:
    """A function that starts servers, which end with the test at the latest."""
    with ExitStack() as stops:
        yield lambda disk: stops.enter_context(running_on(disk, tmp_path))
