"""Erasing through the facade: what is named, what goes along, who may, what is told, and what never returns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from tests.properties.grep import Grep

from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.adapters.sqlite import SqliteStore
from pymemos.cube.erasure import Departure, Derived, Phase
from pymemos.cube.payload import Activation, ModelRef
from pymemos.errors import EmptyScope, NotAllowed, StoreError, UnknownMemory, UnknownReceipt
from pymemos.interface.transfer import from_line
from pymemos.testing.doubles import WHEN, FrozenClock, HashingEmbedder

SAID = "Ana keeps the spare key under the zanzibarian flowerpot."
RARE = b"zanzibarian"
MODEL = ModelRef(name="m", weights="w")


@pytest.fixture(params=["sqlite", "memory"])
def mem(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    given: dict[str, Any] = {"clock": FrozenClock(), "embedder": HashingEmbedder()}
    if request.param == "memory":
        given |= {"store": MemoryStore(), "blobs": MemoryBlobs()}
    with MemOS(tmp_path / "home", **given) as opened:
        yield opened


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[MemOS]:
    with MemOS(tmp_path / "home", clock=FrozenClock(), embedder=HashingEmbedder()) as opened:
        yield opened


@pytest.fixture(scope="module")
def grep() -> Iterator[Grep]:
    search = Grep()
    yield search
    search.close()


def add(mem: MemOS, text: str = SAID, user: str = "ana", **given: Any) -> str:
    return mem.add(text, user_id=user, **given).ids[0]


# What is named.


def test_an_empty_scope_is_an_error(mem: MemOS) -> None:
    with pytest.raises(EmptyScope):
        mem.erase()


def test_one_memory_goes_with_every_version(mem: MemOS) -> None:
    id, other = add(mem), add(mem, "Ana likes tea.")
    mem.update(id, "Ana moved the key.")

    receipt = mem.erase(id, user_id="ana")

    assert (receipt.phase, receipt.memories, receipt.removed.versions) == (Phase.PENDING, (id,), 2)
    for look in (mem.get, mem.history, mem.provenance, mem.delete, mem.restore, mem.erase):
        with pytest.raises(UnknownMemory):
            look(id)
    assert [cube.id for cube in mem.list(user_id="ana")] == [other]
    assert len(mem.search("Where is the spare key?", user_id="ana", filters={"id": id})) == 0
    assert [hit.cube.id for hit in mem.search("key", user_id="ana")] in ([], [other])


def test_deleted_archived_and_frozen_memories_go_with_their_owner(mem: MemOS) -> None:
    ids = [add(mem, f"{SAID} {n}") for n in range(4)]
    mem.delete(ids[0])
    mem.archive(ids[1])
    mem.freeze(ids[2])
    kept = add(mem, user="bo")

    receipt = mem.erase(user_id="ana")

    assert (receipt.removed.memories, receipt.asked) == (4, {"namespace": "users/ana"})
    assert mem.list(user_id="ana", states=["archived", "frozen", "generated"]).cubes == ()
    assert mem.get(kept).text == SAID


def test_a_memory_is_named_by_any_of_its_versions(mem: MemOS) -> None:
    id = add(mem)
    mem.update(id, "Ana moved the key.")
    gone = add(mem, f"{SAID} Truly.")
    mem.delete(gone)
    other = add(mem, "Ana likes tea.")

    receipt = mem.erase(user_id="ana", filters={"content": {"contains": "zanzibarian"}})

    assert sorted(receipt.memories) == sorted([id, gone])
    assert receipt.asked == {"namespace": "users/ana", "filter": "given"}
    assert [cube.id for cube in mem.list(user_id="ana")] == [other]


def test_a_session_goes_with_its_episode(mem: MemOS) -> None:
    said = [{"role": "user", "content": SAID}, {"role": "assistant", "content": "Noted."}]
    first = mem.add(said, user_id="ana", session_id="s")
    mem.add(said, user_id="ana", session_id="t")

    receipt = mem.erase(user_id="ana", session_id="s")

    assert first.episode is not None
    assert sorted(receipt.memories) == sorted([*first.ids, first.episode.id])
    assert len(mem.list(user_id="ana", episodes=True)) == 3


# What goes along.


def test_what_was_made_from_it_goes_through_all_generations_and_owners(mem: MemOS) -> None:
    id = add(mem)
    mem.share(id, to="users/bo", user_id="ana")
    summary = add(mem, "A key is under a flowerpot.", "bo", parents=[id])
    mem.share(summary, to="users/ana", user_id="bo")
    report = add(mem, "There are keys.", parents=[summary])
    mem.update(summary, "Nothing.", parents=[])  # it was made from the secret all the same

    receipt = mem.erase(id, user_id="ana")

    assert receipt.memories == (id,)
    assert receipt.derived == (Derived(id=summary, namespace="users/bo"), Derived(id=report, namespace="users/ana"))
    assert mem.list(user_id="bo").cubes == mem.list(user_id="ana").cubes == ()
    [told] = mem.log(user_id="bo", operation="erase")
    assert (told.memories, told.caller.name) == ((summary,), "users/ana")


def test_a_dry_run_says_what_would_go_and_changes_nothing(mem: MemOS) -> None:
    id = add(mem)
    derived = add(mem, "There is a key.", parents=[id])

    plan = mem.erase(id, dry_run=True)

    assert (plan.phase, plan.memories, plan.removed.memories) == (Phase.PLANNED, (id,), 2)
    assert [one.id for one in plan.derived] == [derived]
    assert mem.get(id).text == SAID
    assert mem.receipts() == ()


def test_the_turn_behind_follows_the_turn_that_is_left(mem: MemOS) -> None:
    said = ["I was in Lisbon.", SAID, "Yes, on Saturday."]
    ids = mem.add([{"role": "user", "content": text} for text in said], user_id="ana", session_id="s").ids

    receipt = mem.erase(ids[1])

    assert receipt.removed.contexts == 1
    with mem._tools.store.read() as unit:
        text = unit.text(ids[2])
    assert text is not None
    assert text.context_of == ids[0]
    assert "lisbon" in text.context


def test_remembered_results_and_jobs_that_name_it_go(mem: MemOS) -> None:
    id = add(mem, idempotency_key="k")
    other = add(mem, "Ana likes tea.")
    mem.enqueue("note", {"about": [id]}, user_id="ana")
    kept = mem.enqueue("note", {"about": other}, user_id="ana")

    receipt = mem.erase(id)

    assert (receipt.removed.replays, receipt.removed.jobs) == (1, 1)
    assert [job.id for job in mem.jobs() if job.kind == "note"] == [kept]
    assert mem.add(SAID, user_id="ana", idempotency_key="k").ids[0] != id


def test_with_everything_of_an_owner_go_its_jobs(mem: MemOS) -> None:
    mem.enqueue("note", {"words": "Ana keeps a key."}, user_id="ana")
    kept = mem.enqueue("note", user_id="bo")

    mem.erase(user_id="ana")

    assert [job.id for job in mem.jobs() if job.kind == "note"] == [kept]


def test_a_blob_goes_when_the_files_are_scrubbed(mem: MemOS) -> None:
    blob, size = mem.put_blob(b"tensor")
    tensor = mem.add(Activation(form="kv", blob=blob, size=size, model=MODEL), user_id="ana").ids[0]

    mem.erase(tensor, wait=True)

    assert mem._tools.blobs.names() == set()


# Who may.


def test_others_may_not_and_learn_nothing(mem: MemOS) -> None:
    id = add(mem)

    with pytest.raises(UnknownMemory):
        mem.bind(user_id="eve").erase(id)
    receipt = mem.bind(user_id="ana").erase(id)

    with pytest.raises(UnknownReceipt):
        mem.bind(user_id="eve").receipt(receipt.id)
    assert mem.bind(user_id="ana").receipt(receipt.id) == receipt
    assert mem.bind(user_id="eve").receipts() == ()


def test_to_read_is_not_to_erase(mem: MemOS) -> None:
    id = add(mem)
    mem.share(id, to="users/bo", user_id="ana")

    with pytest.raises(NotAllowed):
        mem.bind(user_id="bo").erase(id)


def test_who_is_narrowed_by_a_rule_erases_what_it_admits_whole(mem: MemOS) -> None:
    work, home = add(mem, "The work key.", tags=["work"]), add(mem, "The home key.", tags=["home"])
    moved = add(mem, "The moved key.", tags=["work"])
    mem.update(moved, tags=["home"])
    mem.set_access_policy("p", {"effect": "deny", "who": ["roles/guest"], "what": {"tags": "work"}}, user_id="ana")
    guest = mem.bind(user_id="ana", role="guest")

    receipt = guest.erase(user_id="ana")

    assert receipt.memories == (home,)
    with pytest.raises(NotAllowed):
        guest.erase(moved)
    assert {cube.id for cube in mem.list(user_id="ana")} == {work, moved}


# What never comes back.


def test_an_import_of_what_was_erased_or_made_from_it_is_refused_and_reported(mem: MemOS) -> None:
    id = add(mem)
    derived = add(mem, "There is a key.", parents=[id])
    lines = list(mem.export_lines(user_id="ana"))
    mem.erase(id)

    report = mem.import_records(from_line(line) for line in lines)

    assert (report.written, sorted(report.erased)) == ((), sorted([id, derived]))
    assert mem.list(user_id="ana").cubes == ()


def test_returning_to_a_moment_resurrects_nothing_erased(mem: MemOS) -> None:
    id, other = add(mem), add(mem, "Ana likes tea.")
    clock = mem._tools.clock
    assert isinstance(clock, FrozenClock)
    clock.advance(timedelta(hours=1))
    moment = mem.snapshot("before", user_id="ana")
    clock.advance(timedelta(hours=1))
    mem.update(other, "Ana likes coffee.")
    mem.erase(id)

    mem.restore_to(moment, user_id="ana")

    assert [cube.text for cube in mem.list(user_id="ana")] == ["Ana likes tea."]
    assert len(mem.search("spare key", user_id="ana", known_at=WHEN + timedelta(minutes=30))) == 0
    assert [cube.id for cube in mem.list(user_id="ana", known_at=WHEN + timedelta(minutes=30))] == [other]


# What is told.


def test_the_receipt_is_signed_once_nothing_is_left(mem: MemOS) -> None:
    id = add(mem)
    waiting = mem.erase(id)

    assert mem.tick().done
    receipt = mem.receipt(waiting.id)

    assert receipt.signed
    assert receipt.verification is not None
    assert receipt.verification.remnants == 0
    assert mem.verify_receipt(receipt)
    assert not mem.verify_receipt(waiting)
    assert not mem.verify_receipt(msgspec.structs.replace(receipt, by="users/eve"))
    assert mem.receipts() == (receipt,)
    assert SAID not in str(receipt)


def test_copies_that_left_before_are_told(mem: MemOS) -> None:
    id, other = add(mem), add(mem, "Ana likes tea.")
    assert len(list(mem.export_lines(user_id="ana"))) == 2

    plan, receipt = mem.erase(id, dry_run=True), mem.erase(id, wait=True)
    mem.erase(other, wait=True)
    late = add(mem, user="bo")

    left = Departure(at=WHEN, operation="export", by="users/ana", memories=1)
    assert plan.left == receipt.left == (left,)
    assert mem.erase(late, wait=True).left == ()


def test_the_log_keeps_that_it_happened(mem: MemOS) -> None:
    id = add(mem)

    mem.erase(id, user_id="ana", wait=True)

    assert [(record.operation, record.memories) for record in mem.log(user_id="ana")] == [
        ("scrub", ()),
        ("erase", (id,)),
        ("add", (id,)),
    ]
    assert mem.audit_verify().ok


def test_an_erasure_of_nothing_has_a_receipt_too(mem: MemOS) -> None:
    receipt = mem.erase(user_id="nobody", wait=True)

    assert (receipt.removed.memories, receipt.signed) == (0, True)


# On the disk.


def test_a_second_process_lets_go_of_what_it_keeps_in_memory(disk: MemOS, tmp_path: Path) -> None:
    id = add(disk)
    with MemOS(tmp_path / "home", clock=FrozenClock(), embedder=HashingEmbedder()) as other:
        assert [hit.cube.id for hit in other.search("spare key", user_id="ana")] == [id]
        [space] = other._tools.searcher._current.spaces._spaces.values()

        disk.erase(id)

        assert len(other.search("spare key", user_id="ana")) == 0
        assert space not in other._tools.searcher._current.spaces._spaces.values()


def test_a_reader_of_what_was_before_makes_the_scrub_wait(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "home", patience_s=0.05)
    disk = MemOS(tmp_path / "home", store=store, clock=FrozenClock(), embedder="none")
    id = add(disk)
    reader = apsw.Connection(str(tmp_path / "home" / "store.db"))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM memories").fetchall()
    receipt = disk.erase(id)

    assert disk.tick().failed
    assert (disk.receipt(receipt.id).phase, "reads the store" in disk.receipt(receipt.id).reason) == (
        Phase.PENDING,
        True,
    )
    assert all(finding.ok for finding in disk.doctor())

    reader.close()
    assert disk.tick(WHEN + timedelta(hours=1)).done
    assert disk.receipt(receipt.id).signed
    disk.close()


def test_backups_are_erased_in_and_stay_one_file(disk: MemOS, tmp_path: Path, grep: Grep) -> None:
    blob, size = disk.put_blob(b"zanzibarian tensor")
    disk.add(Activation(form="kv", blob=blob, size=size, model=MODEL), user_id="ana")
    add(disk)
    kept = add(disk, "Bo likes tea.", "bo")
    file = disk.backup(tmp_path / "copies.db")
    assert grep(tmp_path, [RARE]) != []

    receipt = disk.erase_backup(file, user_id="ana")

    assert (receipt.signed, receipt.removed.memories, disk.verify_receipt(receipt)) == (True, 2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copies.db", "copies.db.blobs", "home"]
    assert {name for _, name in grep(tmp_path, [RARE])} == {"store.db-wal", blob}
    assert len(disk.list(user_id="ana")) == 2  # here nothing was erased
    (tmp_path / "restored").mkdir()
    file.rename(tmp_path / "restored" / "store.db")
    with MemOS(tmp_path / "restored", embedder=HashingEmbedder()) as restored:
        assert restored.list(user_id="ana").cubes == ()
        assert restored.get(kept).text == "Bo likes tea."
        assert [one for one in restored.doctor() if not one.ok] == []


def test_an_erasure_in_a_backup_that_was_cut_off_goes_on(disk: MemOS, tmp_path: Path) -> None:
    id = add(disk)
    file = disk.backup(tmp_path / "copy.db")
    home = tmp_path / "copy.db.erasing"  # as a crash leaves it
    home.mkdir()
    file.rename(home / "store.db")

    receipt = disk.erase_backup(file, id)

    assert receipt.signed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "home"]


def test_a_backup_that_is_none_stays_where_it_is(disk: MemOS, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database at all, but long enough to look at " * 20)

    with pytest.raises(StoreError):
        disk.erase_backup(tmp_path / "notes.txt", user_id="ana")
    with pytest.raises(StoreError):
        disk.erase_backup(tmp_path / "missing.db", user_id="ana")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "notes.txt"]


def test_what_is_found_is_written_over_or_the_receipt_is_not_signed(disk: MemOS, tmp_path: Path) -> None:
    id = add(disk)
    receipt = disk.erase(id)
    left = tmp_path / "home" / "left.txt"  # a copy of our own files that somebody made in the folder
    left.write_text(SAID)

    assert disk.tick().failed

    stands = disk.receipt(receipt.id)
    assert stands.verification is not None
    assert (stands.phase, stands.verification.remnants > 0) == (Phase.PENDING, True)
    assert "still in the files" in stands.reason
    assert disk.tick(WHEN + timedelta(hours=1)).failed  # it knows what to look for again
    left.unlink()
    assert disk.tick(WHEN + timedelta(hours=2)).done
    assert disk.receipt(receipt.id).signed


def test_the_same_words_of_somebody_else_are_no_remnant(disk: MemOS) -> None:
    id, other = add(disk), add(disk, user="bo")

    receipt = disk.erase(id, wait=True)

    assert receipt.signed
    assert receipt.verification is not None
    assert receipt.verification.method == "bytes"
    assert disk.get(other).text == SAID


def test_the_doctor_looks_for_erased_documents_by_their_ids(disk: MemOS, tmp_path: Path) -> None:
    id = add(disk)
    document = msgspec.json.encode({"id": id, "payload": {"content": SAID}})
    disk.erase(id, wait=True)
    assert all(finding.ok for finding in disk.doctor(grep_erased=True))

    (tmp_path / "home" / "left.json").write_bytes(document)

    assert [one.check for one in disk.doctor(grep_erased=True) if not one.ok] == ["nothing erased is in the files"]


def test_a_store_with_another_file_system_is_searched_too(tmp_path: Path) -> None:
    with MemOS(tmp_path / "home", store=SqliteStore(tmp_path / "home"), embedder="none") as mem:
        receipt = mem.erase(add(mem), wait=True)

    assert receipt.verification is not None
    assert receipt.verification.files >= 2


def test_with_all_of_an_owner_its_policies_go(disk: MemOS) -> None:
    """They hold names of tasks and labels, which the owner wrote."""
    add(disk)
    disk.set_schedule_policy({"strategy": "labels", "labels": ["Halvorsen"]}, task="Brightwater", user_id="ana")

    disk.erase(add(disk, "tea"), user_id="ana", wait=True)
    assert disk.schedule_policy(task="Brightwater", user_id="ana") is not None
    disk.erase(user_id="ana", wait=True)

    assert disk.schedule_policy(task="Brightwater", user_id="ana") is None
    held = [path for path in disk._settings.home.rglob("*") if path.is_file() and b"Halvorsen" in path.read_bytes()]
    assert held == []
