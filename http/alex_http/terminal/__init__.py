"""Commands for people and scripts, on the client alone: what they use imports nothing of the server."""
