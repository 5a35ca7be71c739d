"""Servers on disks that fail."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.faults.disk import FaultyDisk, compile_shim
from tests.live.process import ServerProcess


class StartOn(Protocol):
    """Starts a server on a disk; the next one has the data of the one before."""

    def __call__(self, disk: FaultyDisk, *, recorded: bool = False) -> ServerProcess:
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


@pytest.fixture
def start_on(tmp_path: Path) -> Iterator[StartOn]:
    """A function that starts servers, which end with the test at the latest."""
    with ExitStack() as stops:

        def start(disk: FaultyDisk, *, recorded: bool = False) -> ServerProcess:
            server = ServerProcess(tmp_path, shell=disk.shell(recorded=recorded))
            stops.callback(server.kill)
            server.wait_until_listening()
            return server

        yield start
