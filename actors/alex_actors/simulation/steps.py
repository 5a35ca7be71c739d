"""What each step of a run touched, for the search that has to know which steps commute."""

from __future__ import annotations

from alex_actors.simulation.exhaustive import StepRecord

STORE = "store"
"""The resource that transactions change and reads look at."""

EVERYTHING = "everything"
"""The resource that steps access if each is to depend on each other."""


def run_resource(task_id: str) -> str:
    """Return the resource that says whether a task's agent runs."""
    return f"run:{task_id}"


class StepLog:
    """Keeps a record of each step, if it is to."""

    def __init__(self, *, on: bool) -> None:
        self.on = on
        self.all_depend = False
        """Whether every step is taken to depend on every other."""
        self._process = ""
        self._accesses: set[tuple[str, bool]] = set()
        self._causes: set[int] = set()
        self._records: list[StepRecord] = []

    def begin(self, process: str) -> None:
        """Begin the record of the next step."""
        if self.on:
            self._finish()
            self._process = process

    def touch(self, resource: str, *, write: bool) -> None:
        """Say that the step reads or writes something that others do, too."""
        if self.on:
            self._accesses.add((resource, write))

    def caused_by(self, step: int) -> None:
        """Say which step, counted from 1, let this one be taken; of a number below 1, nothing did."""
        if self.on and 0 < step <= len(self._records):
            self._causes.add(step - 1)

    def caused_by_all(self) -> None:
        """Say that all steps before had to be taken first."""
        if self.on:
            self._causes.update(range(len(self._records)))

    def records(self) -> list[StepRecord]:
        """Return the records of all steps."""
        self._finish()
        return self._records

    def _finish(self) -> None:
        if self._process:
            if self.all_depend:
                self._accesses.add((EVERYTHING, True))
            self._records.append(
                StepRecord(
                    process=self._process,
                    accesses=frozenset(self._accesses),
                    causes=tuple(sorted(self._causes)),
                )
            )
        self._process = ""
        self._accesses = set()
        self._causes = set()
