"""Erasure under kill -9, and by four processes at once that have each other's memories in memory."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.properties.grep import Grep
from tests.reliability.support import assert_sound, start
from tests.reliability.test_processes import together

from pymemos import MemOS
from pymemos.testing.doubles import HashingEmbedder

ROUNDS = max(3, int(os.environ.get("PYMEMOS_KILL_ROUNDS", "0")) // 20)
MANY = 400


@pytest.fixture(scope="module")
def grep() -> Iterator[Grep]:
    search = Grep()
    yield search
    search.close()


def finish(mem: MemOS, from_minutes: int) -> None:
    """Work, later and later, until every receipt is signed."""
    for more in range(20):
        if all(receipt.signed for receipt in mem.receipts(limit=10_000)):
            return
        mem.tick(datetime.now(UTC) + timedelta(minutes=from_minutes + 120 * more), limit=1_000)
    raise AssertionError([receipt.reason for receipt in mem.receipts() if not receipt.signed])


@pytest.mark.timeout(300)
def test_a_worker_finishes_what_killed_ones_began(tmp_path: Path, grep: Grep) -> None:
    home, rng = tmp_path / "home", random.Random(7)  # noqa: S311 (no secret)
    words = [f"qz{n:04}xk" for n in range(MANY)]
    with MemOS(home, embedder=HashingEmbedder()) as mem:
        mem.add([{"role": "user", "content": f"They spoke of {word}."} for word in words], user_id="ana")
        mem.add("Bo likes tea.", user_id="bo")
        mem.erase(user_id="ana")
        mem.erase(user_id="bo")
        mem.add("Cleo likes tea.", user_id="cleo")

    for n in range(ROUNDS):
        process = start("scrubber", home, 10 * n)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0.0, 1.2))
        process.kill()
        process.communicate()
        with MemOS(home, embedder=HashingEmbedder()) as mem:
            assert [finding for finding in mem.doctor() if not finding.ok] == []

    with MemOS(home, embedder=HashingEmbedder()) as mem:
        finish(mem, 10 * ROUNDS)
        assert grep(home, [word.encode() for word in words] + [b"Bo likes"]) == []
        assert [hit.cube.text for hit in mem.search("tea", user_id="cleo")] == ["Cleo likes tea."]
        assert all(finding.ok for finding in mem.doctor(grep_erased=True))
        assert mem.audit_verify().ok
    assert_sound(home)


@pytest.mark.timeout(300)
def test_four_processes_erase_at_once_and_keep_the_rest(tmp_path: Path, grep: Grep) -> None:
    home = tmp_path / "home"

    said = together("eraser", *((home, name, 12) for name in ("one", "two", "three", "four")))

    gone = [word for one in said for word in one["gone"]]
    kept = [word for one in said for word in one["kept"]]
    with MemOS(home, embedder=HashingEmbedder()) as mem:
        finish(mem, 0)
        assert grep(home, [form for word in gone for form in (word.encode(), f"1_{word}".encode())]) == []
        texts = " ".join(cube.text for cube in mem.list(user_id="ana", limit=10_000))
        assert [word for word in kept if word not in texts] == []
        assert [word for word in kept if len(mem.search(word, user_id="ana", limit=1)) == 0] == []
        assert len(mem.receipts(limit=10_000)) == len(gone)
    assert_sound(home)
