"""Signed heads under processes, kills and folders that cannot be written: never ahead, never back, never in the way."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from tests.reliability.support import assert_sound, audited, start
from tests.reliability.test_processes import together

from pymemos import MemOS, Settings
from pymemos.adapters.memory import MemoryStore
from pymemos.adapters.sqlite import SqliteStore
from pymemos.errors import TamperedLog
from pymemos.infrastructure import heads
from pymemos.infrastructure.audit import instance_key, key_id
from pymemos.infrastructure.heads import Head, HeadKeeper, Tip, advanced
from pymemos.ports import AuditRecord
from pymemos.testing.builders import an_audit_record
from pymemos.testing.doubles import WHEN, FrozenClock

KEY = b"k" * 32
ANA, BO = "users/ana", "users/bo"


def folder() -> Path:
    return Path(os.environ["PYMEMOS_CONFIG_DIR"])


def named(home: Path) -> str:
    store = SqliteStore(home)
    try:
        with store.read() as unit:
            return unit.setting("store_id") or ""
    finally:
        store.close()


def kept(name: str) -> Head:
    """The head of a store; its signature must hold at every moment."""
    key = instance_key(folder(), name, new=False)
    found = heads.judged((folder() / f"{name}.head").read_bytes(), name, {key_id(key): key})
    assert found.head is not None, found.signature
    return found.head


def tails(home: Path) -> dict[str, tuple[int, str]]:
    return {record.namespace: (record.n, record.mac) for record in audited(home)}


def said(head: Head) -> dict[str, tuple[int, str]]:
    return {name: (tip.n, tip.mac) for name, tip in head.chains.items()}


def test_a_closed_store_is_signed_whole_and_kept_from_others(tmp_path: Path) -> None:
    with MemOS(tmp_path) as mem:
        mem.add("tea", user_id="ana")
        mem.search("tea", user_id="bo")

    name = named(tmp_path)
    assert said(kept(name)) == tails(tmp_path)
    assert (folder() / f"{name}.head").stat().st_mode & 0o777 == 0o600


def test_a_head_is_renewed_within_a_second_or_so_and_not_at_every_call(tmp_path: Path) -> None:
    with MemOS(tmp_path) as mem:
        mem.add("tea", user_id="ana")
        name, started, signed = named(tmp_path), time.monotonic(), set()
        for n in range(300):
            mem.add(f"tea {n}", user_id="ana")
            signed.add(kept(name).at)
        assert len(signed) <= time.monotonic() - started + 2

        until = time.monotonic() + 10
        while said(kept(name)) != tails(tmp_path) and time.monotonic() < until:
            time.sleep(0.05)

        assert said(kept(name)) == tails(tmp_path)


@pytest.mark.timeout(180)
def test_four_processes_move_one_head_forward_and_never_back(tmp_path: Path) -> None:
    home, seen, over = tmp_path / "home", [], threading.Event()
    MemOS(home).close()
    name = named(home)
    store = SqliteStore(home)

    def watch() -> None:
        while not over.is_set():
            head = kept(name)
            with store.read() as unit:  # behind the file: so every entry that it names is there
                assert heads.lost(unit, head.chains) == []
            seen.append({chain: tip.n for chain, tip in head.chains.items()})
            time.sleep(0.02)

    failed: list[BaseException] = []
    watcher = threading.Thread(target=_kept(watch, failed))
    watcher.start()
    together("adder", *((home, f"s{n}", 700) for n in range(4)))
    over.set()
    watcher.join()
    store.close()

    assert failed == []
    places = [counts.get(ANA, 0) for counts in seen]
    assert places == sorted(places)
    assert len(set(places)) > 2
    assert said(kept(name)) == tails(home)
    with MemOS(home) as mem:
        assert mem.audit_verify().ok


def _kept(work, failed):  # type: ignore[no-untyped-def]
    """``work`` as a thread's target, whose failure is not lost."""

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)
            raise

    return run


@pytest.mark.timeout(120)
def test_a_kill_between_write_and_head_leaves_the_head_behind_and_the_log_in_order(tmp_path: Path) -> None:
    home = tmp_path / "home"
    MemOS(home).close()
    name, behind = named(home), []
    for number in range(8):
        process = start("writer", home, f"w{number}")
        assert process.stdout is not None
        for _ in range(random.randrange(20, 400)):  # noqa: S311 (no secret)
            process.stdout.readline()
        process.kill()
        process.communicate()

        last, head = tails(home), said(kept(name))
        assert all(n <= last[chain][0] for chain, (n, _) in head.items())
        behind.append(sum(n for n, _ in last.values()) - sum(n for n, _ in head.values()))
        with MemOS(home) as mem:
            report = mem.audit_verify()
            assert report.ok, [chain for chain in report.chains if not chain.ok]
    assert max(behind) > 0
    assert_sound(home)
    assert not list(folder().glob(f"{name}.head.*")) or max(behind) > 0  # at most what a kill left half written


def test_the_next_call_on_a_chain_signs_what_a_kill_left_unsigned(tmp_path: Path) -> None:
    store = MemoryStore()
    keeper = HeadKeeper(tmp_path, "s", KEY, store, FrozenClock())
    keeper.begin()
    records = [an_audit_record(n, mac=f"{n:032x}") for n in range(1, 5)]

    def add(record: AuditRecord) -> None:
        store.write(lambda unit: unit.append_audit(record))

    for record in records[:3]:
        add(record)  # and the process dies before it notes them
    add(records[3])
    keeper.note([records[3]])
    keeper.close()

    assert said(keeper.read().head or Head(store="", at=WHEN)) == {records[3].namespace: (4, records[3].mac)}


def test_a_chain_moves_forward_only_from_where_it_was_seen_to_hold() -> None:
    first, second, third = (Tip(n=n, mac=str(n), at=WHEN) for n in (1, 2, 3))
    head = Head(store="s", at=WHEN, chains={ANA: second})

    assert advanced(head, {ANA: second}, {ANA: third, BO: first}).chains == {ANA: third, BO: first}
    assert advanced(head, {ANA: first}, {ANA: third}) == head  # another process has moved it since
    assert advanced(head, {ANA: second}, {ANA: first}) == head  # nor back
    assert advanced(head, {}, {ANA: third}) == head  # nor where nobody looked


def test_a_head_does_not_move_past_what_was_cut(tmp_path: Path) -> None:
    whole, cut = MemoryStore(), MemoryStore()
    records = [an_audit_record(n, mac=f"{n:032x}") for n in range(1, 4)]
    for store, held in ((whole, records), (cut, [records[0], *(an_audit_record(n, mac="f" * 32) for n in (2, 3))])):
        for record in held:
            store.write(lambda unit, record=record: unit.append_audit(record))  # type: ignore[misc]
    before = HeadKeeper(tmp_path, "s", KEY, whole, FrozenClock())
    before.replace({records[1].namespace: heads.tip_of(records[1])})

    after = HeadKeeper(tmp_path, "s", KEY, cut, FrozenClock())
    after.note([an_audit_record(3, mac="f" * 32)])
    after.close()

    head = after.read().head
    assert head is not None
    assert said(head) == {records[1].namespace: (2, records[1].mac)}


@pytest.fixture
def blocked(tmp_path: Path) -> Settings:
    """Settings whose folder of heads cannot be made: a file is in its place."""
    (tmp_path / "file").write_text("x")
    return Settings(home=tmp_path / "home", config_dir=tmp_path / "file" / "config", embedder="none")


def test_a_head_that_cannot_be_kept_hinders_no_call_and_is_told_once(
    blocked: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "pymemos"), MemOS(settings=blocked, key=KEY) as mem:
        for n in range(3):
            mem.add(f"note {n}")
        assert len(mem.list()) == 3
        report = mem.audit_verify()

    assert (report.ok, report.head) == (False, "missing")
    assert sum("signed head" in record.message for record in caplog.records) == 1


def test_a_head_says_how_old_it_is(tmp_path: Path) -> None:
    clock = FrozenClock()
    with MemOS(tmp_path, clock=clock) as mem:
        mem.audit_head()
        clock.advance(timedelta(hours=2))

        assert mem.audit_verify().head_age_s == 7_200


def test_a_restored_backup_is_told_from_the_log_until_the_steward_accepts_it(tmp_path: Path) -> None:
    with MemOS(tmp_path / "home") as mem:
        mem.add("tea", user_id="ana")
        mem.backup(tmp_path / "copy.db")
        mem.add("wine", user_id="ana")
    (tmp_path / "restored").mkdir()
    (tmp_path / "copy.db").rename(tmp_path / "restored" / "store.db")

    with MemOS(tmp_path / "restored") as mem:
        faults = {chain.chain: chain.fault for chain in mem.audit_verify().chains if not chain.ok}
        assert faults == {ANA: "cut", "default": "vanished"}  # the steward's own chain began with the backup
        with pytest.raises(TamperedLog, match="--accept"):
            mem.audit_head()
        head = mem.audit_head(accept=True)
        assert mem.audit_verify().ok
    assert msgspec.json.encode(head, order="sorted")
    assert_sound(tmp_path / "restored")
