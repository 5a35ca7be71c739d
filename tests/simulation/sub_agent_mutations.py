"""Sub-agents with one thing broken at a time: a part of the mutations."""

from __future__ import annotations

from alex_actors.simulation.deleted_sessions import DELETED
from alex_actors.simulation.families import CARRIES_PARENT, ENDS_WITH_PARENT, PARENTS_TURN
from alex_actors.simulation.invariants import ASKED_FOR, NOTHING_LEFT
from alex_actors.tracing.facts import IN_LINE
from tests.simulation import broken_sub_agents as broken
from tests.simulation.after_the_run import NOT_IN_LINE
from tests.simulation.delegating_agent import AT_ONCE, ITS_ANSWER, NEVER_OUTLIVES, ONE_PER_CALL
from tests.simulation.mutation import Mutation, server
from tests.simulation.whole_system import ANSWERED, NOT_TOO_MANY, TURN_COMES

SUB_AGENTS = (
    Mutation(
        "sub-agent in line",
        "A sub-agent waits until those before it in line have ended: its parent, which waits for it.",
        server(session=broken.WaitsInLine),
        (AT_ONCE, NOT_IN_LINE),
        sharing=True,
    ),
    Mutation(
        "sub-agent waits for room",
        "A sub-agent waits for room, which its parent has.",
        server(session=broken.WaitsForRoom),
        (AT_ONCE, NOT_IN_LINE),
        sharing=True,
    ),
    Mutation(
        "sub-agent takes room",
        "A sub-agent counts among the tasks that run.",
        server(session=broken.TakesRoom),
        (AT_ONCE, NOT_IN_LINE),
        sharing=True,
    ),
    Mutation(
        "sub-agent outlives its parent",
        "A sub-agent runs on when its parent is cancelled, ends or crashes.",
        server(session=broken.LetsThemOutlive),
        (NEVER_OUTLIVES,),
        sharing=True,
    ),
    Mutation(
        "stray sub-agent taken up",
        "A sub-agent goes on after a restart whose parent has ended.",
        server(session=broken.TakesUpStrays),
        (ENDS_WITH_PARENT, NEVER_OUTLIVES, PARENTS_TURN),
        sharing=True,
    ),
    Mutation(
        "turn passed on before sub-agents",
        "The session actor passes a turn on, though a sub-agent of who had it still runs.",
        server(session=broken.PassesOnBeforeThem),
        (PARENTS_TURN, IN_LINE, DELETED),
        sharing=True,
    ),
    Mutation(
        "another sub-agent each time",
        "A call that is repeated after an interruption makes another sub-agent.",
        server(sub_agents=broken.BeginsAnew),
        (ONE_PER_CALL, ITS_ANSWER),
        sharing=True,
    ),
    Mutation(
        "sub-agent not settled",
        "A tool that is stopped while it submits a sub-agent leaves its place in line held for ever.",
        server(sub_agents=broken.DoesNotSettle),
        (NOTHING_LEFT, TURN_COMES),
        sharing=True,
    ),
    Mutation(
        "parent not recorded",
        "A sub-agent's task is recorded without its parent.",
        server(staging=broken.ForgetsTheParent),
        (CARRIES_PARENT, ITS_ANSWER, ANSWERED, NOT_TOO_MANY, ASKED_FOR),
        sharing=True,
    ),
)
