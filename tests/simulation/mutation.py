"""What a mutation is: the server with one thing broken."""

from __future__ import annotations

from alex_actors.agent_actor import AgentActor
from alex_actors.agent_launcher import AgentLauncher
from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.core import Core
from alex_actors.following import Following, Followings
from alex_actors.runtime import ActorRuntime
from alex_actors.session_actor import SessionActor
from alex_actors.store.staging import Staging
from alex_actors.sub_agents import SubAgents
from alex_actors.task_store_actor import TaskStoreActor
from alex_actors.values import Value


class Mutation(Value, frozen=True):
    """The server with one thing broken."""

    name: str
    broken: str
    """What is broken, in words."""
    core: type[Core]
    violates: tuple[str, ...]
    """The invariants of which a finding violates one."""
    sharing: bool = False
    """Whether it is about sub-agents, which tasks have then: elsewhere they would only make it harder to find."""


def server(
    *,
    runtime: type[ActorRuntime] = ActorRuntime,
    session: type[SessionActor] = SessionActor,
    launcher: type[AgentLauncher] | None = None,
    agent: type[AgentActor] = AgentActor,
    store: type[TaskStoreActor] | None = None,
    staging: type[Staging] = Staging,
    broadcaster: type[BroadcasterActor] = BroadcasterActor,
    followings: type[Followings] | None = None,
    following: type[Following] = Following,
    sub_agents: type[SubAgents] = SubAgents,
) -> type[Core]:
    """Return a core with these parts exchanged."""

    class Launcher(AgentLauncher):
        agent_class = agent

    class Store(TaskStoreActor):
        staging_class = staging

    class Kept(Followings):
        following_class = following

    class Broken(Core):
        runtime_class = runtime
        session_class = session
        launcher_class = launcher or Launcher
        store_class = store or Store
        broadcaster_class = broadcaster
        followings_class = followings or Kept
        sub_agents_class = sub_agents

    return Broken
