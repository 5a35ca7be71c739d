"""The server with one actor replaced by a variant that crashes on its first message; run by a test as a script.

python crashing_server.py (session|store|broadcaster|agent|server) serve …
"""

from __future__ import annotations

import sys

import alex_runtime
from alex_actors import agent_launcher
from alex_actors.agent_actor import AgentActor
from alex_actors.agent_protocol import AgentMessage, TurnGranted
from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.broadcaster_protocol import BroadcasterMessage
from alex_actors.session_actor import SessionActor
from alex_actors.session_protocol import SessionMessage
from alex_actors.task_store_actor import TaskStoreActor
from alex_actors.task_store_protocol import Create, TaskStoreMessage
from alex_http.server import Server


class Broken(Exception):
    """What the variants raise."""


class BrokenSession(SessionActor):
    def on_receive(self, message: SessionMessage) -> object:
        raise Broken(type(message).__name__)


class BrokenStore(TaskStoreActor):
    def on_receive(self, message: TaskStoreMessage) -> object:
        if isinstance(message, Create):
            raise Broken
        return super().on_receive(message)


class BrokenBroadcaster(BroadcasterActor):
    def on_receive(self, message: BroadcasterMessage) -> None:
        raise Broken(type(message).__name__)


class BrokenAgent(AgentActor):
    def on_receive(self, message: AgentMessage) -> None:
        if isinstance(message, TurnGranted):
            raise Broken
        super().on_receive(message)


class BrokenServer(Server):
    def serve(self) -> None:
        raise Broken


if __name__ == "__main__":
    broken = sys.argv.pop(1)
    # The wiring, with another class in one place: this process runs nothing else.
    match broken:
        case "session":
            vars(alex_runtime)["SessionActor"] = BrokenSession
        case "store":
            vars(alex_runtime)["TaskStoreActor"] = BrokenStore
        case "broadcaster":
            vars(alex_runtime)["BroadcasterActor"] = BrokenBroadcaster
        case "agent":
            vars(agent_launcher)["AgentActor"] = BrokenAgent
        case "server":
            vars(alex_runtime)["Server"] = BrokenServer
    alex_runtime.main()
