"""The server with one thing broken at a time: what the simulator must find, each within a few hundred seeds."""

from __future__ import annotations

from alex_actors.simulation.confirmations import INTERRUPTED, REJECTED
from alex_actors.simulation.deleted_sessions import DELETED
from alex_actors.simulation.invariants import (
    ASKED_FOR,
    EACH_ONCE,
    NEVER_FAILED_UNSTARTED,
    NOTHING_LEFT,
    RECORDED_BEFORE_TOLD,
)
from alex_actors.simulation.resumptions import ALL_LOGGED, NOTHING_LOST
from alex_actors.tracing.facts import ALL_TOLD, GOES_ON, IN_LINE, ONE_END, ONE_SESSION, RECORDED_FIRST
from tests.simulation import broken_agents as agents
from tests.simulation import broken_sessions as sessions
from tests.simulation import broken_stores as stores
from tests.simulation import broken_streams as streams
from tests.simulation.after_the_run import FILLED_AT_ONCE, IN_TIME, NOT_IN_LINE, TURN_ONCE
from tests.simulation.chancy_agent import RECORDED_BEFORE_EFFECT
from tests.simulation.deletion_mutations import DELETIONS
from tests.simulation.mutation import Mutation, server
from tests.simulation.original_bug import HandMadeCore
from tests.simulation.paying_agent import EFFECT_ONCE
from tests.simulation.recovery_mutations import KEYS, RECOVERIES
from tests.simulation.sub_agent_mutations import SUB_AGENTS
from tests.simulation.whole_system import ANSWERED, NOT_TOO_MANY, NOT_TOO_MANY_UNFINISHED, TURN_COMES

ORIGINAL_BUG = Mutation(
    "original bug",
    "A task is recorded under no session; its agent makes one later, and reports its progress under that.",
    HandMadeCore,
    (ONE_SESSION,),
)

MUTATIONS = (
    ORIGINAL_BUG,
    # Submits.
    Mutation(
        "start before create",
        "The agent is started as soon as the session is confirmed, before its task is recorded.",
        server(runtime=sessions.StartsBeforeCreate),
        (RECORDED_FIRST,),
    ),
    Mutation(
        "create answered before commit",
        "A submit is answered, and the agent started, before the task is committed.",
        server(store=stores.AnswersCreateFirst),
        (RECORDED_FIRST, NOTHING_LOST, ANSWERED, IN_LINE),
    ),
    Mutation(
        "nobody settles",
        "A worker that gives up leaves its place in line held for ever.",
        server(runtime=sessions.LeavesItOpen),
        (NOTHING_LEFT, TURN_COMES),
    ),
    Mutation(
        "agent launched twice",
        "A worker that was taken to have given up, and the session actor that settles it, both start the agent.",
        server(runtime=sessions.SettlesAlways, launcher=sessions.LaunchesTwice),
        (NOTHING_LEFT, ONE_END, TURN_ONCE),
    ),
    Mutation(
        "old confirmations taken",
        "The store records what a session actor confirmed that is gone, and its successor knows nothing of it.",
        server(runtime=sessions.TakesItsTime, store=stores.FencesNobody),
        (ASKED_FOR, ONE_END, TURN_COMES, NOTHING_LOST, NOTHING_LEFT, DELETED),
    ),
    # Turns.
    Mutation(
        "second run started",
        "A turn is granted twice, and the agent runs at each grant.",
        server(session=sessions.GrantsTwice, agent=agents.RunsAgain),
        (ONE_END, TURN_ONCE),
    ),
    Mutation(
        "grant sent twice",
        "A turn is granted twice, which the agent's actor takes no notice of.",
        server(session=sessions.GrantsTwice),
        (TURN_ONCE,),
    ),
    Mutation(
        "unrecorded tasks overlooked",
        "An `enqueue` task does not wait for one that was confirmed before it, and is being recorded still.",
        server(session=sessions.OverlooksTheUnrecorded),
        (IN_LINE,),
    ),
    Mutation(
        "turn passed on at the end",
        "The session actor passes the turn on when the end is recorded, though the agent still runs.",
        server(session=sessions.PassesOnAtTheEnd),
        (IN_LINE, NOT_TOO_MANY, DELETED),
    ),
    Mutation(
        "agent's actor leaves early",
        "An agent's actor says that its turn is over as soon as the end is recorded, though the agent still runs.",
        server(agent=agents.LeavesEarly),
        (IN_LINE, NOT_TOO_MANY, DELETED),
    ),
    Mutation(
        "turn ended before the end",
        "An agent's actor says that its turn is over when it has given its agent up.",
        server(agent=agents.SaysSoTooEarly),
        (IN_LINE, NOT_TOO_MANY, NEVER_FAILED_UNSTARTED, DELETED),
    ),
    Mutation(
        "end of turn not told",
        "An agent's actor stops without a word to who waits for its turn.",
        server(agent=agents.ForgetsTheTurn),
        (NOTHING_LEFT, TURN_COMES),
    ),
    Mutation(
        "room not given back",
        "A task that has ended still counts among those that run.",
        server(session=sessions.KeepsTheRoom),
        (TURN_COMES,),
    ),
    Mutation(
        "interrupt interrupts nobody",
        "A task that is to `interrupt` waits for those before it, and cancels none.",
        server(session=sessions.InterruptsNobody),
        (INTERRUPTED,),
    ),
    Mutation(
        "reject taken",
        "A `reject` task is taken although another one of its session is unfinished.",
        server(session=sessions.RejectsNothing),
        (REJECTED,),
    ),
    Mutation(
        "parallel in line",
        "A `parallel` task waits until those before it have ended.",
        server(session=sessions.ParallelInLine),
        (NOT_IN_LINE,),
    ),
    Mutation(
        "too many unfinished",
        "As many tasks are taken as come.",
        server(session=sessions.TakesAnyNumber),
        (NOT_TOO_MANY_UNFINISHED,),
    ),
    # Cancels.
    Mutation(
        "early cancel forgotten",
        "A cancel that comes before the agent is there is forgotten.",
        server(session=sessions.ForgetsEarlyCancels),
        (ANSWERED, INTERRUPTED, DELETED),
    ),
    Mutation(
        "cancel answered at once",
        "A cancel is answered before the task's end is recorded.",
        server(session=sessions.CancelsAtOnce),
        (ONE_END,),
    ),
    Mutation(
        "cancel without interruption",
        "A cancelled task's end is recorded, and its agent goes on.",
        server(agent=agents.NeverInterrupts),
        (NOTHING_LEFT, NOTHING_LOST, RECORDED_BEFORE_EFFECT, TURN_COMES),
    ),
    Mutation(
        "terminal event twice",
        "A cancel that meets a finish ends the task twice, and the store takes both.",
        server(agent=agents.EndsTwice, store=stores.TakesMoreAfterTheEnd),
        (ONE_END, RECORDED_BEFORE_TOLD),
    ),
    Mutation(
        "timeout forgotten",
        "A task runs on when its timeout is over.",
        server(agent=agents.NeverTimesOut),
        (IN_TIME,),
    ),
    # What is recorded.
    Mutation(
        "events after the end",
        "The store records the crash of an agent's actor whose task has ended.",
        server(store=stores.TakesMoreAfterTheEnd),
        (ONE_END, RECORDED_BEFORE_TOLD, EACH_ONCE, NOTHING_LOST),
    ),
    Mutation(
        "record answered before commit",
        "The store answers for events before they are committed.",
        server(store=stores.AnswersRecordFirst),
        (RECORDED_BEFORE_EFFECT, ONE_END, NOTHING_LOST, TURN_COMES, IN_LINE, NEVER_FAILED_UNSTARTED),
    ),
    Mutation(
        "checkpoint passed early",
        "An agent goes on after a checkpoint before the last of what it said is committed.",
        agents.RunsAhead,
        (RECORDED_BEFORE_EFFECT, EFFECT_ONCE),
    ),
    Mutation(
        "repeats recorded twice",
        "A Record that is sent again is recorded again.",
        server(staging=stores.TakesRepeats),
        (NOTHING_LOST, RECORDED_BEFORE_EFFECT),
    ),
    Mutation(
        "gaps recorded",
        "A Record is taken although one before it was lost.",
        server(staging=stores.TakesGaps),
        (NOTHING_LOST, RECORDED_BEFORE_EFFECT, NEVER_FAILED_UNSTARTED),
    ),
    Mutation(
        "lost record not sent again",
        "What was sent to a store that crashed is not sent again.",
        server(agent=agents.NeverSendsAgain),
        (TURN_COMES, NOTHING_LOST, NOTHING_LEFT),
    ),
    Mutation(
        "gap filled later",
        "An agent's actor that hears that records are missing waits until it is time to send again.",
        server(agent=agents.FillsNoGaps),
        (FILLED_AT_ONCE,),
    ),
    Mutation(
        "two commits",
        "An event and the state that it makes are committed one after the other, and a crash comes between.",
        stores.TwoCommits,
        (RECORDED_BEFORE_TOLD, EACH_ONCE, ONE_END, NOTHING_LOST, RECORDED_BEFORE_EFFECT, IN_LINE),
    ),
    Mutation(
        "ids that do not grow",
        "An event's id is below that of an event before it.",
        server(store=stores.SwapsIds),
        (ALL_TOLD, RECORDED_FIRST, RECORDED_BEFORE_TOLD, EACH_ONCE),
    ),
    # Streams.
    Mutation(
        "publish before commit",
        "Events are published while their transaction is open.",
        server(store=stores.PublishesFirst),
        (RECORDED_BEFORE_TOLD,),
    ),
    Mutation(
        "gap at the switch",
        "A stream is live from its subscription on, without a look at what was committed just before.",
        server(following=streams.GapAtTheSwitch),
        (EACH_ONCE,),
    ),
    Mutation(
        "repeat at the switch",
        "A stream gives what is both in the store and in memory twice.",
        server(following=streams.RepeatsAtTheSwitch),
        (EACH_ONCE,),
    ),
    Mutation(
        "stream not woken",
        "Nobody is woken for what is published.",
        server(following=streams.SleepsOn),
        (EACH_ONCE,),
    ),
    Mutation(
        "publish in the wrong order",
        "What is committed together is published last first.",
        server(broadcaster=streams.LastFirst),
        (EACH_ONCE,),
    ),
    # Deletions.
    *DELETIONS,
    # Restarts.
    Mutation(
        "nobody subscribes again",
        "Streams do not subscribe again with a broadcaster that was restarted.",
        server(followings=streams.NobodySubscribesAgain),
        (EACH_ONCE,),
    ),
    Mutation(
        "committed and never published",
        "A store that was restarted does not publish what was committed just before.",
        server(store=stores.PublishesNoMore),
        (ALL_TOLD, ALL_LOGGED, EACH_ONCE),
    ),
    Mutation(
        "counters go back",
        "A store that was restarted counts from nothing.",
        server(store=stores.CountsAnew),
        (RECORDED_BEFORE_TOLD,),
    ),
    Mutation(
        "restart of the store not told",
        "The session actor does not say again what a store that crashed may have lost.",
        stores.RestartsInSilence,
        (NOTHING_LEFT, TURN_COMES),
    ),
    Mutation(
        "crash not recorded",
        "A task whose agent's actor crashed gets no end.",
        server(session=sessions.LosesCrashes),
        (TURN_COMES, NOTHING_LOST),
    ),
    Mutation(
        "crash leaves the agent running",
        "An agent's actor crashes, and passes the turn on without stopping its agent.",
        server(agent=agents.CrashesAway),
        (NOT_TOO_MANY, IN_LINE, NOTHING_LEFT, DELETED),
    ),
    Mutation(
        "crash keeps the turn",
        "An agent's actor crashes, and its turn is never over.",
        server(agent=agents.CrashesSilently),
        (TURN_COMES, NOTHING_LEFT),
    ),
    Mutation(
        "turns given before all are heard",
        "A session actor that was restarted gives turns before the agents have said which of them run.",
        server(session=sessions.DoesNotWait),
        (TURN_ONCE, NOT_TOO_MANY, IN_LINE),
    ),
    Mutation(
        "places forgotten at a restart",
        "A session actor that was restarted takes no task from the store.",
        server(session=sessions.ForgetsTheUnfinished),
        (ASKED_FOR, ONE_END, TURN_COMES),
    ),
    Mutation(
        "recovery forgets tasks",
        "What a process that was killed left unfinished stays so.",
        stores.ForgetsItsTasks,
        (GOES_ON, ALL_LOGGED, TURN_COMES, NOTHING_LOST, ONE_END, IN_LINE, ASKED_FOR, DELETED),
    ),
    Mutation(
        "revoke not said again",
        "What the session actor asked of a store that crashed, about a worker that gave up, is lost.",
        server(session=sessions.RevokesOnce, runtime=sessions.SettlesAlways),
        (
            TURN_COMES,
            NOTHING_LEFT,
        ),
    ),
    Mutation(
        "late agent left waiting",
        "An agent that is launched after its task has ended waits for its turn for ever.",
        server(session=sessions.LeavesLateAgents, runtime=sessions.LaunchesLate),
        (
            NOTHING_LEFT,
            TURN_COMES,
        ),
    ),
    Mutation(
        "unlaunched task failed",
        "A session actor that was restarted fails a recorded task whose agent was not launched yet.",
        server(session=sessions.FailsTheUnlaunched),
        (NEVER_FAILED_UNSTARTED, NOTHING_LEFT),
    ),
    Mutation(
        "stop told before it is noted",
        "An agent's actor says that its turn is over, and only then notes that its agent has stopped.",
        server(agent=agents.TellsBeforeItNotes),
        (
            NOTHING_LEFT,
            TURN_COMES,
        ),
    ),
    Mutation(
        "crashed agent takes no room",
        "A session actor that was restarted forgets an agent that runs, because its actor has crashed meanwhile.",
        server(session=sessions.OverlooksTheCrashed, agent=agents.CrashesWhenAsked),
        (NOT_TOO_MANY,),
    ),
    *RECOVERIES,
    # Idempotency keys, and owners.
    *KEYS,
    # Sub-agents.
    *SUB_AGENTS,
    # What is left behind.
    Mutation(
        "actor left behind",
        "An agent's actor does not stop.",
        server(agent=agents.StaysBehind),
        (NOTHING_LEFT,),
    ),
    Mutation(
        "timer left behind",
        "A task's deadline is waited for after its end.",
        server(agent=agents.LeavesTimers),
        (NOTHING_LEFT,),
    ),
    Mutation(
        "agent remembered for ever",
        "A task that has ended is not forgotten.",
        server(launcher=sessions.NeverForgets),
        (NOTHING_LEFT,),
    ),
    Mutation(
        "registration left behind",
        "A stream that is closed stays with the broadcaster.",
        server(followings=streams.StaysRegistered),
        (NOTHING_LEFT,),
    ),
)
