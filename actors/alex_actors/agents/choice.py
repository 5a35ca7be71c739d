"""Which agent works on a task: one of the user's own, or the built-in one of the model that the task asks for."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from alex_actors.ports import Agent, AgentError, AgentYield

if TYPE_CHECKING:
    from alex_actors.events import AnyEvent
    from alex_actors.tasks import Task


class AgentChoice:
    """Gives each task its agent: what ``AsyncioExecutor`` calls ``agent_for``.

    ``own`` are the user's agents by the preset that chooses them, ``presets`` the names of all other presets,
    ``models`` the agents of these by the model that a task asks for, the offline model among them. A task may be
    older than the configuration. One whose agent or model is not there any more fails, and says so: another in its
    place would answer something that nobody asked for.
    """

    def __init__(self, *, own: Mapping[str, Agent], presets: Collection[str], models: Mapping[str, Agent]) -> None:
        self._own = own
        self._presets = presets
        self._models = models

    def __call__(self, task: Task) -> Agent:
        """Return a task's agent. Does not raise: an agent that is not there fails its task when it is run."""
        if (own := self._own.get(task.agent_preset)) is not None:
            return own
        if task.agent_preset not in self._presets:
            names = ", ".join(sorted({*self._own, *self._presets}))
            return _Missing(
                f"The agent preset {task.agent_preset!r} is not configured any more; there are: {names}."
            )
        if (agent := self._models.get(task.model)) is not None:
            return agent
        return _Missing(
            f"The model {task.model!r} is not configured any more; there are: {', '.join(sorted(self._models))}."
        )


class _Missing:
    """Fails the tasks of an agent that is not there, those that had begun with this text, too."""

    resumes = True

    def __init__(self, text: str) -> None:
        self._text = text

    async def run(
        self,
        task: Task,  # noqa: ARG002 - an agent's signature
        history: Sequence[AnyEvent],  # noqa: ARG002 - an agent's signature
    ) -> AsyncGenerator[AgentYield, None]:
        """Raise AgentError."""
        for _ in ():  # without a yield it would be no generator
            yield _
        raise AgentError(self._text)
