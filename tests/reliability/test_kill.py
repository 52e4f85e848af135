"""Three writing processes are killed at random moments: what was acknowledged is there, and nothing is half there."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.reliability.support import assert_sound, audited, heard, start

from pymemos import MemOS
from pymemos.errors import UnknownMemory

ROUNDS = int(os.environ.get("PYMEMOS_KILL_ROUNDS", "10"))
WRITERS = 3
ROUNDS_PER_STORE = 10  # a store that was killed before is written to again


@pytest.mark.timeout(60 + 30 * ROUNDS)
def test_what_was_acknowledged_survives_kill_9_and_nothing_is_half_there(tmp_path: Path) -> None:
    for number in range(ROUNDS):
        home = tmp_path / str(number // ROUNDS_PER_STORE)
        names = [f"r{number}w{writer}" for writer in range(WRITERS)]
        with ThreadPoolExecutor(WRITERS) as pool:
            logs = list(pool.map(lambda name, home=home: killed(home, name), names))
        assert_sound(home)
        with MemOS(home) as mem:
            for log in logs:
                assert_kept(mem, log)
        assert_audited(home, names, logs)


def killed(home: Path, name: str) -> list[dict[str, Any]]:
    """Start a writer, and kill it a moment after it has said so many lines; gives all that it said."""
    rng = random.Random(f"{name} {os.getpid()}")  # noqa: S311 (no secret)
    process = start("writer", home, name)
    assert process.stdout is not None
    lines = []
    for _ in range(rng.choice([0, rng.randrange(400)])):
        lines.append(process.stdout.readline())
    time.sleep(rng.uniform(0, 0.01 if lines else 0.6))  # any moment, also while the store is opened
    process.kill()
    lines += process.stdout.readlines()
    process.communicate()
    assert process.returncode == -signal.SIGKILL  # and not because it failed before
    return heard(lines)


def assert_kept(mem: MemOS, log: list[dict[str, Any]]) -> None:
    acknowledged, in_flight = split(log)
    wanted = {id: ("add", step["user"], 1) for step in acknowledged if step["did"] == "add" for id in step["ids"]}
    for step in acknowledged:
        if step["did"] != "add":
            wanted[step["id"]] = (step["did"], step["user"], step.get("revision", 0))
    for id, (did, user, revision) in wanted.items():
        unsure = in_flight is not None and in_flight.get("id") == id
        assert_state(mem, id, user, did, revision, in_flight if unsure else None)
    if in_flight is not None and in_flight["begins"] == "add":
        assert_all_or_nothing(mem, in_flight)


def split(log: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The calls that returned, and the one that was under way."""
    in_flight = log[-1] if log and "begins" in log[-1] else None
    return [step for step in log if "did" in step], in_flight


def assert_state(mem: MemOS, id: str, user: str, did: str, revision: int, in_flight: dict[str, Any] | None) -> None:
    possible = {"deleted" if did == "delete" else revision}
    if in_flight is not None:
        possible.add("deleted" if in_flight["begins"] == "delete" else revision + 1)
    try:
        found: int | str = mem.get(id, user_id=user).revision
    except UnknownMemory:
        found = "deleted"
        assert mem.history(id, user_id=user)  # recoverable
    assert found in possible


def assert_all_or_nothing(mem: MemOS, step: dict[str, Any]) -> None:
    """The messages of a call that was under way are all there with their episode, or none is."""
    session = step["sources"][0].rpartition("-")[0]
    page = mem.list(user_id=step["user"], session_id=session, episodes=True)
    sources = [source for cube in page for source in cube.header.descriptive.source_ids]
    episodes = sum(cube.is_episode for cube in page)
    assert (sources, episodes) in (([], 0), (step["sources"], int(len(step["sources"]) > 1)))


def assert_audited(home: Path, names: list[str], logs: list[list[dict[str, Any]]]) -> None:
    """Every change was written in one transaction with its audit entry: there are as many of these as of those."""
    acknowledged: Counter[tuple[str, str]] = Counter()
    unsure: Counter[tuple[str, str]] = Counter()
    for log in logs:
        done, in_flight = split(log)
        acknowledged.update((step["user"], step["did"]) for step in done)
        if in_flight is not None:
            unsure[in_flight["user"], in_flight["begins"]] += 1
    found = Counter((record.caller.user, record.operation) for record in audited(home) if record.caller.user in names)
    for (user, operation), count in acknowledged.items():
        if user in names:
            assert count <= found[user, operation] <= count + unsure[user, operation]
