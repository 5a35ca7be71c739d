"""What a client may choose from, and what it gets if it does not choose."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from alex_actors.tasks import NewTask
from alex_actors.values import SessionId
from alex_http.errors import BadFields, FieldError, listed, quoted
from alex_http.wire import SubmitIn


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """The names of presets and models, as configured."""

    agent_presets: tuple[str, ...]
    tool_presets: tuple[str, ...]
    models: tuple[str, ...]
    agent_preset: str = "default"
    """The persona of a task that names none."""
    tool_preset: str
    """The tools of a task that names none."""
    model: str
    """The model of a task that names none."""
    models_of_presets: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Of agent presets that have one of their own: the model of a task that names none."""
    max_iterations: int
    """The limit of a task that gives none. An iteration is one turn of the model with its tool calls."""
    timeout_seconds: float | None = None
    """The limit of a task that gives none; None: as long as it takes."""

    def new_task(self, body: SubmitIn) -> NewTask:
        """Return what is asked for, with every default filled in.

        Raises BadFields for a name that is not in the catalog.
        """
        faults = [
            FieldError(field, f"must be one of {listed(known)}, or null; it was {quoted(name)}")
            for field, name, known in (
                ("agent_preset", body.agent_preset, self.agent_presets),
                ("tool_preset", body.tool_preset, self.tool_presets),
                ("model", body.model, self.models),
            )
            if name and name not in known
        ]
        if faults:
            raise BadFields(faults)
        agent_preset = body.agent_preset or self.agent_preset
        return NewTask(
            task=body.task,
            session_id=SessionId(body.session_id) if body.session_id else None,
            agent_preset=agent_preset,
            tool_preset=body.tool_preset or self.tool_preset,
            model=body.model or self.models_of_presets.get(agent_preset, self.model),
            strategy=body.multitask_strategy or "enqueue",
            timeout_seconds=self.timeout_seconds if body.timeout_seconds is None else body.timeout_seconds,
            max_iterations=self.max_iterations if body.max_iterations is None else body.max_iterations,
            metadata=body.metadata or {},
        )
