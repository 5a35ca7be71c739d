"""Agents, models and approvals with one thing broken at a time: what the simulator must find in their scenario."""

from __future__ import annotations

from alex_actors.simulation.invariants import NOTHING_LEFT
from alex_actors.values import Value
from tests.simulation import broken_approvals as approvals
from tests.simulation import broken_react as react
from tests.simulation.after_react import (
    ASKED_ONCE,
    COUNTED,
    DENIED,
    IN_ORDER,
    JOINED,
    LAPSES,
    LEADS_ON,
    NEVER_SHRINKS,
)
from tests.simulation.after_the_run import ONLY_WHAT_IS_WANTED
from tests.simulation.approvers import HEARD, WORD_KEPT
from tests.simulation.chancy_provider import (
    FOR_WHO_RUNS,
    LEFT_ALONE,
    SAID_BEFORE,
    SHORTER,
    TOLD_THE_RECORD,
    TRIED_ENOUGH,
    WITHIN_BUDGET,
)
from tests.simulation.guarded_tools import ALONE, APPROVED_FIRST, AS_RECORDED
from tests.simulation.mutation import server
from tests.simulation.paying_agent import EFFECT_ONCE
from tests.simulation.react_system import COMES_TO_AN_END, Parts


class ReactMutation(Value, frozen=True):
    """The agent, its model or its approvals with one thing broken."""

    name: str
    broken: str
    """What is broken, in words."""
    parts: Parts
    violates: tuple[str, ...]
    """The invariants of which a finding violates one."""


REACT_MUTATIONS = (
    # People's words.
    ReactMutation(
        "approval not awaited",
        "A call that needs a person's word is run without one.",
        Parts(agent=react.agent(hands=react.AsksNobody)),
        (APPROVED_FIRST, DENIED),
    ),
    ReactMutation(
        "decision taken before the commit",
        "A call is run as soon as somebody has approved of it, before that is on record.",
        Parts(core=approvals.running(approvals.ActsBeforeTheCommit)),
        (APPROVED_FIRST,),
    ),
    ReactMutation(
        "every word counts",
        "Who answers second is told that his word is recorded.",
        Parts(core=approvals.approving(approvals.EveryWordCounts)),
        (WORD_KEPT,),
    ),
    ReactMutation(
        "word answered before the commit",
        "Who answers is told that his word is recorded before it is.",
        Parts(core=approvals.approving(approvals.AnswersAtOnce)),
        (WORD_KEPT,),
    ),
    ReactMutation(
        "requests asked again",
        "What runs an agent knows nothing after a restart of what was asked and decided before.",
        Parts(core=approvals.running(approvals.AsksAgain)),
        (ASKED_ONCE, DENIED),
    ),
    ReactMutation(
        "requests forgotten",
        "A task's actor knows nothing after a restart of the calls that wait.",
        Parts(core=approvals.approving(approvals.ForgetsRequests)),
        (HEARD, LAPSES, COMES_TO_AN_END),
    ),
    ReactMutation(
        "time of a request counted anew",
        "A request that waited before a restart has all of its time again.",
        Parts(core=approvals.approving(approvals.CountsTimeAnew)),
        (LAPSES,),
    ),
    ReactMutation(
        "requests never lapse",
        "A request waits for ever.",
        Parts(core=approvals.approving(approvals.NeverLapses)),
        (LAPSES,),
    ),
    ReactMutation(
        "time of a request left behind",
        "The time of a request goes on when it is decided, and when its task has ended.",
        Parts(core=approvals.approving(approvals.LeavesTimers)),
        (NOTHING_LEFT,),
    ),
    # Tools.
    ReactMutation(
        "the denied is run",
        "A call is run whatever was decided on it.",
        Parts(agent=react.agent(hands=react.RunsTheDenied)),
        (APPROVED_FIRST, DENIED),
    ),
    ReactMutation(
        "changed arguments ignored",
        "A call is run with the model's arguments, though a person has put others in their place.",
        Parts(agent=react.agent(thinker=react.IgnoresChanges)),
        (APPROVED_FIRST,),
    ),
    ReactMutation(
        "changed arguments not recorded",
        "The start of a call is recorded without what a person has put in place of its arguments.",
        Parts(agent=react.agent(hands=react.RecordsTheModels)),
        (AS_RECORDED,),
    ),
    ReactMutation(
        "tool run before it is on record",
        "What must not run twice is begun before that is on record.",
        Parts(agent=react.agent(hands=react.NoCheckpoint)),
        (EFFECT_ONCE,),
    ),
    ReactMutation(
        "tool run again",
        "What must not run twice is run again after an interruption.",
        Parts(agent=react.agent(hands=react.RunsAgain)),
        (EFFECT_ONCE,),
    ),
    ReactMutation(
        "all side by side",
        "A tool that is to run alone runs beside others.",
        Parts(agent=react.agent(hands=react.AllAtOnce)),
        (ALONE,),
    ),
    ReactMutation(
        "last call first",
        "The calls of a turn run from the last to the first.",
        Parts(agent=react.agent(hands=react.LastFirst)),
        (IN_ORDER,),
    ),
    # What a model is asked, and what it says.
    ReactMutation(
        "model asked unrecorded",
        "The model is asked before what came before is on record.",
        Parts(agent=react.agent(thinker=react.AsksUnrecorded)),
        (TOLD_THE_RECORD,),
    ),
    ReactMutation(
        "last task forgotten",
        "A task is told all that was said in its session before it but the last.",
        Parts(agent=react.ForgetsTheLast),
        (SAID_BEFORE,),
    ),
    ReactMutation(
        "call never hung up",
        "What a model says is read to its end when nobody listens any more.",
        Parts(agent=react.agent(thinker=react.NeverHangsUp)),
        (FOR_WHO_RUNS,),
    ),
    ReactMutation(
        "overlong conversation sent again",
        "A conversation that was too long is sent again as it was.",
        Parts(agent=react.agent(thinker=react.AsksTheSameAgain)),
        (SHORTER,),
    ),
    ReactMutation(
        "budget forgotten",
        "The model is asked again by a task that has used as much as it may.",
        Parts(agent=react.agent(thinker=react.ForgetsTheBudget)),
        (WITHIN_BUDGET,),
    ),
    ReactMutation(
        "usage counted twice",
        "What models took before a restart is counted twice after it.",
        Parts(agent=react.agent(log=react.CountsTwice)),
        (COUNTED,),
    ),
    ReactMutation(
        "usage counted from nothing",
        "What a task has used is counted anew when it goes on after a restart.",
        Parts(core=server(staging=react.CountsFromNothing)),
        (NEVER_SHRINKS,),
    ),
    ReactMutation(
        "agent stumbles",
        "The agent raises something of its own when the model wants three calls at once.",
        Parts(agent=react.agent(thinker=react.Stumbles)),
        (ONLY_WHAT_IS_WANTED,),
    ),
    # When models fail.
    ReactMutation(
        "each error the last",
        "An attempt that failed is told of as an error that ends the task, which goes on.",
        Parts(agent=react.agent(thinker=react.TellsTheWorst)),
        (LEADS_ON,),
    ),
    ReactMutation(
        "pieces of failed attempts kept",
        "Nothing is said of an attempt that failed, and its pieces are taken for those of the next.",
        Parts(model=react.TriesInSilence),
        (JOINED,),
    ),
    ReactMutation(
        "overflow in silence",
        "Nothing is said of an answer that had begun when the conversation was found too long.",
        Parts(agent=react.agent(thinker=react.OverflowsInSilence)),
        (JOINED,),
    ),
    ReactMutation(
        "tried for ever",
        "A model is asked again that would fail again.",
        Parts(model=react.TriesForEver),
        (TRIED_ENOUGH,),
    ),
    ReactMutation(
        "spent on failed attempts forgotten",
        "What attempts took that failed is not counted.",
        Parts(model=react.ForgetsTheSpent),
        (COUNTED,),
    ),
    ReactMutation(
        "breaker never opens",
        "A model that does not work is asked all the time.",
        Parts(breaker=react.NeverOpens),
        (LEFT_ALONE,),
    ),
    ReactMutation(
        "breaker lets all try",
        "When the pause is over, all ask at once.",
        Parts(breaker=react.ManyProbes),
        (LEFT_ALONE,),
    ),
    ReactMutation(
        "probe never returns",
        "All wait for a probe that was given up.",
        Parts(breaker=react.ProbeNeverReturns),
        (COMES_TO_AN_END,),
    ),
)
