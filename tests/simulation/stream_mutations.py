"""The server with one thing of its streams broken at a time: what the simulator must find in them."""

from __future__ import annotations

from alex_actors.simulation.invariants import EACH_ONCE, NOTHING_LEFT
from alex_actors.values import Value
from tests.simulation import broken_streams as followings
from tests.simulation import broken_transport as transport
from tests.simulation.mutation import server
from tests.simulation.simulated_streams import NOTHING_OPEN, ONE_THREAD
from tests.simulation.stream_readers import (
    CUT_OFF,
    ENDS,
    HEARTBEATS,
    NO_CONTENT,
    PROMPT,
    WELL_FORMED,
)
from tests.simulation.stream_scenario import LONG_POLL, Transport


class StreamMutation(Value, frozen=True):
    """The server with one thing of its streams broken."""

    name: str
    broken: str
    """What is broken, in words."""
    transport: Transport
    violates: tuple[str, ...]
    """The invariants of which a finding violates one."""


MUTATIONS = (
    # The thread that sends.
    StreamMutation(
        "wake lost",
        "That a stream was woken is forgotten after the look at its feed, and not before it.",
        Transport(streams=transport.LosesWakes),
        (PROMPT, EACH_ONCE, ENDS),
    ),
    StreamMutation(
        "woken once",
        "That a stream was woken is never forgotten.",
        Transport(streams=transport.IsWokenOnce),
        (PROMPT, EACH_ONCE),
    ),
    StreamMutation(
        "wake missed while away",
        "What a feed is woken for while another thread reads from it is not looked at.",
        Transport(streams=transport.MissesWhatComesMeanwhile),
        (PROMPT, EACH_ONCE),
    ),
    StreamMutation(
        "nobody rung",
        "The thread that sends is left asleep.",
        Transport(streams=transport.RingsNobody),
        (HEARTBEATS, EACH_ONCE),
    ),
    StreamMutation(
        "closed while it is read",
        "A feed is told that it is closed while another thread reads from it.",
        Transport(streams=transport.TellsReadersWhoRead),
        (ONE_THREAD,),
    ),
    StreamMutation(
        "offset kept",
        "What is sent next begins where the last was.",
        Transport(streams=transport.KeepsTheOffset),
        (WELL_FORMED,),
    ),
    StreamMutation(
        "heartbeat in a frame",
        "A heartbeat is sent while a frame is only partly taken.",
        Transport(streams=transport.BreaksIn),
        (WELL_FORMED, CUT_OFF),
    ),
    StreamMutation(
        "heartbeat cut short",
        "What another thread has read is sent before the rest of a heartbeat.",
        Transport(streams=transport.SendsOver),
        (WELL_FORMED,),
    ),
    StreamMutation(
        "late heartbeats",
        "A stream that was quiet for a moment less than ten seconds is looked at ten seconds later.",
        Transport(streams=transport.BeatsLate),
        (HEARTBEATS,),
    ),
    StreamMutation(
        "nobody cut off",
        "Who stops reading is kept for ever.",
        Transport(streams=transport.CutsNobodyOff),
        (CUT_OFF, NOTHING_OPEN),
    ),
    StreamMutation(
        "waits for a slow reader",
        "A frame is sent whole before the next reader's turn comes.",
        Transport(streams=transport.WaitsForEach),
        (PROMPT, HEARTBEATS),
    ),
    # What is sent.
    StreamMutation(
        "no greeting",
        "`connected` is missing.",
        Transport(feed=transport.GreetsNobody),
        (WELL_FORMED,),
    ),
    StreamMutation(
        "no end",
        "A task's stream stays open after its terminal event.",
        Transport(feed=transport.EndsNever),
        (ENDS, NOTHING_OPEN),
    ),
    StreamMutation(
        "frame of another event",
        "A frame is shared by events of a type.",
        Transport(frames=transport.SharesTooMuch),
        (EACH_ONCE,),
    ),
    StreamMutation(
        "replay joins live too early",
        "A stream goes live with its first page of what is recorded.",
        Transport(core=server(following=transport.JoinsTooEarly)),
        (EACH_ONCE,),
    ),
    StreamMutation(
        "gap at the switch",
        "A stream is live from its subscription on, without a look at what was committed just before.",
        Transport(core=server(following=followings.GapAtTheSwitch)),
        (EACH_ONCE,),
    ),
    StreamMutation(
        "204 too early",
        "Whether there is anything left to send is decided before it is known that the task has ended.",
        Transport(core=server(runtime=transport.LooksTooEarly)),
        (NO_CONTENT,),
    ),
    # Replies that wait.
    StreamMutation(
        "client who went remembered",
        "A client who waited for a reply, and has gone, leaves behind what would have woken him.",
        Transport(hold=transport.StaysWithTheServer),
        (NOTHING_LEFT, NOTHING_OPEN),
    ),
    StreamMutation(
        "long poll answered at its timeout",
        "Who waits for a task's end is not woken by it.",
        Transport(core=server(followings=transport.WakesAtTheTimeout)),
        (LONG_POLL,),
    ),
)
