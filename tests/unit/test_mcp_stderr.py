"""What MCP servers write to their standard error, in the log."""

from __future__ import annotations

from alex_actors.mcp.stderr import LINES, LONGEST_LINE, StderrLines
from tests.unit.actor_fakes import CapturedLog, OwnedClock


def logged(log: CapturedLog) -> list[str]:
    return [line["line"] for line in log.named("mcp.stderr")]


class Told:
    """Lines, and the log that they go to."""

    def __init__(self) -> None:
        self.log = CapturedLog()
        self.clock = OwnedClock()
        self.lines = StderrLines(
            log=self.log.logger,
            clock=self.clock,
            redact=lambda text: text.replace("hunter2!", "[redacted]"),
            server="one",
        )


def test_lines_are_logged_when_they_end_without_secrets_with_the_servers_name() -> None:
    told = Told()

    told.lines.data_received(b"first\nsec")
    told.lines.data_received(b"ond hunter2!\n\n \nno end")
    told.lines.connection_lost(None)

    assert logged(told.log) == ["first", "second [redacted]", "no end"]
    assert {line["server"] for line in told.log.lines} == {"one"}


def test_a_long_line_is_cut() -> None:
    told = Told()

    for _ in range(10):
        told.lines.data_received(b"x" * LONGEST_LINE)
    told.lines.data_received(b"\nnext\n")

    assert logged(told.log) == ["x" * LONGEST_LINE, "next"]


def test_more_lines_than_fit_in_a_minute_are_counted() -> None:
    told = Told()

    told.lines.data_received(b"line\n" * (LINES + 7))
    told.clock.seconds += 61
    told.lines.data_received(b"line\n")

    assert len(logged(told.log)) == LINES + 1
    assert [line["lines"] for line in told.log.named("mcp.stderr_dropped")] == [7]
