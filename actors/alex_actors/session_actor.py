"""The SessionActor: sole owner of each session's line of unfinished tasks and their agents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from alex_actors.actor import PooledActor
from alex_actors.agent_protocol import Announce, CancelTask, TurnGranted
from alex_actors.claims import Claims
from alex_actors.confirming import Confirming
from alex_actors.deletions import Deletions
from alex_actors.lines import Lines, Place
from alex_actors.messages import Ask, Promise, R, tell
from alex_actors.replies import AlreadyEnded, UnknownTask
from alex_actors.room import Room
from alex_actors.session_protocol import (
    AdmitSession,
    AgentCrashed,
    AgentPresent,
    Cancel,
    ChildReply,
    ClaimKey,
    Confirm,
    ConfirmChild,
    ConfirmReply,
    DeleteSession,
    EraseFailed,
    ReleaseKey,
    RequestTurn,
    SessionErased,
    SessionMessage,
    SessionQuestion,
    Settle,
    Settled,
    Stock,
    StoreRestarted,
    TaskEnded,
    TurnEnded,
    UnfinishedTask,
)
from alex_actors.stock_taking import in_order
from alex_actors.task_store_protocol import RecordCrash, Revoke, TakeStock
from alex_actors.values import Context, TaskId

if TYPE_CHECKING:
    from collections.abc import Callable

    import pykka
    from structlog.typing import FilteringBoundLogger

    from alex_actors.agent_launcher import AgentLauncher, LaunchedAgent
    from alex_actors.ports import Clock, Ids
    from alex_actors.replies import CancelReply, Deleted
    from alex_actors.task_store_actor import TaskStoreActor
    from alex_actors.tasks import Task

GONE = "The task's agent has stopped, and recorded no end."
"""What is recorded of a task whose agent is gone, unless it turns out to have an end."""


class SessionActor(PooledActor):
    """Confirms sessions, and says whose turn it is.

    The order of the confirmations is the order of the line. A place is left when the task's end is recorded
    and its agent has stopped; a session with no place in use takes no memory.

    It begins with what is unfinished: it has the store take stock, and each agent that is there announce
    itself. Until it has the stock, what is asked waits; until all agents are heard of, nobody is given a turn.
    At the start of the server both are nothing; after a crash it is how the state comes back.
    """

    def __init__(
        self,
        *,
        store: pykka.ActorRef[TaskStoreActor],
        launcher: AgentLauncher,
        ids: Ids,
        clock: Clock,
        log: FilteringBoundLogger,
        incarnation: int,
        max_unfinished: int,
        max_running: int,
    ) -> None:
        """``incarnation`` is larger than that of every session actor before this one."""
        super().__init__()
        self._store = store
        self._launcher = launcher
        self._log = log
        self._incarnation = incarnation
        # What was asked before there was the stock, to be done then, in its order; None since then.
        self._kept: list[Callable[[], None]] | None = []
        self._unheard: set[TaskId] = set()  # agents that were told to announce themselves, and have not yet
        self._lines = Lines()
        self._room = Room(max_running)
        self._claims = Claims()
        self._deletions = Deletions(store=store)
        self._confirming = Confirming(
            lines=self._lines, claims=self._claims, deletions=self._deletions, ids=ids, clock=clock, log=log,
            incarnation=incarnation, max_unfinished=max_unfinished,
        )  # fmt: skip

    def on_start(self) -> None:
        """Find out what is unfinished."""
        self._ask_for_stock()

    def on_receive(self, message: SessionMessage) -> object:
        """Handle a message."""
        match message:
            case ClaimKey() | Confirm() | ConfirmChild() | AdmitSession() | Cancel() | DeleteSession():
                return self._asked(message)
            case ReleaseKey():
                self._with_stock(lambda: self._claims.release(message.task_id))
            case Settle():  # it may be about a Confirm that is kept
                self._with_stock(lambda: self._settle(message))
            case Stock():
                self._take_stock(message)
            case StoreRestarted():
                self._tell_store_again()
            case AgentPresent():
                self._agent_present(message)
            case RequestTurn():
                self._request_turn(message)
            case TaskEnded():
                self._task_ended(message)
            case TurnEnded():
                self._turn_ended(message)
            case AgentCrashed():
                self._agent_crashed(message)
            case Settled():
                self._settled(message)
            case SessionErased() | EraseFailed():
                self._deletions.answered(message)
            case _:
                assert_never(message)
        return None

    def _asked(self, message: SessionQuestion) -> Promise[Any]:  # Any: of what the message is answered with
        match message:
            case ClaimKey():
                return self._later(message, lambda promise: self._claims.claim(message, promise))
            case Confirm():
                return self._later(message, lambda promise: promise.fulfil(self._confirm(message)))
            case ConfirmChild():
                return self._later(message, lambda promise: promise.fulfil(self._confirm_child(message)))
            case AdmitSession():
                return self._later(message, lambda promise: promise.fulfil(self._confirming.admit(message)))
            case Cancel():
                return self._later(message, lambda promise: self._cancel(message, promise))
            case DeleteSession():
                return self._later(message, lambda promise: self._delete(message, promise))
            case _:
                assert_never(message)

    def _later(self, message: Ask[SessionActor, R], do: Callable[[Promise[R]], None]) -> Promise[R]:
        promise = message.later()
        self._with_stock(lambda: do(promise))
        return promise

    def _with_stock(self, do: Callable[[], None]) -> None:
        """Do this when there is the stock. Everything else that comes before says what the stock will say."""
        if self._kept is None:
            do()
        else:
            self._kept.append(do)

    # The beginning: what is unfinished, and who is there. See docs/architecture.md, "When an actor crashes".

    def _ask_for_stock(self) -> None:
        context = Context("", sender="SessionActor")
        tell(self._store, TakeStock(context=context, incarnation=self._incarnation, session=self.actor_ref))

    def _take_stock(self, stock: Stock) -> None:
        if self._kept is None or stock.incarnation != self._incarnation:
            return
        kept, self._kept = self._kept, None
        self._confirming.next_place = stock.last_place + 1
        for one in in_order(stock.unfinished, self._launcher.launched()):
            if one.gone:
                self._launcher.forget(one.task.task_id)
            else:
                self._take_up(one.task, one.launched, one.unfinished)
        for do in kept:
            do()

    def _take_up(self, task: Task, launched: LaunchedAgent | None, unfinished: UnfinishedTask | None) -> None:
        """Give a task its place again, if it is unfinished or its agent still runs."""
        context = task.context("SessionActor")
        place = Place(task.task_id, task.strategy, context, task.parent_task_id)
        self._lines.enter(place)
        if launched is None:
            if place.stray:
                place.start_cancelling()
            if unfinished is not None:  # if it had begun, that was before the server was started: it goes on
                self._launcher.launch(task, self.actor_ref, recorded=unfinished.recorded)
            return
        place.turn_ended = launched.stopped
        if launched.stopped or launched.crash is not None:
            self._record_crash(place, launched.crash or GONE)
            if not launched.stopped:
                self._room.take(place)
            return
        place.agent = launched.agent
        if unfinished is None or place.stray:  # its agent is to stop, also if it was launched after the end
            place.start_cancelling()
        if place.agent is not None:  # else it will ask for its turn
            self._unheard.add(place.task_id)
            tell(place.agent, Announce(context=context))

    def _agent_present(self, message: AgentPresent) -> None:
        place = self._lines.find(message.task_id)
        if place is None or place.task_id not in self._unheard:
            return
        if message.granted:
            self._room.take(place)
        if message.status is not None:
            self._lines.end(place, message.status)
        self._heard_of(place)

    def _heard_of(self, place: Place) -> None:
        """Go on with the turns if this was the last agent that was waited for."""
        if place.task_id in self._unheard:
            self._unheard.remove(place.task_id)
            if not self._unheard:
                for one in self._lines:
                    self._give_turn(one)

    def _tell_store_again(self) -> None:
        """Say again what the store has not answered: it was restarted."""
        if self._kept is not None:
            self._ask_for_stock()
        for place in self._lines:
            if place.settling:
                self._revoke(place)
            if place.crash is not None and place.status is None:
                self._record_crash(place, place.crash)
        self._deletions.tell_again(self.actor_ref)

    # Confirming.

    def _confirm(self, message: Confirm) -> ConfirmReply:
        return self._confirming.confirm(message)

    def _confirm_child(self, message: ConfirmChild) -> ChildReply:
        return self._confirming.confirm_child(message)

    def _settle(self, message: Settle) -> None:
        place = self._lines.find(message.task_id)
        if place is None or place.agent is not None:
            self._claims.release(message.task_id)
        else:
            place.settling = True
            self._revoke(place)

    def _revoke(self, place: Place) -> None:
        # Whatever the asker had sent to the store was sent before this: the answer is final.
        tell(self._store, Revoke(context=place.context, task_id=place.task_id, session=self.actor_ref))

    def _settled(self, message: Settled) -> None:
        self._claims.release(message.task_id)
        place = self._lines.find(message.task_id)
        if place is None:
            return
        place.settling = False
        if place.agent is not None:
            return
        if message.task is not None:
            self._launcher.launch(message.task, self.actor_ref)
        else:
            self._note("session.released", place.context)
            self._leave(place, UnknownTask())

    # Turns.

    def _request_turn(self, message: RequestTurn) -> None:
        place = self._lines.find(message.task_id)
        if place is None:
            if self._kept is None:  # launched after its task had ended: it must not wait for ever
                tell(message.agent, CancelTask(context=message.context.sent_by("SessionActor")))
            return
        if place.agent is not None:
            return
        place.agent = message.agent
        if place.cancelling:
            tell(message.agent, CancelTask(context=place.context))
        else:
            self._give_turn(place)

    def _give_turn(self, place: Place) -> None:
        """Give a place its turn if it has come, and cancel what it interrupts."""
        if place.agent is None or place.cancelling:
            return
        if place.strategy == "interrupt":
            for other in self._lines.before(place):
                other.start_cancelling()
        if place.strategy == "parallel" or self._lines.is_first(place):
            self._grant(place)

    def _grant(self, place: Place) -> None:
        if place.agent is None or place.crash is not None or place.granted or place.cancelling or self._unheard:
            return
        if self._room.has_some(place):
            self._room.take(place)
            tell(place.agent, TurnGranted(context=place.context))

    def _turn_ended(self, message: TurnEnded) -> None:
        place = self._lines.find(message.task_id)
        if place is None:
            if self._kept is None:
                self._launcher.forget(message.task_id)
            return
        place.turn_ended = True
        if place.status is not None:
            self._leave(place, AlreadyEnded(place.status))
        elif place.crash is None:  # who was told of the end has crashed: the store answers with it
            self._record_crash(place, GONE)
        self._heard_of(place)

    def _task_ended(self, message: TaskEnded) -> None:
        if (place := self._lines.find(message.task_id)) is None:
            return
        self._lines.end(place, message.status)
        if place.turn_ended:
            self._leave(place, AlreadyEnded(message.status))

    def _agent_crashed(self, message: AgentCrashed) -> None:
        place = self._lines.find(message.task_id)
        if place is not None:
            if place.task_id in self._unheard:
                self._room.take(place)
            self._record_crash(place, message.error)
            self._heard_of(place)

    def _record_crash(self, place: Place, error: str) -> None:
        place.crash = error
        place.cancel_children()
        crash = RecordCrash(context=place.context, task_id=place.task_id, error=error, session=self.actor_ref)
        tell(self._store, crash)

    # Cancelling.

    def _cancel(self, message: Cancel, promise: Promise[CancelReply]) -> None:
        place = self._lines.find(message.task_id)
        if place is None:
            promise.fulfil(UnknownTask())
        elif place.status is not None:
            promise.fulfil(AlreadyEnded(place.status))
        else:
            self._note("task.cancel_requested", message.context.about(place.task_id, place.session_id))
            place.cancels.append(promise)
            place.start_cancelling()

    # Deleting a session.

    def _delete(self, message: DeleteSession, promise: Promise[Deleted]) -> None:
        if not self._deletions.begin(message, promise):
            return
        session = message.context.session
        line = self._lines.of(session)
        self._note("session.deleting", message.context, tasks=len(line))
        for place in line:
            place.start_cancelling()
        if not line:
            self._deletions.nothing_runs(session, self.actor_ref)

    # Places.

    def _leave(self, place: Place, answer: CancelReply) -> None:
        """Free a place: its task has ended and its agent has stopped, or it was never recorded.

        With sub-agents it is kept until they have stopped, too: only then is its turn over.
        """
        if place.children:
            return
        place.answer_cancels(answer)
        self._launcher.forget(place.task_id)
        if (first := self._lines.leave(place)) is not None:
            self._grant(first)
        else:
            self._deletions.nothing_runs(place.session, self.actor_ref)
        self._room.leave(place)
        while (waiting := self._room.next()) is not None:
            self._grant(waiting)
        if (parent := place.parent) is not None and parent.done and parent.status is not None:
            self._leave(parent, AlreadyEnded(parent.status))

    def _note(self, fact: str, context: Context, **more: object) -> None:
        ids = {"task_id": context.task_id} if context.task_id else {}
        self._log.info(fact, **ids, session_id=context.session_id, trace_id=context.trace_id, **more)
