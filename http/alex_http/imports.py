"""Reads the document of a session, and trusts nothing in it: what is taken is as if it had been recorded here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from alex_actors import ends
from alex_actors.copies import BroughtSession, BroughtTask, ExportedEvent, Message
from alex_actors.events import EVENT_TYPES, TERMINAL, AnyEvent, Stamped, stamp
from alex_actors.executor import LARGEST_EVENT
from alex_actors.projection import MOST_COUNTED, MOST_PAID, Progress, advance, miscounted
from alex_actors.store.replaying import ReplayedEvent, faults_of_end, faults_of_events
from alex_actors.tasks import Session, Task
from alex_actors.values import SessionId, TaskId, Timestamp, moment, timestamp
from alex_http.documents import DocumentIn, HeadIn, PartsIn, TaskIn
from alex_http.errors import BadBody, BadFields, FieldError
from alex_http.faults import refuse_doubled_names

T = TypeVar("T")

NOT_FOLLOWED = "The task had not ended when its session was exported."
"""The error of a task that comes without an end."""

MOST_BETWEEN = 4096
"""Bytes of the document that may be in none of its parts: names, and white space."""
MOST_OF_END = 8 * LARGEST_EVENT
"""Bytes of an event that says what a task is or came to: its text has a limit, but JSON may escape it."""
AHEAD = timedelta(days=1)
"""How far a moment may lie in the future: clocks differ, and time zones are taken for UTC."""

LONGEST_REASON = 200
"""Characters of what is wrong that are told: some of it may be what was sent."""

_decode = msgspec.json.Decoder(DocumentIn).decode
_parts = msgspec.json.Decoder(PartsIn).decode
_any_event: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_PATH = re.compile(r"(?P<what>.*) - at `\$\.?(?P<path>.*)`", re.DOTALL)
_NAMED = re.compile(r"Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)
_head_fields = frozenset(HeadIn.__struct_fields__)
_fields_of = {event_type: _head_fields.union(event.__struct_fields__) for event, event_type in EVENT_TYPES.items()}
_most_bytes = {
    event_type: MOST_OF_END if event_type.startswith("task_") else LARGEST_EVENT for event_type in _fields_of
}


def read_document(data: bytes, now: datetime) -> BroughtSession:
    """Return the session that a document brings.

    Tasks that come without an end have ended as interrupted. Raises BadBody or BadFields, which name what is wrong
    by where it is, such as ``tasks[0].status``.
    """
    document, parts = _decoded(data)
    return _Reading(document, parts, now).session()


def _decoded(data: bytes) -> tuple[DocumentIn, PartsIn]:
    """Decode a document twice: first what each part must be, so that there cannot be too many of them.

    64 MiB hold 30,000,000 empty arrays, but 300,000 events at most.
    """
    try:
        document, parts = _decode(data), _parts(data)
        _refuse_doubled_parts(data, (parts.session, *_lists(data)))
        for part in (parts.session, *parts.messages, *parts.tasks):
            refuse_doubled_names(bytes(part))
    except msgspec.ValidationError as error:
        fault = _located(str(error))
        raise (BadFields([fault]) if fault.field else BadBody(f"The document {fault.reason}.")) from None
    except RecursionError:
        msg = "The document is nested too deeply."
        raise BadBody(msg) from None
    except (msgspec.DecodeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        msg = f"The document is not JSON: {error}."
        raise BadBody(msg) from None
    return document, parts


def _lists(data: bytes) -> Iterator[msgspec.Raw]:
    members = _object(data)
    yield from (members[name] for name in ("messages", "tasks", "events"))


def _refuse_doubled_parts(data: bytes, large: Sequence[msgspec.Raw]) -> None:
    """Raise BadFields if the document itself has a name twice, without reading what is in its parts."""
    rest = data
    for part in sorted(map(bytes, large), key=len, reverse=True):
        rest = rest.replace(part, b"0", 1) if len(part) > MOST_BETWEEN else rest
    if len(rest) > 5 * MOST_BETWEEN:
        msg = "The document has a part twice, or white space for pages. Send each part once."
        raise BadBody(msg)
    refuse_doubled_names(rest)


def _located(error: str) -> FieldError:
    """Return what msgspec found as a field and what is wrong with it."""
    found = _PATH.fullmatch(error)
    what, path = (found["what"], found["path"]) if found else (error, "")  # "": the document itself
    named = _NAMED.fullmatch(what)
    if named is None:
        return FieldError(path, f"is not right: {what[:LONGEST_REASON]}")
    name = f"{path}.{named['name']}" if path else named["name"]
    return FieldError(name, "is missing" if named["what"].startswith("missing") else "is not known here")


class _Reading:
    def __init__(self, document: DocumentIn, parts: PartsIn, now: datetime) -> None:
        self._document = document
        self._parts = parts
        self._now = now
        self._latest = timestamp(now + AHEAD)
        self._numbers = {task.task_id: number for number, task in enumerate(document.tasks)}
        self._events: list[ExportedEvent] = []
        self._of_task: list[list[ReplayedEvent]] = [[] for _ in document.tasks]

    def session(self) -> BroughtSession:
        """Return the session. Raises BadFields at the first part that is not as it must be."""
        self._refuse(self._faults_of_head())
        self._refuse(fault for number in self._numbers.values() for fault in self._faults_of_task(number))
        self._read_events()
        tasks = [self._brought(task, number) for number, task in enumerate(self._document.tasks)]
        head = self._document.session
        session = Session(
            session_id=SessionId(head.id),
            created_at=Timestamp(head.created_at),
            updated_at=Timestamp(head.updated_at),
            task_count=len(tasks),
            last_task=tasks[-1].task.task if tasks else None,
            forked_from=None if head.forked_from is None else SessionId(head.forked_from),
            metadata=head.metadata,
        )
        messages = tuple(Message(one.role, one.content) for one in self._document.messages)
        return BroughtSession(session, messages, tuple(tasks), tuple(self._events))

    def _refuse(self, faults: Iterator[FieldError]) -> None:
        first = next(faults, None)
        if first is not None:
            raise BadFields([first, *faults])

    def _faults_of_head(self) -> Iterator[FieldError]:
        session = self._document.session
        yield from self._faults_of_moment("exported_at", self._document.exported_at)
        yield from self._faults_of_moment("session.created_at", session.created_at)
        yield from self._faults_of_moment("session.updated_at", session.updated_at)
        if session.updated_at < session.created_at:
            yield FieldError("session.updated_at", "is before created_at")
        if len(self._numbers) < len(self._document.tasks):
            yield FieldError("tasks", "have the same task_id twice")

    def _faults_of_task(self, number: int) -> Iterator[FieldError]:
        task, where = self._document.tasks[number], f"tasks[{number}]"
        session_id = self._document.session.id
        if task.session_id != session_id:
            yield FieldError(f"{where}.session_id", "is not that of the session")
        # A task is made by one that is at work: so none is its own ancestor.
        if task.parent_task_id is not None and self._numbers.get(task.parent_task_id, number) >= number:
            yield FieldError(f"{where}.parent_task_id", "is not that of an earlier task of the session")
        for name in ("created_at", "started_at", "completed_at"):
            if (at := getattr(task, name)) is not None:
                yield from self._faults_of_moment(f"{where}.{name}", at)

    def _faults_of_moment(self, where: str, at: str) -> Iterator[FieldError]:
        try:
            moment(Timestamp(at))
        except ValueError:
            yield FieldError(where, "is no moment that there was")
            return
        if at > self._latest:
            yield FieldError(where, "is in the future")

    # Events.

    def _read_events(self) -> None:
        last = 0
        for number, head in enumerate(self._document.events):
            where = f"events[{number}]"
            self._refuse(self._faults_of_event(head, where, last))
            last = head.event_id
            stamped = self._stamped(self._parts.events[number], head, where)
            self._refuse(FieldError(f"{where}.{name}", _must_count(name)) for name in miscounted(stamped.event))
            task = self._numbers[head.task_id]
            self._events.append(ExportedEvent(task, stamped))
            self._of_task[task].append(ReplayedEvent(where, head.event_type, stamped.at, stamped.event))

    def _faults_of_event(self, head: HeadIn, where: str, last: int) -> Iterator[FieldError]:
        if head.event_id <= last:
            yield FieldError(f"{where}.event_id", "is not above that of the event before it")
        if head.session_id != self._document.session.id:
            yield FieldError(f"{where}.session_id", "is not that of the session")
        number = self._numbers.get(head.task_id)
        if number is None:
            yield FieldError(f"{where}.task_id", "is not that of a task of the session")
        else:
            parent = self._document.tasks[number].parent_task_id
            if head.parent_task_id != parent:
                yield FieldError(f"{where}.parent_task_id", "is not that of its task")
            if head.agent_level != ("core" if parent is None else "subagent"):
                yield FieldError(f"{where}.agent_level", "is not what parent_task_id makes it")
        yield from self._faults_of_moment(f"{where}.timestamp", head.timestamp)

    def _stamped(self, raw: msgspec.Raw, head: HeadIn, where: str) -> Stamped:
        """Return an event from all that was sent of it, as it is written here."""
        body = bytes(raw)
        fields = _fields_of.get(head.event_type)
        if fields is None:
            raise BadFields([FieldError(f"{where}.event_type", "is not known here")])
        if len(body) > _most_bytes[head.event_type]:
            raise BadFields([FieldError(where, f"has more than {_most_bytes[head.event_type]:,} bytes")])
        try:
            refuse_doubled_names(body)
            stamped = stamp(Timestamp(head.timestamp), _any_event.decode(body))
            unknown = next((name for name in _object(body) if name not in fields), None)
        except RecursionError:
            raise BadFields([FieldError(where, "is nested too deeply")]) from None
        except OverflowError:
            raise BadFields([FieldError(where, "has a number that is too large")]) from None
        except (msgspec.MsgspecError, ValueError) as error:
            fault = _located(str(error))
            name = f"{where}.{fault.field}" if fault.field else where
            raise BadFields([FieldError(name, fault.reason)]) from None
        if unknown is not None:
            raise BadFields([FieldError(f"{where}.{unknown}", f"is not known in an event {head.event_type}")])
        return stamped

    # Tasks, and what their events make of them.

    def _brought(self, given: TaskIn, number: int) -> BroughtTask:
        where, recorded, progress = f"tasks[{number}]", self._of_task[number], Progress()
        for one in recorded:
            if isinstance(one.event, TERMINAL) and not progress.ended:
                wrong = faults_of_end(one.event, progress)
                self._refuse(FieldError(f"{one.name}.{field}", fault) for field, fault in wrong)
            progress = advance(progress, one.timestamp, one.event)
        record = {name: getattr(given, name, None) for name in Progress.__struct_fields__}
        record |= {"task": given.task, "answer": progress.answer, "stop_reason": progress.stop_reason}
        faults = faults_of_events(record, recorded)
        self._refuse(FieldError(where, f"is not what its events make it: {fault}") for fault in faults)
        if given.created_at != recorded[0].timestamp:
            self._refuse(iter([FieldError(f"{where}.created_at", "is not the moment of its task_created")]))
        self._refuse(_faults_of_result(given, progress, where))
        if not progress.ended:
            progress = self._interrupted(number, progress, recorded[-1].timestamp)
        return BroughtTask(_task(given), progress)

    def _interrupted(self, number: int, progress: Progress, last: Timestamp) -> Progress:
        """End a task, as a start does with one that cannot go on."""
        at = max(timestamp(self._now), last)
        event = ends.failed(progress, at, NOT_FOLLOWED, "interrupted")
        self._events.append(ExportedEvent(number, stamp(at, event)))
        return advance(progress, at, event)


def _must_count(field: str) -> str:
    if field.endswith("cost_usd"):
        return f"is not a number from 0 to {MOST_PAID:.0f}"
    return f"is not an integer from 0 to {MOST_COUNTED}"


def _faults_of_result(given: TaskIn, progress: Progress, where: str) -> Iterator[FieldError]:
    result = given.result
    if (result is None) != (progress.status != "completed"):
        yield FieldError(f"{where}.result", "is there if the task is completed, and only then")
    if result is not None:
        expected = {
            "answer": progress.answer,
            "iterations": progress.total_iterations,
            "tokens_used": progress.total_tokens,
            "stop_reason": progress.stop_reason,
            "session_id": given.session_id,
        }
        for name, value in expected.items():
            if getattr(result, name) != value:
                yield FieldError(f"{where}.result.{name}", "is not what its events make it")


def _task(given: TaskIn) -> Task:
    """Return a task without what its events make of it, and without its keys."""
    return Task(
        task_id=TaskId(given.task_id),
        session_id=SessionId(given.session_id),
        session_key=0,
        place=0,
        task=given.task,
        agent_preset=given.agent_preset,
        tool_preset=given.tool_preset,
        model=given.model,
        parent_task_id=None if given.parent_task_id is None else TaskId(given.parent_task_id),
        created_at=Timestamp(given.created_at),
        strategy=given.multitask_strategy,
        timeout_seconds=given.timeout_seconds,
        max_iterations=given.max_iterations,
        metadata=given.metadata,
        trace_id="",
    )
