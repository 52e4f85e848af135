"""Families: jobs in somebody's name, moments, blobs by their hash, forged records, asyncio and the command line."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest
from tests.adversarial.probes import METHODS, arguments, forged, targets
from tests.adversarial.world import ANA, Place, dump, holdings, leaks, opened, same_error, strike

from pymemos import AsyncMemOS
from pymemos.errors import PymemosError
from pymemos.interface.transfer import from_line
from pymemos.surfaces.cli import main

UNKNOWN = "0196b02e-8180-7000-8000-00000000ffff"
FAR = "9000-01-01T00:00:00Z"
SYSTEMS = (("sweep", "sweep"), ("embed", f"embed {ANA}"), ("reindex", f"{ANA} 1"), ("note", "reminder-of-ana"))


# Jobs.


@pytest.mark.parametrize(("kind", "key"), SYSTEMS)
def test_a_job_holds_up_nobody_elses_and_tells_of_none(fresh: Place, kind: str, key: str) -> None:
    """A key is its owner's own: that of the system's sweep, or of Ana's reminder, is any other name to Eve."""
    before = [(job.id, job.run_at) for job in fresh.mem.jobs() if job.namespace != "users/eve"]

    first = fresh.eve.enqueue(kind, dedup_key=key, run_at=FAR)
    again = fresh.eve.enqueue(kind, dedup_key=key, run_at=FAR)

    assert (first is not None, again) == (True, None)
    assert before == [(job.id, job.run_at) for job in fresh.mem.jobs() if job.namespace != "users/eve"]
    assert fresh.ana.enqueue(kind, dedup_key=key) is not None or kind == "note"


def test_the_systems_jobs_do_for_eve_only_what_is_hers(fresh: Place) -> None:
    before = holdings(fresh)
    for kind, key in SYSTEMS[:3]:
        fresh.eve.enqueue(kind, {"after": None, "namespace": ANA}, dedup_key=key)
    fresh.mem.control_job(fresh.job, "cancel")
    after_cancel = [one for one in holdings(fresh) if one != []]

    report = fresh.mem.tick()

    assert 3 == len(report.done)
    assert after_cancel == [one for one in holdings(fresh) if one != []]
    assert before[:-1] == holdings(fresh)[:-1]
    assert [] == [entry for entry in fresh.ana.log(limit=1000) if entry.caller.user == "eve"]


# Blobs.


def test_ones_own_memory_shows_only_the_blob_that_it_names(fresh: Place) -> None:
    """The hash of a blob is told to nobody who may not read the memory; without it there is no way to the bytes."""
    for look in ("list", "search", "log", "export_lines", "audit_export", "provenance", "history"):
        assert fresh.blob not in strike(fresh.eve, look, **arguments(look, fresh)).told
    for wrong in (fresh.blob[:-1] + "0", fresh.blob.upper(), "0" * 64):
        payload = forged(fresh)
        made = strike(fresh.eve, "add", content=type(payload)(form="kv", blob=wrong, size=17, model=payload.model))
        if made.error is None:
            made = strike(fresh.eve, "open_blob", id=made.result.ids[0])
        assert made.error is not None
        assert str(fresh.folder) not in str(made.error)


def test_a_blob_is_read_by_nobody_who_may_not_read_its_memory(fresh: Place) -> None:
    for id in (fresh.secrets["tensor"], UNKNOWN):
        assert "UnknownMemory" == type(strike(fresh.eve, "open_blob", id=id, even_stale=True).error).__name__


# Records.


def test_nobody_takes_records_in_but_the_steward(fresh: Place, tmp_path: Path) -> None:
    """Neither somebody else's, nor Eve's own with another namespace on them."""
    with opened("memory", tmp_path / "other") as other:
        lines = [*other.mem.export_lines()]
    records = [from_line(line) for line in lines]
    before = dump(fresh)

    outcome = strike(fresh.eve, "import_records", memories=records)

    assert "NotAllowed" == type(outcome.error).__name__
    assert [] == leaks(fresh, outcome.told)
    assert dump(fresh) == before


def test_an_export_holds_ones_own_and_nothing_else(fresh: Place) -> None:
    fresh.ana.share(to="users/eve", name="all")

    lines = list(fresh.eve.export_lines())

    assert {fresh.own, fresh.also, *fresh.cached, fresh.vector} == {
        records[0].cube.id for records in map(from_line, lines)
    }


def test_an_archive_that_is_imported_becomes_ones_own(fresh: Place) -> None:
    """Whatever it says of whose it is."""
    before = holdings(fresh)
    folder = fresh.folder / "forged"
    folder.mkdir()
    (folder / "x.md").write_text("---\nnamespace: users/ana\nuser_id: ana\n---\n# Ana\n\nForged.\n", "utf-8")

    assert strike(fresh.eve, "import_from", path=folder, kind="markdown").error is None

    assert holdings(fresh) == before


# asyncio and the command line.


ASYNC = [
    name for name in METHODS if targets(name, "id") and inspect.iscoroutinefunction(getattr(AsyncMemOS, name, None))
]


@pytest.mark.parametrize("method", ASYNC)
def test_the_methods_of_asyncio_refuse_in_the_same_words(place: Place, method: str) -> None:
    handle = object.__new__(AsyncMemOS)
    handle._mem = place.eve

    async def told(id: str) -> tuple[str, Any]:
        try:
            return "", await getattr(handle, method)(**arguments(method, place, **_aimed(method, id)))
        except PymemosError as error:
            return f"{type(error).__name__}: {error}".replace(id, "ID"), None

    for id in place.secrets.values():
        assert asyncio.run(told(id)) == asyncio.run(told(UNKNOWN))


def test_the_command_line_refuses_in_the_same_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with opened("sqlite", tmp_path) as place:
        ids, own = place.secrets, place.own
    home = ["--home", str(tmp_path / "home")]
    commands = [
        ["get"], ["history"], ["delete"], ["restore"], ["provenance"], ["freeze"], ["archive"], ["activate"],
    ]  # fmt: skip
    for command in commands:
        told = []
        for id in (*ids.values(), UNKNOWN):
            status = exit_code([*command, id, "--user", "eve", *home])
            said = capsys.readouterr()
            told.append((status, said.out, said.err.replace(id, "ID")))
        assert 1 == len(set(told)), command
        assert told[0][0] != 0
        assert "Traceback" not in told[0][2]
    assert 0 == exit_code(["get", own, "--user", "eve", *home])


def exit_code(arguments: list[str]) -> object:
    """The exit status of a command."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code or 0


def _aimed(method: str, id: str) -> dict[str, str]:
    return dict.fromkeys(targets(method, "id"), id)


def test_the_same_error_is_the_same_for_every_secret(place: Place) -> None:
    """A text, a tensor, a manifest and a derivative are refused alike: the words tell no kind."""
    outcomes = [strike(place.eve, "get", id=id) for id in place.secrets.values()]

    assert all(same_error(one, outcomes[0], ("", "")) for one in outcomes)
