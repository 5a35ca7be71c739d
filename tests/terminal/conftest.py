"""One server for all tests of the terminal, with a tool that waits for a person's word."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from alex_http.client import Client
from tests.live.conftest import sound
from tests.live.process import ServerProcess

CAREFUL = """
[presets.tools.careful]
tools = ["*"]
approve = ["file_write"]
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("terminal")
    (directory / "alex.toml").write_text(CAREFUL)
    with sound(ServerProcess(directory, forked=True)) as server:
        yield server


@pytest.fixture(scope="session")
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client
