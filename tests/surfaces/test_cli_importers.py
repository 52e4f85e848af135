"""Other programs' archives by the command line: reports, progress, wrong calls, and an import that was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.unit.importers_samples import chat, chats, said, talk, write_json, write_notes, write_zip

from pymemos import MemOS
from pymemos.surfaces.cli import main


@pytest.fixture
def cli(tmp_path):
    """Imports into the store of the test; gives the result of click's runner."""

    def run(*arguments):
        return CliRunner().invoke(main, ["import", *map(str, arguments), "--home", str(tmp_path / "home")])

    return run


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_notes(tmp_path / "notes", {"house.md": "# Roof\nLeaks.", "trip.md": "Rome."})


def texts(home, **scope):
    with MemOS(home) as mem:
        found, after = [], None
        while True:
            page = mem.list(limit=10_000, after=after, **scope)
            found += [cube.text for cube in page]
            after = page.after
            if after is None:
                return sorted(found)


@pytest.mark.parametrize(
    ("kind", "document", "count"), [("chatgpt", chats(3), 12), ("locomo", [talk(), talk("conv-2")], 6)]
)
def test_conversations_are_imported_once(cli, tmp_path, kind, document, count):
    path = write_json(tmp_path / "conversations.json", document)

    first, second = cli(path, "--from", kind, "--user", "ida"), cli(path, "--from", kind, "--user", "ida")

    assert (0, 0) == (first.exit_code, second.exit_code)
    assert f"Imported {count}, known already 0, broken 0; from" in first.stdout
    assert f"Imported 0, known already {count}, broken 0; from" in second.stdout
    assert count == len(texts(tmp_path / "home", user_id="ida"))


def test_programs_read_a_report_and_lines_of_progress(cli, tmp_path):
    result = cli(write_zip(tmp_path / "e.zip", {"conversations.json": chats(3)}), "--from", "chatgpt", "--json")

    assert {
        "sessions": 3,
        "written": 12,
        "known": 0,
        "updated": 0,
        "missing": [],
        "pruned": [],
        "broken": [],
    } == json.loads(result.stdout)
    assert [(1, 3), (2, 3), (3, 3)] == [
        (line["done"], line["total"]) for line in map(json.loads, result.stderr.splitlines())
    ]


def test_a_long_import_tells_its_progress_a_hundred_times(cli, tmp_path):
    path = write_json(tmp_path / "conversations.json", chats(250, length=1))

    lines = cli(path, "--from", "chatgpt", "--json").stderr.splitlines()

    assert (100, 250) == (len(lines), json.loads(lines[-1])["done"])


def test_what_is_broken_is_told_with_its_place_and_the_rest_is_kept(cli, tmp_path):
    path = write_json(tmp_path / "conversations.json", [chat(said("Hi")), {"mapping": {}}])

    result = cli(path, "--from", "chatgpt")

    assert 1 == result.exit_code
    assert "Imported 1, known already 0, broken 1; from 1" in result.stdout
    assert result.stderr.startswith("conversations.json, conversation 2: Object missing required field")


def test_a_file_that_is_something_else_is_an_error_in_one_line(cli, tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK and no more")

    result = cli(tmp_path / "x.zip", "--from", "chatgpt")

    assert (1, 1) == (result.exit_code, len(result.stderr.splitlines()))
    assert "error: x.zip: the zip file is damaged" in result.stderr


def test_notes_are_followed(cli, folder, tmp_path):
    cli(folder, "--from", "markdown")
    (folder / "house.md").write_text("# Roof\nMended.")
    (folder / "trip.md").rename(folder / "journey.md")

    kept = cli(folder, "--from", "markdown")
    pruned = cli(folder, "--from", "markdown", "--prune")

    assert "Imported 1, updated 1, known already 0, broken 0" in kept.stdout
    assert "No longer in the folder, and kept: 1 (--prune deletes them):\n  trip.md" in kept.stderr
    assert "Imported 0, known already 2, deleted 1, broken 0" in pruned.stdout
    assert ["house > Roof\nMended.", "journey\nRome."] == texts(tmp_path / "home")


def test_a_folder_of_notes_can_be_named(cli, folder, tmp_path):
    cli(folder, "--from", "markdown", "--session", "work")

    assert 2 == len(texts(tmp_path / "home", session_id="work"))


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--from", "letters"],
        ["--from", "chatgpt", "--prune"],
        ["--from", "markdown", "--rejects", "bad.jsonl"],
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_told(cli, folder, options):
    assert 2 == cli(folder, *options).exit_code


@pytest.mark.parametrize("kind", ["chatgpt", "markdown"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_an_interrupted_import_is_finished_by_another(tmp_path, kind, how):
    count, home = 1_500, tmp_path / "home"
    if kind == "chatgpt":
        path = write_zip(tmp_path / "e.zip", {"conversations.json": chats(count)})
        expected = sorted(f"chat {c} turn {t}" for c in range(count) for t in range(4))
    else:
        path = write_notes(tmp_path / "notes", {f"{n}.md": f"# A\nfirst {n}\n# B\nsecond {n}" for n in range(count)})
        expected = sorted(f"{n} > {rest} {n}" for n in range(count) for rest in ("A\nfirst", "B\nsecond"))
    command = [sys.executable, "-m", "pymemos", "import", path, "--from", kind, "--home", home]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    while not (home / "store.db-wal").exists() or (home / "store.db-wal").stat().st_size < 1_000_000:
        time.sleep(0.005)
    os.kill(process.pid, how)
    _, errors = process.communicate(timeout=30)
    assert {signal.SIGKILL: -9, signal.SIGINT: 130}[how] == process.returncode, errors
    some = len(texts(home))

    finished = subprocess.run(command, capture_output=True, text=True, check=False)

    assert 0 == finished.returncode, finished.stderr
    assert 0 < some < len(expected)
    assert expected == texts(home)
    assert f"known already {some:,}" in finished.stdout
