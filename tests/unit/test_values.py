"""Contexts and timestamps, and the log of messages that is made of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from alex_actors.message_log import MessageLog
from alex_actors.messages import ask
from alex_actors.values import Context, SessionId, TaskId, moment, timestamp
from tests.unit.actor_fakes import WAIT, Call, System


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_timestamp_is_read_back_as_the_moment_that_it_was(at: datetime) -> None:
    assert moment(timestamp(at)) == at


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_timestamps_sort_as_the_moments_do(one: datetime, other: datetime) -> None:
    assert (timestamp(one) < timestamp(other)) == (one < other)


def test_a_timestamp_is_in_utc_with_microseconds() -> None:
    at = datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))

    assert timestamp(at) == "2025-12-31T23:30:00.000000Z"


def test_a_context_is_passed_on_with_another_sender_or_about_another_task() -> None:
    context = Context("trace", "task-1", "session-1", "client")

    assert context.sent_by("SessionActor") == Context("trace", "task-1", "session-1", "SessionActor")
    assert context.about(TaskId("task-2"), SessionId("session-2")) == Context(
        "trace", "task-2", "session-2", "client"
    )


def test_the_message_log_has_a_line_for_each_typed_message_and_none_for_pykkas_own() -> None:
    system = System()
    pool = system.pool(journal=MessageLog(log=system.log.logger))
    actor = system.spawn(pool)

    ask(actor, Call(do=lambda *_: None), timeout=WAIT)
    actor.stop(timeout=WAIT)

    [line] = system.log.named("message")
    assert isinstance(line.pop("waited"), float)
    assert isinstance(line.pop("took"), float)
    assert [line] == [
        {
            "event": "message",
            "log_level": "debug",
            "sender": "test",
            "receiver": "Scripted",
            "type": "Call",
            "task_id": "task-1",
            "session_id": "session-1",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        }
    ]
    system.close()
