"""Verifying, anchoring and exporting the log through the facade, over both adapters, under policy."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from pymemos import MemOS, errors
from pymemos.cube.audit import AuditQuery, AuditRecord
from pymemos.cube.header import Access
from pymemos.infrastructure.audit import first_broken
from pymemos.interface.auditing import PAGE, revisions
from pymemos.ports import Record
from pymemos.surfaces.cli import main
from pymemos.testing.builders import a_cube
from pymemos.testing.doubles import WHEN, FrozenClock

KEY = b"k" * 32
MINUTE = timedelta(minutes=1)


def rows(lines: Sequence[str]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("\n".join(lines))))


class TestVerifying:
    def test_a_user_is_told_of_the_own_chain_alone(self, mem: MemOS) -> None:
        mem.add("tea", user_id="ana")
        mem.add("wine", user_id="bo")

        own = mem.bind(user_id="ana").audit_verify()
        every = mem.audit_verify()

        assert (own.ok, [chain.chain for chain in own.chains]) == (True, ["users/ana"])
        assert [chain.chain for chain in every.chains] == ["users/ana", "users/bo"]

    def test_the_steward_can_ask_for_one_chain(self, mem: MemOS) -> None:
        mem.add("tea", user_id="ana")
        mem.add("wine", user_id="bo")

        assert [chain.chain for chain in mem.audit_verify(user_id="bo").chains] == ["users/bo"]

    def test_a_log_of_many_pages_is_verified_whole(self, mem: MemOS) -> None:
        for n in range(PAGE // 100):
            for _ in range(110):
                mem.list(user_id=f"u{n}", limit=1)

        report = mem.audit_verify()

        assert report.ok
        counts = {chain.chain: chain.entries for chain in report.chains}
        assert {counts[f"users/u{n}"] for n in range(PAGE // 100)} == {110}

    def test_entries_of_another_key_are_told_and_verified_with_it(self, tmp_path: Path) -> None:
        home, other = tmp_path / "home", tmp_path / "other.key"
        other.write_text(KEY.hex())
        with MemOS(home, key=KEY) as mem:
            mem.add("tea", user_id="ana")

        with MemOS(home, key=b"o" * 32) as mem:
            mem.add("wine", user_id="ana")
            report = mem.audit_verify()
            with_key = mem.audit_verify(keys=[other])

        assert (report.ok, report.head) == (False, "signed with a key that is not here")
        assert [(c.chain, c.entries, c.unverified, c.fault) for c in report.chains] == [("users/ana", 2, 1, None)]
        assert "1 entries" in report.chains[0].reason
        assert with_key.ok

    def test_something_else_than_a_head_of_this_store_is_refused(self, mem: MemOS) -> None:
        nothing: list[Any] = [b"", b"{}", "rubbish", "\ud800", json.dumps({"store": "x"}), 5, {}]
        for given in [*nothing, msgspec.structs.replace(mem.audit_head(), mac="")]:
            with pytest.raises(errors.InvalidInput, match="audit head"):
                mem.audit_verify(head=given)

    def test_a_missing_key_file_is_told(self, mem: MemOS, tmp_path: Path) -> None:
        with pytest.raises(errors.StoreError, match="cannot be read"):
            mem.audit_verify(keys=[tmp_path / "none"])


class TestHeads:
    def test_a_head_names_the_last_entry_of_every_chain(self, mem: MemOS) -> None:
        mem.add("tea", user_id="ana")
        mem.add("wine", user_id="bo")
        tails = {entry.namespace: entry.mac for entry in reversed(mem.log())}

        head = mem.audit_head()

        assert {name: tip.mac for name, tip in head.chains.items() if name != "default"} == {
            name: mac for name, mac in tails.items() if name != "default"
        }
        assert mem.audit_verify(head=msgspec.json.encode(head, order="sorted")).ok
        assert mem.audit_verify(head=head).ok

    def test_a_user_gets_a_head_of_the_own_chain_and_may_sign_no_other(self, mem: MemOS) -> None:
        mem.add("tea", user_id="ana")
        mem.add("wine", user_id="bo")
        ana = mem.bind(user_id="ana")

        head = ana.audit_head()

        assert list(head.chains) == ["users/ana"]
        assert ana.audit_verify(head=msgspec.json.encode(head, order="sorted")).ok
        with pytest.raises(errors.NotAllowed) as refused:
            ana.audit_head(accept=True)
        assert "bo" not in str(refused.value)
        with pytest.raises(errors.CannotWiden):
            ana.audit_head(user_id="bo")

    def test_accepting_is_recorded(self, mem: MemOS) -> None:
        mem.audit_head(accept=True)

        assert [entry.rule for entry in mem.log(operation="audit_head")] == ["steward"]


class TestAccessLog:
    def test_the_export_gives_back_every_entry_as_it_was_sealed(self, tmp_path: Path) -> None:
        with MemOS(tmp_path, key=KEY) as mem:
            mem.add("tea", user_id="ana")
            mem.search("tea", user_id="ana", agent_id="bot")
            with pytest.raises(errors.UnknownMemory):
                mem.get("nothing", user_id="ana")
            written = sorted(mem.log(user_id="ana"), key=lambda entry: entry.n)

            lines = list(mem.audit_export(user_id="ana"))

        read = [msgspec.json.decode(line, type=AuditRecord) for line in lines]
        assert read[: len(written)] == written
        assert first_broken(read, KEY) is None

    def test_csv_holds_the_same(self, mem: MemOS) -> None:
        mem.add('tea, "black"', user_id='a,"n"a')
        mem.list(user_id='a,"n"a')
        entries = [msgspec.json.decode(line) for line in mem.audit_export(user_id='a,"n"a')]

        told = rows(list(mem.audit_export(format="csv", user_id='a,"n"a')))

        for entry, row in zip(entries, told, strict=False):
            assert [row["namespace"], int(row["n"]), row["at"], row["operation"], row["rule"], row["mac"]] == [
                entry["namespace"], entry["n"], entry["at"], entry["operation"], entry["rule"], entry["mac"]
            ]  # fmt: skip
            assert json.loads(row["identities"]) == entry["caller"]
            assert json.loads(row["memories"]) == entry.get("memories", [])
            assert (row["allowed"], row["caller"]) == ("true", 'users/a,"n"a')

    def test_csv_holds_a_name_of_two_lines_in_one_cell(self, mem: MemOS) -> None:
        names = ["a\nb", "a\rb", "a\r\nb"]
        for name in names:
            mem.add("tea", user_id=name)

        told = rows(list(mem.audit_export(format="csv", operation="add")))

        assert sorted(row["namespace"] for row in told) == sorted(f"users/{name}" for name in names)

    def test_it_goes_page_by_page_and_takes_the_filters_of_log(self, mem: MemOS, clock: FrozenClock) -> None:
        id = mem.add("tea", user_id="ana").ids[0]
        clock.advance(MINUTE)
        for n in range(PAGE + 5):
            mem.list(user_id=f"u{n % 3}", limit=1)
        clock.advance(MINUTE)
        mem.get(id, user_id="ana")

        assert len(list(mem.audit_export(operation="list"))) == PAGE + 5
        assert len(list(mem.audit_export(caller="users/u1"))) == (PAGE + 5) // 3
        assert len(list(mem.audit_export(memory=id))) == 2
        assert len(list(mem.audit_export(memory_kind="plaintext", memory_type="fact"))) == 2
        assert len(list(mem.audit_export(memory=id, since=WHEN + MINUTE, until=WHEN + 3 * MINUTE))) == 1

    def test_a_user_gets_the_own_log_alone(self, mem: MemOS) -> None:
        id = mem.add("tea", user_id="ana").ids[0]
        mem.add("wine", user_id="bo")
        bo = mem.bind(user_id="bo")

        assert {json.loads(line)["namespace"] for line in bo.audit_export()} == {"users/bo"}
        assert list(bo.audit_export(memory=id)) == []
        with pytest.raises(errors.CannotWiden):
            bo.audit_export(user_id="ana")

    @pytest.mark.parametrize(("what", "form"), [("secrets", "jsonl"), ("access", "xml")])
    def test_what_there_is_not_is_refused_at_once(self, mem: MemOS, what: str, form: str) -> None:
        with pytest.raises(errors.InvalidInput, match="access or permissions, jsonl or csv"):
            mem.audit_export(what, format=form)


class TestPermissions:
    def test_a_change_names_who_when_why_and_what(self, mem: MemOS, clock: FrozenClock) -> None:
        id = mem.add("Allergic to nuts.", user_id="ana", sensitivity=["health"]).ids[0]
        mem.update(id, "Allergic to walnuts.", user_id="ana")
        clock.advance(MINUTE)
        cube = mem.update(id, user_id="ana", sensitivity=["health", "diet"])

        (line,) = mem.audit_export("permissions")
        (row,) = rows(list(mem.audit_export("permissions", format="csv")))

        told = json.loads(line)
        assert told.pop("at").startswith("2025-05-08T13:57:00")
        assert told == {
            "namespace": "users/ana", "memory": id, "revision": 3, "version": cube.version, "author": "users/ana",
            "cause": "update", "field": "sensitivity", "before": ["health"], "after": ["health", "diet"],
        }  # fmt: skip
        assert (row["field"], json.loads(row["before"]), json.loads(row["after"])) == (
            "sensitivity",
            ["health"],
            ["health", "diet"],
        )

    def test_owner_access_and_frozenness_are_permissions_and_priority_is_none(self) -> None:
        first = a_cube()
        rules = first.header.governance
        second = first.derive(
            governance=msgspec.structs.replace(
                rules, owner="users/bo", access=Access(read=("users/eve",)), frozen=True, priority="high"
            )
        )
        history = [
            Record(cube=cube, seq_from=n, known_from=WHEN + n * MINUTE, valid_from=WHEN)
            for n, cube in enumerate((first, second))
        ]

        changes = list(revisions(history, AuditQuery()))

        assert [change.field for change in changes] == ["owner", "access", "frozen"]
        assert {change.at for change in changes} == {WHEN + MINUTE}
        assert list(revisions(history, AuditQuery(until=WHEN + MINUTE))) == []
        assert list(revisions(history, AuditQuery(memory_kind="activation"))) == []

    def test_filters_are_by_author_cause_time_and_memory(self, mem: MemOS) -> None:
        ids = [mem.add("tea", user_id=user).ids[0] for user in ("ana", "bo")]
        mem.update(ids[0], user_id="ana", sensitivity=["a"])
        mem.update(ids[1], sensitivity=["b"])  # by the steward

        def told(**asked: Any) -> list[str]:
            return [json.loads(line)["memory"] for line in mem.audit_export("permissions", **asked)]

        assert told() == sorted(ids)
        assert told(caller="users/ana") == ids[:1]
        assert told(caller="default") == ids[1:]
        assert told(operation="restore") == []
        assert told(memory=ids[1]) == ids[1:]
        assert told(memory="nothing") == []
        assert told(until=WHEN) == []
        assert told(user_id="bo") == ids[1:]

    def test_a_user_learns_of_the_own_memories_alone_and_deletion_hides_none(self, mem: MemOS) -> None:
        id = mem.add("tea", user_id="ana").ids[0]
        mem.update(id, user_id="ana", sensitivity=["a"])
        mem.delete(id, user_id="ana")

        assert len(list(mem.bind(user_id="ana").audit_export("permissions"))) == 1
        assert list(mem.bind(user_id="bo").audit_export("permissions", memory=id)) == []


class TestCommands:
    def test_verify_says_what_is_wrong_with_exit_code_1(self, tmp_path: Path) -> None:
        home = tmp_path / "s"
        with MemOS(home) as mem:
            mem.add("tea", user_id="ana")
        head = tmp_path / "head.json"

        def run(*arguments: str) -> Any:
            return CliRunner().invoke(main, [*arguments, "--home", str(home)])

        whole = run("audit", "verify")
        head.write_text(run("audit", "head").stdout)
        with MemOS(home) as mem, mem._tools.store._writer.exclusive() as connection:  # type: ignore[attr-defined]
            connection.execute("DELETE FROM audit WHERE chain = 'users/ana'")
        broken, as_json = run("audit", "verify"), run("audit", "verify", "--json")
        refused, accepted = run("audit", "head"), run("audit", "head", "--accept")
        held = run("audit", "verify", "--head", str(head))

        assert (whole.exit_code, whole.stdout) == (0, "users/ana\t1\t1\tok\t\t\n")
        assert (broken.exit_code, "tampered" in broken.stderr) == (1, True)
        assert "users/ana\t0\t1\tvanished\t1\tthe whole chain is missing" in broken.stdout
        told = json.loads(as_json.stdout)
        assert (as_json.exit_code, told["ok"], told["head"]) == (1, False, "holds")
        assert [chain["fault"] for chain in told["chains"] if not chain["ok"]] == ["vanished"]
        assert (refused.exit_code, accepted.exit_code) == (1, 0)
        assert run("audit", "verify").exit_code == 0
        assert (held.exit_code, "vanished" in held.stdout) == (1, True)

    def test_export_writes_lines(self, tmp_path: Path) -> None:
        home = str(tmp_path / "s")
        with MemOS(home) as mem:
            id = mem.add("tea", user_id="ana").ids[0]
            mem.update(id, user_id="ana", sensitivity=["a"])

        def run(*arguments: str) -> list[str]:
            result = CliRunner().invoke(main, ["audit", "export", *arguments, "--home", home])
            assert result.exit_code == 0, result.output
            return result.stdout.splitlines()

        assert [json.loads(line)["operation"] for line in run("--user", "ana")][:2] == ["add", "update"]
        assert [row["operation"] for row in rows(run("--format", "csv", "--operation", "add"))] == ["add"]
        assert [row["field"] for row in rows(run("--kind", "permissions", "--format", "csv"))] == ["sensitivity"]
        assert json.loads(run("--kind", "permissions")[0])["memory"] == id

    def test_the_doctor_looks_at_the_seals_too(self, tmp_path: Path) -> None:
        with MemOS(tmp_path) as mem:
            mem.add("tea", user_id="ana")
            assert all(finding.ok for finding in mem.doctor())
            with mem._tools.store._writer.exclusive() as connection:  # type: ignore[attr-defined]
                connection.execute("UPDATE audit SET record = replace(record, 'add', 'get') WHERE chain = 'users/ana'")

            found = {finding.check: finding for finding in mem.doctor()}["audit log is as it was written"]

        assert not found.ok
        assert "'users/ana': entry 1" in found.detail

    def test_an_entry_that_cannot_be_read_is_told_where_it_is_asked_for(self, tmp_path: Path) -> None:
        with MemOS(tmp_path) as mem:
            mem.add("tea", user_id="ana")
            with mem._tools.store._writer.exclusive() as connection:  # type: ignore[attr-defined]
                connection.execute("UPDATE audit SET record = CAST(x'ff' AS TEXT) WHERE chain = 'users/ana'")

            with pytest.raises(errors.BrokenStore, match="audit verify"):
                mem.log()
