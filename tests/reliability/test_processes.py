"""Several processes on one folder: nothing is lost, nobody starves, and a reader sees whole moments only."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.reliability.support import assert_sound, start

from pymemos import MemOS

PROCESSES = 4
ADDS = 1_000
LONGEST_S = 2.0  # of a single add, on a shared and noisy machine; the benchmark asks for less


def together(program: str, *arguments: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Start a program several times, let all begin at once, and give what each said last."""
    processes = [start(program, *each) for each in arguments]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [_last_line(process) for process in processes]


def _last_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    said: dict[str, Any] = json.loads(out.splitlines()[-1])
    return said


@pytest.mark.timeout(180)
def test_four_processes_add_without_an_error_a_loss_or_starvation(
    tmp_path: Path, record_property: pytest.RecordProperty
) -> None:
    names = [f"s{n}" for n in range(PROCESSES)]

    said = together("adder", *((tmp_path / "home", name, ADDS) for name in names))

    longest = max(one["longest"] for one in said)
    record_property("longest_add_s", longest)
    print(f"longest add {longest:.3f} s; {PROCESSES * ADDS / max(one['total'] for one in said):.0f} adds/s")
    assert longest < LONGEST_S
    with MemOS(tmp_path / "home") as mem:
        for name in names:
            found = _sources(mem, name)
            assert found == [f"{name}-{n}" for n in range(ADDS)]  # none lost, and in their order
    assert_sound(tmp_path / "home")


def _sources(mem: MemOS, session: str) -> list[str]:
    page = mem.list(user_id="ana", session_id=session, limit=10_000)
    return [source for cube in page for source in cube.header.descriptive.source_ids]


def test_processes_that_open_a_new_folder_at_once_share_one_store(tmp_path: Path) -> None:
    for attempt in range(3):
        home = tmp_path / str(attempt)

        said = together("opener", *((home, name) for name in ("a", "b", "c")))

        with MemOS(home) as mem:
            assert sorted(cube.id for cube in mem.list()) == sorted(id for one in said for id in one["ids"])
        assert_sound(home)


@pytest.mark.timeout(120)
def test_a_reader_sees_whole_snapshots_while_another_process_writes(tmp_path: Path) -> None:
    home = tmp_path / "home"
    writer = start("adder", home, "s", 400)
    assert writer.stdout is not None
    assert writer.stdin is not None
    writer.stdout.readline()
    writer.stdin.write("go\n")
    writer.stdin.flush()

    seen = []
    with MemOS(home) as mem:
        while writer.poll() is None:
            sources = _sources(mem, "s")
            assert sources == [f"s-{n}" for n in range(len(sources))]
            assert len(mem.search("message", user_id="ana")) == min(10, len(sources)) or len(sources) < 10
            seen.append(len(sources))
        assert len(_sources(mem, "s")) == 400
    writer.communicate()

    assert seen == sorted(seen)
    assert len(set(seen)) > 2
