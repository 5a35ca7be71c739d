"""Settings of Alex Runtime: what can be set, its defaults, the presets."""

from alex_config.errors import SettingsError
from alex_config.models import Settings
from alex_config.settings import load

__all__ = ["Settings", "SettingsError", "load"]
