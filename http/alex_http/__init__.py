"""HTTP for Alex Runtime: a Falcon application served by waitress."""

__version__ = "0.1.0"
