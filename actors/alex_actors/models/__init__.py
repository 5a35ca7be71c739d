"""The models that agents ask what to do next."""

from __future__ import annotations

from alex_actors.models.offline import OfflineModel

__all__ = ["OFFLINE", "OfflineModel"]

OFFLINE = "offline"
"""The offline model's name, as tasks have it."""
