"""How much hypothesis tries: the same every time in the suite; else as much as is asked for, and other things."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

ASKED_FOR = int(os.environ.get("HYPOTHESIS_EXAMPLES", "0"))
"""Examples of each test in a long run; pytest is given its seed, as ``--hypothesis-seed``. 0: it is the suite."""


def effort(examples: int) -> settings:
    """Return settings for so many examples in the suite."""
    return settings(
        max_examples=ASKED_FOR or examples,
        derandomize=not ASKED_FOR,
        database=None,  # what one run finds is no reason for the next to take longer
        stateful_step_count=30,
        deadline=None,  # of a machine that does other things as well
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
