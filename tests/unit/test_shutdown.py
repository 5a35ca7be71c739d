"""When the server stops: signals, and the crash of a part."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import cast

import pytest

from alex_actors.clock import SystemClock
from alex_actors.log import Log
from alex_http.shutdown import EXIT_CRASHED, Shutdown
from alex_http.transport import Server

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class CountedStops:
    """Stands in for the server."""

    def __init__(self) -> None:
        self.stops = 0

    def stop(self) -> None:
        self.stops += 1


@pytest.fixture
def shutdown() -> Iterator[Shutdown]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    log = Log.open(level="info", log_file=None, stdout=None, environ={}, now=SystemClock().now)
    shutdown = Shutdown(log=log, before_abort=lambda: None)
    shutdown.watch_signals()
    yield shutdown
    for number, handler in before.items():
        signal.signal(number, handler)
    log.close()


def watched(shutdown: Shutdown) -> CountedStops:
    server = CountedStops()
    shutdown.watch(cast("Server", server))  # cast: all that is called is stop()
    return server


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_stops_the_server_in_good_order(shutdown: Shutdown, number: signal.Signals) -> None:
    server = watched(shutdown)

    signal.raise_signal(number)

    assert server.stops == 1
    assert shutdown.requested
    assert shutdown.exit_code == 0


def test_a_signal_before_there_is_a_server_stops_it_as_soon_as_there_is(shutdown: Shutdown) -> None:
    signal.raise_signal(signal.SIGTERM)

    server = watched(shutdown)

    assert server.stops == 1


def test_a_crash_stops_the_server_with_an_exit_code_of_its_own(shutdown: Shutdown) -> None:
    server = watched(shutdown)

    shutdown.crashed(RuntimeError("boom"))

    assert server.stops == 1
    assert shutdown.exit_code == EXIT_CRASHED


def test_the_first_signal_after_a_crash_does_not_end_the_process_at_once(shutdown: Shutdown) -> None:
    watched(shutdown)
    shutdown.crashed(RuntimeError("boom"))

    signal.raise_signal(signal.SIGTERM)  # the second would: then this test would not return

    assert shutdown.exit_code == EXIT_CRASHED
