"""What a command makes of an output that takes nothing, and of Ctrl-C before it has begun."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from alex_http.command_line import CANNOT_WRITE, INTERRUPTED
from alex_http.terminal.exits import Exit
from tests.live.process import SOON, environment

ALEX = "from alex_http.entry import alex; alex()"
FULL = "alex: The output cannot be written (No space left on device).\n"
INTERRUPTED_BY_AN_IMPORT = """
import signal, sys
from alex_http.entry import alex

class Finder:
    def find_spec(self, name, *_):
        if name == when:
            signal.raise_signal(signal.SIGINT)

_, when, *sys.argv[1:] = sys.argv
sys.meta_path.insert(0, Finder())
alex()
"""


def outcome(line: str) -> tuple[int, str]:
    """Run a line of bash that has ``alex``; return its exit code, and what is at standard error."""
    given = environment({}) | {"PYTHON": sys.executable, "ALEX": ALEX}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'alex() {{ "$PYTHON" -c "$ALEX" "$@"; }}; {line}'], env=given, text=True,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=SOON, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_behind_the_output_is_one_line_and_a_code_of_its_own() -> None:
    assert outcome("alex completion bash > /dev/full") == (CANNOT_WRITE, FULL)
    assert outcome("alex --help > /dev/full") == (CANNOT_WRITE, FULL)
    assert outcome("alex tasks --server http://127.0.0.1:9 2> /dev/full") == (CANNOT_WRITE, "")
    assert CANNOT_WRITE == Exit.NO_OUTPUT


@pytest.mark.parametrize("command", ["completion bash", "--help", "tasks --help"])
def test_a_reader_that_went_away_has_what_it_wanted(command: str) -> None:
    gone = "exec 3> >(exec true); wait $!"

    assert outcome(f"{gone}; alex {command} >&3") == (0, "")


@pytest.mark.parametrize("module", ["click", "alex_http.command_line", "alex_http.terminal.listing", "httpx"])
def test_ctrl_c_while_a_command_is_imported_ends_it_as_later(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_BY_AN_IMPORT, module, "tasks"], env=environment({}), text=True,
        capture_output=True, timeout=SOON, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout, done.stderr.strip()) == (INTERRUPTED, "", "")
    assert INTERRUPTED == Exit.DETACHED
