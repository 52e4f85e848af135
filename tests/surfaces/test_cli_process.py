"""The command line as a process: pipes, signals, quiet ends, and what an answer costs."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys

import pytest

from pymemos import MemOS

PYMEMOS = [sys.executable, "-m", "pymemos"]
NO_LONGER = 40_000  # bytes that a file may have: more than the index of a log, less than the log of the test


def run(*arguments, stdin="", **options):
    return subprocess.run(
        [*PYMEMOS, *map(str, arguments)], input=stdin, capture_output=True, text=True, check=False, **options
    )


@pytest.fixture
def full(tmp_path):
    """Runs a command that cannot make the store's files longer, as on a full disk; this process keeps the log long."""
    home = tmp_path / "s"

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (NO_LONGER, NO_LONGER))

    with MemOS(home) as mem:
        mem.add([{"content": f"message {n}"} for n in range(200)])
        yield lambda *arguments: run(*arguments, "--home", home, preexec_fn=limit)


def test_add_and_search_from_a_shell(tmp_path):
    environment = {**os.environ, "PYMEMOS_HOME": str(tmp_path / "s")}
    added = run("add", "I moved to Lisbon in May.", env=environment)

    found = run("search", "Where did I move?", env=environment)

    assert (added.returncode, found.returncode, found.stderr) == (0, 0, "")
    assert "pymemos models prepare minilm" in added.stderr  # a new store says once that it is searched by words
    assert found.stdout.startswith(added.stdout.strip())


def test_commands_can_be_piped_into_each_other(tmp_path):
    home = tmp_path / "s"
    run("add", "from one store", "--home", home)
    pymemos = f"{sys.executable} -m pymemos"
    line = f"{pymemos} export --home {home} | {pymemos} import - --home {tmp_path / 't'}"

    piped = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)

    assert (piped.returncode, piped.stdout) == (0, "Imported 1, known already 0, malformed 0.\n")


def test_a_reader_that_has_enough_ends_it_quietly(tmp_path):
    home = tmp_path / "s"
    with MemOS(home) as mem:
        mem.add([{"content": f"message {i} {'x' * 200}"} for i in range(2_000)])
    line = f"{sys.executable} -m pymemos list --limit 10000 --home {home} | head -n 1"

    piped = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)

    assert (len(piped.stdout.splitlines()), piped.stderr) == (1, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_ends_cleanly_when_it_is_told_to(tmp_path, number):
    home = tmp_path / "s"
    with MemOS(home) as mem:
        mem.add("x", user_id="ann")
        id = mem.enqueue("reindex", user_id="ann")
    with subprocess.Popen(
        [*PYMEMOS, "worker", "--poll", "60", "--json", "--home", home], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as worker:
        assert json.loads(worker.stdout.readline())["job"] == id

        worker.send_signal(number)

        _, errors = worker.communicate(timeout=20)
    assert (worker.returncode, errors) == (0, b"")


def test_what_was_found_is_printed_though_the_log_takes_no_entry(full):
    plain, programs = full("search", "message", "--limit", 3), full("search", "message", "--limit", 3, "--json")

    assert (plain.returncode, len(plain.stdout.splitlines()), plain.stderr.count("the answer stands")) == (1, 3, 1)
    assert (programs.returncode, len(json.loads(programs.stdout)["hits"])) == (1, 3)
    assert "the answer stands" in json.loads(programs.stderr)["error"]["message"]


def test_doctor_counts_a_log_that_takes_no_entry_among_its_findings(full):
    examined = full("doctor", "--json")

    report = json.loads(examined.stdout)
    assert (examined.returncode, report["ok"], examined.stderr) == (1, False, "")
    assert ["the examination is in the log"] == [one["check"] for one in report["findings"] if not one["ok"]]


def test_an_error_is_one_line_without_a_traceback(tmp_path):
    failed = run("get", "nope", "--home", tmp_path)

    assert (failed.returncode, failed.stdout, len(failed.stderr.splitlines())) == (1, "", 1)


def test_help_is_quick(tmp_path):
    # An installed package has its bytecode, so it counts here too, whatever this machine says about writing it.
    caching = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path)}
    caching.pop("PYTHONDONTWRITEBYTECODE", None)

    def cpu_seconds(*command):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True, env=caching)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    bare = min(cpu_seconds("-c", "pass") for _ in range(3))
    # A busy machine makes single runs slow, never quick: one quick run is the proof.
    assert any(cpu_seconds("-m", "pymemos", "--help") - bare < 0.3 for _ in range(20))


def test_help_loads_nothing_that_draws():
    program = "\n".join(
        [
            "import sys",
            "from pymemos.surfaces.cli import main",
            "try: main(['--help'])",
            "except SystemExit: print('rich' in sys.modules)",
        ]
    )

    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert run.stdout.endswith("False\n")
