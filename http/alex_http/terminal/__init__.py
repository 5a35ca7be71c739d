"""The commands with which a person or a script uses a server: on the client alone, nothing of the server is imported."""
