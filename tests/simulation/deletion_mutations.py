"""The deletion of sessions with one thing broken at a time: a part of the mutations."""

from __future__ import annotations

from alex_actors.simulation.deleted_sessions import DELETED, DELETED_BEFORE_TOLD
from alex_actors.simulation.invariants import EACH_ONCE, NOTHING_LEFT, RECORDED_BEFORE_TOLD
from tests.simulation import broken_deletions as deletions
from tests.simulation.chancy_agent import RECORDED_BEFORE_EFFECT
from tests.simulation.deleting_clients import REFUSED_MEANWHILE
from tests.simulation.mutation import Mutation, server
from tests.simulation.watches import STREAM_ENDS

DELETIONS = (
    Mutation(
        "deletion does not wait",
        "A session is deleted while its agents still stop.",
        server(session=deletions.DoesNotWaitForAgents),
        (DELETED, RECORDED_BEFORE_EFFECT, RECORDED_BEFORE_TOLD, NOTHING_LEFT),
    ),
    Mutation(
        "deletion cancels nobody",
        "A session is deleted when its tasks have ended by themselves.",
        server(session=deletions.CancelsNobody),
        (DELETED,),
    ),
    Mutation(
        "tasks taken while deleting",
        "A session that is being deleted takes new tasks.",
        server(session=deletions.TakesMoreMeanwhile),
        (REFUSED_MEANWHILE,),
    ),
    Mutation(
        "session left",
        "A session is said to be deleted, and stays, without its tasks.",
        deletions.LeavesTheSession,
        (DELETED,),
    ),
    Mutation(
        "deletion told before commit",
        "It is published that a session is deleted, and then it is.",
        server(store=deletions.PublishesDeletionFirst),
        (DELETED_BEFORE_TOLD, EACH_ONCE),
    ),
    Mutation(
        "deletion not told",
        "Nobody hears that a session is deleted.",
        server(store=deletions.DeletesInSilence),
        (DELETED_BEFORE_TOLD, STREAM_ENDS, REFUSED_MEANWHILE),
    ),
    Mutation(
        "deletion forgotten at a restart",
        "A store that was restarted does not publish that a session was deleted just before.",
        server(store=deletions.ForgetsItsDeletion),
        (DELETED_BEFORE_TOLD, STREAM_ENDS, REFUSED_MEANWHILE),
    ),
    Mutation(
        "deletion not told again",
        "The session actor does not have a store that was restarted delete what the other had not deleted.",
        server(session=deletions.TellsOnce),
        (NOTHING_LEFT,),
    ),
    Mutation(
        "stream of a deleted session",
        "A stream goes on when its session is deleted.",
        server(following=deletions.HearsNoEnd),
        (STREAM_ENDS,),
    ),
)
