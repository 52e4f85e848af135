"""The systems: pymemos through its public calls, and baselines that rank as their names promise."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluation.small import LetterEmbedder, a_case, a_question

from pymemos import MemOS
from pymemos.evaluation.cases import Case, Session, Turn
from pymemos.evaluation.runner import opened
from pymemos.evaluation.systems import (
    AskedClock,
    Bm25,
    Chunks,
    Dense,
    Passage,
    Pymemos,
    Remembering,
    Rrf,
    cut,
    words_of,
)


def ids(passages):
    return [id for passage in passages for id in passage.turns]


def find(system, case, text, k=10):
    system.take(case)
    return ids(system.search(case, a_question(text), k))


def by_words(text):
    return len(text.split())


class TestPymemos:
    def test_the_turn_that_answers_is_found_under_its_id(self, tmp_path):
        case = a_case("I moved to Lisbon.", "The cat sleeps.", "We ate soup.")
        with opened(tmp_path) as system:
            assert ["t2"] == find(system, case, "Where is the cat?")[:1]

    def test_a_case_never_finds_what_another_said(self, tmp_path):
        other = Case(
            id="other",
            sessions=(Session(id="s1", turns=(Turn(id="t9", text="My cat is grey."),)),),
            questions=(),
        )
        with opened(tmp_path) as system:
            system.take(other)

            assert ["t1"] == find(system, a_case("The cat sleeps."), "the cat")

    def test_names_times_roles_and_sessions_are_kept(self, tmp_path):
        at = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
        turn = Turn(id="D1:1", text="I moved.", role="assistant", speaker="Ines", at=at)
        case = Case(id="ines", sessions=(Session(id="s7", turns=(turn,)), Session(id="s8", turns=())), questions=())
        with MemOS(tmp_path) as mem:
            Pymemos(mem).take(case)
            (cube,) = mem.list(user_id="ines")

        said = cube.header.descriptive
        assert ("Ines", "assistant", "s7", at, ("D1:1",)) == (
            said.speaker,
            said.speaker_role,
            said.session,
            said.event_time,
            said.source_ids,
        )

    def test_a_question_is_asked_when_it_was_asked(self):
        clock = AskedClock()
        clock.asked = datetime(2023, 6, 1, tzinfo=UTC)

        assert datetime(2023, 6, 1, tzinfo=UTC) == clock()
        clock.asked = None
        assert datetime(2023, 6, 1, tzinfo=UTC) < clock()

    def test_an_embedder_is_used_for_texts_and_questions(self, tmp_path):
        embedder = LetterEmbedder()
        with opened(tmp_path, embedder) as system:
            find(system, a_case("The cat sleeps."), "Where is the cat?")

        assert any("cat sleeps" in text for text in embedder.embedded)
        assert any("Where is the cat" in text for text in embedder.embedded)

    def test_a_question_of_the_past_finds_what_was_just_added(self, tmp_path):
        case, asked = a_case("The cat sleeps."), datetime(2023, 6, 1, tzinfo=UTC)
        with opened(tmp_path) as system:
            system.take(case)

            assert ["t1"] == ids(system.search(case, a_question("the cat", asked=asked), 5))


class TestBm25:
    def test_rare_words_weigh_more_than_common_ones(self):
        case = a_case("the cat", "the dog", "the the the cow", "the end")

        assert ["t2"] == find(Bm25(), case, "the dog")[:1]

    def test_a_score_is_that_of_the_formula(self):
        system = Bm25()
        system.take(a_case("red red boat", "red car"))

        found = system.search(a_case(), a_question("red"), 5)

        assert ["t1", "t2"] == ids(
            found
        )  # 2·2.2/(2+1.2·(.25+.75·3/2.5)) = 1.295 against 2.2/(1+1.2·(.25+.75·2/2.5)) = 1.089

    def test_turns_without_a_word_of_the_question_are_not_found(self):
        assert [] == find(Bm25(), a_case("the cat"), "dog")

    def test_names_count_as_words_of_their_turns(self):
        turns = (Turn(id="a", text="Hello.", speaker="Ines"), Turn(id="b", text="Hello.", speaker="Otto"))
        case = Case(id="case", sessions=(Session(id="s", turns=turns),), questions=())

        assert ["b"] == find(Bm25(), case, "What did Otto say?")

    def test_words_are_lower_case_and_nothing_else(self):
        assert ["cats", "don", "t", "run"] == words_of("Cats don't RUN!")


class TestDense:
    def test_the_nearest_comes_first_and_ties_in_order(self):
        case = a_case("xyz", "abba", "baab", "abc")

        assert ["t2", "t3", "t4", "t1"] == find(Dense(LetterEmbedder()), case, "aabb")

    def test_of_nothing_nothing_is_found(self):
        assert [] == find(Dense(LetterEmbedder()), a_case(), "anything")

    def test_what_was_embedded_once_is_kept_but_questions_are_not(self):
        inner = LetterEmbedder()
        shared = Remembering(inner)

        for _ in range(2):
            find(Dense(shared), a_case("ab", "cd", "ab"), "ab?")

        assert ["ab", "cd", "ab?", "ab?"] == inner.embedded
        assert ("letters", 26) == (shared.identity, shared.dimensions)
        assert (0, 26) == shared.embed([]).shape

    def test_what_is_kept_has_a_limit(self):
        inner = LetterEmbedder()
        shared = Remembering(inner, limit=2)

        rows = [shared.embed(texts) for texts in (["a", "b"], ["b", "c"], ["c"])]

        assert ["a", "b", "b", "c"] == inner.embedded
        assert [(2, 26), (2, 26), (1, 26)] == [row.shape for row in rows]


class TestRrf:
    class Fixed:
        """Finds what it is told to find."""

        def __init__(self, name, *found):
            self.name, self._found = name, [Passage(turns=(id,), text=id) for id in found]

        def take(self, case):
            pass

        def search(self, case, question, k):
            return self._found[:k]

    def test_ranks_are_summed_by_their_reciprocals(self):
        system = Rrf(self.Fixed("one", "a", "b", "c"), self.Fixed("other", "c", "b"))

        assert ["c", "b", "a"] == find(system, a_case(), "?")  # 1/63+1/61 > 2/62 > 1/61

    def test_at_most_k_are_found(self):
        assert ["b"] == find(Rrf(self.Fixed("one", "a", "b"), self.Fixed("other", "b")), a_case(), "?", k=1)


class TestChunks:
    def test_a_chunk_holds_the_turns_of_its_words(self):
        (session,) = a_case("one two three", "four five").sessions

        found = list(cut(session, by_words, 3))

        assert [("t1",), ("t1", "t2"), ("t2",)] == [chunk.turns for chunk in found]
        assert ["user: one two", "three user: four", "five"] == [chunk.text for chunk in found]

    @given(st.lists(st.text("ab ", min_size=1).filter(str.strip), min_size=1, max_size=6), st.integers(1, 9))
    def test_no_word_is_lost_and_no_chunk_is_too_long(self, texts, size):
        (session,) = a_case(*texts).sessions

        found = list(cut(session, by_words, size))

        assert [word for turn in session.turns for word in turn.line.split()] == [
            word for chunk in found for word in chunk.text.split()
        ]
        assert all(by_words(chunk.text) <= size for chunk in found)
        assert all(by_words(one.text) == size for one, _ in pairwise(found))

    def test_a_word_that_is_longer_than_a_chunk_is_one(self):
        (session,) = a_case("abcdef").sessions

        assert ["user:", "abcdef"] == [chunk.text for chunk in cut(session, len, 4)]

    def test_the_nearest_chunk_comes_first(self):
        case = Case(
            id="case",
            sessions=tuple(Session(id=text, turns=(Turn(id=text, text=text),)) for text in ("xxxx", "qqqq")),
            questions=(),
        )

        assert ["qqqq", "xxxx"] == find(Chunks(LetterEmbedder(), by_words, size=5), case, "qq")


@pytest.mark.parametrize(
    "system",
    [Bm25(), Dense(LetterEmbedder()), Chunks(LetterEmbedder(), by_words), Rrf(Bm25(), Dense(LetterEmbedder()))],
    ids=lambda system: system.name,
)
def test_a_new_case_takes_the_place_of_the_old(system):
    system.take(a_case("old words"))

    assert "old" not in str(find(system, a_case("new words"), "words"))
