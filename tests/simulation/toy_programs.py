"""Made-up programs, run by themselves: what the exhaustive search is compared with."""

from __future__ import annotations

import itertools
import math
from collections import deque
from typing import TYPE_CHECKING

from alex_actors.simulation.exhaustive import Choose, StepRecord

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

Operation = tuple[str, str, int]
"""What to do, with what, with which number."""

Step = tuple[Operation, ...]
"""Taken at once. It waits first, if its first operation is ``receive`` or ``await``."""

Program = dict[str, list[Step]]
"""The steps of each process."""


class Toy:
    """One execution of a program: processes with a register each, variables, mailboxes, events."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.register = dict.fromkeys(program, 0)
        self.variable: dict[str, int] = {}
        self.mailbox: dict[str, deque[tuple[int, int]]] = {
            process: deque() for process in program
        }  # value, sender
        self.happened: dict[str, int] = {}  # event: the step that set it first
        self.next = dict.fromkeys(program, 0)  # which step is next
        self.steps: list[StepRecord] = []
        self.stopped: set[str] = set()

    def run(self, choose: Choose) -> list[StepRecord]:
        while enabled := [process for process in self.program if self.can(process)]:
            self.take(choose(enabled, self.steps))
        return self.steps

    def can(self, process: str) -> bool:
        if process in self.stopped or self.next[process] == len(self.program[process]):
            return False
        kind, name, _ = self.program[process][self.next[process]][0]
        return {"receive": bool(self.mailbox[process]), "await": name in self.happened}.get(kind, True)

    def take(self, process: str) -> None:
        accesses = {(f"life:{process}", False)}
        causes: list[int] = []
        for operation in self.program[process][self.next[process]]:
            if not self.do(process, operation, accesses, causes):
                break
        self.next[process] += 1
        self.steps.append(StepRecord(process, frozenset(accesses), tuple(causes)))

    def do(self, process: str, operation: Operation, accesses: set[tuple[str, bool]], causes: list[int]) -> bool:
        """Do it; return whether to go on with the step."""
        kind, name, number = operation
        here = len(self.steps)
        match kind:
            case "write":
                accesses.add((name, True))
                self.variable[name] = number
            case "add":
                accesses.add((name, True))
                self.variable[name] = self.variable.get(name, 0) + number
            case "read":
                accesses.add((name, False))
                self.register[process] = self.variable.get(name, 0)
            case "if":
                return self.register[process] == number
            case "send":
                accesses |= {(f"mailbox:{name}", True), (f"life:{name}", False)}
                self.mailbox[name].append((number + self.register[process], here))
            case "receive":
                self.register[process], sender = self.mailbox[process].popleft()
                causes.append(sender)
            case "poll":
                accesses.add((f"mailbox:{process}", False))
                self.register[process] = self.mailbox[process].popleft()[0] if self.mailbox[process] else -1
            case "set":
                accesses.add((f"event:{name}", True))
                self.happened.setdefault(name, here)
            case "await":
                causes.append(self.happened[name])
            case "stop":
                accesses.add((f"life:{name}", True))
                self.stopped.add(name)
            case "fail":
                raise ArithmeticError(f"{process} has {self.register[process]}")
        return True

    def end(self) -> str:
        """Return the final state."""
        mailboxes = {process: [value for value, _ in letters] for process, letters in self.mailbox.items()}
        return repr((self.register, sorted(self.variable.items()), mailboxes, sorted(self.happened), self.next))


def trace(steps: Sequence[StepRecord]) -> frozenset[object]:
    """Return the happens-before order of an execution, in names that do not depend on the order of the steps."""
    before: list[set[int]] = []
    for index, step in enumerate(steps):
        direct = {other for other in range(index) if depend(steps[other], step)} | set(step.causes)
        before.append(direct.union(*(before[other] for other in direct)))
    names = [
        (step.process, sum(other.process == step.process for other in steps[:i])) for i, step in enumerate(steps)
    ]
    return frozenset((names[i], frozenset(names[other] for other in earlier)) for i, earlier in enumerate(before))


def depend(one: StepRecord, other: StepRecord) -> bool:
    return one.process == other.process or any(
        resource == touched and (write or change)
        for resource, write in one.accesses
        for touched, change in other.accesses
    )


def every_interleaving(program: Program) -> Iterator[Toy]:
    """Run all of them, without any reduction."""
    prefixes: list[tuple[str, ...]] = [()]
    while prefixes:
        prefix = prefixes.pop()

        def choose(enabled: Sequence[str], steps: Sequence[StepRecord], prefix: tuple[str, ...] = prefix) -> str:
            if len(steps) < len(prefix):
                return prefix[len(steps)]
            so_far = tuple(step.process for step in steps)
            prefixes.extend((*so_far, other) for other in enabled[1:])
            return enabled[0]

        toy = Toy(program)
        toy.run(choose)
        yield toy


def random_program(rng: random.Random, *, most: int = 800, stops: bool = False) -> Program:
    """Return a program of a few processes, whose steps do several things, depending on what they have read."""
    kinds = ["write", "add", "read", "read", "if", "send", "send", "poll", "stop" if stops else "set"]
    waits = ["receive"] if stops else ["receive", "receive", "await"]
    while True:
        names = "abcd"[: rng.randint(2, 4)]
        program: Program = {name: [] for name in names}
        for name, _ in itertools.product(names, range(rng.randint(1, 4))):
            if rng.random() < 0.1:
                continue
            step: list[Operation] = []
            if rng.random() < 0.25:
                step.append((rng.choice(waits), rng.choice("ef"), 0))
            for _ in range(rng.randint(1, 3)):
                kind = rng.choice(kinds)
                target = {"send": names, "stop": names, "set": "ef"}.get(kind, "xy")
                step.append((kind, rng.choice(target), rng.randint(0, 2)))
            program[name].append(tuple(step))
        lengths = [len(steps) for steps in program.values()]
        if math.factorial(sum(lengths)) // math.prod(map(math.factorial, lengths)) <= most:
            return program


def random_deciding_program(rng: random.Random) -> Program:
    """Return a program of a few steps that all meet, and let what they read decide what else they access."""
    names = "abcde"[: rng.randint(3, 5)]
    variables = "xyz"[: rng.randint(2, 3)]
    program: Program = {name: [] for name in names}
    for name in (*names, *rng.choices(names, k=rng.randint(0, 5 - len(names)))):
        step: list[Operation] = []
        for _ in range(rng.randint(1, 3)):
            variable = rng.choice(variables)
            read, decide = ("read", variable, 0), ("if", "", rng.choice([0, 0, 1, 2]))
            write, add = ("write", variable, rng.randint(1, 2)), ("add", variable, 1)
            step += rng.choice([(read, decide), (read, decide), (write,), (write,), (add,), (read,)])
        program[name].append(tuple(step))
    return program
