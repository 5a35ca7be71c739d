"""The bug that this project exists because of, as hand-made task servers have it.

A task is recorded under the session that the client named; if it named none, under none. The agent notices when
it starts, makes a session, and reports its progress under that. Whoever watches what the submit was answered
with sees nothing, for ever.
"""

from __future__ import annotations

import msgspec

from alex_actors.agent_actor import AgentActor
from alex_actors.agent_launcher import AgentLauncher
from alex_actors.agent_protocol import AgentMessage, Start
from alex_actors.core import Core
from alex_actors.runtime import ActorRuntime
from alex_actors.session_protocol import Confirmed, ConfirmReply
from alex_actors.store.staging import Staging
from alex_actors.task_store_actor import TaskStoreActor
from alex_actors.task_store_protocol import Record
from alex_actors.tasks import NewTask
from alex_actors.values import Context, SessionId, TaskId


class HandMadeRuntime(ActorRuntime):
    """Has a task recorded under what the client said, and does not wait for a session."""

    def _confirm(self, task_id: TaskId, new: NewTask, context: Context, *, claimed: bool) -> ConfirmReply:
        reply = super()._confirm(task_id, new, context, claimed=claimed)
        if isinstance(reply, Confirmed):
            return msgspec.structs.replace(reply, session_id=new.session_id or SessionId(""))
        return reply


class HandMadeAgentActor(AgentActor):
    """Makes a session when it starts, if its task has none."""

    def on_receive(self, message: AgentMessage) -> None:
        if isinstance(message, Start) and not self._task.session_id:
            session_id = SessionId(f"session-of-{self._task.task_id}")
            self._task = msgspec.structs.replace(self._task, session_id=session_id)
            self._context = self._context.about(self._task.task_id, session_id)
        super().on_receive(message)


class HandMadeStaging(Staging):
    """Records progress under the session that is reported with it."""

    def record(self, message: Record) -> int | None:
        task, session_id = self._live(message.task_id), SessionId(message.context.session_id)
        if task is not None and task.session_id != session_id:
            key = self._session_key((task.owner, session_id), message.events[0].at, {})
            self.live[task.task_id] = msgspec.structs.replace(task, session_id=session_id, session_key=key)
        return super().record(message)


class HandMadeStore(TaskStoreActor):
    """Stages changes in this way."""

    staging_class = HandMadeStaging


class HandMadeLauncher(AgentLauncher):
    """Starts such agents."""

    agent_class = HandMadeAgentActor


class HandMadeCore(Core):
    """A server in which a task's session is settled after the task was answered for."""

    runtime_class = HandMadeRuntime
    launcher_class = HandMadeLauncher
    store_class = HandMadeStore
