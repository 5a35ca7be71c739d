"""The bench of the log: its figures mean something, its table can be read."""

from __future__ import annotations

import pytest

from bench.log import HEADER, LEVELS, Batch, Written, line, line_cost, ratio


def test_a_ratio_is_that_of_the_median_round_so_that_one_that_was_disturbed_counts_little() -> None:
    assert ratio([100, 110, 500], [100, 100, 100]) == 1.1


def test_a_line_of_the_table_has_the_figures_of_its_level_beside_those_without_a_log() -> None:
    batches = {
        level: [Batch(alone=100.0 * n, together=50.0 * n, cpu=80.0 * n)] for n, level in enumerate(LEVELS, 1)
    }

    text = line("info", batches, Written(lines=6, bytes=1400))

    assert text.split() == ["info", "200", "2.000", "100", "2.000", "160", "2.000", "6.0", "1400"]
    assert len(text) == len(HEADER)


def test_what_a_line_costs_is_measured() -> None:
    fact = {"ts": "2026-01-01T00:00:00.000000Z", "level": "info", "event": "task.ended", "status": "completed"}

    assert 0 < line_cost([fact] * 100) < 10_000


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_has_a_line(level: str) -> None:
    batch = Batch(alone=1, together=1, cpu=1)

    assert line(level, {each: [batch] for each in LEVELS}, Written(0, 0)).startswith(level)
