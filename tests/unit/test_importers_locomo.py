"""LoCoMo files: sessions in order, turns with their speakers, ids and times, photos by their captions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.unit.importers_samples import talk, turn, write_json

from pymemos.errors import MalformedRecord
from pymemos.interface.importers.locomo import read
from pymemos.interface.importers.session import Broken


def found_in(path):
    return list(read(path).sessions)


def test_sessions_are_read_in_their_order(tmp_path):
    path = write_json(tmp_path / "l.json", [talk(), talk("conv-2")])

    assert ["conv-1/session_1", "conv-1/session_2", "conv-2/session_1", "conv-2/session_2"] == [
        session.id for session in found_in(path)
    ]
    assert 4 == read(path).total


def test_turns_keep_speaker_id_and_text_and_photos_are_told(tmp_path):
    first = found_in(write_json(tmp_path / "l.json", [talk()]))[0]

    assert [
        ("Ida", "D1:1", "I booked a ferry."),
        ("Tom", "D1:2", "Look! [shares a photo: a white boat]"),
    ] == [(m.name, m.id, m.content) for m in first.messages]


def test_turns_have_the_time_of_their_session_in_their_order(tmp_path):
    first = found_in(write_json(tmp_path / "l.json", [talk()]))[0]

    assert [datetime(2024, 5, 31, 23, 30, second, tzinfo=UTC) for second in (0, 1)] == [
        m.timestamp for m in first.messages
    ]


@pytest.mark.parametrize(
    ("sessions", "place", "reason"),
    [
        ({"session_1": []}, "session_1", "no session_1_date_time"),
        ({"session_1": [], "session_1_date_time": "May"}, "session_1", "'May' is no time such as"),
        ({"session_1": {}, "session_1_date_time": "1:00 pm on 8 May, 2023"}, "session_1", "Expected `array`"),
        ({"session_3": [{"speaker": "Ida"}], "session_3_date_time": "1:00 pm on 8 May, 2023"}, "session_3", "dia_id"),
    ],
)
def test_a_broken_session_is_named_and_the_others_are_read(tmp_path, sessions, place, reason):
    good = {"session_9": [turn("D9:1", "Ida", "Hi")], "session_9_date_time": "1:00 pm on 8 May, 2023"}
    path = write_json(tmp_path / "l.json", [talk(**sessions, **good)])

    broken, kept = found_in(path)

    assert f"l.json, conversation 1 (conv-1), {place}" == broken.where
    assert reason in broken.reason
    assert "conv-1/session_9" == kept.id


def test_a_broken_conversation_or_file_is_named_and_the_others_are_read(tmp_path):
    write_json(tmp_path / "a.json", [{"sample_id": "x"}, talk()])
    (tmp_path / "b.json").write_text("[")
    (tmp_path / "readme.txt").write_text("not read")

    found = found_in(tmp_path)

    assert ["a.json, conversation 1", "b.json"] == [one.where for one in found if isinstance(one, Broken)]
    assert 4 == len(found)


def test_a_file_of_something_else_is_refused(tmp_path):
    with pytest.raises(MalformedRecord, match=r"l\.json: Expected `array`"):
        read(write_json(tmp_path / "l.json", {"a": 1}))
