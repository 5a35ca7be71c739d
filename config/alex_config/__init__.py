"""Settings of Alex Runtime: what can be set, its defaults, the presets."""
