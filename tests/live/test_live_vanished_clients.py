"""Clients that vanish without a word, in a network of the test's own that goes dead under them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def unshare() -> str:
    """Return the command that gives a process a network of its own; skip where that is not allowed."""
    command = shutil.which("unshare")
    if command is None:
        pytest.skip("needs the command unshare: Linux, util-linux")
    tried = subprocess.run([command, "-rn", "true"], capture_output=True, text=True, timeout=30, check=False)
    if tried.returncode:
        pytest.skip(f"needs a network namespace, which this system does not allow: {tried.stderr.strip()}")
    return command


@pytest.mark.parametrize("loop", ["epoll", "poll"])
def test_a_client_that_vanishes_is_noticed_on_a_stream_and_on_a_request_that_waits(loop: str) -> None:
    command = [unshare(), "-rn", sys.executable, "-m", "tests.live.vanishing_clients", loop]

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)

    assert ended.stderr == ""
    assert json.loads(ended.stdout) == {"connected": [True, True, True], "noticed": [True, True, True]}
