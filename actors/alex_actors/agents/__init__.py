"""The agents that come with the runtime."""

from __future__ import annotations

from alex_actors.agents.offline_agent import OfflineAgent
from alex_actors.agents.react import ReActAgent

__all__ = ["OfflineAgent", "ReActAgent"]
