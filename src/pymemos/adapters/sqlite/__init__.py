"""The embedded store: SQLite through apsw, one folder, any number of processes."""

from pymemos.adapters.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
