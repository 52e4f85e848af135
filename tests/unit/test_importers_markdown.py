"""Markdown notes: where they are split, what a passage is called, and what front matter and files say of them."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.importers_samples import write_notes

from pymemos.errors import InvalidInput
from pymemos.interface.importers.markdown import PASSAGE_LENGTH, parse_note, read
from pymemos.interface.importers.session import Broken

MODIFIED = datetime(2024, 6, 1, tzinfo=UTC)


def note(text, path="house.md"):
    return parse_note(text.encode(), path=path, collection="notes", modified=MODIFIED)


def passages(text, path="house.md"):
    return {message.id: message.content for message in note(text, path).messages}


class TestSplitting:
    def test_each_heading_begins_a_passage_that_says_where_it_stands(self):
        text = "Bought in May.\n\n# Garden\nTwo trees.\n## Trees\nAn apple tree.\n# Roof\nLeaks.\n"

        assert {
            "house.md": "house\nBought in May.",
            "house.md#Garden": "house > Garden\nTwo trees.",
            "house.md#Garden > Trees": "house > Garden > Trees\nAn apple tree.",
            "house.md#Roof": "house > Roof\nLeaks.",
        } == passages(text)

    def test_a_heading_that_repeats_the_title_is_said_once(self):
        assert {"old-house.md#Old House > Roof": "Old House > Roof\nLeaks."} == passages(
            "# Old House\n## Roof\nLeaks.", "old-house.md"
        )

    def test_a_heading_with_nothing_below_it_is_a_passage(self):
        assert {"house.md#To do > Roof": "house > To do > Roof", "house.md#To do > Door": "house > To do > Door"} == (
            passages("# To do\n## Roof\n\n## Door\n")
        )

    def test_levels_may_be_left_out(self):
        assert ["house.md#A > B", "house.md#A > C", "house.md#D"] == list(passages("# A\n### B\nb\n## C\nc\n# D\nd"))

    def test_passages_under_equal_headings_are_numbered(self):
        assert ["house.md#Log", "house.md#Log~2", "house.md#Log~2~2"] == list(
            passages("# Log\na\n# Log\nb\n# Log~2\nc")
        )

    @pytest.mark.parametrize("empty", ["", "\n\n", "---\ntitle: House\n---\n"])
    def test_an_empty_note_has_no_passages(self, empty):
        assert {} == passages(empty)

    @pytest.mark.parametrize(
        "text",
        [
            "```sh\n# no heading\n```",
            "~~~\n```\n# no heading\n~~~",
            "````\n```\n# no heading\n````",
            "```\n# no heading, and the block never ends",
            "#tag and #other",
            "    # indented code",
            "####### seven",
            "#",
            "- item\n---\nmore",
            "| a |\n---",
            "1. item\n---",
            "two lines\nof text\n---",
        ],
    )
    def test_what_only_looks_like_a_heading_is_none(self, text):
        assert {"house.md": f"house\n{text}"} == passages(text)

    @pytest.mark.parametrize(
        "text", ["## Roof ##\nLeaks.", "  # Roof\nLeaks.", "Roof\n====\nLeaks.", "Roof\n---\nLeaks.", "#\tRoof\nLeaks."]
    )
    def test_headings_of_every_form_are_read(self, text):
        assert {"house.md#Roof": "house > Roof\nLeaks."} == passages(text)

    def test_a_heading_behind_a_block_of_code_is_read(self):
        assert ["house.md", "house.md#Roof"] == list(passages("```inline```\n```\ncode\n```\n# Roof\nLeaks."))

    def test_links_and_line_ends_are_kept(self):
        text = "See [the plan](plan.md) and [[Garden]].\r\n\r\n![boat](boat.png)\r\n"

        assert ["house\nSee [the plan](plan.md) and [[Garden]].\n\n![boat](boat.png)"] == list(passages(text).values())

    def test_a_long_passage_is_cut_at_blank_lines(self):
        code = "```\n" + "x\n\n" * 2_000 + "```"
        text = "# Log\n" + "\n\n".join([f"day {n} " + "word " * 100 for n in range(12)] + [code])

        found = passages(text)

        assert ["house.md#Log", "house.md#Log~2", "house.md#Log~3", "house.md#Log~4"] == list(found)
        assert [f"house > Log\n{code}"] == [body for body in found.values() if len(body) > PASSAGE_LENGTH + 20]
        assert all(f"day {n} " in "".join(found.values()) for n in range(12))

    def test_a_long_place_is_shortened_and_stays_its_own(self):
        path = "a/" * 200 + "b.md"

        ids = list(passages("# A\na\n# B\nb", path))

        assert ([256, 256], 2) == ([len(id) for id in ids], len(set(ids)))

    @given(st.text(alphabet="# \n-=`~ab>.\t", max_size=200))
    def test_no_word_is_lost_and_no_id_comes_twice(self, text):
        found = note(text).messages

        assert len(found) == len({message.id for message in found})
        letters = [letter for letter in text.lower() if letter in "ab"]
        kept = "".join(message.content.removeprefix("house") for message in found)
        assert all(kept.count(letter) >= letters.count(letter) for letter in "ab")


class TestFrontMatter:
    def test_title_date_and_tags_are_read(self):
        found = note(
            '---\ntitle: "The House"\ndate: 2024-05-02T10:00+02:00\ntags: [home, "#money"]\n---\n# Roof\nLeaks.'
        )

        assert (datetime(2024, 5, 2, 8, tzinfo=UTC), ("home", "money")) == (found.at, found.tags)
        assert {"source": "markdown", "path": "house.md", "title": "The House"} == found.metadata
        assert ["The House > Roof\nLeaks."] == [message.content for message in found.messages]

    @pytest.mark.parametrize("tags", ["tags: home, money", "tags:\n  - home\n  - '#money'", "tags:\n- home\n- money"])
    def test_tags_come_in_several_forms(self, tags):
        assert ("home", "money") == note(f"---\n{tags}\n---\ntext").tags

    @pytest.mark.parametrize("date", ["2024-05-02", "2024-05-02 00:00"])
    def test_a_date_without_zone_is_utc(self, date):
        assert datetime(2024, 5, 2, tzinfo=UTC) == note(f"---\ndate: {date}\n---\ntext").at

    @pytest.mark.parametrize("front", ["", "---\ndate: some day\n---\n", "---\nDate:\n---\n", "---\ntitle: x\n---\n"])
    def test_without_a_date_the_time_of_the_file_counts(self, front):
        assert MODIFIED == note(f"{front}text").at

    def test_other_fields_are_left_out(self):
        found = note("---\nnested:\n  date: 2020-01-01\nurl: https://example.org\n---\ntext")

        assert ({"house.md": "house\ntext"}, MODIFIED) == ({m.id: m.content for m in found.messages}, found.at)

    def test_a_line_that_opens_no_front_matter_is_text(self):
        assert {"house.md": "house\n---\ntitle: x"} == passages("---\ntitle: x")

    def test_a_change_of_text_tags_or_date_shows_and_nothing_else_does(self):
        def digest(text, modified=MODIFIED):
            (one,) = parse_note(text.encode(), path="a.md", collection="n", modified=modified).messages
            return one.rest["digest"]

        base = "---\ntags: a\ndate: 2024-01-01\n---\ntext"

        assert digest(base) == digest(base.replace("tags: a", "tags: [a]"), datetime(2025, 1, 1, tzinfo=UTC))
        changed = {base.replace("text", "texts"), base.replace("tags: a", "tags: b"), base.replace("2024", "2023")}
        assert 4 == len({digest(base), *map(digest, changed)})


class TestFolders:
    def test_notes_are_found_in_every_folder_and_hidden_ones_are_not(self, tmp_path):
        notes = ["b.md", "a/x.markdown", "a/Y.MD", ".obsidian/z.md", ".z.md", "a/t.txt"]

        source = read(write_notes(tmp_path, dict.fromkeys(notes, "text")), collection="n")

        assert ["a/Y.MD", "a/x.markdown", "b.md"] == [found.where for found in source.sessions]
        assert 3 == source.total

    def test_the_time_is_that_of_the_file(self, tmp_path):
        write_notes(tmp_path, {"a.md": "text"})
        os.utime(tmp_path / "a.md", (0, MODIFIED.timestamp()))

        assert MODIFIED == next(read(tmp_path, collection="n").sessions).at

    def test_what_cannot_be_read_is_named_and_the_rest_is_read(self, tmp_path):
        write_notes(tmp_path, {"good.md": "text", "\u0065\u0301.md": "text"})
        (tmp_path / "bytes.md").write_bytes(b"caf\xe9")
        (tmp_path / "gone.md").symlink_to(tmp_path / "nothing")
        os.mkfifo(tmp_path / "pipe.md")
        with (tmp_path / "huge.md").open("wb") as file:
            file.truncate(20_000_000)

        found = list(read(tmp_path, collection="n").sessions)

        assert {
            "bytes.md": "not UTF-8 at byte 3; save it as UTF-8",
            "gone.md": "it cannot be read: No such file or directory",
            "huge.md": "it has 20,000,000 bytes, or is no file; a note has at most 16,777,216",
            "pipe.md": "it has 0 bytes, or is no file; a note has at most 16,777,216",
        } == {one.where: one.reason for one in found if isinstance(one, Broken)}
        assert {"good.md", "é.md"} == {one.where for one in found if not isinstance(one, Broken)}

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
    def test_a_folder_that_cannot_be_read_is_named(self, tmp_path):
        write_notes(tmp_path, {"good.md": "text", "closed/a.md": "text"})
        (tmp_path / "closed").chmod(0)

        assert ["good.md", "closed"] == [found.where for found in read(tmp_path, collection="n").sessions]

    def test_a_name_that_is_no_text_can_be_told(self, tmp_path):
        with open(os.fsencode(tmp_path) + b"/caf\xe9.md", "w") as file:
            file.write("text")

        assert ["caf\ufffd.md"] == [found.where for found in read(tmp_path, collection="n").sessions]

    def test_a_folder_without_notes_and_a_file_are_refused(self, tmp_path):
        with pytest.raises(InvalidInput, match="holds no notes"):
            read(tmp_path, collection="n")
        with pytest.raises(InvalidInput, match="is no folder"):
            read(write_notes(tmp_path, {"a.md": "text"}) / "a.md", collection="n")
