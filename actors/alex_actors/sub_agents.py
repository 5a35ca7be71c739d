"""Sub-agents: runs the task of one in its parent's session, from its submit to its end, for a tool that waits."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import TYPE_CHECKING, TypeVar

import pykka
from sqlalchemy.exc import SQLAlchemyError

from alex_actors.broadcaster_protocol import TaskTopic
from alex_actors.messages import Ask, ask_later, tell
from alex_actors.ports import ToolError
from alex_actors.session_protocol import Cancel, ConfirmChild, Confirmed, ParentEnded, Settle
from alex_actors.task_store_protocol import Create
from alex_actors.tasks import UNFINISHED
from alex_actors.values import Context, TaskId

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from alex_actors.following import Followings
    from alex_actors.replies import TooManyTasks
    from alex_actors.session_actor import SessionActor
    from alex_actors.store.reader import StoreReader
    from alex_actors.task_store_actor import TaskStoreActor
    from alex_actors.tasks import NewTask, Task

A = TypeVar("A", bound=pykka.Actor)
R = TypeVar("R")

AGAIN = 1.0
"""Seconds until what failed is tried again: nobody says when the store, or who crashed, is there again."""

NOT_STARTED = "The sub-agent could not be started: the server cannot record it now. Try again."


def child_id(parent: TaskId, call_id: str, attempt: int = 0) -> TaskId:
    """Return the ID of the sub-agent's task that a call of a task makes: the same one whenever it is asked.

    A UUID of version 5 (RFC 9562, section 5.5): so who repeats a call after an interruption finds what it made,
    however long that took, and there is no key to keep.
    """
    return TaskId(f"task-{uuid.uuid5(uuid.NAMESPACE_URL, f'{parent}/{attempt}/{call_id}')}")


class SubAgents:
    """Submits tasks of sub-agents as any other is: confirmed, then recorded, then started; and awaits their end.

    Lives on the agents' loop, and blocks nobody there: actors are asked, and the store is read on a thread.

    A wait that is cancelled leaves the sub-agent alone: it may be the server that stops, and then the sub-agent
    goes on with its parent at the next start. If it is the parent that ends, the session actor sees to it.
    """

    def __init__(
        self,
        *,
        session: pykka.ActorRef[SessionActor],
        store: pykka.ActorRef[TaskStoreActor],
        reader: StoreReader,
        followings: Followings,
        launch: Callable[[Task, pykka.ActorRef[SessionActor]], None],
        threads: Executor | None = None,
    ) -> None:
        """``launch`` starts the AgentActor of a recorded task; ``threads`` read. None: those of the event loop."""
        self._session = session
        self._store = store
        self._reader = reader
        self._followings = followings
        self._launch = launch
        self._threads = threads
        self._at_work: set[TaskId] = set()

    async def depth(self, task: Task) -> int:
        """Return how many tasks are above this one: 0 for one that a client submitted."""
        above, parent = 0, task.parent_task_id
        while parent is not None:
            above += 1
            found = await self._read(parent, task)
            parent = None if found is None else found.parent_task_id
        return above

    async def run(self, new: NewTask, *, parent: Task, call_id: str) -> Task | None:
        """Have a sub-agent do ``new`` for a call of ``parent``, and return its task when it has ended.

        If that call has made one before, that is the one. None: it was deleted meanwhile. Raises ToolError if
        it cannot be submitted.
        """
        for attempt in range(1000):
            task_id = child_id(parent.task_id, call_id, attempt)
            if task_id in self._at_work:
                raise ToolError(f"The call {call_id!r} of this task has a sub-agent at work already.")
            self._at_work.add(task_id)
            try:
                known = await self._read(task_id, parent)
                if known is None or _is_of(known, new):
                    return await self._to_its_end(task_id, new, parent, known)
                # It is of a call that was made before an interruption, and was not on record then: what the model
                # asks for now is another. Nobody waits for that one any more.
                if known.status in UNFINISHED:
                    await self._discard(self._context(task_id, parent))
            finally:
                self._at_work.remove(task_id)
        raise ToolError("A sub-agent for this call was begun too often.")

    async def _to_its_end(self, task_id: TaskId, new: NewTask, parent: Task, known: Task | None) -> Task | None:
        if known is not None and known.status not in UNFINISHED:
            return known
        bell = _Bell()
        watch = self._followings.watch_end(TaskTopic(task_id, parent.owner), wake=bell.ring)
        try:
            if known is None:
                await self._start(task_id, new, parent)
            while True:
                bell.silence()  # first: who rings after it has something that is not read yet
                task = await self._read(task_id, parent)
                if task is None or task.status not in UNFINISHED:
                    return task
                await bell.heard()
        finally:
            self._followings.close(watch)

    async def _start(self, task_id: TaskId, new: NewTask, parent: Task) -> None:
        context = self._context(task_id, parent)
        try:
            await self._submit(context, new, parent)
        except ToolError:  # it was refused: there is nothing of it
            raise
        except Exception as error:
            # It may be recorded all the same, by a store that crashed before it said so: then it is cancelled, and
            # the model can ask for another without having two.
            tell(self._session, Settle(context=context, task_id=task_id))
            await self._discard(context)
            raise ToolError(NOT_STARTED) from error
        except BaseException:
            tell(self._session, Settle(context=context, task_id=task_id))
            raise

    async def _submit(self, context: Context, new: NewTask, parent: Task) -> None:
        confirmed = await self._confirm(context, parent)
        self._launch(await self._create(context, new, confirmed), self._session)

    async def _confirm(self, context: Context, parent: Task) -> Confirmed:
        confirm = ConfirmChild(context=context, task_id=TaskId(context.task_id), parent_task_id=parent.task_id)
        reply = await _answer(self._session, confirm)
        if not isinstance(reply, Confirmed):
            raise ToolError(_refusal(reply))
        return reply

    async def _create(self, context: Context, new: NewTask, confirmed: Confirmed) -> Task:
        create = Create(
            context=context,
            task_id=TaskId(context.task_id),
            session_id=confirmed.session_id,
            place=confirmed.place,
            confirmed_at=confirmed.confirmed_at,
            incarnation=confirmed.incarnation,
            new=new,
        )
        return await _answer(self._store, create)

    async def _discard(self, context: Context) -> None:
        """Have a sub-agent cancelled, and wait until it is known that it ends, or never was."""
        while True:
            try:
                await _answer(self._session, Cancel(context=context, task_id=TaskId(context.task_id)))
            except Exception:  # noqa: BLE001 - who was to answer has crashed: the next one knows
                await asyncio.sleep(AGAIN)
            else:
                return

    async def _read(self, task_id: TaskId, of: Task) -> Task | None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await loop.run_in_executor(
                    self._threads, lambda: self._reader.task(task_id, owner=of.owner)
                )
            except SQLAlchemyError:
                await asyncio.sleep(AGAIN)

    def _context(self, task_id: TaskId, parent: Task) -> Context:
        return Context(parent.trace_id, task_id, parent.session_id, "SubAgents", parent.owner)


class _Bell:
    """Rung on any thread, heard on the loop on which it was made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()

    def ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._rung.set)

    def silence(self) -> None:
        self._rung.clear()

    async def heard(self) -> None:
        await self._rung.wait()


async def _answer(to: pykka.ActorRef[A], message: Ask[A, R]) -> R:
    """Ask an actor, without a thread that waits. Raises what ``ask`` raises, but for a timeout: there is none."""
    bell = _Bell()
    answer = ask_later(to, message, wake=bell.ring)
    while (reply := answer.poll()) is None:
        await bell.heard()
        bell.silence()
    return reply


def _is_of(task: Task, new: NewTask) -> bool:
    """Return whether a recorded task is what is asked for now."""
    recorded = (task.parent_task_id, task.task, task.agent_preset, task.tool_preset)
    return recorded == (new.parent_task_id, new.task, new.agent_preset, new.tool_preset)


def _refusal(reply: ParentEnded | TooManyTasks) -> str:
    if isinstance(reply, ParentEnded):
        return "This task is about to end: no sub-agent can begin any more."
    return (
        f"The server has {reply.limit} unfinished tasks, as many as it takes: no sub-agent can begin now. Do it "
        "without one, or try again later."
    )
