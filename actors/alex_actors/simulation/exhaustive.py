"""Every order in which processes can take steps, once each: partial-order reduction while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from alex_actors.simulation.interleavings import MOST_DOWNSETS, LinearExtensions, TooManyDownsetsError
from alex_actors.values import Value


class StepRecord(Value, frozen=True):
    """One step of an execution.

    `process` took it; processes have the same names in every execution. `accesses` are the resources that it
    touched, each with whether it changed it: ``("mailbox:SessionActor", True)`` for a put, ``("store", False)``
    for a read. `causes` are the indices of the earlier steps that enabled it: the one that put the message it
    handles, that answered the wait it resumes from, that started its process; all of them, if it is what happens
    when nothing else can (the next timer is due). Its process's last step need not be named.
    """

    process: str
    accesses: frozenset[tuple[str, bool]]
    causes: tuple[int, ...] = ()


Choose = Callable[[Sequence[str], Sequence[StepRecord]], str]
"""Say who takes the next step, given who could, in an order that is the same every time (never nobody: then the
execution is over), and all steps taken so far. Raises `Pruned` to abandon the execution."""

Execute = Callable[[Choose], Sequence[StepRecord]]
"""Run one execution from the start; return its steps, or raise what the scenario found. Lets `Pruned` through."""


class Pruned(Exception):
    """From here on this execution could only repeat another one."""


class NotExplorableError(Exception):
    """What was executed breaks what the search relies on; the message says how."""


class FoundFailure(Exception):
    """An execution failed; raised from its error.

    `schedule` is who was chosen, step by step, up to the failure; `executions` how many began, this one included.
    """

    def __init__(self, *, schedule: tuple[str, ...], error: Exception, executions: int) -> None:
        super().__init__(f"execution {executions} failed in step {len(schedule)}: {error!r}")
        self.schedule = schedule
        self.error = error
        self.executions = executions


class Exhausted(Value, frozen=True):
    """What an exhaustive search did.

    `executions` ran to their end: one of each Mazurkiewicz trace. `redundant` ones were abandoned, because they
    could only repeat one of those (sleep-set blocked). `interleavings` is how many executions there would be
    without reduction, exactly; None if one of the traces is too wide to be counted. `steps` is how many were taken
    in all, with those that were taken again to get back to where an execution branches off. `limited` is whether
    the limit ended the search: then the numbers are of what was done until then, and nothing is proved.
    """

    executions: int
    redundant: int
    interleavings: int | None
    steps: int
    limited: bool

    def __str__(self) -> str:
        """Return it as a line for people."""
        before = "too many to count" if self.interleavings is None else f"{self.interleavings:,}"
        after = f"{self.executions:,}{' (stopped at the limit)' if self.limited else ''}"
        return f"{before} interleavings, {after} that differ, {self.steps:,} steps"


def exhaust(execute: Execute, *, limit: int | None = None, most_downsets: int = MOST_DOWNSETS) -> Exhausted:
    """Run one execution of each Mazurkiewicz trace, at most `limit` executions in all.

    Two steps depend on each other if the same process takes both, or both access a resource that at least one of
    them changes. A step happens before a later one that depends on it or was caused by it, transitively.
    Executions with the same happens-before order are one trace: they differ only in the order of steps that have
    nothing to do with each other, and end alike. The interleavings of a trace are the linear extensions of that
    order; `most_downsets` bounds the table in which they are counted.

    The algorithm is Source-DPOR (Abdulla, Aronis, Jonsson, Sagonas: Optimal dynamic partial order reduction, POPL
    2014, algorithm 1) with sleep sets (Godefroid: Partial-order methods for the verification of concurrent
    systems, LNCS 1032, 1996). It begins with any execution. Where two steps of it race (they conflict, and nothing
    else orders them), it sees to it that from the state before the first of them the second can come first. So
    every trace is reached; sleep sets keep a second execution of the same trace from running to its end.

    In the paper what a process accesses next is known before its step. Here a step may read something and let that
    decide what else it accesses. So a race is reversed in view of all that its execution shows (as in algorithm 2,
    and redundant executions count too), and what the second step would access first is not guessed. The tests
    compare this with naive enumeration.

    Relied on: what a process does next, and whether it can, depends only on what happens before that step. So who
    is enabled stays so until it takes its step, with one exception: a step may disable another process (stop it,
    end the run) if it conflicts with that process's next step, and with every step that would enable it again or
    bring it to another one. Locks, which one process holds until another may go on, are not covered.

    Raises `FoundFailure` at the first execution that raises an error, and `NotExplorableError` where an execution
    breaks what is relied on, as far as that shows.
    """
    search = _Search(LinearExtensions(most_downsets=most_downsets))
    executions = redundant = steps = 0
    while search.unfinished and (limit is None or executions + redundant < limit):
        try:
            search.complete(execute(search.choose))
            executions += 1
        except Pruned:
            redundant += 1
        except NotExplorableError:
            raise
        except Exception as error:
            begun = executions + redundant + 1
            raise FoundFailure(schedule=search.schedule, error=error, executions=begun) from error
        steps += len(search.schedule)
        search.backtrack()
    return Exhausted(executions, redundant, search.interleavings, steps, search.unfinished)


class _Footprint(NamedTuple):
    """The resources that a step touched, and those of them that it changed, as bit masks."""

    touched: int
    changed: int

    def conflicts(self, other: _Footprint) -> bool:
        return bool(self.changed & other.touched | self.touched & other.changed)


class _State:
    """A state on the path of the search, and the step that is taken from it."""

    __slots__ = ("before", "chosen", "disabled", "enabled", "footprint", "pending", "races", "record", "sleep")

    def __init__(self, *, enabled: tuple[str, ...], sleep: dict[str, _Footprint], chosen: str) -> None:
        self.enabled = enabled
        self.sleep = sleep  # who could only repeat what has been explored, with the footprint of its next step
        self.pending: set[str] = set()  # who must go first in some execution: the paper's backtrack set
        self.disabled: dict[str, _Footprint] = {}  # whom a step from here disabled, with that step's footprint
        self.chosen = chosen
        self.record: StepRecord | None = None  # of the step, as soon as it has been taken; and then
        self.footprint = _Footprint(0, 0)
        self.before = 0  # bit i: step i happens before it
        self.races: list[int] = []  # the earlier steps that it could have come before


class _Search:
    """Depth first, along one path: that of the current execution. Nothing of the others is kept."""

    def __init__(self, extensions: LinearExtensions) -> None:
        self.unfinished = True
        self.interleavings: int | None = 0
        self._extensions = extensions
        self._path: list[_State] = []
        self._chosen = 0  # how many steps of the current execution have been chosen
        self._numbers: dict[tuple[str, str], int] = {}  # the bit of each resource in a footprint

    @property
    def schedule(self) -> tuple[str, ...]:
        """Who was chosen so far in the current execution, or in the last one if that is over."""
        return tuple(state.chosen for state in self._path[: self._chosen])

    def choose(self, enabled: Sequence[str], steps: Sequence[StepRecord]) -> str:
        """Be the `Choose` of the current execution."""
        here = len(steps)
        if here != self._chosen:
            raise NotExplorableError(f"{self._chosen} steps were chosen, and {here} are recorded")
        if steps:
            self._take_note(here - 1, steps[-1])
        if here == len(self._path):
            self._arrive(tuple(enabled))
        elif self._path[here].enabled != tuple(enabled):
            raise NotExplorableError(
                f"the same {here} steps once enabled {self._path[here].enabled}, and now {tuple(enabled)}"
            )
        self._chosen += 1
        return self._path[here].chosen

    def complete(self, steps: Sequence[StepRecord]) -> None:
        """Take note that the current execution came to its end."""
        if not len(steps) == self._chosen == len(self._path):
            raise NotExplorableError(f"an execution ended after {len(steps)} steps, expected: {len(self._path)}")
        if steps:
            self._take_note(len(steps) - 1, steps[-1])
            self._see_disabled(self._path[-1], ())
        if self.interleavings is None:
            return
        try:
            for state in self._path[len(self._extensions) :]:
                self._extensions.add(state.before)
            self.interleavings += self._extensions.count
        except TooManyDownsetsError:
            self.interleavings = None
            self._extensions.keep(0)

    def backtrack(self) -> None:
        """Go back to the last state from which somebody must still go first, and let that be chosen there."""
        self._reverse_races()  # of redundant executions too: what is asleep may depend on what those did not show
        self._chosen = 0
        while self._path:
            state = self._path[-1]
            state.sleep[state.chosen] = state.footprint
            # In the order of `enabled`: that of a set of names is not the same in two processes of Python.
            untried = (name for name in state.enabled if name in state.pending and name not in state.sleep)
            process = next(untried, None)
            if process is not None:
                state.chosen, state.record = process, None
                self._extensions.keep(len(self._path) - 1)
                return
            self._path.pop()
        self.unfinished = False

    def _arrive(self, enabled: tuple[str, ...]) -> None:
        """Append the state that the path has come to, and choose there."""
        sleep: dict[str, _Footprint] = {}
        if self._path:
            last = self._path[-1]
            self._see_disabled(last, enabled)
            sleep = {name: print_ for name, print_ in last.sleep.items() if not print_.conflicts(last.footprint)}
        chosen = next((name for name in enabled if name not in sleep), None)
        if chosen is None:
            raise Pruned
        self._path.append(_State(enabled=enabled, sleep=sleep, chosen=chosen))

    def _see_disabled(self, last: _State, enabled: tuple[str, ...]) -> None:
        """See to it that everybody goes first, too, if the last step disabled one: no later step shows that race.

        The disabled one alone is not enough: something may have to come before its step, and the step that would
        show that never comes.
        """
        for process in last.enabled:
            if process in enabled or process == last.chosen:
                continue
            last.disabled[process] = last.footprint
            last.pending.update(last.enabled)
            if process in last.sleep and not last.sleep[process].conflicts(last.footprint):
                raise NotExplorableError(f"{last.chosen} disabled {process}, and their steps do not conflict")

    def _take_note(self, here: int, record: StepRecord) -> None:
        """Take note of a step: what it accessed, what happens before it, what it races with."""
        state = self._path[here]
        if state.record is not None:
            if state.record != record:
                raise NotExplorableError(f"step {here} of the same schedule was once {state.record}, now {record}")
            return
        if record.process != state.chosen:
            raise NotExplorableError(f"{state.chosen} was chosen, and {record.process} took step {here}")
        state.record = record
        state.footprint = self._footprint(record)
        if record.process in state.disabled and not state.disabled[record.process].conflicts(state.footprint):
            raise NotExplorableError(f"a step disabled {record.process}, and does not conflict with {record}")
        self._order(here, record.causes)
        if record.process not in self._path[state.before.bit_length()].enabled:
            raise NotExplorableError(f"step {here} was not enabled by its causes alone: {record}")

    def _footprint(self, record: StepRecord) -> _Footprint:
        """Return the masks; what a process itself is counts as a resource that each of its steps changes."""
        numbers = self._numbers
        touched = changed = 1 << numbers.setdefault(("process", record.process), len(numbers))
        for resource, is_write in record.accesses:
            bit = 1 << numbers.setdefault(("resource", resource), len(numbers))
            touched |= bit
            if is_write:
                changed |= bit
        return _Footprint(touched, changed)

    def _order(self, here: int, causes: Sequence[int]) -> None:
        """Find what happens before a step, and what it races with: what conflicts, with nothing in between."""
        path = self._path
        footprint = path[here].footprint
        before = 0
        for cause in causes:
            before |= path[cause].before | 1 << cause
        races = []
        unordered = (1 << here) - 1 & ~before
        while unordered:  # the latest first: so whatever is in between has been found
            index = unordered.bit_length() - 1
            earlier = path[index]
            unordered ^= 1 << index
            if footprint.conflicts(earlier.footprint):
                before |= earlier.before | 1 << index
                unordered &= ~before
                if earlier.chosen != path[here].chosen:
                    races.append(index)
        path[here].before = before
        path[here].races = races

    def _reverse_races(self) -> None:
        """See to it that of two steps that race the second can come first, from the state before the first."""
        path = self._path
        rests: dict[int, list[int]] = {}
        for second, state in enumerate(path):
            for first in state.races:
                if first not in rests:  # what does not happen after it: all of that could as well have come before
                    later = range(first + 1, len(path))
                    rests[first] = [index for index in later if not path[index].before >> first & 1]
                self._reverse(first, rests[first], second)

    def _reverse(self, first: int, rest: list[int], second: int) -> None:
        """See to it that after the rest, from the state before the first step, the second can come."""
        path = self._path
        state = path[first]
        members = 0
        for index in rest:
            process = path[index].chosen
            if not path[index].before & members and (process in state.pending or process in state.sleep):
                return  # it can be the first of the rest, and has been or will be
            members |= 1 << index
        # The second step may access other things when it comes first: what, is known only if that has been tried.
        process = path[second].chosen
        tried = state.sleep.get(process)
        if tried and not any(tried.conflicts(path[index].footprint) for index in rest):
            return
        initial = path[rest[0]].chosen if rest else process
        if initial not in state.enabled:
            raise NotExplorableError(f"step {second} was enabled by step {first}, and does not name it as a cause")
        state.pending.add(initial)
