"""A provider of models, as unreliable as the seed wants it, and what must hold of whoever asks it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from alex_actors.events import (
    AnyEvent,
    ContextCompressed,
    IterationStart,
    ThinkComplete,
    Thinking,
    ToolCallComplete,
    Usage,
    read_back,
)
from alex_actors.models.breaker import FAILURES, FIRST_PAUSE
from alex_actors.models.chat_messages import Json
from alex_actors.models.conversation import tool_message
from alex_actors.models.faults import Fault
from alex_actors.models.usage import added
from alex_actors.ports import ModelReply
from tests.simulation.chancy_model import SPEC, goal_of
from tests.simulation.guarded_tools import EVENTS, NAMES

if TYPE_CHECKING:
    from alex_actors.ports import Clock
    from alex_actors.simulation.invariants import Invariants
    from alex_actors.simulation.store import SimulatedStore
    from alex_actors.simulation.world import Simulation

FOR_WHO_RUNS = "A model is asked, and its answer read, only for a task whose agent runs; by one call at a time."
TOLD_THE_RECORD = "A model is asked once what came before is on record, and is told what is recorded."
SAID_BEFORE = (
    "A task that has waited for its turn is told what was said in its session before it, the same each time."
)
LEFT_ALONE = "A model that does not work is left alone for a while, and then asked by one."
TRIED_ENOUGH = "A model that fails is asked again as often as it may be, and not at all if it would fail again."
SHORTER = "A conversation that is too long for a model comes again only if it is shorter."
WITHIN_BUDGET = "A model is not asked again by a task that has used as much as it may."

BEFORE = (
    "SELECT one.task, one.answer, one.completed_at FROM tasks AS one JOIN tasks AS other USING (session_key) "
    "WHERE other.task_id = ? AND one.place < other.place ORDER BY one.place"
)
MOST_CALLS = 5
"""Of one task: then the model gives its answer."""
TOO_LONG = Fault("status", "maximum context length", status=400, codes=("context_length_exceeded",))
FAULTS = (
    Fault("unreachable", "refused"),
    Fault("status", "overloaded", status=503),
    Fault("status", "slow down", status=429, headers={"retry-after": "20"}),
    Fault("status", "no such key", status=401),
    TOO_LONG,
)
"""Before the first piece."""
FEW = 4
"""Messages: with no more there is nothing to leave out."""
LATE_FAULTS = (Fault("cut", "reset"), Fault("status", "it broke", status=500), TOO_LONG)
"""In the middle of an answer."""
MOODS = (0.0, 0.1, 0.3, 0.5)
"""How often something goes wrong with a call."""
OUTAGES = (0.0, 0.0, 0.03, 0.2)
"""How often a call finds the beginning of a time in which all go wrong."""


class Served(msgspec.Struct, frozen=True):
    """A turn as the provider gave it."""

    task_id: str
    calls: int
    usage: Usage


class _Asker(msgspec.Struct):
    """What one task has had from the provider in this process."""

    open: bool = False
    """A call of it is under way."""
    openings: int = 0
    """How often the model was left alone before that call: what comes of calls from before says nothing."""
    attempts: int = 0
    """Since its last turn."""
    final: bool = False
    """It was told that it would fail again."""
    too_long: int = 0
    """The bytes of the conversation that was too long the last time; 0: it was not."""
    spent: Usage | None = None
    """What its attempts took since its last turn."""


class ChancyProvider:
    """Answers in pieces, stalls, breaks off, refuses, is down for a while; and counts."""

    def __init__(
        self,
        simulation: Simulation,
        *,
        store: SimulatedStore,
        max_tokens: int,
        perhaps_die: Callable[[], None],
        tried: Callable[[str], None],
    ) -> None:
        """``perhaps_die`` is called where the process may end in the middle of something.

        ``tried`` is called with the ID of a task that tries a model that was left alone for a while.
        """
        self.simulation = simulation
        self.invariants: Invariants  # of the server, once it is there
        self.served: dict[str, Served] = {}
        """By their texts, which are unique."""
        self.store = store
        self._raw = store.raw
        self._decisions = simulation.decisions
        self._max_tokens = max_tokens
        self._perhaps_die = perhaps_die
        self._tried = tried
        self.context_tokens: int | None = simulation.decisions.choose((None, None, 240))
        self._mood = simulation.decisions.choose(MOODS)
        self._outages = simulation.decisions.choose(OUTAGES)
        self._calls = 0
        self._down_until = 0.0
        self.process_begins()

    @property
    def clock(self) -> Clock:
        """Return the time."""
        return self.simulation.clock

    def process_begins(self) -> None:
        """Know nothing of who asked before: it is another process."""
        self._askers: dict[str, _Asker] = {}
        self._failures = self._openings = 0
        self._closed_until: float | None = None
        self._probing = False

    def under_way(self) -> list[str]:
        """Return the tasks whose calls have not ended."""
        return [task_id for task_id, asker in self._askers.items() if asker.open]

    def task_of(self, goal: str) -> str:
        """Return the ID of the task with this text."""
        row = self._raw.execute("SELECT task_id FROM tasks WHERE task = ?", (goal,)).fetchone()
        return f"{row[0]}"

    def note_spent(self, task_id: str, usage: Usage | None) -> None:
        """Take note of what an attempt took that failed."""
        asker = self._asker(task_id)
        asker.spent = asker.spent if usage is None else added(usage, asker.spent)

    def note_turn(self, task_id: str, reply: ModelReply) -> None:
        """Take note of a turn that was given as a whole."""
        asker = self._asker(task_id)
        if reply.content and reply.usage is not None:
            usage = added(reply.usage, asker.spent)
            self.served[reply.content] = Served(task_id, len(reply.tool_calls), usage)
        asker.spent = None

    # A call.

    async def answer(self, task_id: str, messages: list[Json]) -> AsyncGenerator[Json, None]:
        """Yield the chunks of an answer. Raises Fault."""
        with self._call(task_id, messages) as asker:
            await self._pause(task_id, (0.0, 0.0, 0.3, 4.0))
            await self._perhaps_fail(FAULTS if len(messages) > FEW else FAULTS[:-1])
            self._calls += 1
            this = self._calls
            done = sum(message["role"] == "tool" for message in messages)
            last = done >= MOST_CALLS or self._decisions.chance(0.25)
            text = ""
            for number in range(
                self._decisions.choose((1, 1, 3, 6)) if last else self._decisions.choose((0, 1, 4))
            ):
                text += (piece := f"w{this}.{number} ")
                self._says_something(asker)
                yield _chunk({"content": piece})
                await self._pause(task_id, (0.0, 0.0, 0.02, 0.2))
                await self._perhaps_fail(LATE_FAULTS if len(messages) > FEW else LATE_FAULTS[:-1])
            calls = [] if last else self._wishes()
            if calls:
                yield _chunk({"tool_calls": calls})
            counted = self._decisions.chance(0.7)
            if counted:
                usage = {"prompt_tokens": 10 + len(messages), "completion_tokens": 1 + len(text)}
                yield {"choices": [], "usage": usage}
            self._works(asker)
            asker.attempts = 0
            yield _chunk({}, finish="tool_calls" if calls else "stop")

    @contextlib.contextmanager
    def _call(self, task_id: str, messages: list[Json]) -> Iterator[_Asker]:
        self._look_at_asker(task_id, messages)
        askers, asker = self._askers, self._asker(task_id)
        asker.open, asker.openings = True, self._openings
        asker.attempts += 1
        try:
            yield asker
        except Fault as fault:
            self._failed(fault, asker, messages)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            if askers is self._askers and asker.openings == self._openings:
                self._probing = False
            raise
        finally:
            asker.open = False

    def _failed(self, fault: Fault, asker: _Asker, messages: list[Json]) -> None:
        if fault is TOO_LONG:
            asker.too_long, asker.attempts, asker.spent = _size(messages), 0, None
        asker.final = asker.final or fault.status == 401
        if fault.status is not None and fault.status < 500:
            self._works(asker)
        elif asker.openings == self._openings:
            self._failures += 1
            self._probing = False
            if self._failures >= FAILURES:
                self._openings += 1
                self._closed_until = self.clock.monotonic() + FIRST_PAUSE

    def _says_something(self, asker: _Asker) -> None:
        if asker.openings == self._openings:
            self._closed_until, self._probing = None, False

    def _works(self, asker: _Asker) -> None:
        if asker.openings == self._openings:
            self._failures, self._closed_until, self._probing = 0, None, False

    async def _pause(self, task_id: str, seconds: Sequence[float]) -> None:
        askers = self._askers
        self._perhaps_die()
        await asyncio.sleep(self._decisions.choose(seconds))
        if askers is self._askers:
            self._look_at_listener(task_id)

    async def _perhaps_fail(self, faults: Sequence[Fault]) -> None:
        now, faulty = self.clock.monotonic(), self.simulation.faults.happens
        early = faults[0] is FAULTS[0]
        if early:
            if now < self._down_until and not self.simulation.faults.calm:
                raise FAULTS[1]
            if faulty(self._outages):
                self._down_until = now + self._decisions.choose((20.0, 60.0, 200.0))
        if not faulty(self._mood if early else self._mood / 3):
            return
        if self._decisions.chance(0.2):
            await asyncio.sleep(SPEC.timeout_seconds)  # as long as the client has patience
            raise Fault("timeout")
        raise self._decisions.choose(faults)

    def _wishes(self) -> list[Json]:
        count = self._decisions.choose((1, 1, 2, 3))
        return [
            {
                "index": number,
                "id": f"c{number}",
                "function": {
                    "name": self._decisions.choose(NAMES),
                    "arguments": json.dumps({"number": 100 * self._calls + number}),
                },
            }
            for number in range(count)
        ]

    # What must hold.

    def _asker(self, task_id: str) -> _Asker:
        return self._askers.setdefault(task_id, _Asker())

    def _look_at_asker(self, task_id: str, messages: list[Json]) -> None:
        check, about, asker = self.simulation.check, (task_id,), self._asker(task_id)
        self._look_at_listener(task_id)
        check(not asker.open, FOR_WHO_RUNS, f"{task_id} asks twice at once.", about=about)
        seen = f"{task_id} asks for the {asker.attempts + 1}th time."
        check(not asker.final and asker.attempts < SPEC.attempts, TRIED_ENOUGH, seen, about=about)
        size = _size(messages)
        seen = f"{task_id} comes with {size} bytes after {asker.too_long}."
        check(not asker.too_long or size < asker.too_long, SHORTER, seen, about=about)
        asker.too_long = 0
        if self._closed_until is not None:
            now = self.clock.monotonic()
            seen = f"{task_id} asks at {now}, not before {self._closed_until}; another tries it: {self._probing}."
            check(now >= self._closed_until and not self._probing, LEFT_ALONE, seen, about=about)
            self._probing = True
            self._tried(task_id)
        self._look_at_record(task_id, messages)

    def _look_at_listener(self, task_id: str) -> None:
        runs = any(task.task_id == task_id for task in self.invariants.runs.values())
        self.simulation.check(runs, FOR_WHO_RUNS, f"{task_id} does not run.", about=(task_id,))

    def _look_at_record(self, task_id: str, messages: list[Json]) -> None:
        check, about = self.simulation.check, (task_id,)
        events = [read_back(row[1]) for row in self._raw.execute(EVENTS, (task_id,)).fetchall()]
        begun = [event.iteration for event in events if isinstance(event, IterationStart)]
        asked = [event.iteration for event in events if isinstance(event, Thinking)]
        seen = f"{task_id} asks; recorded are the turns {begun}, and questions in {asked}."
        check(begun[-1:] and begun[-1] in asked, TOLD_THE_RECORD, seen, about=about)
        if not any(isinstance(event, ContextCompressed) for event in events):
            goal = goal_of([(one["role"], one["content"] or "") for one in messages])
            self._look_at_memory(task_id, messages[1:goal])
            told = [(one["role"], one["content"] or "") for one in messages[goal:] if one["role"] != "user"]
            told = [(role, "" if text == "(nothing)" else text) for role, text in told]
            recorded = _conversation(events, before=begun[-1])
            check(told == recorded, TOLD_THE_RECORD, f"{task_id} tells {told}, not {recorded}.", about=about)
        if self._max_tokens:
            row = self._raw.execute("SELECT tokens_used FROM tasks WHERE task_id = ?", (task_id,)).fetchone()
            seen = f"{task_id} has used {row[0]} tokens of {self._max_tokens}."
            check(row[0] < self._max_tokens, WITHIN_BUDGET, seen, about=about)

    def _look_at_memory(self, task_id: str, said: list[Json]) -> None:
        (strategy,) = self._raw.execute("SELECT strategy FROM tasks WHERE task_id = ?", (task_id,)).fetchone()
        before = self._raw.execute(BEFORE, (task_id,)).fetchall()
        told = [(one["content"], two["content"]) for one, two in zip(said[::2], said[1::2], strict=False)]
        ended = [(text, answer) for text, answer, at in before if at is not None]
        expected = ended if strategy != "parallel" else [one for one in ended if one[0] in dict(told)]
        fine = strategy == "parallel" or len(ended) == len(before)
        for (goal, end), (text, answer) in zip(told, expected, strict=False):
            fine = fine and goal == text and (end == answer or (answer is None and end.startswith("[No answer")))
        seen = f"{task_id} is told {told}; what was before it is {before}."
        check = self.simulation.check
        check(fine and len(said) == 2 * len(expected), SAID_BEFORE, seen, about=(task_id,))


def _chunk(delta: Json, finish: str | None = None) -> Json:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def _size(messages: list[Json]) -> int:
    return len(json.dumps(messages))


def _conversation(events: Sequence[AnyEvent], *, before: int) -> list[tuple[str, str]]:
    """Return what a model is to be told of the turns on record: who says what."""
    texts: dict[int, str] = {}
    outcomes: dict[int, list[ToolCallComplete]] = {}
    for event in events:
        if isinstance(event, ThinkComplete):
            texts[event.iteration] = event.content
        elif isinstance(event, ToolCallComplete):
            outcomes.setdefault(int(event.call_id.split("-")[1]), []).append(event)
    told: list[tuple[str, str]] = []
    for iteration in range(1, before):
        told.append(("assistant", texts.get(iteration, "")))
        ordered = sorted(outcomes.get(iteration, ()), key=lambda one: int(one.call_id.split("-")[2]))
        told += [("tool", tool_message(one).content) for one in ordered]
    return told
