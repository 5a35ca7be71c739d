"""The models that agents ask what to do next."""

from __future__ import annotations

from alex_actors.models.offline import OfflineModel

__all__ = ["OfflineModel"]
