"""Signatures: they go with a memory, name the instance that vouched for it, and show that it was changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.cube.signature import Role, Signature
from pymemos.errors import InvalidInput, MalformedRecord, NotAllowed, StoreError
from pymemos.infrastructure import signing
from pymemos.infrastructure.keyring import KeyRing, holds
from pymemos.interface.transfer import from_line
from pymemos.settings import Settings


def an_instance(folder: Path) -> MemOS:
    """A store of an instance of its own: it has another configuration folder."""
    settings = Settings(home=folder / "home", config_dir=folder / "config", embedder="none")
    return MemOS(settings=settings, store=MemoryStore(), blobs=MemoryBlobs())


@pytest.fixture
def here(tmp_path: Path) -> MemOS:
    return an_instance(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> MemOS:
    return an_instance(tmp_path / "there")


def a_memory(mem: MemOS) -> str:
    id = mem.add("Ana likes tea.", user_id="ana").ids[0]
    mem.update(id, "Ana likes mint tea.")
    return id


class TestSigning:
    def test_nobody_has_signed_what_was_not_signed(self, mem: MemOS) -> None:
        assert () == mem.signatures(a_memory(mem))

    def test_every_version_is_signed_once(self, mem: MemOS) -> None:
        id = a_memory(mem)

        first, again = mem.sign(id), mem.sign(id)

        assert [(1, "this instance", True), (2, "this instance", True)] == [(s.revision, s.by, s.holds) for s in first]
        assert first == again == mem.signatures(id)

    def test_a_later_version_is_not_signed_by_the_signature_of_an_earlier_one(self, mem: MemOS) -> None:
        id = a_memory(mem)
        mem.sign(id)

        mem.update(id, "Ana likes coffee.")

        assert [1, 2] == [signed.revision for signed in mem.signatures(id)]

    def test_what_the_key_before_signed_stays_this_instances(self, mem: MemOS) -> None:
        id = a_memory(mem)
        [old, _] = mem.sign(id)

        key = mem.rotate_key()

        mem.update(id, "Ana likes coffee.")
        signed = mem.sign(id)
        assert [old.key, old.key, key.fingerprint] == [one.key for one in signed]
        assert {"this instance"} == {one.by for one in signed}

    def test_a_signature_is_of_one_memory_and_one_version(self, tmp_path: Path) -> None:
        ring = KeyRing(tmp_path)
        [signature] = ring.sign("id", ["aa"], [])

        assert holds("id", signature)
        assert not holds("other", signature)
        assert not holds("id", Signature(version="ab", key=signature.key, signature=signature.signature))
        other = signing.public_of(signing.new_key()).hex()
        assert not holds("id", Signature(version="aa", key=other, signature=signature.signature))
        assert not holds("id", Signature(version="aa", key="no key", signature="none"))


class TestTravelling:
    def test_a_signature_goes_with_an_export_and_names_a_trusted_instance(self, here: MemOS, there: MemOS) -> None:
        id = a_memory(here)
        lines = list(here.export_lines(sign=True))

        there.import_records(map(from_line, lines))

        assert {("unknown", True)} == {(one.by, one.holds) for one in there.signatures(id)}
        there.trust_key(here.keys()[0].public, "the office")
        assert {("the office", True)} == {(one.by, one.holds) for one in there.signatures(id)}

    def test_exporting_again_gives_the_same_bytes(self, here: MemOS, there: MemOS) -> None:
        a_memory(here)
        lines = list(here.export_lines(sign=True))

        there.import_records(map(from_line, lines))

        assert lines == list(there.export_lines())
        assert lines == list(here.export_lines(sign=True))

    def test_a_line_with_something_left_out_has_no_signatures(self, here: MemOS) -> None:
        for text in ("Ana likes tea.", "Write to ana@example.org."):
            here.sign(here.add(text, user_id="ana").ids[0], user_id="ana")

        lines = [json.loads(line) for line in here.export_lines(redact=["email"], sign=True)]

        assert [(False, True), (True, False)] == sorted(("redacted" in line, "signatures" in line) for line in lines)

    def test_each_instance_adds_its_own(self, here: MemOS, there: MemOS) -> None:
        id = a_memory(here)
        there.import_records(map(from_line, here.export_lines(sign=True)))

        there.sign(id)

        assert {"unknown": 2, "this instance": 2} == _count(there, id)

    def test_a_signature_reaches_a_memory_that_is_known_already(self, here: MemOS, there: MemOS) -> None:
        id = a_memory(here)
        there.import_records(map(from_line, here.export_lines()))

        report = there.import_records(map(from_line, here.export_lines(sign=True)))

        assert ((id,), 2) == (report.known, len(there.signatures(id)))

    def test_what_is_not_taken_in_has_no_signatures_either(self, here: MemOS, there: MemOS) -> None:
        gone, kept = a_memory(here), a_memory(here)
        there.import_records(map(from_line, here.export_lines(sign=True)))
        there.erase(gone)
        refused = here.add("Write to ana@example.org.", user_id="ana").ids[0]
        there.set_privacy_policy({"email": "refuse"}, namespace="users/ana")

        report = there.import_records(map(from_line, here.export_lines(sign=True)))

        assert (report.erased, report.known, report.refused) == ((gone,), (kept,), (refused,))

    def test_a_signature_that_does_not_hold_is_refused_with_the_memory(self, here: MemOS) -> None:
        a_memory(here)
        [line] = here.export_lines(sign=True)
        fields = json.loads(line)
        first, second = fields["signatures"]
        first["signature"], second["signature"] = second["signature"], first["signature"]

        with pytest.raises(MalformedRecord, match="not what was signed"):
            from_line(json.dumps(fields))

    @pytest.mark.parametrize("signatures", ["no list", [{"version": 1}], [{}], [None]])
    def test_signatures_that_cannot_be_read_are_refused(self, here: MemOS, signatures: object) -> None:
        a_memory(here)
        [line] = here.export_lines()

        with pytest.raises(MalformedRecord, match="signatures cannot be read"):
            from_line(json.dumps({**json.loads(line), "signatures": signatures}))

    def test_a_changed_text_shows_in_its_hash_before_any_signature(self, here: MemOS) -> None:
        a_memory(here)
        [line] = here.export_lines(sign=True)

        with pytest.raises(MalformedRecord):
            from_line(line.replace(b"Ana likes tea.", b"Ana hates tea."))


class TestKeys:
    def test_the_private_part_is_for_its_owner_alone_and_the_old_one_is_gone(self, tmp_path: Path) -> None:
        ring = KeyRing(tmp_path / "keys")
        old, new = ring.rotate(), ring.rotate()

        files = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()}

        assert {f"{new.fingerprint}.key": 0o600, "ring.json": 0o600} == files
        assert [(new.fingerprint, Role.CURRENT), (old.fingerprint, Role.RETIRED)] == [
            (key.fingerprint, key.role) for key in ring.all()
        ]

    def test_keys_are_the_stewards(self, here: MemOS) -> None:
        ana = here.bind(user_id="ana")

        for act in (ana.keys, ana.rotate_key, lambda: ana.trust_key("00" * 32, "x"), lambda: ana.distrust_key("x")):
            with pytest.raises(NotAllowed):
                act()

    def test_a_trusted_key_is_forgotten_by_name(self, here: MemOS, there: MemOS) -> None:
        key = there.rotate_key()
        here.trust_key(key.public, "the office")

        here.distrust_key("the office")

        assert () == here.keys()
        with pytest.raises(InvalidInput, match="no trusted key"):
            here.distrust_key("the office")

    def test_ones_own_key_is_no_others(self, here: MemOS) -> None:
        with pytest.raises(InvalidInput, match="own"):
            here.trust_key(here.rotate_key().public, "me")

    @pytest.mark.parametrize("public", ["", "xyz", "00", "00" * 33])
    def test_what_is_no_key_is_refused(self, here: MemOS, public: str) -> None:
        with pytest.raises(InvalidInput, match="public key"):
            here.trust_key(public, "x")

    def test_a_key_that_is_not_what_the_ring_names_signs_nothing(self, tmp_path: Path) -> None:
        ring = KeyRing(tmp_path)
        key = ring.rotate()
        (tmp_path / f"{key.fingerprint}.key").write_text(signing.new_key().hex())

        with pytest.raises(StoreError, match="not the private key"):
            ring.sign("id", ["aa"], [])


def _count(mem: MemOS, id: str) -> dict[str, int]:
    owners = [one.by for one in mem.signatures(id)]
    return {by: owners.count(by) for by in owners}
