"""Import and export by the command line: the same bytes, positions of what is malformed, interruptions."""

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

from pymemos import MemOS
from pymemos.adapters.sqlite import SqliteStore
from pymemos.errors import InvalidInput, StoreFull
from pymemos.surfaces.cli import main
from pymemos.surfaces.cli.intake import Intake
from pymemos.testing.faults import Faults

NOBODY = {"user_id": None, "agent_id": None, "session_id": None}


def run(*arguments, **options):
    return CliRunner().invoke(main, [*map(str, arguments)], **options)


def fill(home):
    """A store with versions, deletions, several owners, an episode and labels."""
    with MemOS(home) as mem:
        talk = mem.add(
            [{"content": "Hi", "name": "Ann", "id": "m1"}, {"content": "Hello"}], user_id="ann", session_id="s"
        )
        mem.update(talk.ids[0], "Hi there", user_id="ann", valid_from="2030-01-01T00:00:00Z")
        mem.update(talk.ids[0], tags=["greeting"], user_id="ann")
        gone = mem.add("forget me", agent_id="robot").ids[0]
        mem.update(gone, "forget me too")
        mem.delete(gone)
        mem.add("你好,世界", metadata={"n": 1.5, "extra": None}, timestamp="2024-02-29T12:00:00+02:00")
        mem.search("hello", user_id="ann")


def lines_of(home):
    return run("export", "-", "--home", home).stdout_bytes


def texts(home, **identity):
    with MemOS(home) as mem:
        return sorted(cube.text for cube in mem.list(**identity, limit=10_000))


def write_messages(path, count, **fields):
    path.write_text("".join(json.dumps({"content": f"message {i}", **fields}) + "\n" for i in range(count)))


class TestRoundTrip:
    @pytest.fixture
    def exported(self, tmp_path) -> Path:
        fill(tmp_path / "a")
        file = tmp_path / "a.jsonl"
        assert run("export", file, "--home", tmp_path / "a").exit_code == 0
        return file

    def test_import_and_export_give_back_the_same_bytes(self, tmp_path, exported):
        imported = run("import", exported, "--home", tmp_path / "b")

        assert imported.exit_code == 0, imported.output
        assert lines_of(tmp_path / "b") == exported.read_bytes()

    def test_history_and_deletions_travel(self, tmp_path, exported):
        run("import", exported, "--home", tmp_path / "b")

        with MemOS(tmp_path / "a") as a, MemOS(tmp_path / "b") as b:
            ids = [json.loads(line)["versions"][0]["document"]["id"] for line in exported.read_bytes().splitlines()]
            for id in ids:
                assert [(r.cube, r.known_from, r.valid_to, r.retired) for r in a.history(id)] == [
                    (r.cube, r.known_from, r.valid_to, r.retired) for r in b.history(id)
                ]

    def test_importing_again_changes_nothing(self, tmp_path, exported):
        run("import", exported, "--home", tmp_path / "b")
        once = lines_of(tmp_path / "b")

        report = json.loads(run("import", exported, "--home", tmp_path / "b", "--json").stdout)

        assert (report["written"], report["known"]) == (0, len(exported.read_bytes().splitlines()))
        assert lines_of(tmp_path / "b") == once

    def test_one_owner_can_be_exported(self, tmp_path, exported):
        lines = run("export", "--user", "ann", "--home", tmp_path / "a").stdout.splitlines()

        owners = {json.loads(line)["versions"][0]["document"]["governance"]["namespace"] for line in lines}
        assert owners == {"users/ann"}

    def test_a_file_appears_complete(self, tmp_path, exported):
        assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "a.jsonl"]

    def test_of_one_that_failed_nothing_is_left(self, tmp_path, exported):
        failed = run("export", tmp_path / "b.jsonl", "--redact", "nonsense", "--home", tmp_path / "a")

        assert failed.exit_code == 1
        assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "a.jsonl"]

    @pytest.mark.parametrize(("name", "code"), [("", 1), (".", 2)])
    def test_a_folder_is_no_place_for_one(self, tmp_path, exported, name, code):
        refused = run("export", name, "--home", tmp_path / "a")

        assert (refused.exit_code, "directory" in refused.stderr) == (code, True)

    def test_versions_that_contradict_are_named_and_left_out(self, tmp_path, exported):
        run("import", exported, "--home", tmp_path / "b")
        with MemOS(tmp_path / "a") as a, MemOS(tmp_path / "b") as b:
            id = next(cube.id for cube in a.list())
            a.update(id, "in a")
            b.update(id, "in b")
        run("export", exported, "--home", tmp_path / "a")

        result = run("import", exported, "--home", tmp_path / "b", "--json")

        assert (result.exit_code, json.loads(result.stdout)["conflicting"]) == (1, [id])


class TestMalformed:
    LINES = (
        b'{"content": "one"}\n',
        b"not json\n",
        b'{"content": "two", "timestamp": "2025-01-01T00:00:00"}\n',
        b"\n",
        b'{"pymemos": 1, "salt": "zz"}\n',
        b'{"pymemos": 99}\n',
        b'{"text": "no content"}\n',
        b'{"content": "  "}\n',
        b'{"content": "three", "tags": "alone"}\n',
        b"[1, 2]\n",
        b'{"content": "\xff"}\n',
        b'{"content": "four", "role": 7}\n',
        b"[" * 100_000 + b"\n",
        b'{"content": "early", "timestamp": "0001-01-01T00:00:00+05:00"}\n',
        b'{"content": "five"}',
    )
    BAD = (2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)

    def test_each_is_reported_by_line_and_byte_and_the_rest_is_kept(self, tmp_path):
        file = tmp_path / "in.jsonl"
        file.write_bytes(b"".join(self.LINES))

        result = run("import", file, "--home", tmp_path / "s", "--json")

        report = json.loads(result.stdout)
        assert (result.exit_code, report["written"]) == (1, 2)
        assert [bad["line"] for bad in report["malformed"]] == list(self.BAD)
        assert [bad["offset"] for bad in report["malformed"]] == [
            sum(map(len, self.LINES[: number - 1])) for number in self.BAD
        ]
        assert all(bad["reason"] for bad in report["malformed"])
        assert texts(tmp_path / "s") == ["five", "one"]

    def test_people_read_where_and_why(self, tmp_path):
        file = tmp_path / "in.jsonl"
        file.write_bytes(self.LINES[0] + self.LINES[2])

        result = run("import", file, "--home", tmp_path / "s")

        assert "line 2 (byte 19): timestamp" in result.stderr
        assert "add one" in result.stderr
        assert "malformed 1" in result.stdout

    def test_they_can_be_kept_in_a_file_of_their_own(self, tmp_path):
        file = tmp_path / "in.jsonl"
        file.write_bytes(b"".join(self.LINES))

        run("import", file, "--rejects", tmp_path / "bad", "--home", tmp_path / "s")

        assert (tmp_path / "bad").read_bytes() == b"".join(self.LINES[number - 1] for number in self.BAD)

    def test_they_never_take_the_place_of_the_file_that_is_read(self, tmp_path):
        file, link = tmp_path / "in.jsonl", tmp_path / "link"
        file.write_bytes(self.LINES[0])
        link.hardlink_to(file)

        results = [run("import", file, "--rejects", bad, "--home", tmp_path / "s") for bad in (file, link)]

        assert [result.exit_code for result in results] == [2, 2]
        assert "name another" in results[0].stderr
        assert file.read_bytes() == self.LINES[0]

    def test_those_of_the_last_import_stay_until_another_is_done(self, tmp_path):
        file, bad, home = tmp_path / "in.jsonl", tmp_path / "bad", tmp_path / "s"
        file.write_bytes(self.LINES[0])
        bad.write_bytes(self.LINES[1])
        home.write_text("no folder")

        refused = run("import", file, "--rejects", bad, "--home", home)
        kept, beside = bad.read_bytes(), {path.name for path in tmp_path.iterdir()}
        home.unlink()
        done = run("import", file, "--rejects", bad, "--home", home)

        assert (refused.exit_code, kept, beside) == (1, self.LINES[1], {"in.jsonl", "bad", "s"})
        assert (done.exit_code, bad.read_bytes()) == (0, b"")

    def test_they_can_be_written_into_a_pipe(self, tmp_path):
        file, pipe = tmp_path / "in.jsonl", tmp_path / "pipe"
        file.write_bytes(self.LINES[1])
        os.mkfifo(pipe)
        read = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

        run("import", file, "--rejects", pipe, "--home", tmp_path / "s")

        assert (os.read(read, 1_000), pipe.is_fifo()) == (self.LINES[1], True)
        os.close(read)

    def test_what_only_the_store_refuses_does_not_take_its_neighbours_along(self, tmp_path):
        file = tmp_path / "in.jsonl"
        records = [
            {"content": "one"},
            {"content": "x" * 1_000_001},
            {"content": "two", "name": "n" * 300},
            {"content": "three"},
        ]
        deep = '{"content": "deep", "metadata": ' + '{"a":' * 900 + "1" + "}" * 901
        file.write_text("\n".join([*map(json.dumps, records), deep]))

        report = json.loads(run("import", file, "--home", tmp_path / "s", "--json").stdout)

        assert [bad["line"] for bad in report["malformed"]] == [2, 3, 5]
        assert texts(tmp_path / "s") == ["one", "three"]


class Picky(MemOS):
    """A system that refuses every memory in which somebody is forgotten."""

    def import_records(self, memories):
        memories = tuple(memories)
        if any("forget" in record.cube.text for memory in memories for record in memory):
            raise InvalidInput("nobody is forgotten here")
        return super().import_records(memories)


class TestFailures:
    LINES = tuple(b'{"content": "message %d", "user_id": "ann"}\n' % n for n in range(1_200))

    def test_an_error_of_the_store_ends_it_and_is_blamed_on_no_line(self, tmp_path):
        faults = Faults()
        mem = MemOS(tmp_path / "s", store=SqliteStore(tmp_path / "s", vfs=faults.name))
        faults.disk_full(after_bytes=1_000_000)  # room for one batch of three
        intake = Intake(mem, NOBODY, on_malformed=lambda *_: None)

        with pytest.raises(StoreFull):
            intake.take(self.LINES)
        faults.heal()

        assert intake.report.malformed == []
        assert 0 < intake.report.written == len(mem.list(user_id="ann", limit=10_000)) < len(self.LINES)
        again = Intake(mem, NOBODY, on_malformed=lambda *_: None)
        again.take(self.LINES)
        assert again.report.known == intake.report.written
        assert len(mem.list(user_id="ann", limit=10_000)) == len(self.LINES)
        mem.close()
        faults.unregister()

    def test_a_memory_that_is_refused_is_named_and_does_not_take_its_neighbours_along(self, tmp_path):
        fill(tmp_path / "a")
        lines = lines_of(tmp_path / "a").splitlines(keepends=True)
        (bad,) = [number for number, line in enumerate(lines, start=1) if b"forget" in line]

        with Picky(tmp_path / "b") as mem:
            intake = Intake(mem, NOBODY, on_malformed=lambda *_: None)
            intake.take(lines)

        assert [(one.line, one.reason) for one in intake.report.malformed] == [(bad, "nobody is forgotten here")]
        assert lines_of(tmp_path / "b") == b"".join(line for line in lines if b"forget" not in line)


class TestMessages:
    def test_fields_of_a_message_are_kept(self, tmp_path):
        record = {
            "content": "Hi",
            "role": "user",
            "name": "Ann",
            "id": 7,
            "timestamp": "2025-01-01T00:00:00Z",
            "user_id": "ann",
            "session_id": "s1",
            "tags": ["t"],
            "metadata": {"mood": "good"},
            "colour": "red",
        }
        (tmp_path / "in.jsonl").write_text("\ufeff" + json.dumps(record))

        run("import", tmp_path / "in.jsonl", "--home", tmp_path / "s")

        with MemOS(tmp_path / "s") as mem:
            (cube,) = mem.list(user_id="ann")
            said = cube.header.descriptive
        assert (cube.text, said.speaker, said.speaker_role, said.source_ids) == ("Hi", "Ann", "user", ("7",))
        assert (said.session, said.tags, said.event_time.isoformat()) == ("s1", ("t",), "2025-01-01T00:00:00+00:00")
        assert said.metadata == {"mood": "good", "message": {"colour": "red"}}

    def test_options_name_the_owner_of_those_that_name_nobody(self, tmp_path):
        (tmp_path / "in.jsonl").write_text('{"content": "a"}\n{"content": "b", "user_id": "bob"}\n')

        run("import", tmp_path / "in.jsonl", "--user", "ann", "--home", tmp_path / "s")

        assert (texts(tmp_path / "s", user_id="ann"), texts(tmp_path / "s", user_id="bob")) == (["a"], ["b"])

    def test_a_session_names_nobody(self, tmp_path):
        (tmp_path / "in.jsonl").write_text(
            '{"content": "a", "session_id": "s"}\n{"content": "b", "session_id": "s", "user_id": "bob"}\n'
        )

        run("import", tmp_path / "in.jsonl", "--user", "ann", "--session", "t", "--home", tmp_path / "s")

        assert texts(tmp_path / "s", user_id="ann", session_id="s") == ["a"]
        assert texts(tmp_path / "s", user_id="bob", session_id="s") == ["b"]

    def test_messages_of_one_conversation_stay_one_whatever_their_metadata(self, tmp_path):
        lines = [json.dumps({"content": f"turn {n}", "user_id": "ann", "metadata": {"n": n}}) for n in range(3)]
        (tmp_path / "in.jsonl").write_text("\n".join(lines))

        run("import", tmp_path / "in.jsonl", "--home", tmp_path / "s")

        with MemOS(tmp_path / "s") as mem:
            assert [cube.text for cube in mem.list(user_id="ann", filters={"metadata.n": {"gt": 0}})] == [
                "turn 1",
                "turn 2",
            ]
            assert len({cube.header.descriptive.episode for cube in mem.list(user_id="ann")}) == 1

    def test_messages_and_memories_may_be_mixed_and_piped_in(self, tmp_path):
        fill(tmp_path / "a")
        lines = b'{"content": "first"}\n' + lines_of(tmp_path / "a") + b'{"content": "last"}\n'

        result = run("import", "-", "--home", tmp_path / "b", input=lines)

        assert result.exit_code == 0, result.output
        assert {"first", "last", "你好,世界"} <= set(texts(tmp_path / "b"))

    def test_importing_again_changes_nothing_whatever_the_file_is_called(self, tmp_path):
        write_messages(tmp_path / "in.jsonl", 1_200, user_id="ann")
        run("import", tmp_path / "in.jsonl", "--home", tmp_path / "s")
        (tmp_path / "in.jsonl").rename(tmp_path / "moved.jsonl")

        report = json.loads(run("import", tmp_path / "moved.jsonl", "--home", tmp_path / "s", "--json").stdout)

        assert (report["written"], report["known"]) == (0, 1_200)
        assert len(texts(tmp_path / "s", user_id="ann")) == 1_200


@pytest.mark.parametrize("kind", ["messages", "memories"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_an_interrupted_import_is_finished_by_another(tmp_path, kind, how):
    file, home, count = tmp_path / "in.jsonl", tmp_path / "s", 6_000
    write_messages(file, count, user_id="ann")
    if kind == "memories":
        run("import", file, "--home", tmp_path / "a")
        run("export", file, "--home", tmp_path / "a")
    process = subprocess.Popen(
        [sys.executable, "-m", "pymemos", "import", file, "--home", home], stderr=subprocess.PIPE
    )
    while not (home / "store.db-wal").exists() or (home / "store.db-wal").stat().st_size < 1_200_000:
        time.sleep(0.005)
    os.kill(process.pid, how)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130}[how], errors
    some = len(texts(home, user_id="ann"))

    result = run("import", file, "--home", home)

    assert result.exit_code == 0, result.output
    assert 0 < some < count
    assert texts(home, user_id="ann") == sorted(f"message {i}" for i in range(count))
    if kind == "memories":
        assert lines_of(home) == file.read_bytes()
