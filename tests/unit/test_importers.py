"""Importing by the facade: what is kept, what a second run does, what is broken, how far it is."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.importers_samples import chat, chats, said, talk, write_json, write_notes, write_zip

from pymemos import AsyncMemOS
from pymemos.errors import CannotWiden, InvalidInput
from pymemos.interface.importers.session import Broken, ImportReport, Progress

MONDAY = datetime(2024, 6, 3, tzinfo=UTC)


def texts(mem, **scope):
    return sorted(cube.text for cube in mem.list(limit=10_000, **scope))


def touch(folder, moment):
    """Give every note of a folder a time."""
    for file in folder.rglob("*.md"):
        os.utime(file, (0, moment.timestamp()))
    return folder


class TestConversations:
    def test_a_chatgpt_export_becomes_messages_in_sessions(self, mem, tmp_path):
        path = write_zip(tmp_path / "e.zip", {"conversations.json": [chat(said("Hi"), said("Hello", "assistant"))]})

        report = mem.import_from(path, kind="chatgpt", user_id="ida")

        assert ImportReport(sessions=1, written=2) == report
        first, second = mem.list(user_id="ida")
        assert ("Hi", "Hello") == (first.text, second.text)
        told = first.header.descriptive
        assert ("message", "user", "c1", ("c1-m1",)) == (
            told.semantic_type,
            told.speaker_role,
            told.session,
            told.source_ids,
        )
        assert ({"source": "chatgpt", "title": "Trip"}, 2023) == (told.metadata, told.event_time.year)

    def test_a_locomo_file_becomes_what_two_people_said(self, mem, tmp_path):
        report = mem.import_from(write_json(tmp_path / "l.json", [talk()]), kind="locomo")

        assert ImportReport(sessions=2, written=3) == report
        told = [cube.header.descriptive for cube in mem.list()]
        assert [("Ida", "D1:1"), ("Tom", "D1:2"), ("Ida", "D2:1")] == [(one.speaker, *one.source_ids) for one in told]
        assert ["conv-1/session_1", "conv-1/session_1", "conv-1/session_2"] == [one.session for one in told]

    def test_importing_again_changes_nothing(self, mem, tmp_path):
        path = write_json(tmp_path / "conversations.json", chats(5))
        mem.import_from(path, kind="chatgpt")
        once = [cube.version for cube in mem.list()]

        report = mem.import_from(path, kind="chatgpt")

        assert ImportReport(sessions=5, known=20) == report
        assert once == [cube.version for cube in mem.list()]

    def test_a_newer_export_brings_only_what_is_new(self, mem, tmp_path):
        mem.import_from(write_json(tmp_path / "old.json", chats(2)), kind="chatgpt")

        report = mem.import_from(write_json(tmp_path / "new.json", chats(3, length=6)), kind="chatgpt")

        assert ImportReport(sessions=3, written=10, known=8) == report
        assert sorted(f"chat {c} turn {t}" for c in range(3) for t in range(6)) == texts(mem)

    def test_a_renamed_conversation_is_known(self, mem, tmp_path):
        mem.import_from(write_json(tmp_path / "a.json", [chat(said("Hi"), title="Old")]), kind="chatgpt")

        report = mem.import_from(write_json(tmp_path / "b.json", [chat(said("Hi"), title="New")]), kind="chatgpt")

        assert (0, 1) == (report.written, report.known)

    def test_a_conversation_longer_than_a_batch_is_taken_whole(self, mem, tmp_path):
        path = write_json(tmp_path / "c.json", chats(1, length=1_203))

        assert (1_203, 0) == counts(mem.import_from(path, kind="chatgpt"))
        assert (0, 1_203) == counts(mem.import_from(path, kind="chatgpt"))

    def test_what_is_broken_is_named_and_the_rest_is_kept(self, mem, tmp_path):
        document = [*chats(1), {"title": "?"}, chat(said("short"), said("x" * 1_000_001), said("end"), id="c9")]

        report = mem.import_from(write_json(tmp_path / "conversations.json", document), kind="chatgpt")

        assert (2, 6) == (report.sessions, report.written)
        assert ["conversations.json, conversation 2", "conversations.json, conversation 3 (Trip), message c9-m2"] == [
            one.where for one in report.broken
        ]
        assert "1,000,001 characters" in report.broken[1].reason
        assert {"short", "end"} <= set(texts(mem))

    def test_progress_is_told_after_each_conversation(self, mem, tmp_path):
        told: list[Progress] = []

        mem.import_from(write_json(tmp_path / "c.json", [*chats(2), 7]), kind="chatgpt", on_progress=told.append)

        assert [(1, 3), (2, 3), (3, 3)] == [(one.done, one.total) for one in told]
        assert ["c.json, conversation 1 (Trip)", "c.json, conversation 2 (Trip)", "c.json, conversation 3"] == [
            one.what for one in told
        ]


class TestNotes:
    @pytest.fixture
    def folder(self, tmp_path):
        notes = {
            "house.md": "Old.\n# Roof\nLeaks.\n# Garden\nTwo trees.",
            "plans/trip.md": "---\ntags: travel\n---\nRome.",
        }
        return touch(write_notes(tmp_path / "notes", notes), MONDAY)

    def test_passages_are_knowledge_with_time_tags_and_source(self, mem, folder):
        report = mem.import_from(folder, kind="markdown", user_id="ida")

        assert ImportReport(sessions=2, written=4) == report
        (trip,) = mem.list(user_id="ida", filters={"tags": {"contains": "travel"}})
        told = trip.header.descriptive
        assert ("trip\nRome.", "domain_knowledge", MONDAY) == (trip.text, told.semantic_type, told.event_time)
        assert (("plans/trip.md",), folder.as_posix()) == (told.source_ids, told.session)
        assert [trip] == list(mem.list(user_id="ida", filters={"metadata.path": "plans/trip.md"}))

    def test_unchanged_passages_are_skipped(self, mem, folder):
        mem.import_from(folder, kind="markdown")
        once = [cube.version for cube in mem.list()]

        report = mem.import_from(touch(folder, MONDAY + timedelta(days=1)), kind="markdown")

        assert ImportReport(sessions=2, known=4) == report
        assert once == [cube.version for cube in mem.list()]

    def test_a_changed_passage_gets_a_new_version(self, mem, folder):
        mem.import_from(folder, kind="markdown")
        file = folder / "house.md"
        file.write_text(file.read_text().replace("Leaks.", "Mended."))
        touch(folder, MONDAY + timedelta(days=1))

        report = mem.import_from(folder, kind="markdown")

        assert ImportReport(sessions=2, known=3, updated=1) == report
        (roof,) = mem.list(filters={"source_ids": {"contains": "house.md#Roof"}})
        assert ["house > Roof\nLeaks.", "house > Roof\nMended."] == [r.cube.text for r in mem.history(roof.id)]
        assert MONDAY + timedelta(days=1) == roof.header.descriptive.event_time
        assert ImportReport(sessions=2, known=4) == mem.import_from(folder, kind="markdown")

    def test_a_change_there_and_back_is_followed(self, mem, folder):
        mem.import_from(folder, kind="markdown")
        for text in ("Paris.", "Rome."):
            (folder / "plans" / "trip.md").write_text(text)
            mem.import_from(folder, kind="markdown")

        assert "trip\nRome." in texts(mem)
        assert 4 == len(texts(mem))

    def test_new_tags_and_dates_are_taken_over(self, mem, folder):
        mem.import_from(folder, kind="markdown")
        (folder / "plans" / "trip.md").write_text("---\ntags: [italy]\ndate: 2024-01-01\n---\nRome.")

        mem.import_from(folder, kind="markdown")

        (trip,) = mem.list(filters={"tags": {"contains": "italy"}})
        assert (datetime(2024, 1, 1, tzinfo=UTC), 2) == (trip.header.descriptive.event_time, trip.revision)

    def test_an_edit_in_the_memory_stays_while_the_note_is_as_it_was(self, mem, folder):
        mem.import_from(folder, kind="markdown")
        (trip,) = mem.list(filters={"metadata.path": "plans/trip.md"})
        mem.update(trip.id, "Rome, by train.")

        mem.import_from(folder, kind="markdown")

        assert "Rome, by train." == mem.get(trip.id).text

    def test_what_is_gone_is_named_and_kept(self, mem, folder):
        mem.import_from(folder, kind="markdown")
        (folder / "plans" / "trip.md").unlink()
        (folder / "house.md").write_text("# Roof\nLeaks.")

        report = mem.import_from(folder, kind="markdown")

        assert {"plans/trip.md", "house.md", "house.md#Garden"} == set(report.missing)
        assert 4 == len(texts(mem))

    def test_what_is_gone_is_deleted_when_that_is_asked(self, mem, folder):
        mem.import_from(folder, kind="markdown")
        (folder / "plans" / "trip.md").unlink()

        report = mem.import_from(folder, kind="markdown", prune=True)

        assert ImportReport(sessions=1, known=3, pruned=("plans/trip.md",)) == report
        assert 3 == len(texts(mem))

    def test_what_was_deleted_comes_back_with_its_note(self, mem, folder):
        mem.import_from(folder, kind="markdown")
        file = (folder / "plans" / "trip.md").rename(folder / "trip")
        mem.import_from(folder, kind="markdown", prune=True)
        file.rename(folder / "plans" / "trip.md")

        assert 1 == mem.import_from(folder, kind="markdown").written

    def test_a_note_that_cannot_be_read_is_not_taken_for_gone(self, mem, folder):
        mem.import_from(folder, kind="markdown")
        (folder / "house.md").write_bytes(b"\xff")

        report = mem.import_from(folder, kind="markdown", prune=True)

        assert (("house.md",), (), ()) == (tuple(one.where for one in report.broken), report.missing, report.pruned)
        assert 4 == len(texts(mem))

    def test_an_empty_folder_is_refused_so_that_a_lost_disk_deletes_nothing(self, mem, folder, tmp_path):
        mem.import_from(folder, kind="markdown")
        folder.rename(tmp_path / "elsewhere")
        folder.mkdir()

        with pytest.raises(InvalidInput, match="holds no notes"):
            mem.import_from(folder, kind="markdown", prune=True)

    def test_folders_are_kept_apart_by_their_paths(self, mem, tmp_path):
        for place in ("a/notes", "b/notes"):
            write_notes(tmp_path / place, {"index.md": f"In {place}."})
            report = mem.import_from(tmp_path / place, kind="markdown", prune=True)

        assert ImportReport(sessions=1, written=1) == report
        assert ["index\nIn a/notes.", "index\nIn b/notes."] == texts(mem)

    def test_a_folder_with_a_name_may_move(self, mem, folder, tmp_path):
        mem.import_from(folder, kind="markdown", session_id="work")
        folder.rename(tmp_path / "moved")

        report = mem.import_from(tmp_path / "moved", kind="markdown", session_id="work")

        assert ImportReport(sessions=2, known=4) == report
        assert 4 == len(mem.list(session_id="work"))

    def test_a_passage_that_the_store_refuses_leaves_the_others(self, mem, folder):
        (folder / "long.md").write_text("ok\n# Log\n" + "x" * 1_000_001)

        report = mem.import_from(folder, kind="markdown")

        assert (5, "long.md, message long.md#Log") == (report.written, report.broken[0].where)

    def test_other_memories_of_the_session_are_left_alone(self, mem, folder):
        mem.add("Mine.", session_id="work", metadata={"source": "markdown"})
        mem.add([{"content": "Said.", "id": "x"}], session_id="work")

        report = mem.import_from(folder, kind="markdown", session_id="work", prune=True)

        assert ((), 6) == (report.pruned, len(mem.list(session_id="work")))


class TestCallers:
    @pytest.fixture
    def path(self, tmp_path):
        return write_json(tmp_path / "conversations.json", chats(1))

    def test_a_bound_handle_imports_for_its_owner(self, mem, path):
        mem.bind(user_id="ida").import_from(path, kind="chatgpt")

        assert (4, 0) == (len(mem.list(user_id="ida")), len(mem.list()))

    def test_two_owners_have_a_copy_each(self, mem, path):
        for user in ("ida", "tom"):
            assert (4, 0) == counts(mem.import_from(path, kind="chatgpt", user_id=user))

    def test_a_handle_cannot_import_for_somebody_else(self, mem, path):
        with pytest.raises(CannotWiden):
            mem.bind(user_id="ida").import_from(path, kind="chatgpt", user_id="tom")

    def test_a_handle_of_another_session_is_refused_before_anything_is_written(self, mem, path):
        with pytest.raises(CannotWiden):
            mem.bind(session_id="s").import_from(path, kind="chatgpt")

    @pytest.mark.parametrize(
        "options", [{"kind": "letters"}, {"kind": "chatgpt", "prune": True}, {"kind": "locomo", "session_id": "s"}]
    )
    def test_what_makes_no_sense_is_refused(self, mem, path, options):
        with pytest.raises(InvalidInput):
            mem.import_from(path, **options)

    def test_a_wrong_name_is_an_error_and_not_a_broken_message(self, mem, path):
        with pytest.raises(InvalidInput, match="user"):
            mem.import_from(path, kind="chatgpt", user_id=" ")


def test_it_can_be_awaited(tmp_path):
    async def run() -> ImportReport:
        async with AsyncMemOS(tmp_path / "home") as mem:
            path = write_json(tmp_path / "conversations.json", chats(2))
            return await mem.import_from(path, kind="chatgpt")

    assert ImportReport(sessions=2, written=8) == asyncio.run(run())


def test_what_is_broken_reads_as_place_and_reason():
    assert "a.md: not UTF-8" == str(Broken(where="a.md", reason="not UTF-8"))


def counts(report):
    return report.written, report.known
