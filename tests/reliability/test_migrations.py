"""Migrations: a store of every schema that was ever released opens, with all that it held."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from tests.reliability.support import audited

from pymemos import MemOS
from pymemos.adapters.sqlite.connection import connect
from pymemos.adapters.sqlite.migrations import APPLICATION_ID, scripts
from pymemos.infrastructure.audit import first_broken

KEY = bytes(32)  # that of the fixtures
SCHEMAS = sorted(scripts())
FIXTURES = Path(__file__).with_name("schemas")


def store_of_schema(number: int, home: Path) -> None:
    """A store as the release with this schema left it."""
    home.mkdir()
    connection = connect(home / "store.db", create=True)
    connection.execute("PRAGMA journal_mode = WAL")
    for step in range(1, number + 1):
        connection.execute(scripts()[step])
    connection.execute((FIXTURES / f"store_{number:04}.sql").read_text("utf-8"))
    connection.pragma("user_version", number)
    connection.pragma("application_id", APPLICATION_ID)
    connection.close()


def test_scripts_are_numbered_from_one_without_a_gap() -> None:
    assert list(range(1, len(SCHEMAS) + 1)) == SCHEMAS


def test_every_released_schema_has_its_fixture() -> None:
    assert [f"store_{number:04}.sql" for number in SCHEMAS] == sorted(path.name for path in FIXTURES.iterdir())


@pytest.mark.parametrize("number", SCHEMAS)
def test_a_store_of_a_released_schema_opens_with_all_that_it_held(tmp_path: Path, number: int) -> None:
    home = tmp_path / "home"
    store_of_schema(number, home)

    with MemOS(home, key=KEY) as mem:
        assert [finding for finding in mem.doctor() if not finding.ok] == []
        assert {cube.text for cube in mem.list(user_id="ana")} == {
            "I moved to Lisbon in May.",
            "How do you like the trams?",
            "Ana likes tea.",
        }
        (hit, *_) = mem.search("Where is Lisbon?", user_id="ana")
        assert hit.source_ids == ("m1",)
        tea = mem.search("tea", user_id="ana")[0].cube
        assert [record.cube.text for record in mem.history(tea.id, user_id="ana")] == [
            "Ana likes coffee.",
            "Ana likes tea.",
        ]
        assert {job.kind for job in mem.jobs()} - {"sweep", "reindex"} == {"note"}
        mem.add("something new", user_id="ana")
    for namespace in {record.namespace for record in audited(home)}:
        assert first_broken((one for one in audited(home) if one.namespace == namespace), KEY) is None
    assert _schema(home) == SCHEMAS[-1]


def test_opening_a_store_again_changes_no_schema(tmp_path: Path) -> None:
    home = tmp_path / "home"
    MemOS(home, key=KEY).close()
    before = _tables(home)

    MemOS(home, key=KEY).close()

    assert before == _tables(home)


def _tables(home: Path) -> list[tuple[str, str]]:
    connection = apsw.Connection(str(home / "store.db"))
    found: list[tuple[str, str]] = connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()
    connection.close()
    return found


def _schema(home: Path) -> int:
    connection = apsw.Connection(str(home / "store.db"))
    number = int(connection.pragma("user_version"))
    connection.close()
    return number
