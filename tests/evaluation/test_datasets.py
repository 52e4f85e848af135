"""The loaders: what they make of the authors' files, and what they say of files that are not."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from tests.evaluation import small

from pymemos.errors import InvalidInput, MalformedRecord
from pymemos.evaluation.datasets import (
    DATASETS,
    PREFERENCE,
    load_beam,
    load_locomo,
    load_longmemeval,
    load_prefeval,
    locate,
)


def texts_of(case):
    return [turn.text for turn in case.turns]


class TestLocomo:
    @pytest.fixture
    def case(self, tmp_path):
        (case,) = load_locomo(small.locomo(tmp_path))
        return case

    def test_sessions_come_in_order_of_number_with_the_turns_that_say_something(self, case):
        assert ["session_1", "session_2"] == [session.id for session in case.sessions]
        assert ["D1:1", "D1:2", "D2:1", "D2:2"] == [turn.id for turn in case.turns]

    def test_the_time_of_a_session_is_that_of_its_turns_in_utc(self, case):
        first, *_, last = case.turns

        assert datetime(2023, 5, 8, 13, 56, tzinfo=UTC) == first.at
        assert datetime(2024, 1, 3, 0, 5, tzinfo=UTC) == last.at

    def test_a_shared_photo_is_rendered_by_its_caption(self, case):
        assert "Look at the new one! [shares a photo: a red oven]" == texts_of(case)[-1]

    def test_a_turn_is_rendered_with_its_day_and_speaker(self, case):
        assert "[2023-05-08] Ines: I opened a bakery in Porto." == next(case.turns).line

    def test_evidence_is_read_however_it_is_written(self, case):
        assert [("D1:1",), ("D1:1", "D2:1", "D2:2")] == [question.evidence for question in case.questions[:2]]

    def test_evidence_that_names_no_turn_is_dropped_and_counted(self, case):
        assert ("D1:2",) == case.questions[2].evidence
        assert 1 == case.dangling

    def test_categories_have_names_and_answers_are_text(self, case):
        assert ["single-hop", "multi-hop", "open-domain", "temporal", "adversarial"] == [
            question.category for question in case.questions
        ]
        assert ["a bakery", "2024", "nothing", "nobody", ""] == [question.answer for question in case.questions]

    @pytest.mark.parametrize("time", ["13:56 on 8 May, 2023", "1:56 pm on 31 June, 2023", "8 May 2023", ""])
    def test_a_time_in_another_form_is_an_error_that_names_the_place(self, tmp_path, time):
        file = small.locomo(tmp_path)
        talks = json.loads(file.read_text())
        talks[0]["conversation"]["session_1_date_time"] = time
        file.write_text(json.dumps(talks))

        with pytest.raises(MalformedRecord, match="session_1 of talk-1"):
            list(load_locomo(file))

    def test_a_session_without_a_time_is_an_error(self, tmp_path):
        file = small.locomo(tmp_path)
        talks = json.loads(file.read_text())
        del talks[0]["conversation"]["session_1_date_time"]
        file.write_text(json.dumps(talks))

        with pytest.raises(MalformedRecord, match=r"session_1 of talk-1 .* has no date"):
            list(load_locomo(file))

    def test_a_file_of_another_form_is_an_error_that_names_it(self, tmp_path):
        file = tmp_path / "locomo.json"
        file.write_text('[{"sample_id": 1}]')

        with pytest.raises(MalformedRecord, match=r"locomo\.json cannot be read"):
            list(load_locomo(file))


class TestBeam:
    @pytest.fixture
    def cases(self, tmp_path):
        small.beam(tmp_path)
        return list(load_beam(tmp_path / "beam"))

    def test_chats_come_in_order_of_their_numbers(self, cases):
        assert ["beam-2", "beam-10"] == [case.id for case in cases]

    def test_a_batch_is_a_session_with_the_day_of_its_anchor(self, cases):
        first, second = cases[1].sessions

        assert {datetime(2024, 3, 15, tzinfo=UTC)} == {turn.at for turn in first.turns}
        assert {None} == {turn.at for turn in second.turns}
        assert ["user", "assistant", "user"] == [turn.role for turn in first.turns]

    def test_the_name_of_a_turn_without_speaker_is_its_role(self, cases):
        assert "[2024-03-15] user: I varnish my boat. ->-> 1,1" == next(cases[1].turns).line
        assert "I varnish my boat. ->-> 1,1" == next(cases[1].turns).said

    def test_evidence_is_read_from_lists_and_from_mappings_of_lists(self, cases):
        update, extraction, _ = cases[1].questions

        assert (("0", "1"), "two") == (update.evidence, update.answer)
        assert (("2",), "9") == (extraction.evidence, extraction.answer)
        assert 1 == cases[1].dangling

    def test_abstention_has_no_evidence(self, cases):
        assert ((), "It was not said.") == (cases[0].questions[0].evidence, cases[0].questions[0].answer)

    def test_a_question_without_a_text_is_an_error(self, tmp_path):
        file = small.beam(tmp_path)
        file.write_text('{"abstention": [{"answer": "x"}]}')

        with pytest.raises(MalformedRecord, match="a question in probing_questions"):
            list(load_beam(tmp_path / "beam"))


class TestPrefeval:
    @pytest.fixture
    def folder(self, tmp_path):
        return small.prefeval(tmp_path).parent

    def test_every_pair_is_a_user_of_its_own(self, folder):
        assert ["food-0", "food-1"] == [case.id for case in load_prefeval(folder)]

    def test_the_preference_is_one_turn_among_the_user_turns_of_the_filler(self, folder):
        filler = {"Sort a list.", "Name a river.", "Write a poem.", "What is a prime?", "Fold a paper crane."}
        for case in load_prefeval(folder):
            (question,) = case.questions

            assert filler | {question.answer} == set(texts_of(case))
            assert [question.answer] == [turn.text for turn in case.turns if turn.id == PREFERENCE]
            assert ((PREFERENCE,), "food") == (question.evidence, question.category)

    def test_the_place_depends_on_the_seed_and_the_pair_alone(self, folder):
        def places(seed):
            return [texts_of(case).index(case.questions[0].answer) for case in load_prefeval(folder, seed)]

        assert places(3) == places(3)
        assert {0, 1, 2, 3, 4} == {place for seed in range(60) for place in places(seed)}

    def test_one_topic_can_be_named_by_its_file(self, folder):
        assert 2 == len(list(load_prefeval(folder / "food.json")))


class TestLongMemEval:
    @pytest.fixture
    def cases(self, tmp_path):
        return list(load_longmemeval(small.longmemeval(tmp_path)))

    def test_the_evidence_are_turns_and_sessions(self, cases):
        question = cases[0].questions[0]

        assert (("1:1",), ("answer_cat",)) == (question.evidence, question.sessions)
        assert "My cat Biscuit hides under the sofa." == {turn.id: turn.text for turn in cases[0].turns}["1:1"]

    def test_times_are_those_of_the_sessions_and_of_the_question(self, cases):
        assert datetime(2023, 5, 20, 2, 21, tzinfo=UTC) == next(cases[0].turns).at
        assert datetime(2023, 6, 1, 9, tzinfo=UTC) == cases[0].questions[0].asked

    def test_what_was_never_said_has_no_evidence(self, cases):
        assert ((), ()) == (cases[1].questions[0].evidence, cases[1].questions[0].sessions)

    def test_sessions_without_their_dates_are_an_error(self, tmp_path):
        file = small.longmemeval(tmp_path)
        haystacks = json.loads(file.read_text())
        haystacks[0]["haystack_dates"].pop()
        file.write_text(json.dumps(haystacks))

        with pytest.raises(MalformedRecord, match="cat-1"):
            list(load_longmemeval(file))


class TestLocate:
    @pytest.mark.parametrize("name", DATASETS)
    def test_a_dataset_is_found_by_its_folder_the_folder_above_and_where_it_is_one_file_by_that(self, tmp_path, name):
        file = getattr(small, name)(tmp_path)
        above = locate(name, tmp_path)

        assert list(DATASETS[name].load(above, 0)) == list(DATASETS[name].load(locate(name, above), 0))
        if name != "beam":
            assert file == locate(name, file)

    @pytest.mark.parametrize("name", DATASETS)
    def test_data_that_are_not_there_are_an_error_that_says_where_to_get_them(self, tmp_path, name):
        with pytest.raises(InvalidInput, match="get it from https://"):
            locate(name, tmp_path)
