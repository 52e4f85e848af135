"""Somebody with the store but without the key: whatever they change in a small log, every byte of it, is found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import msgspec
import pytest

from pymemos import MemOS
from pymemos.adapters.sqlite import SqliteStore
from pymemos.infrastructure.audit import key_id
from pymemos.infrastructure.chains import AuditReport, Fault, examined
from pymemos.infrastructure.heads import Head, judged

READ = """
SELECT CAST(chain AS BLOB), n, at, CAST(caller_namespace AS BLOB), CAST(operation AS BLOB), CAST(record AS BLOB)
FROM audit ORDER BY chain, n"""
INSERT = """
INSERT INTO audit (chain, n, at, caller_namespace, operation, record)
VALUES (CAST(? AS TEXT), ?, ?, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT))"""
AS_IT_IS = "INSERT INTO audit (chain, n, at, caller_namespace, operation, record) VALUES (?, ?, ?, ?, ?, ?)"
TEXTS = {"chain": 0, "caller_namespace": 3, "operation": 4, "record": 5}
Row = tuple[Any, ...]


class Log(NamedTuple):
    """A small log that was closed, what is signed of it, and a hand on its file."""

    home: Path
    store: SqliteStore
    file: apsw.Connection
    rows: list[Row]
    key: bytes
    head: Path

    def lay(self, rows: list[Row]) -> None:
        """Put other rows in the place of those that were written."""
        with self.file:
            self.file.execute("DELETE FROM audit")
            self.file.executemany(INSERT, rows)

    def faults(self) -> dict[str, tuple[int | None, Fault | None]]:
        """What verification finds, by chain; strays under a name of their own."""
        found = judged(self.head.read_bytes(), self.head.stem, {key_id(self.key): self.key})
        assert found.head is not None
        tips = {name: [tip] for name, tip in found.head.chains.items()}
        with self.store.read() as unit:
            rows, strays = unit.audit_rows(None, limit=1_000), unit.audit_strays()
        reports = list(examined(rows, {key_id(self.key): self.key}, tips))
        stray: dict[str, tuple[int | None, Fault | None]] = {"strays": (strays, None)} if strays else {}
        return stray | {one.chain: (one.broken, one.fault) for one in reports if not one.ok}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    home = tmp_path / "home"
    with MemOS(home) as mem:
        id = mem.add("Ana likes tea.", user_id="ana").ids[0]
        mem.update(id, "Ana likes wine.", user_id="ana")
        mem.search("wine", user_id="ana")
        mem.delete(id, user_id="ana")
        mem.add("Bo likes Ωμέγα.", user_id="bø")
        mem.list(user_id="bø")
    store = SqliteStore(home)
    with store.read() as unit:
        name = unit.setting("store_id")
    folder = Path(os.environ["PYMEMOS_CONFIG_DIR"])
    file = apsw.Connection(str(home / "store.db"))
    file.execute("PRAGMA synchronous = OFF")
    rows = list(file.execute(READ))
    key = bytes.fromhex((folder / f"{name}.key").read_text("ascii"))
    yield Log(home, store, file, rows, key, folder / f"{name}.head")
    file.close()
    store.close()


def changed(row: Row, place: int, value: object) -> Row:
    return (*row[:place], value, *row[place + 1 :])


def test_a_log_as_it_was_written_holds(log: Log) -> None:
    assert [(row[0].decode(), row[1]) for row in log.rows] == [
        *(("users/ana", n) for n in (1, 2, 3, 4)),
        *(("users/bø", n) for n in (1, 2)),
    ]
    assert log.faults() == {}
    log.lay(log.rows)
    assert log.faults() == {}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("column", TEXTS)
def test_every_byte_of_every_entry_counts(log: Log, column: str) -> None:
    place, changes = TEXTS[column], 0
    for number, row in enumerate(log.rows):
        written = row[place]
        for at, byte in enumerate(written):
            for other in {byte ^ 0x01, byte ^ 0x20, byte ^ 0x80, 0, ord(" ")} - {byte}:
                forged = written[:at] + bytes([other]) + written[at + 1 :]
                log.lay([*log.rows[:number], changed(row, place, forged), *log.rows[number + 1 :]])
                assert log.faults() != {}, (row, forged)
                changes += 1
    assert changes >= 4 * sum(len(row[place]) for row in log.rows)


@pytest.mark.parametrize("column", ["n", "at"])
def test_every_bit_of_every_number_counts(log: Log, column: str) -> None:
    place = 1 if column == "n" else 2
    for number, row in enumerate(log.rows):
        for bit in range(64):
            value = (row[place] ^ (1 << bit)) - ((1 << 64) if row[place] ^ (1 << bit) >= 1 << 63 else 0)
            others = log.rows[:number] + log.rows[number + 1 :]
            if any((row[0], value) == other[:2] for other in others) and column == "n":
                continue  # there is one of that number
            log.lay([*others, changed(row, place, value)])

            assert log.faults() != {}, (row, value)


@pytest.mark.parametrize("column", range(6))
def test_a_value_of_another_type_is_found(log: Log, column: int) -> None:
    for number, row in enumerate(log.rows):
        for value in (b"\x00", "x", 1.5):
            with log.file:
                log.file.execute("DELETE FROM audit WHERE chain = CAST(? AS TEXT) AND n = ?", row[:2])
                forged = tuple(one.decode() if isinstance(one, bytes) else one for one in row)
                log.file.execute(AS_IT_IS, changed(forged, column, value))

            assert log.faults() != {}, (number, value)
            log.lay(log.rows)


def test_every_entry_that_was_taken_out_is_missed(log: Log) -> None:
    for number, row in enumerate(log.rows):
        log.lay(log.rows[:number] + log.rows[number + 1 :])

        last = number in (3, 5)
        assert log.faults() == {row[0].decode(): (row[1], Fault.CUT if last else Fault.MISSING)}


def test_an_entry_that_was_taken_out_is_missed_where_the_others_were_numbered_anew(log: Log) -> None:
    for number, row in enumerate(log.rows):
        rest = [
            renumbered(one, one[1] - 1) if one[0] == row[0] and one[1] > row[1] else one
            for one in log.rows[:number] + log.rows[number + 1 :]
        ]
        log.lay(rest)

        assert set(log.faults()) == {row[0].decode()}


def renumbered(row: Row, n: int) -> Row:
    record = msgspec.json.decode(row[5])
    return (*changed(row, 1, n)[:5], msgspec.json.encode({**record, "n": n}, order="sorted"))


def test_any_two_entries_that_changed_places_are_found(log: Log) -> None:
    for a, b in combinations(range(len(log.rows)), 2):
        for rewritten in (False, True):
            one, other = log.rows[a], log.rows[b]
            rows = list(log.rows)
            rows[a], rows[b] = (moved(x, y, rewritten) for x, y in ((other, one), (one, other)))
            log.lay(rows)

            assert log.faults() != {}, (a, b, rewritten)


def moved(row: Row, place: Row, rewritten: bool) -> Row:
    """``row`` where ``place`` was; rewritten, so that it agrees with where it lies."""
    laid = (*place[:2], *row[2:])
    if not rewritten:
        return laid
    record = {**msgspec.json.decode(row[5]), "namespace": place[0].decode(), "n": place[1]}
    return (*laid[:5], msgspec.json.encode(record, order="sorted"))


@pytest.mark.parametrize("key", ["ours", "another"])
def test_every_entry_that_was_put_in_is_found(log: Log, key: str) -> None:
    for source in log.rows:
        record = msgspec.json.decode(source[5])
        if key == "another":
            record |= {"key_id": "0123456789abcdef"}
        forged = changed(source, 5, msgspec.json.encode(record, order="sorted"))
        for chain in (b"users/ana", b"users/b\xc3\xb8", b"users/eve"):
            own = [row for row in log.rows if row[0] == chain]
            rest = [row for row in log.rows if row[0] != chain]
            for place in range(1, len(own) + 2):
                shifted = [renumbered(row, row[1] + 1) if row[1] >= place else row for row in own]
                log.lay([*rest, *shifted, moved(forged, (chain, place), True)])

                assert chain.decode() in log.faults(), (source, chain, place)


def test_rows_that_no_chain_can_hold_are_counted(log: Log) -> None:
    log.lay([*log.rows, changed(log.rows[0], 1, 0), changed(log.rows[0], 1, -(1 << 63))])

    assert log.faults() == {"strays": (2, None)}


def test_every_tail_that_was_cut_is_missed(log: Log) -> None:
    for ana in range(5):
        for bo in range(3):
            log.lay([*log.rows[:ana], *log.rows[4 : 4 + bo]])

            assert log.faults() == {
                **({"users/ana": (ana + 1, Fault.CUT if ana else Fault.VANISHED)} if ana < 4 else {}),
                **({"users/bø": (bo + 1, Fault.CUT if bo else Fault.VANISHED)} if bo < 2 else {}),
            }


# The same through the system: what it says, and what it does meanwhile.


def verified(home: Path) -> AuditReport:
    with MemOS(home) as mem:
        return mem.audit_verify()


def wrong(report: AuditReport) -> dict[str, Fault | None]:
    return {chain.chain: chain.fault for chain in report.chains if not chain.ok}


def test_a_log_that_nobody_touched_is_in_order(log: Log) -> None:
    report = verified(log.home)

    assert (report.ok, report.head, report.strays) == (True, "holds", 0)
    assert {chain.chain: (chain.entries, chain.signed) for chain in report.chains} == {
        "users/ana": (4, 4),
        "users/bø": (2, 2),
    }


def test_a_chain_that_was_cut_and_goes_on_stays_found(log: Log) -> None:
    log.lay(log.rows[:2] + log.rows[4:])
    for expected in (Fault.CUT, Fault.REPLACED, Fault.REPLACED):  # as soon as there is a third entry again
        assert wrong(verified(log.home)) == {"users/ana": expected}
        with MemOS(log.home) as mem:
            for _ in range(3):
                mem.add("another", user_id="ana")

    with MemOS(log.home) as mem:
        mem.audit_head(accept=True)
    assert verified(log.home).ok


def _gone(head: Path) -> None:
    head.unlink()


def _altered(head: Path) -> None:
    text = head.read_text()
    head.write_text(text.replace('"n":4', '"n":3'))


def _rubbish(head: Path) -> None:
    head.write_bytes(b"\xff\x00")


@pytest.mark.parametrize(("act", "said"), [(_gone, "missing"), (_altered, "altered"), (_rubbish, "altered")])
def test_a_head_that_was_taken_or_altered_is_missed_until_the_steward_signs_anew(
    log: Log, act: Callable[[Path], None], said: str
) -> None:
    act(log.head)

    for _ in range(2):
        with MemOS(log.home) as mem:
            mem.add("another", user_id="ana")  # goes on, and signs nothing
            report = mem.audit_verify()
        assert (report.ok, report.head, wrong(report)) == (False, said, {})

    with MemOS(log.home) as mem:
        mem.audit_head(accept=True)
    assert verified(log.home).ok


def test_every_byte_of_the_head_counts(log: Log) -> None:
    written = log.head.read_bytes()
    keys = {key_id(log.key): log.key}
    for at, byte in enumerate(written):
        for other in {byte ^ 0x01, byte ^ 0x20, byte ^ 0x80, 0, ord(" ")} - {byte}:
            forged = written[:at] + bytes([other]) + written[at + 1 :]
            assert judged(forged, log.head.stem, keys).head is None, forged
    for cut in range(len(written)):
        assert judged(written[:cut], log.head.stem, keys).head is None
    assert judged(written, "another", keys).head is None
    assert judged(written, log.head.stem, keys).head is not None


def test_an_older_head_holds_for_what_it_names_and_says_its_age(log: Log) -> None:
    older = log.head.read_bytes()
    with MemOS(log.home) as mem:
        mem.add("another", user_id="ana")
    newer = msgspec.json.decode(log.head.read_bytes(), type=Head)
    log.head.write_bytes(older)

    report = verified(log.home)

    assert (report.ok, report.head_at) == (True, msgspec.json.decode(older, type=Head).at)
    assert report.head_at is not None
    assert report.head_at < newer.at
    assert {chain.chain: (chain.entries, chain.signed) for chain in report.chains}["users/ana"] == (5, 4)
    with MemOS(log.home) as mem:
        mem.add("one more", user_id="ana")
    assert msgspec.json.decode(log.head.read_bytes(), type=Head).chains["users/ana"].n == 6


def test_a_head_that_was_kept_elsewhere_tells_what_one_with_the_key_has_done(log: Log) -> None:
    with MemOS(log.home) as mem:
        anchor = msgspec.json.encode(mem.audit_head(), order="sorted")
    log.lay(log.rows[:3])
    with MemOS(log.home) as mem:
        mem.audit_head(accept=True)  # as whoever has the key could
        assert mem.audit_verify().ok
        report = mem.audit_verify(head=anchor)

    assert wrong(report) == {"users/ana": Fault.CUT, "users/bø": Fault.VANISHED}
