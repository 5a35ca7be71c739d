"""Restarts, idempotency keys and owners with one thing broken at a time: a part of the mutations."""

from __future__ import annotations

from alex_actors.simulation.deleted_sessions import DELETED
from alex_actors.simulation.invariants import EACH_ONCE, NOTHING_LEFT
from alex_actors.simulation.resumptions import ALL_LOGGED, NOTHING_LOST
from alex_actors.tracing.facts import GOES_ON, IN_LINE, ONE_END, RECORDED_FIRST
from tests.simulation import broken_keys as keys
from tests.simulation import broken_recoveries as recoveries
from tests.simulation.after_the_run import IN_TIME, TURN_ONCE
from tests.simulation.keyed_clients import ACTS_ONCE, KEY_OF_THE_TEXT, KEY_WITH_ITS_TASK, ONE_PER_KEY
from tests.simulation.mutation import Mutation, server
from tests.simulation.whole_system import ANSWERED, NEVER_MEET, TURN_COMES

RECOVERIES = (
    Mutation(
        "agent starts from scratch",
        "An agent that goes on after a restart is given nothing of what is recorded.",
        server(agent=recoveries.StartsFromScratch),
        (GOES_ON, NOTHING_LOST),
    ),
    Mutation(
        "started again",
        "Of a task that goes on it is recorded that it has started once more.",
        server(agent=recoveries.StartsAgain),
        (GOES_ON, NOTHING_LOST),
    ),
    Mutation(
        "history without its end",
        "The store leaves out the last event when it tells an agent what is recorded.",
        server(store=recoveries.TellsTooLittle),
        (GOES_ON,),
    ),
    Mutation(
        "history told twice",
        "An agent goes on each time that its actor is told of what is recorded.",
        server(agent=recoveries.ResumesTwice),
        (GOES_ON, ONE_END),
    ),
    Mutation(
        "history asked for once",
        "An agent's actor does not ask again when the store crashed before it said what is recorded.",
        server(agent=recoveries.AsksOnce),
        (TURN_COMES, NOTHING_LEFT),
    ),
    Mutation(
        "tasks go on out of line",
        "After a restart, all tasks that were unfinished go on at once.",
        server(session=recoveries.ResumesOutOfLine),
        (IN_LINE,),
    ),
    Mutation(
        "task goes on beside itself",
        "A session actor that was restarted starts agents that are there.",
        server(session=recoveries.ResumesBesideTheTwin, launcher=recoveries.TwinLauncher),
        (ONE_END, GOES_ON, TURN_ONCE, NOTHING_LEFT),
    ),
    Mutation(
        "time counted anew",
        "A task that goes on after a restart has all of its time again.",
        server(agent=recoveries.CountsTimeAnew),
        (IN_TIME,),
    ),
    Mutation(
        "recovery not logged",
        "The log says nothing of the tasks that a process has found unfinished.",
        server(staging=recoveries.LogsNoRecovery),
        (ALL_LOGGED,),
    ),
    Mutation(
        "ended and not taken up",
        "Tasks end as interrupted, though they are to go on.",
        recoveries.EndsThemAllTheSame,
        (GOES_ON,),
    ),
)

KEYS = (
    Mutation(
        "key released before the commit",
        "An idempotency key is released when the session is confirmed, before its task is recorded.",
        server(runtime=keys.ReleasesTooEarly),
        (ONE_PER_KEY, ACTS_ONCE, KEY_WITH_ITS_TASK),
    ),
    Mutation(
        "key read before it is claimed",
        "A submit looks whether its key was used, and then waits until it has it.",
        server(runtime=keys.ReadsTooEarly),
        (ONE_PER_KEY, ACTS_ONCE, KEY_WITH_ITS_TASK),
    ),
    Mutation(
        "key with any text",
        "A key's task is the answer whatever text comes with the key.",
        server(runtime=keys.TakesAnyText),
        (KEY_OF_THE_TEXT,),
    ),
    Mutation(
        "claim never released",
        "A submit that gives up keeps its key claimed.",
        server(session=keys.KeepsTheClaims),
        (NOTHING_LEFT, ANSWERED),
    ),
    Mutation(
        "claim of before a crash",
        "A session actor that was restarted confirms what was claimed with the one before it.",
        server(session=keys.TrustsOldClaims),
        (ONE_PER_KEY, ACTS_ONCE, KEY_WITH_ITS_TASK),
    ),
    Mutation(
        "key recorded apart",
        "A key is recorded in a transaction of its own, which may fail alone.",
        keys.KeysApart,
        (ONE_PER_KEY, ACTS_ONCE, KEY_WITH_ITS_TASK),
    ),
    Mutation(
        "owners in one line",
        "Sessions of the same ID, of several owners, are one session to the session actor.",
        server(session=keys.MixesOwners),
        (NEVER_MEET, IN_LINE, DELETED, RECORDED_FIRST),
    ),
    Mutation(
        "owners in one stream",
        "Who follows a session hears of all owners' sessions of that ID.",
        server(broadcaster=keys.TellsEverybody),
        (EACH_ONCE, NOTHING_LEFT),
    ),
)
