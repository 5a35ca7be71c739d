"""The server with one thing broken at a time: what the simulator must find, each in few seeds."""

from __future__ import annotations

from alex_actors.agent_actor import AgentActor
from alex_actors.agent_launcher import AgentLauncher
from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.core import Core
from alex_actors.following import Following, Followings
from alex_actors.runtime import ActorRuntime
from alex_actors.session_actor import SessionActor
from alex_actors.simulation.invariants import (
    EACH_ONCE,
    IN_LINE,
    NOTHING_LEFT,
    NOTHING_LOST,
    ONE_END,
    ONE_SESSION,
    RECORDED_BEFORE_TOLD,
    RECORDED_FIRST,
)
from alex_actors.store.staging import Staging
from alex_actors.task_store_actor import TaskStoreActor
from alex_actors.values import Value
from tests.simulation import broken_agents, broken_sessions, broken_stores, broken_streams


class Mutation(Value, frozen=True):
    """The server with one thing broken."""

    name: str
    broken: str
    """What is broken, in words."""
    core: type[Core]
    violates: tuple[str, ...]
    """The invariants of which the first finding violates one."""


# Cores with one part exchanged.


def with_runtime(broken: type[ActorRuntime]) -> type[Core]:
    class Broken(Core):
        runtime_class = broken

    return Broken


def with_session(broken: type[SessionActor]) -> type[Core]:
    class Broken(Core):
        session_class = broken

    return Broken


def with_launcher(broken: type[AgentLauncher]) -> type[Core]:
    class Broken(Core):
        launcher_class = broken

    return Broken


def with_agent(broken: type[AgentActor]) -> type[Core]:
    class Launcher(AgentLauncher):
        agent_class = broken

    return with_launcher(Launcher)


def with_store(broken: type[TaskStoreActor]) -> type[Core]:
    class Broken(Core):
        store_class = broken

    return Broken


def with_staging(broken: type[Staging]) -> type[Core]:
    class Store(TaskStoreActor):
        staging_class = broken

    return with_store(Store)


def with_broadcaster(broken: type[BroadcasterActor]) -> type[Core]:
    class Broken(Core):
        broadcaster_class = broken

    return Broken


def with_followings(broken: type[Followings]) -> type[Core]:
    class Broken(Core):
        followings_class = broken

    return Broken


def with_following(broken: type[Following]) -> type[Core]:
    class Kept(Followings):
        following_class = broken

    return with_followings(Kept)


