"""ChatGPT exports are read as their window showed them: branch, order, times, what is no text."""

from __future__ import annotations

import json
import zipfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.importers_samples import START, chat, chats, said, write_json, write_zip

from pymemos.errors import InvalidInput, MalformedRecord
from pymemos.interface.importers.chatgpt import read
from pymemos.interface.importers.session import Broken, Session


def found_in(path: Path, **options):
    return list(read(path, **options).sessions)


def texts(session: Session) -> list[str]:
    return [message.content for message in session.messages]


def only(tmp_path: Path, document) -> Session | Broken:
    """What is found of one conversation beside a good one."""
    _, found = found_in(write_json(tmp_path / "conversations.json", [chat(said("fine"), id="c0"), document]))
    return found


class TestArchives:
    def test_the_zip_its_folder_and_the_bare_file_say_the_same(self, tmp_path):
        document = chats(3)
        bare = write_json(tmp_path / "folder" / "conversations.json", document)
        packed = write_zip(tmp_path / "export.zip", {"chat.html": b"<html>", "conversations.json": document})

        expected = [texts(session) for session in found_in(bare)]

        assert expected == [texts(session) for session in found_in(packed)]
        assert expected == [texts(session) for session in found_in(tmp_path / "folder")]
        assert 3 == read(packed).total

    def test_large_exports_come_in_numbered_files(self, tmp_path):
        one, two, three = chats(3)
        files = {"x/conversations-001.json": [three], "x/conversations-000.json": [one, two], "x/user.json": {}}
        ghost = {"__MACOSX/x/._conversations-000.json": b"\x00"}

        found = found_in(write_zip(tmp_path / "export.zip", files | ghost))

        assert ["c0", "c1", "c2"] == [session.id for session in found]

    def test_a_byte_order_mark_is_no_matter(self, tmp_path):
        (tmp_path / "c.json").write_text("\ufeff" + json.dumps(chats(1)))

        assert 1 == read(tmp_path / "c.json").total

    def test_an_export_without_conversations_is_empty(self, tmp_path):
        assert [] == found_in(write_json(tmp_path / "conversations.json", []))

    def test_a_zip_without_conversations_is_refused(self, tmp_path):
        with pytest.raises(InvalidInput, match="conversations"):
            read(write_zip(tmp_path / "photos.zip", {"photo.jpg": b"x"}))

    def test_a_path_that_is_not_there_is_refused(self, tmp_path):
        with pytest.raises(InvalidInput, match="there is no file"):
            read(tmp_path / "nothing.zip")

    @pytest.mark.parametrize("text", ["\ud800", float("nan")], ids=["half a pair", "no number"])
    def test_a_conversation_that_is_no_json_does_not_take_the_others_along(self, tmp_path, text):
        other = chat(said("x"), id="c2")
        other["mapping"]["beside"] = {"message": {"content": {"parts": [text]}}}
        path = tmp_path / "conversations.json"
        path.write_text(json.dumps([*chats(2), other]))

        *good, broken = found_in(path)

        assert ["c0", "c1"] == [session.id for session in good]
        assert broken.where == "conversations.json, conversation 3"
        assert broken.reason.startswith("not JSON")


class TestDanger:
    def test_more_than_the_limit_is_not_unpacked(self, tmp_path):
        path = write_zip(tmp_path / "bomb.zip", {"conversations.json": b" " * 5_000_000})

        with pytest.raises(InvalidInput, match=r"bomb\.zip: conversations\.json is larger"):
            read(path, most=1_000_000)

    def test_the_limit_is_for_all_files_together(self, tmp_path):
        path = write_zip(tmp_path / "e.zip", {f"conversations-{n}.json": b"[" + b" " * 400 + b"]" for n in range(9)})

        with pytest.raises(InvalidInput, match="larger"):
            read(path, most=1_000)

    def test_a_size_that_is_a_lie_is_found_out(self, tmp_path):
        path = write_zip(tmp_path / "lie.zip", {"conversations.json": b"[" + b" " * 5_000_000 + b"]"})
        data = path.read_bytes()
        path.write_bytes(data.replace((5_000_002).to_bytes(4, "little"), (10).to_bytes(4, "little")))

        with pytest.raises(MalformedRecord, match=r"lie\.zip: the zip file is damaged"):
            read(path)

    def test_a_bare_file_has_the_same_limit(self, tmp_path):
        with pytest.raises(InvalidInput, match="bytes, which is more"):
            read(write_json(tmp_path / "conversations.json", chats(3)), most=100)

    @pytest.mark.parametrize("name", ["../conversations.json", "/etc/conversations.json"])
    def test_a_name_that_leads_elsewhere_does_no_harm(self, tmp_path, name):
        path = write_zip(tmp_path / "e.zip", {name: chats(1)})

        assert ["c0"] == [session.id for session in found_in(path)]
        assert ["e.zip"] == [file.name for file in tmp_path.iterdir()]

    def test_json_that_is_nested_without_end_is_refused(self, tmp_path):
        path = tmp_path / "conversations.json"
        path.write_bytes(b"[" * 200_000)

        with pytest.raises(MalformedRecord, match=r"conversations\.json: the JSON is nested too deeply"):
            read(path)

    def test_other_packings_and_encryption_are_refused(self, tmp_path):
        path = write_zip(tmp_path / "b.zip", {"conversations.json": chats(1)}, zipfile.ZIP_BZIP2)
        with pytest.raises(MalformedRecord, match="unusual"):
            read(path)

        path = write_zip(tmp_path / "e.zip", {"conversations.json": chats(1)})
        data = bytearray(path.read_bytes())
        data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag of the entry in the directory of the archive
        path.write_bytes(data)
        with pytest.raises(MalformedRecord, match="encrypted"):
            read(path)

    @pytest.mark.parametrize("keep", [3, 60, 200])
    def test_half_a_download_is_refused(self, tmp_path, keep):
        path = write_zip(tmp_path / "half.zip", {"conversations.json": chats(20)})
        path.write_bytes(path.read_bytes()[:keep])

        with pytest.raises(MalformedRecord, match=r"half\.zip: the zip file is damaged"):
            read(path)

    @pytest.mark.parametrize("name", ["conversations.json", "export.zip"])
    @given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=5))
    def test_any_damage_is_an_error_that_can_be_told(self, tmp_path_factory, name, changes):
        path = tmp_path_factory.mktemp("damaged") / name
        if name == "export.zip":
            write_zip(path, {"conversations.json": chats(2)})
        else:
            write_json(path, chats(2))
        data = bytearray(path.read_bytes())
        for place, byte in changes:
            data[int(place * len(data))] = byte
        path.write_bytes(data)

        with suppress(InvalidInput):
            found_in(path)

    def test_text_that_is_no_json_is_refused_with_its_place(self, tmp_path):
        (tmp_path / "conversations.json").write_text('[{"mapping": {}}, oops]')

        with pytest.raises(MalformedRecord, match=r"conversations\.json: not JSON: .*byte 18"):
            read(tmp_path / "conversations.json")


class TestBranches:
    def test_only_the_branch_that_was_open_last_is_read(self, tmp_path):
        document = chat(said("question"), said("first answer", "assistant"), said("thanks"))
        document["mapping"]["other"] = {"id": "other", "message": said("second answer", "assistant"), "parent": "n1"}
        document["mapping"]["end"] = {"id": "end", "message": said("great"), "parent": "other"}
        document["mapping"]["broken"] = {"message": 7, "parent": "n1"}
        document["current_node"] = "end"

        assert ["question", "second answer", "great"] == texts(only(tmp_path, document))

    def test_messages_keep_id_role_and_time(self, tmp_path):
        found = only(tmp_path, chat(said("Hi"), said("Hello", "assistant", create_time=None), said("Bye")))

        assert [(m.id, m.role, m.name) for m in found.messages] == [
            ("c1-m1", "user", None),
            ("c1-m2", "assistant", None),
            ("c1-m3", "user", None),
        ]
        first = datetime.fromtimestamp(START + 1, UTC)
        assert [first, first] == [m.timestamp for m in found.messages[:2]]  # none of its own: that of the one before
        assert ("c1", {"source": "chatgpt", "title": "Trip"}) == (found.id, found.metadata)

    def test_a_message_without_id_has_that_of_its_node(self, tmp_path):
        assert "n1" == only(tmp_path, chat(said("Hi", id=None))).messages[0].id

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"current_node": "gone"}, "node 'gone' is referred to and not there"),
            ({"current_node": None}, "current_node"),
            ({"mapping": []}, "mapping"),
            ({"id": None, "conversation_id": None}, "has no id"),
            ({"title": 7}, "title"),
        ],
    )
    def test_a_broken_conversation_is_named_and_the_others_are_read(self, tmp_path, change, reason):
        found = only(tmp_path, chat(said("Hi")) | change)

        assert isinstance(found, Broken)
        assert "conversations.json, conversation 2" == found.where
        assert reason in found.reason

    def test_a_circle_of_nodes_ends(self, tmp_path):
        document = chat(said("Hi"), said("Hello"))
        document["mapping"]["n1"]["parent"] = "n2"

        assert "node 'n2' is its own ancestor" == only(tmp_path, document).reason

    def test_a_broken_node_is_named(self, tmp_path):
        document = chat(said("Hi"), said("Hello"))
        document["mapping"]["n1"]["message"]["author"] = "me"

        assert only(tmp_path, document).reason.startswith(
            "node 'n1': Expected `object`, got `str` - at `$.message.author`"
        )

    def test_a_time_that_is_none_is_named(self, tmp_path):
        assert "create_time of node 'n1'" in only(tmp_path, chat(said("Hi", create_time=1e300))).reason

    @pytest.mark.parametrize("item", [None, 7, "text", [], {}])
    def test_an_item_that_is_no_conversation_is_named(self, tmp_path, item):
        assert isinstance(only(tmp_path, item), Broken)


class TestWhatIsShown:
    @pytest.mark.parametrize(
        "hidden",
        [
            said("You are ChatGPT.", "system"),
            said("secret", metadata={"is_visually_hidden_from_conversation": True}),
            said({"content_type": "user_editable_context", "user_profile": "I am Ida."}),
            said({"content_type": "thoughts", "thoughts": [{"summary": "hm"}]}, "assistant"),
            said({"content_type": "reasoning_recap", "content": "Thought for 9 seconds"}, "assistant"),
            said({"content_type": "code", "text": "search('ferry')"}, "assistant", recipient="browser"),
            said({"content_type": "execution_output", "text": "42"}, "tool"),
            said("", "assistant"),
            said({"content_type": "text", "parts": []}, "assistant"),
            {"author": {"role": "user"}, "content": None},
            None,
        ],
    )
    def test_what_the_window_hides_stays_out(self, tmp_path, hidden):
        assert ["Hi", "Hello"] == texts(only(tmp_path, chat(said("Hi"), hidden, said("Hello", "assistant"))))

    @pytest.mark.parametrize(
        ("part", "text"),
        [
            ({"content_type": "image_asset_pointer", "asset_pointer": "file-service://f1"}, "[image]"),
            (
                {"content_type": "image_asset_pointer", "metadata": {"dalle": {"prompt": "a white boat"}}},
                "[image: a white boat]",
            ),
            ({"content_type": "audio_transcription", "text": "good morning"}, "good morning"),
            ({"content_type": "audio_asset_pointer", "format": "wav"}, "[audio]"),
            ({"content_type": "real_time_user_audio_video_asset_pointer"}, "[audio video]"),
            ({"content_type": "brand_new_thing"}, "[brand new thing]"),
            ({"odd": 1}, "[not text]"),
            ({"content_type": ["odd"]}, "[not text]"),
            (7, ""),
        ],
    )
    def test_a_part_that_is_no_text_is_named(self, tmp_path, part, text):
        content = {"content_type": "multimodal_text", "parts": [part, "and this?"]}

        assert [f"{text}\nand this?".strip()] == texts(only(tmp_path, chat(said(content))))

    def test_attachments_are_named_once(self, tmp_path):
        picture = {"content_type": "image_asset_pointer", "asset_pointer": "sediment://f1"}
        files = {"attachments": [{"id": "f1", "name": "boat.png"}, {"id": "f2", "name": "plan.pdf"}, "odd"]}
        content = {"content_type": "multimodal_text", "parts": [picture, "Is this it?"]}

        found = only(tmp_path, chat(said(content, metadata=files)))

        assert ["[image: boat.png]\nIs this it?\n[file: plan.pdf]"] == texts(found)

    def test_a_picture_that_a_tool_made_is_kept(self, tmp_path):
        picture = {"content_type": "image_asset_pointer", "metadata": {"dalle": {"prompt": "a boat"}}}

        found = only(tmp_path, chat(said({"content_type": "multimodal_text", "parts": [picture]}, "tool")))

        assert [("tool", "[image: a boat]")] == [(m.role, m.content) for m in found.messages]

    def test_other_content_is_its_text_or_its_name(self, tmp_path):
        found = only(
            tmp_path,
            chat(
                said({"content_type": "code", "text": "print(1)"}, "assistant"),
                said({"content_type": "app_pairing_content"}, "assistant"),
            ),
        )

        assert ["print(1)", "[app pairing content]"] == texts(found)

    @pytest.mark.parametrize("content", [{}, {"content_type": ["odd"]}, {"text": 7}])
    def test_content_of_no_known_form_is_named_as_such(self, tmp_path, content):
        assert ["[not text]"] == texts(only(tmp_path, chat(said(content))))

    def test_odd_metadata_does_no_harm(self, tmp_path):
        odd = {"attachments": {"id": 1}, "content_references": [7, {"matched_text": []}]}

        assert ["Hi"] == texts(only(tmp_path, chat(said("Hi", metadata=odd))))

    def test_citations_read_as_the_window_shows_them(self, tmp_path):
        marker = "\ue200cite\ue202turn0search0\ue201"
        links = [
            {"matched_text": marker, "alt": "([ferries](https://example.org))"},
            {"matched_text": " ", "alt": None, "type": "sources_footnote"},
        ]

        found = only(tmp_path, chat(said(f"At nine {marker}.", "assistant", metadata={"content_references": links})))

        assert ["At nine ([ferries](https://example.org))."] == texts(found)
