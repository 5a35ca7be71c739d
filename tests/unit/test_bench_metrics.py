"""What metrics cost: counting is cheap enough to be done always."""

from __future__ import annotations

from bench.metrics import a_tasks_events, counting


def test_counting_takes_microseconds() -> None:
    task, request, event = counting(rounds=500)

    assert len(a_tasks_events()) == 10
    assert 0 < task < 100  # 6 on a machine that does nothing else; a lock that is waited for takes hundreds
    assert 0 < request < 20
    assert 0 < event < 20
