"""The server with one actor replaced by a variant that crashes; run by a test as a script.

python crashing_server.py (session|store|broadcaster|agent|server)[-once] serve …

With ``-once`` the variant crashes on one message; otherwise on every one of its kind.
"""

from __future__ import annotations

import sys

import alex_runtime
from alex_actors.agent_actor import AgentActor
from alex_actors.agent_launcher import AgentLauncher
from alex_actors.agent_protocol import AgentMessage, TurnGranted
from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.broadcaster_protocol import BroadcasterMessage
from alex_actors.core import Core
from alex_actors.session_actor import SessionActor
from alex_actors.session_protocol import RequestTurn, SessionMessage
from alex_actors.task_store_actor import TaskStoreActor
from alex_actors.task_store_protocol import Create, TaskStoreMessage
from alex_http.command_line import main
from alex_http.transport import Server


class Broken(Exception):
    """What the variants raise."""


class Crashes:
    """How often to crash: this process runs nothing else."""

    left = 1_000_000

    @classmethod
    def crash(cls, on: object) -> None:
        """Raise, unless it was often enough."""
        if cls.left:
            cls.left -= 1
            raise Broken(type(on).__name__)


class BrokenSession(SessionActor):
    def on_receive(self, message: SessionMessage) -> object:
        if isinstance(message, RequestTurn):
            Crashes.crash(message)
        return super().on_receive(message)


class BrokenStore(TaskStoreActor):
    def on_receive(self, message: TaskStoreMessage) -> object:
        if isinstance(message, Create):
            Crashes.crash(message)
        return super().on_receive(message)


class BrokenBroadcaster(BroadcasterActor):
    def on_receive(self, message: BroadcasterMessage) -> None:
        Crashes.crash(message)
        super().on_receive(message)


class BrokenAgent(AgentActor):
    def on_receive(self, message: AgentMessage) -> object:
        if isinstance(message, TurnGranted):
            Crashes.crash(message)
        return super().on_receive(message)


class BrokenServer(Server):
    def serve(self) -> None:
        raise Broken


if __name__ == "__main__":
    broken, _, once = sys.argv.pop(1).partition("-")
    if once:
        Crashes.left = 1
    # The wiring, with another class in one place: this process runs nothing else.
    match broken:
        case "session":
            Core.session_class = BrokenSession
        case "store":
            Core.store_class = BrokenStore
        case "broadcaster":
            Core.broadcaster_class = BrokenBroadcaster
        case "agent":
            AgentLauncher.agent_class = BrokenAgent
        case "server":
            vars(alex_runtime)["Server"] = BrokenServer
    main()
