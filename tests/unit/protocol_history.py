"""A history of the protocol, drawn from a seed: what clients, agents and chance do, and in which order.

Clients submit and cancel, agents work, fail or will not die, workers give up, actors crash, transactions fail,
time passes; which of it happens next, and whose message is handled next, is drawn from the seed. The checks are
in ``protocol_checks``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from sqlalchemy.exc import SQLAlchemyError

from alex_actors.actor import PooledActor
from alex_actors.agent_actor import AgentActor
from alex_actors.events import IterationComplete, IterationStart
from alex_actors.replies import AlreadyEnded, Cancelled, SessionBusy, Submitted, TooManyTasks, Unavailable
from alex_actors.session_actor import SessionActor
from alex_actors.task_store_actor import TaskStoreActor
from alex_actors.tasks import UNFINISHED, NewTask, Strategy
from alex_actors.values import TaskId
from tests.unit.protocol_checks import check_end, check_published, check_start
from tests.unit.protocol_system import CONTEXT, ProtocolSystem, Store, disk_error, new_task, row_error
from tests.unit.scripted_agents import ScriptedRun
from tests.unit.workers import Worker, Workers

STRATEGIES: tuple[Strategy, ...] = ("enqueue", "enqueue", "parallel", "interrupt", "reject")
TURNS = 3
"""The most iterations that an agent does before it answers."""
LONGEST = 20_000
"""Happenings after which a history is taken never to end."""


class ItBroke(Exception):
    """What an actor crashes of."""


class History:
    """One history. What is able to happen next is listed with how often; the seed picks."""

    def __init__(self, seed: int, store: Store) -> None:
        self.random = Random(seed)
        self.crashes = seed % 3 == 1
        self.restarts = seed % 7 in (2, 4, 6)  # of the session actor and of the store actor
        self.begun = False
        self.store_fails = seed % 4 == 2
        self.gives_up = seed % 5 in (1, 3)
        self.stubborn = self.random.randrange(4)
        self.workers = Workers()
        self.store = store
        self.calm = False
        self.failures: list[AssertionError] = []
        self.given_up: set[Worker] = set()
        self.cancels: list[tuple[TaskId, Worker]] = []
        self.submits: list[Worker] = []
        self.turns: dict[TaskId, int] = {}
        self.to_submit = [self._wish() for _ in range(self.random.randint(2, 7))]
        self.cancels_left = self.random.randint(0, 4)
        self.system = ProtocolSystem(
            store,
            random=self.random,
            observer=self._perhaps_crash,
            after=self._perhaps_crash_after,
            max_restarts=LONGEST,
            wait=self.workers.wait,
            on_start=lambda task: self._noting(lambda: check_start(self.system, task)),
            on_event=lambda event: self._noting(lambda: check_published(self.system, event)),
            max_unfinished=self.random.choice((3, 100)),
            max_running=self.random.choice((1, 2, 100)),
        )
        self.begun = True
        store.writer.after_commit = self._perhaps_crash_store
        if self.store_fails:
            store.writer.fails = lambda _batches: self._fails()
            store.writer.error = lambda: self.random.choice((disk_error, row_error))()
            store.actors_reader.fails = self._fails

    def play(self) -> None:
        """Let it happen to its end, and check what is left."""
        for _ in range(LONGEST):
            happenings = self._happenings()
            if not happenings:
                break
            weights = [weight for weight, _ in happenings]
            ((_, happens),) = self.random.choices(happenings, weights)
            happens()
            if self.failures:  # a check within an actor would be its crash: it is raised here
                raise self.failures[0]
        else:
            msg = "it does not end"
            raise AssertionError(msg)
        self._check_answers()
        check_end(self.system)
        # A store actor that cannot read when it is restarted crashes once more.
        foreseen = (ItBroke, SQLAlchemyError) if self.store_fails else (ItBroke,)
        assert [error for error in self.system.dispatcher.crashes if not isinstance(error, foreseen)] == []

    def abandon(self) -> None:
        """End the workers of a history that failed."""
        for worker in self.workers.all:
            while worker.thread.is_alive():
                worker.go()

    # What may happen.

    def _happenings(self) -> list[tuple[float, Callable[[], object]]]:
        """Return what is able to happen next; nothing, when all has ended."""
        runs = [run for run in self.system.executor.live() if not self._will_not_die(run)]
        able, waiting = self.workers.able(), self.workers.waiting()
        busy = not self.system.dispatcher.idle
        if not self.to_submit and not able and self.random.random() < 0.02:
            self.calm = True  # from now on nothing fails any more
        happenings: list[tuple[float, Callable[[], object]]] = []
        if busy:
            happenings.append((20, self.system.dispatcher.step))
        if able:
            happenings.append((8, lambda: self.random.choice(able).go()))
        if self.to_submit:
            happenings.append((2, self._submit))
        if runs:
            happenings.append((4, lambda: self._act(self.random.choice(runs))))
        if self.cancels_left and self.store.task_ids():
            happenings.append((1, self._cancel))
        if self.system.timers.next_due() is not None:
            happenings.append((0.3 if happenings else 1, self.system.timers.fire_next))
        if waiting and self.gives_up and not self.calm:
            happenings.append((0.3, lambda: self._give_up(self.random.choice(waiting))))
        if not happenings:
            return [(1, partial(self._stop_at_last, run)) for run in self.system.executor.live()]
        return happenings

    def _wish(self) -> NewTask:
        """Return what a client wants."""
        return new_task(
            self.random.choice(("one", "one", "two", None)),
            strategy=self.random.choice(STRATEGIES),
            timeout_seconds=self.random.choice((None, None, 1.0, 30.0)),
        )

    def _submit(self) -> None:
        new = self.to_submit.pop()
        self.submits.append(
            self.workers.start(f"submit {len(self.submits)}", lambda: self.system.runtime.submit(new, CONTEXT))
        )

    def _cancel(self) -> None:
        self.cancels_left -= 1
        task_id = self.random.choice(self.store.task_ids())
        worker = self.workers.start(f"cancel {task_id}", lambda: self.system.runtime.cancel(task_id, CONTEXT))
        self.cancels.append((task_id, worker))

    def _give_up(self, worker: Worker) -> None:
        self.given_up.add(worker)
        worker.go()

    def _act(self, run: ScriptedRun) -> None:
        """Have an agent do something: half of an iteration, its end, or, if it was interrupted, its stop."""
        done = self.turns.get(run.task.task_id, 0)
        if run.cancelled and self.random.random() < 0.3:
            run.stops()
        elif done < 2 * TURNS and self.random.random() < 0.8:
            self.turns[run.task.task_id] = done + 1
            turn = done // 2 + 1
            if done % 2:
                run.yields(IterationComplete(iteration=turn, tokens_used=10 * turn, tools_run=0))
            else:
                run.yields(IterationStart(iteration=turn, total_iters=50))
        elif self.random.random() < 0.8:
            run.finishes()
        else:
            run.fails("The model cannot be reached.")

    def _will_not_die(self, run: ScriptedRun) -> bool:
        """Every fourth agent does not stop when it is interrupted, until nothing else happens any more."""
        return bool(run.cancelled) and run.task.place % 4 == self.stubborn

    def _stop_at_last(self, run: ScriptedRun) -> None:
        status = self.store.task(run.task.task_id).status
        assert status not in UNFINISHED, f"{run.task.task_id} has no end, though its grace is long over"
        run.stops()

    def _perhaps_crash(self, actor: PooledActor, _message: object) -> None:
        if isinstance(actor, AgentActor):
            self._perhaps(self.crashes, 0.05)
        elif self.begun and isinstance(actor, SessionActor | TaskStoreActor):
            self._perhaps(self.restarts, 0.04)

    def _perhaps_crash_after(self, _actor: PooledActor, _message: object) -> None:
        self._perhaps(self.restarts and self.begun, 0.04)

    def _perhaps_crash_store(self) -> None:
        self._perhaps(self.restarts, 0.04)

    def _perhaps(self, wanted: bool, probability: float) -> None:
        if wanted and not self.calm and self.random.random() < probability:
            raise ItBroke

    def _fails(self) -> bool:
        return not self.calm and self.random.random() < 0.15

    def _noting(self, check: Callable[[], None]) -> None:
        try:
            check()
        except AssertionError as failure:
            self.failures.append(failure)

    # What clients were answered.

    def _check_answers(self) -> None:
        for worker in self.submits:
            self._check_submit(worker)
        for task_id, worker in self.cancels:
            self._check_cancel(task_id, worker)
        submitted = {worker.result.task.task_id for worker in self.submits if isinstance(worker.result, Submitted)}
        if not (self.gives_up or self.store_fails or self.restarts):
            assert set(self.store.task_ids()) == submitted, "a task is recorded that nobody was told of"

    def _check_submit(self, worker: Worker) -> None:
        match worker.result:
            case Submitted(task=task):
                recorded = self.store.task(task.task_id)
                assert recorded.session_id == task.session_id
            case SessionBusy(unfinished=unfinished):
                assert unfinished, "a session is busy with nothing"
            case TooManyTasks():
                pass
            case Unavailable():
                assert worker in self.given_up or self.store_fails or self.restarts, worker.result
            case ItBroke():  # an actor crashed on it twice
                assert self.restarts
            case other:
                raise AssertionError(other)

    def _check_cancel(self, task_id: TaskId, worker: Worker) -> None:
        status = self.store.task(task_id).status
        match worker.result:
            case Cancelled():
                assert status == "cancelled", f"{task_id} was said to be cancelled, and is {status}"
            case AlreadyEnded(status=told):
                assert status == told, f"{task_id} was said to be {told}, and is {status}"
            case Unavailable():
                assert worker in self.given_up or self.restarts, worker.result
            case ItBroke():
                assert self.restarts
            case other:
                raise AssertionError(other)
