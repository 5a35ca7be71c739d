"""schemathesis against a real server: requests drawn from its OpenAPI document, replies looked at in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from alex_actors.pytest_plugin import EXPLORED
from tests.live.conftest import Start
from tests.live.process import ROOT, ServerProcess, environment

SEED = 20_261_122
"""Of the requests. A long run, with a seed of its own: ``docs/testing.md``."""

CASES = re.compile(r"^ *(\d+) generated", re.MULTILINE)


def schemathesis(server: ServerProcess, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run it, and return what it said."""
    options = ("--seed", f"{SEED}", "--max-examples", "8", "--no-color")
    config = ("--config-file", f"{ROOT / 'tests' / 'live' / 'schemathesis.toml'}")
    return subprocess.run(
        [Path(sys.executable).with_name("schemathesis"), *config, "run", f"{server.url}/openapi.json", *options],
        cwd=directory,
        env=environment({}) | {"PYTHONPATH": os.pathsep.join([environment({})["PYTHONPATH"], str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=150,  # of a machine that does much else
        check=False,
    )


@pytest.mark.long
@pytest.mark.timeout(200)
def test_requests_drawn_from_the_document_are_answered_as_it_says(
    start: Start, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    server = start()

    done = schemathesis(server, tmp_path)

    cases = CASES.search(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert cases is not None
    assert int(cases[1]) >= 300
    assert server.troubles() == []
    record_property(EXPLORED, f"schemathesis sent {int(cases[1]):,} requests, seed {SEED}")
