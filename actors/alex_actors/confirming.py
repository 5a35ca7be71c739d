"""Confirming: whether a task or a session may be, under which ID, and with which place of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alex_actors.lines import Place
from alex_actors.replies import SessionBusy, SessionDeleting, TooManyTasks
from alex_actors.session_protocol import Admitted, ClaimLost, Confirmed, ParentEnded
from alex_actors.values import not_local, timestamp

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from alex_actors.claims import Claims
    from alex_actors.deletions import Deletions
    from alex_actors.lines import Lines
    from alex_actors.ports import Clock, Ids
    from alex_actors.session_protocol import AdmitSession, ChildReply, Confirm, ConfirmChild, ConfirmReply


class Confirming:
    """A session actor's word on who gets a place in which line, and the numbers of the places.

    Writes nothing: the session's row is written with its first task.
    """

    def __init__(
        self,
        *,
        lines: Lines,
        claims: Claims,
        deletions: Deletions,
        ids: Ids,
        clock: Clock,
        log: FilteringBoundLogger,
        incarnation: int,
        max_unfinished: int,
    ) -> None:
        self._lines = lines
        self._claims = claims
        self._deletions = deletions
        self._ids = ids
        self._clock = clock
        self._log = log
        self._incarnation = incarnation
        self.max_unfinished = max_unfinished
        self.next_place = 0
        """The session actor sets it, when it knows what is recorded."""

    def admit(self, message: AdmitSession) -> Admitted | SessionDeleting:
        """Say whether a session may be made, and keep places for the tasks that come with it."""
        session_id = message.session_id or self._ids.session()
        deleting = (message.context.owner, session_id) in self._deletions
        first, self.next_place = self.next_place, self.next_place + message.places
        return SessionDeleting(session_id) if deleting else Admitted(session_id, first, self._incarnation)

    def confirm(self, message: Confirm) -> ConfirmReply:
        """Confirm a client's task, or say why not."""
        for owner, task_id, status in message.known_ended:
            if (place := self._lines.find(task_id)) is not None and place.context.owner == owner:
                self._lines.end(place, status)
        session_id = message.session_id or self._ids.session()
        context = message.context.about(message.task_id, session_id)
        if message.claimed and not self._claims.has(message.task_id):
            return ClaimLost()
        if context.session in self._deletions:
            return SessionDeleting(session_id)
        if self._lines.unfinished >= self.max_unfinished:
            return TooManyTasks(self.max_unfinished)
        if message.strategy == "reject" and (unfinished := self._lines.unfinished_of(context.session)):
            return SessionBusy(session_id, unfinished)
        return self._confirmed(Place(message.task_id, message.strategy, context.sent_by("SessionActor")))

    def confirm_child(self, message: ConfirmChild) -> ChildReply:
        """Confirm a sub-agent's task while its parent works, in the parent's session and in its owner's name.

        A session that is being deleted has no such parent any more: all of its tasks are cancelled.
        """
        parent = self._lines.find(message.parent_task_id)
        if parent is None or parent.over:
            return ParentEnded(message.parent_task_id)
        if self._lines.unfinished >= self.max_unfinished:
            return TooManyTasks(self.max_unfinished)
        context = parent.context.about(message.task_id, parent.session_id)
        return self._confirmed(Place(message.task_id, "parallel", context, parent.task_id))

    def _confirmed(self, place: Place) -> Confirmed:
        self._lines.enter(place)
        number, self.next_place = self.next_place, self.next_place + 1
        self._log.info(
            "session.confirmed", task_id=place.task_id, session_id=place.session_id,
            trace_id=place.context.trace_id, place=number, ahead=self._lines.length(place.session) - 1,
            strategy=place.strategy, **not_local(place.context.owner),
        )  # fmt: skip
        return Confirmed(place.session_id, number, timestamp(self._clock.now()), self._incarnation)
