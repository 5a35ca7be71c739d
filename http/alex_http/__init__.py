"""HTTP for Alex Runtime: a Falcon application served by waitress."""
