"""Two thousand requests that are none, on a real server; ``python -m tests.live.raw_fuzz`` sends more."""

from __future__ import annotations

import random
import sys

import httpx
import pytest

from tests.live.conftest import Start
from tests.live.raw_fuzz import HURRY, fuzz

CASES = 2000

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def test_whatever_is_sent_is_answered_or_closed_is_no_fault_of_the_server_and_leaves_nothing(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    server = start(settings=HURRY)

    outcome = fuzz(server, cases=CASES, seed=seed)

    with capsys.disabled():
        sys.stdout.write(f" {outcome.cases} cases, seed {seed}: {dict(sorted(outcome.statuses.items()))} ")
    assert outcome.wrongs == [], f"seed {seed}"
    assert outcome.cases == CASES
    assert httpx.get(f"{server.url}/ready", trust_env=False).status_code == 200
