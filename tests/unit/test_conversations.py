"""What was said in a session before a task, out of a real store: whose tasks count, and how much of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import insert, update

from alex_actors.agents.memory import MOST_REMEMBERED, RecordedConversations
from alex_actors.events import AnyEvent, TaskCancelled, TaskCompleted, TaskFailed, TaskStarted
from alex_actors.simulation.virtual_time import EPOCH
from alex_actors.store.schema import messages, tasks
from alex_actors.tasks import Task
from alex_actors.values import TaskId, Timestamp, timestamp
from tests.unit.store_under_test import StoreUnderTest

CANCELLED = TaskCancelled(error="Cancelled.", total_iterations=0, total_tokens=0, duration=0.0)
FAILED = TaskFailed(
    error="The model is gone.", termination_reason="error", stop_reason="error", total_iterations=0,
    total_tokens=0, duration=0.0,
)  # fmt: skip


def completed(answer: str) -> TaskCompleted:
    return TaskCompleted(
        final_answer=answer, stop_reason="final_answer", total_iterations=1, total_tokens=1, duration=1.0
    )


def at(seconds: float) -> Timestamp:
    return timestamp(EPOCH + timedelta(seconds=seconds))


@pytest.fixture
def under(tmp_path: Path) -> Iterator[StoreUnderTest]:
    """A session whose first task is answered, and another session."""
    under = StoreUnderTest(tmp_path / "alex.sqlite3")
    under.create("a", text="Who?")
    under.create("other", session_id="elsewhere", text="Where?")
    under.run()
    end(under, "a", completed("I."), seconds=10)
    end(under, "other", completed("There."), seconds=11)
    yield under
    under.close()


def end(under: StoreUnderTest, task_id: str, event: AnyEvent, *, seconds: float) -> None:
    under.record(task_id, 1, TaskStarted(), event, at=at(seconds))
    under.run()


def make(under: StoreUnderTest, task_id: str, text: str) -> None:
    under.create(task_id, text=text)
    under.run()


def task(under: StoreUnderTest, task_id: str) -> Task:
    found = under.store.reader.task(TaskId(task_id))
    assert found is not None
    return found


def said(under: StoreUnderTest, of: Task, *, most_bytes: int = MOST_REMEMBERED) -> list[str]:
    conversations = RecordedConversations(reader=under.store.reader, most_bytes=most_bytes)
    return [f"{m.role}: {m.content}" for m in asyncio.run(conversations.before(of))]


def test_the_tasks_of_the_session_before_it_each_with_its_answer(under: StoreUnderTest) -> None:
    make(under, "b", "And you?")
    end(under, "b", completed("Me too."), seconds=20)
    make(under, "c", "So?")
    make(under, "d", "Later")
    end(under, "d", completed("Yes."), seconds=21)

    assert said(under, task(under, "c")) == ["user: Who?", "assistant: I.", "user: And you?", "assistant: Me too."]


def test_a_task_without_an_answer_has_a_note_in_its_place(under: StoreUnderTest) -> None:
    make(under, "b", "One")
    end(under, "b", CANCELLED, seconds=20)
    make(under, "c", "Two")
    end(under, "c", FAILED, seconds=21)
    make(under, "d", "Three")

    assert said(under, task(under, "d"))[2:] == [
        "user: One", "assistant: [No answer: this task was cancelled. Cancelled.]",
        "user: Two", "assistant: [No answer: this task failed. The model is gone.]",
    ]  # fmt: skip


def test_what_had_not_ended_when_it_began_is_not_known_to_it_whenever_it_is_asked(under: StoreUnderTest) -> None:
    make(under, "b", "Side by side")
    make(under, "c", "Mine")
    under.record("c", 1, TaskStarted(), at=at(20))
    under.run()
    before = said(under, task(under, "c"))

    end(under, "b", completed("Done."), seconds=21)

    assert said(under, task(under, "c")) == before == ["user: Who?", "assistant: I."]
    fresh = msgspec.structs.replace(task(under, "c"), started_at=None)
    assert said(under, fresh)[2:] == ["user: Side by side", "assistant: Done."]


def test_the_tasks_of_sub_agents_are_no_part_of_it(under: StoreUnderTest) -> None:
    make(under, "child", "Look there")
    end(under, "child", completed("Nothing."), seconds=20)
    make(under, "b", "So?")
    with under.store.writer._engine.begin() as connection:
        child = update(tasks).where(tasks.c.task_id == "child")
        connection.execute(child.values(parent_task_id="a"))

    assert said(under, task(under, "b")) == ["user: Who?", "assistant: I."]


def test_a_sub_agent_is_told_nothing_of_it(under: StoreUnderTest) -> None:
    make(under, "b", "Look there")
    child = msgspec.structs.replace(task(under, "b"), parent_task_id=TaskId("a"))

    assert said(under, child) == []


def test_it_is_read_on_threads_of_its_own(under: StoreUnderTest) -> None:
    make(under, "b", "So?")

    async def scenario() -> list[str]:
        asyncio.get_running_loop().set_default_executor(busy)
        busy.submit(free.wait)
        conversations = RecordedConversations(reader=under.store.reader, threads=readers)
        try:
            return [m.content for m in await asyncio.wait_for(conversations.before(task(under, "b")), 30)]
        finally:
            free.set()  # the loop waits for its threads when it is closed

    free = threading.Event()
    with ThreadPoolExecutor(1) as readers, ThreadPoolExecutor(1) as busy:
        assert asyncio.run(scenario()) == ["Who?", "I."]


def test_what_a_session_was_forked_with_comes_first(under: StoreUnderTest) -> None:
    make(under, "b", "So?")
    key = task(under, "b").session_key
    with under.store.writer._engine.begin() as connection:
        rows = [("user", "Long ago"), ("assistant", "Indeed.")]
        connection.execute(
            insert(messages),
            [
                {"session_key": key, "position": position, "role": role, "content": content}
                for position, (role, content) in enumerate(rows)
            ],
        )

    assert said(under, task(under, "b")) == [
        "user: Long ago", "assistant: Indeed.", "user: Who?", "assistant: I."
    ]  # fmt: skip
    assert said(under, task(under, "b"), most_bytes=13) == ["assistant: Indeed.", "user: Who?", "assistant: I."]
    assert said(under, task(under, "b"), most_bytes=12) == ["user: Who?", "assistant: I."]


def test_no_more_is_remembered_than_may_be_the_newest_of_it(under: StoreUnderTest) -> None:
    make(under, "b", "two")
    end(under, "b", completed("22"), seconds=20)
    make(under, "c", "So?")

    assert said(under, task(under, "c"), most_bytes=11) == [
        "user: Who?", "assistant: I.", "user: two", "assistant: 22"
    ]  # fmt: skip
    assert said(under, task(under, "c"), most_bytes=10) == ["user: two", "assistant: 22"]
    assert said(under, task(under, "c"), most_bytes=4) == []
