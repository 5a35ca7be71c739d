"""The store: what is recorded, in SQLite."""
