"""The command line, command by command, in this process: shapes, errors and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pymemos import MemOS
from pymemos.surfaces.cli import main

WHEN = "2025-05-02T10:00:00Z"


@pytest.fixture
def home(tmp_path) -> str:
    return str(tmp_path / "store")


@pytest.fixture
def cli(home):
    """Runs a command on the store of the test; gives the result of click's runner."""

    def run(*arguments, stdin=None):
        return CliRunner().invoke(main, [*map(str, arguments), "--home", home], input=stdin)

    return run


@pytest.fixture
def answer(cli):
    """Runs a command that succeeds with --json; gives what it printed."""

    def run(*arguments, stdin=None):
        result = cli(*arguments, "--json", stdin=stdin)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


class TestAdd:
    def test_prints_the_id_alone_in_a_pipe(self, cli, answer):
        printed = cli("add", "I moved to Lisbon.").stdout.split()

        assert printed == [memory["id"] for memory in answer("list")["memories"]]

    def test_reads_a_dash_and_a_pipe(self, answer):
        assert answer("add", "-", stdin="from a dash\n")["memories"][0]["content"] == "from a dash"
        assert answer("add", stdin="from a pipe")["memories"][0]["content"] == "from a pipe"

    def test_keeps_a_conversation_of_a_file(self, answer, tmp_path):
        file = tmp_path / "talk.json"
        file.write_text(
            json.dumps([{"role": "user", "name": "Ann", "content": "Hi"}, {"content": "Hello", "id": "m2"}])
        )

        added = answer("add", "--messages", file, "--user", "ann", "--session", "s1")

        assert [memory["speaker"] for memory in added["memories"]] == ["Ann", None]
        assert [memory["source_ids"] for memory in added["memories"]] == [[], ["m2"]]
        assert added["episode"]

    def test_keeps_labels(self, answer):
        options = ["--tag", "a", "--tag", "b", "--entity", "Lisbon", "--metadata", '{"mood": 1}', "--type", "event"]

        memory = answer("add", "x", *options, "--priority", "high", "--timestamp", WHEN)["memories"][0]

        kept = [
            memory[name] for name in ("tags", "entities", "metadata", "type", "priority", "event_time", "valid_from")
        ]
        assert kept == [["a", "b"], ["Lisbon"], {"mood": 1}, "event", "high", WHEN, WHEN]

    def test_a_key_makes_a_retry_harmless(self, answer):
        first, second = (answer("add", "once", "--key", "k") for _ in range(2))

        assert first["ids"] == second["ids"]
        assert second["replayed"]

    @pytest.mark.parametrize("content", ["[1", '"text'])
    def test_messages_that_are_not_json_are_a_usage_error(self, cli, tmp_path, content):
        file = tmp_path / "talk.json"
        file.write_text(content)

        result = cli("add", "--messages", file)

        assert (result.exit_code, "pymemos import" in result.stderr) == (2, True)

    def test_text_and_messages_together_are_a_usage_error(self, cli, tmp_path):
        assert cli("add", "text", "--messages", tmp_path).exit_code == 2


class TestFinding:
    @pytest.fixture(autouse=True)
    def _memories(self, cli):
        cli("add", "Walnuts are dangerous for Ines.", "--tag", "health", "--timestamp", WHEN)
        cli("add", "The bakery opens in April.", "--user", "marek")

    def test_a_search_stays_in_its_namespace(self, answer):
        assert [hit["memory"]["content"] for hit in answer("search", "walnuts")["hits"]] == [
            "Walnuts are dangerous for Ines."
        ]
        assert answer("search", "walnuts", "--user", "marek")["hits"] == []

    def test_a_hit_says_why(self, cli, answer):
        hit = answer("search", "walnuts", "--limit", "1")["hits"][0]

        assert set(hit) == {"rank", "score", "why", "source_ids", "memory"}
        assert {"name", "value", "weight", "detail"} == set(hit["why"][0])
        assert "BM25" in cli("search", "walnuts", "--explain").stdout
        assert "BM25" not in cli("search", "walnuts").stdout

    def test_a_line_in_a_pipe_holds_id_score_time_speaker_and_text(self, cli, answer):
        cells = cli("search", "walnuts").stdout.rstrip("\n").split("\t")

        assert len(cells) == 5
        assert cells[0] == answer("search", "walnuts")["hits"][0]["memory"]["id"]
        assert cells[2] == WHEN

    def test_a_context_block_keeps_its_budget(self, cli, answer):
        context = answer("search", "walnuts", "--context", 40)["context"]

        assert context["tokens"] <= 40
        assert cli("search", "walnuts", "--context", 40).stdout == context["text"] + "\n"

    def test_filters_and_times_choose(self, answer):
        assert len(answer("list", "--filter", '{"tags": "health"}')["memories"]) == 1
        assert answer("list", "--filter", '{"tags": "work"}')["memories"] == []
        assert answer("list", "--valid-at", "2025-05-01T00:00Z")["memories"] == []
        assert answer("list", "--known-at", "2025-05-01T00:00Z")["memories"] == []

    def test_a_listing_goes_on_behind_the_last_id(self, cli, answer):
        cli("add", "another")

        first = answer("list", "--limit", 1)
        rest = answer("list", "--limit", 1, "--after", first["after"])

        assert rest["after"] is None
        assert first["memories"] != rest["memories"]
        assert f"--after {first['after']}" in cli("list", "--limit", 1).stderr

    def test_salts_are_never_shown(self, cli):
        assert "salt" not in cli("list", "--json").stdout + cli("search", "walnuts", "--json").stdout


class TestChanging:
    @pytest.fixture
    def id(self, answer) -> str:
        return answer("add", "I live in Lisbon.", "--timestamp", WHEN)["ids"][0]

    def test_an_update_keeps_what_was_true_before(self, answer, id):
        newer = answer("update", id, "I live in Porto.", "--valid-from", "2025-06-01T00:00Z")

        assert (newer["revision"], newer["content"]) == (2, "I live in Porto.")
        assert answer("get", id)["content"] == "I live in Porto."
        assert answer("get", id, "--version", 1)["content"] == "I live in Lisbon."
        assert answer("list", "--valid-at", "2025-05-20T00:00Z")["memories"][0]["content"] == "I live in Lisbon."

    def test_append_adds_a_line(self, answer, id):
        assert answer("append", id, "-", stdin="It rains.\n")["content"] == "I live in Lisbon.\nIt rains."

    def test_a_stale_version_is_refused(self, cli, id):
        cli("update", id, "new")

        result = cli("update", id, "newer", "--expected", 1, "--json")

        assert (result.exit_code, json.loads(result.stderr)["error"]["type"]) == (1, "StaleVersion")

    def test_history_and_diff_tell_what_changed(self, cli, answer, id):
        cli("update", id, "I live in Porto.", "--valid-from", "2025-06-01T00:00Z")

        versions, difference = answer("history", id)["versions"], answer("diff", id)

        assert [v["revision"] for v in versions] == [1, 2]
        assert versions[0]["valid_to"] == "2025-06-01T00:00:00Z"
        assert versions[0]["known_to"] == versions[1]["known_from"]
        assert (difference["a"], difference["b"]) == (1, 2)
        assert "+I live in Porto." in difference["text"]
        assert answer("diff", id, 1, versions[1]["version"])["fields"] == difference["fields"]
        assert (
            cli("diff", id, 0, 2).exit_code == cli("diff", id, 1, 0).exit_code == 1
        )  # no revision, but no absence either
        assert "+I live in Porto." in cli("diff", id).stdout
        assert len(cli("history", id).stdout.splitlines()) == 2

    def test_a_deleted_memory_is_out_of_reach_but_in_the_history(self, cli, answer, id):
        assert answer("delete", id)["ids"] == [id]

        assert cli("get", id).exit_code == 1
        assert answer("history", id)["versions"][0]["retired"]

    def test_a_scope_can_be_deleted_but_not_everything(self, cli, answer, id):
        added = answer("add", "x", "--user", "bob")["ids"]

        nothing = cli("delete", "--json")

        assert (nothing.exit_code, json.loads(nothing.stderr)["error"]["type"]) == (1, "EmptyScope")
        assert answer("delete", "--user", "bob")["ids"] == added
        assert answer("get", id)["id"] == id

    def test_a_filter_without_a_condition_deletes_nothing(self, cli, answer, id):
        for verb in ("delete", "erase"):
            refused = cli("--json", verb, "--filter", "{}")

            assert (refused.exit_code, json.loads(refused.stderr)["error"]["type"]) == (1, "EmptyScope")
        assert answer("get", id)["id"] == id

    def test_somebody_elses_id_is_as_good_as_unknown(self, cli, id):
        foreign, unknown = cli("get", id, "--user", "eve"), cli("get", "nope", "--user", "eve")

        assert (foreign.exit_code, foreign.stderr) == (unknown.exit_code, unknown.stderr)

    def test_a_card_shows_the_whole_text(self, cli, answer):
        text = "word " * 200 + "end"

        printed = cli("get", answer("add", text)["ids"][0]).stdout

        assert printed.rstrip("\n").endswith(text)

    def test_the_log_names_what_was_done(self, cli, answer, id):
        entries = answer("log", "--memory", id)["entries"]

        assert {"n", "at", "caller", "operation", "allowed", "rule", "memories", "count"} <= set(entries[0])
        assert entries[-1]["operation"] == "add"
        assert answer("log", "--operation", "search")["entries"] == []
        assert id in cli("log").stdout


class TestErrors:
    def test_a_time_without_a_zone_says_to_add_one(self, cli):
        cli("add", "x")

        result = cli("search", "x", "--valid-at", "2025-05-01T00:00")

        assert result.exit_code == 1
        assert result.stderr.startswith("error: ")
        assert "add one" in result.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            ["search"],
            ["search", "x", "--limit", "0"],
            ["search", "x", "--filter", "[1]"],
            ["search", "x", "--filter", "{"],
            ["list", "--nonsense"],
            ["frobnicate"],
            ["import", "missing.jsonl"],
        ],
        ids=" ".join,
    )
    def test_a_wrong_call_exits_with_2(self, cli, arguments):
        plain, programs = cli(*arguments), cli(*arguments, "--json")

        assert (plain.exit_code, programs.exit_code) == (2, 2)
        assert "error: " in plain.stderr
        assert set(json.loads(programs.stderr)["error"]) == {"type", "message"}

    def test_a_mistyped_folder_is_not_made(self, cli, home):
        result = cli("search", "x")

        assert (result.exit_code, "there is no store" in result.stderr) == (1, True)
        assert not Path(home).exists()

    @pytest.mark.parametrize("left", [["write.lock"], ["store.db", "write.lock"]], ids=" ".join)
    def test_a_folder_in_which_nothing_is_kept_is_left_alone(self, cli, home, left):
        Path(home).mkdir()
        for name in left:
            (Path(home) / name).touch()

        result = cli("search", "x")

        assert result.exit_code == 1
        assert left == sorted(path.name for path in Path(home).iterdir())
        assert "'pymemos add'" in result.stderr

    def test_a_foreign_folder_is_left_alone(self, cli, home):
        Path(home).mkdir()
        (Path(home) / "letter.txt").write_text("mine")

        result = cli("add", "x")

        assert (result.exit_code, [file.name for file in Path(home).iterdir()]) == (1, ["letter.txt"])

    def test_a_filter_without_a_bottom_is_a_wrong_call(self, cli):
        result = cli("list", "--filter", '{"NOT":' * 20_000)

        assert result.exit_code == 2
        assert "write a JSON object" in result.stderr

    def test_an_unknown_filter_field_is_an_error(self, cli):
        cli("add", "x")

        result = cli("list", "--filter", '{"colour": "red"}', "--json")

        assert (result.exit_code, json.loads(result.stderr)["error"]["type"]) == (1, "UnknownField")


class TestFrame:
    def test_options_may_stand_before_the_verb(self, home):
        CliRunner().invoke(main, ["--home", home, "--json", "add", "x"])

        result = CliRunner().invoke(main, ["--json", "--home", home, "list"])

        assert len(json.loads(result.stdout)["memories"]) == 1

    def test_the_later_home_wins(self, home, tmp_path):
        result = CliRunner().invoke(main, ["--home", str(tmp_path / "other"), "add", "x", "--home", home])

        assert (result.exit_code, Path(home).exists(), (tmp_path / "other").exists()) == (0, True, False)

    def test_no_command_shows_the_help(self):
        result = CliRunner().invoke(main, [])

        assert (result.exit_code, "Commands:" in result.stdout) == (0, True)

    def test_every_command_has_the_common_options(self):
        for name, command in main.commands.items():
            assert {"--home", "--json"} <= {text for option in command.params for text in option.opts}, name


class TestUpkeep:
    def test_doctor_finds_a_store_well(self, cli, answer, home):
        cli("add", "x")

        report = answer("doctor")

        assert (report["ok"], report["home"], report["format"]) == (True, home, 1)
        assert {"check", "ok", "detail"} == set(report["findings"][0])
        assert "FAILED" not in cli("doctor").stdout

    @pytest.mark.parametrize("damage", [b"garbage garbage garbage", b""], ids=["garbage", "emptied"])
    def test_doctor_says_of_a_store_that_nobody_can_open_what_to_do_next(self, cli, home, damage):
        cli("add", "x")
        (Path(home) / "store.db").write_bytes(damage)

        plain, programs = cli("doctor"), cli("doctor", "--json")

        [finding] = json.loads(programs.stdout)["findings"]
        assert (plain.exit_code, programs.exit_code) == (1, 1)
        assert "restore the newest backup" in finding["detail"]
        assert "pymemos doctor" not in finding["detail"] + plain.output
        assert f"FAILED\t{finding['check']}\t{finding['detail']}" in plain.stdout

    def test_jobs_are_listed_retried_and_cancelled(self, cli, answer, home):
        with MemOS(home) as mem:
            [sweep] = [job.id for job in mem.jobs()]
            mem.control_job(sweep, "cancel")
            id = mem.enqueue("brew", user_id="ann", run_at="2050-01-01T00:00:00Z")

        assert [(job["id"], job["kind"], job["state"]) for job in answer("jobs")["jobs"]] == [(id, "brew", "ready")]
        assert answer("jobs", "list", "--state", "dead")["jobs"] == []
        assert cli("jobs", "list").stdout.startswith(f"{id}\tbrew\tready")
        assert answer("jobs", "retry", id) == {"id": id, "kind": "brew", "action": "retry"}
        assert answer("jobs")["jobs"][0]["run_at"] < "2050"
        assert answer("jobs", "cancel", id)["action"] == "cancel"
        assert answer("jobs") == {"jobs": []}
        assert cli("jobs", "cancel", id).exit_code == 1

    @pytest.mark.parametrize("poll", ["nan", "inf"])
    def test_a_worker_looks_again_after_a_time(self, cli, poll):
        result = cli("worker", "--once", "--poll", poll)

        assert result.exit_code == 2
        assert "no length of time" in result.stderr

    def test_a_worker_does_what_is_due_and_says_so(self, cli, answer, home):
        with MemOS(home) as mem:
            mem.add("x", user_id="ann")
            id = mem.enqueue("reindex", user_id="ann")

        result = cli("worker", "--once", "--json")

        assert [(line["job"], line["result"]) for line in map(json.loads, result.stdout.splitlines())] == [(id, "done")]
        assert [job["kind"] for job in answer("jobs")["jobs"]] == ["sweep"]

    def test_a_backup_opens_as_a_store(self, cli, answer, tmp_path):
        cli("add", "x")
        (tmp_path / "copy").mkdir()
        file = tmp_path / "copy" / "store.db"

        assert answer("backup", file) == {"file": str(file), "bytes": file.stat().st_size}
        with MemOS(tmp_path / "copy") as mem:
            assert [cube.text for cube in mem.list()] == ["x"]
        assert cli("backup", file).exit_code == 1
