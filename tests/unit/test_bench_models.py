"""The bench of models works: both contestants make the same calls, and its figures mean something."""

from __future__ import annotations

import sys

import pytest

from bench.models import HEADER, Figures, Load, added, compare, summary
from tests.live.model_server import Call
from tests.peers.node import MissingPeer, node_for, skip_without

linux = pytest.mark.skipif(sys.platform != "linux", reason="the bench runs on Linux only")


@pytest.fixture
def peers() -> None:
    """What the bench needs from npm; without it a test is skipped."""
    try:
        node_for("@copilotkit/aimock")
    except MissingPeer as missing:
        skip_without(missing)


def test_the_ideal_is_the_time_of_the_model_alone() -> None:
    assert Load(1, 0.0, 0.2).ideal == pytest.approx(22 * 0.2)
    assert Load(11, 0.5, 0.2).ideal == pytest.approx(10 * 0.5 + 22 * 0.2)


def test_as_many_calls_are_under_way_as_begin_while_one_lasts() -> None:
    assert Load(400, 0.044, 0.2).at_once == pytest.approx(100)
    assert Load(7, 0.044, 0.2).at_once == 7
    assert Load(1000, 0.0, 0.2).at_once == 1000


def test_a_line_has_a_figure_under_each_title() -> None:
    figures = Figures("alex", added=[1.0, 3.0, 2.0, 9.0], wall=[5.0], cpu=[0.04], busy=[0.5, 0.25], memory=2**21)

    line = figures.line(4)

    assert len(line) == len(HEADER)
    assert line.split() == ["alex", "4", "4", "5.0s", "3.00", "9.00", "10.00", "2", "0", "50%"]


def test_the_runtime_adds_what_it_takes_more_than_the_sdk() -> None:
    sdk = Figures("bare SDK", added=[1.0, 2.0, 3.0], wall=[8.0])
    ours = Figures("alex", added=[2.5, 4.5, 9.0], wall=[6.0])

    assert "adds 2.50 ms at p50" in summary(Load(3, 1.0, 0.1), sdk, ours)
    assert "6.00 ms at p95" in summary(Load(3, 1.0, 0.1), sdk, ours)
    assert "after 3.00 times the ideal; with the bare SDK after 4.00" in summary(Load(3, 0.0, 2 / 22), sdk, ours)


def test_what_a_call_took_more_than_the_model_is_the_callers_own() -> None:
    calls = [_call("alex-0-000000", 10.0, 14.5), _call("alex-0-000001", 11.0, 15.5)]

    found = added(calls, {"alex-0-000001": 4.503, "alex-0-000000": 4.501})

    assert found == [pytest.approx(1.0), pytest.approx(3.0)]


@pytest.mark.parametrize(
    ("calls", "fault"),
    [
        ([], "made once"),
        ([("alex-0-000000", 1.0, 2.0), ("alex-0-000000", 1.0, 2.0)], "made once"),
        ([("alex-0-000000", 1.0, None)], "not answered"),
    ],
)
def test_calls_that_were_not_made_as_they_should_make_the_figures_worthless(
    calls: list[tuple[str, float, float | None]], fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        added([_call(*one) for one in calls], {"alex-0-000000": 1.0})


@linux
def test_both_contestants_make_the_same_calls(peers: None, capsys: pytest.CaptureFixture[str]) -> None:
    sdk, ours = compare(Load(3, 0.01, 0.01), rounds=1)

    assert len(sdk.added) == len(ours.added) == 3
    assert min(*sdk.added, *ours.added, *sdk.cpu, *ours.cpu) > 0
    assert min(sdk.threads, ours.threads) > 0
    assert "the runtime adds" in capsys.readouterr().out


def _call(name: str, came: float, closed: float | None) -> Call:
    body = {"messages": [{"role": "user", "content": f"Say it, {name}."}]}
    return Call("/v1/chat/completions", {}, body, 200, came, closed, closed is not None)
