"""A power cut at any moment of a run: the next server has all that was acknowledged before it."""

from __future__ import annotations

import asyncio
import copy
import random
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from alex_actors.store.database import open_writer
from bench.crash import client_of, until_steps
from bench.crash_checks import Checks, Told
from bench.crash_load import Load
from tests.faults.conftest import running_on
from tests.faults.disk import FaultyDisk
from tests.faults.power_cuts import Disk, Kind, Record, read_journal
from tests.live.process import ServerProcess

LOOKS = 40
"""How often what was acknowledged is noted, with the moment."""
STEPS = 5
"""How much clients do from one of these moments to the next."""
CUTS = 120
"""How many power cuts are tried on the files."""
STARTS = 2
"""How many of them are followed by the start of a server."""
pytestmark = pytest.mark.timeout(180)  # a start takes a second of CPU, and there may be little of it

SOON_AFTER = 12
"""Records after a moment by which the power is cut."""


class Moment(NamedTuple):
    """What had been acknowledged when the journal was so long."""

    told: Told
    journal: int


class Run(NamedTuple):
    """A run of a server under load: what it did to the disk, and what it had acknowledged when."""

    records: list[Record]
    moments: list[Moment]
    told: Told

    def cut(self, chance: random.Random, directory: Path) -> Told:
        """Write what a cut of the power leaves, and return what was acknowledged before it."""
        moment = chance.choice(self.moments)
        later = chance.randint(0, SOON_AFTER)
        disk = Disk()
        for record in self.records:
            if record.end > moment.journal:
                later -= 1
            if later < 0:
                break
            disk.take(record)
        directory.mkdir(parents=True)
        disk.write_after_cut(directory, chance)
        told = copy.deepcopy(moment.told)  # what was sent, but not answered, may have got as far as the disk
        told.perhaps_cancelled = self.told.perhaps_cancelled
        told.perhaps_interrupted = self.told.perhaps_interrupted
        told.perhaps_deleted = self.told.perhaps_deleted
        return told


async def _run(server: ServerProcess, disk: FaultyDisk, chance: random.Random) -> tuple[list[Moment], Told]:
    told, moments = Told(), []
    async with client_of(server) as client:
        work = asyncio.create_task(Load(told=told, client=client, randomness=chance, number=0).run())
        for _ in range(LOOKS):
            await until_steps(told, STEPS)
            moments.append(Moment(copy.deepcopy(told), disk.written()))
        work.cancel()
        await asyncio.wait([work])
    return moments, told


@pytest.fixture(scope="module")
def seed() -> int:
    return secrets.randbelow(1_000_000)


@pytest.fixture(scope="module")
def run(shim: Path, tmp_path_factory: pytest.TempPathFactory, seed: int) -> Run:
    """A run on a disk that was empty."""
    directory = tmp_path_factory.mktemp("run")
    disk = FaultyDisk(shim, directory)
    with running_on(disk, directory, recorded=True) as server:
        moments, told = asyncio.run(_run(server, disk, random.Random(seed)))
    return Run(list(read_journal(disk.journal)), moments, told)


def _recorded(directory: Path) -> tuple[str, dict[str, str], dict[int, str]]:
    """Return whether the database is intact, its tasks with their sessions, and its events with their types."""
    with closing(sqlite3.connect(directory / "alex.sqlite3")) as database:
        (intact,) = database.execute("PRAGMA integrity_check").fetchone()
        tasks = dict(database.execute("SELECT task_id, session_id FROM tasks JOIN sessions USING (session_key)"))
        events = dict(database.execute("SELECT event_id, event_type FROM events"))
    return intact, tasks, events


def test_what_was_acknowledged_is_there_after_a_power_cut(run: Run, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    assert run.told.wrong == [], f"seed {seed}"
    kinds = {record.kind for record in run.records}
    assert kinds >= {Kind.WRITE, Kind.SYNC, Kind.CREATE, Kind.SYNC_DIRECTORY}

    for number in range(CUTS):
        told = run.cut(chance, directory := tmp_path / "cuts" / str(number) / "data")
        intact, tasks, events = _recorded(directory)

        assert intact == "ok", f"seed {seed}, cut {number}"
        for task_id, session in told.sessions.items():
            if not told.is_deleted(task_id):
                assert tasks.get(task_id) == session, f"seed {seed}, cut {number}: {task_id}"
                seen = {one: event["event_type"] for one, event in told.events.get(task_id, {}).items()}
                assert {one: events.get(one) for one in seen} == seen, f"seed {seed}, cut {number}: {task_id}"
        assert not {one for one, session in tasks.items() if session in told.deleted}, f"seed {seed}, cut {number}"


def test_a_first_start_that_a_power_cut_ended_can_be_repeated(run: Run, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    first = run.records[: next(n for n, record in enumerate(run.records) if record.end > run.moments[0].journal)]

    for number in range(len(first)):
        disk, directory = Disk(), tmp_path / str(number)
        for record in first[:number]:
            disk.take(record)
        directory.mkdir()
        disk.write_after_cut(directory, chance)

        open_writer(directory / "alex.sqlite3", synchronous="OFF").dispose()

        assert _recorded(directory)[0] == "ok", f"seed {seed}, cut {number}"


def test_a_server_goes_on_after_a_power_cut(run: Run, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)

    for number in range(STARTS):
        directory = tmp_path / "starts" / str(number)
        told = run.cut(chance, directory / "data")
        server = ServerProcess(directory, forked=True)
        try:
            server.wait_until_listening()
            asyncio.run(_compare(server, told))
            assert told.wrong == [], f"seed {seed}, cut {number}"
            assert server.stop() == 0
            assert server.troubles() == []
        finally:
            server.kill()


async def _compare(server: ServerProcess, told: Told) -> None:
    async with client_of(server) as client:
        checks = Checks(told, client)
        await checks.keys([key for key, task_id in told.keys.items() if not told.is_deleted(task_id)])
        await checks.ends(within=30)
