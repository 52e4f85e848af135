"""Migrations: numbered SQL scripts, each run once, in one transaction with the number that says so."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import apsw

from pymemos.errors import ForeignFolder, NewerFormat

APPLICATION_ID = 0x70794D4D  # "pyMM", in the header of the database file


def scripts() -> dict[int, str]:
    """Every migration by its number, from 1 without a gap."""
    folder = files(__package__).joinpath("migrations")
    found = {int(item.name[:4]): item.read_text("utf-8") for item in folder.iterdir() if item.name.endswith(".sql")}
    return dict(sorted(found.items()))


def migrate(connection: apsw.Connection) -> None:
    """Bring the database to the newest schema; a newer or foreign one is refused and left alone."""
    done = check_format(connection)
    if done < max(scripts()) or connection.pragma("journal_mode") != "wal":  # a backup comes without a log
        connection.execute("PRAGMA journal_mode = WAL")
    if done == max(scripts()):
        return
    try:
        connection.execute("BEGIN IMMEDIATE")  # two processes may open a new folder at once
        done = check_format(connection)
        for number, script in scripts().items():
            if number > done:
                connection.execute(script)
                connection.pragma("user_version", number)
        connection.pragma("application_id", APPLICATION_ID)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def check_format(connection: apsw.Connection) -> int:
    """The number of the schema that the database has, 0 when it is new; seen at one moment, for another may make it."""
    ours = not connection.in_transaction
    try:
        if ours:
            connection.execute("BEGIN")
        return _format(connection)
    finally:
        if ours and connection.in_transaction:
            connection.execute("ROLLBACK")


def check_not_newer(connection: apsw.Connection) -> int:
    """The number of the schema, where it is one that we know."""
    number = int(connection.pragma("user_version"))
    if number > _newest():
        raise NewerFormat(
            f"the store has schema {number}, this pymemos knows up to {_newest()}; upgrade pymemos to open it"
        )
    return number


@cache
def _newest() -> int:
    return max(scripts())


def _format(connection: apsw.Connection) -> int:
    application = connection.pragma("application_id")
    if application not in (0, APPLICATION_ID) or (application == 0 and _tables(connection)):
        raise ForeignFolder("the folder's store.db is another program's database; name an empty folder or a store")
    return check_not_newer(connection)


def _tables(connection: apsw.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM sqlite_schema").get)
