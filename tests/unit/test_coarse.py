"""Coarse vectors: they are off by no more than they say, and what a search finds with them is what exact ones find."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymemos import MemOS
from pymemos.adapters.memory import MemoryStore
from pymemos.adapters.sqlite import SqliteStore
from pymemos.cube.call import Selection
from pymemos.cube.header import SemanticType
from pymemos.operation.retrieval.coarse import STEPS, Coarse, coarse
from pymemos.operation.retrieval.question import Question
from pymemos.operation.retrieval.rescoring import MOST, contenders
from pymemos.operation.retrieval.search import Search
from pymemos.operation.retrieval.space import Spaces
from pymemos.operation.retrieval.vectors import BLOCK, Vectors
from pymemos.ports import Vector
from pymemos.testing.acts import add, change, remove
from pymemos.testing.builders import ANA, an_entry, the_next
from pymemos.testing.doubles import WHEN

DIMENSIONS = 24
MESSAGE = {"semantic_type": SemanticType.MESSAGE, "session": "s1"}


class Dense:
    """An embedder whose vectors have no number that is 0: any direction for any text, and always the same."""

    identity = "dense"
    dimensions = DIMENSIONS

    def embed(self, texts, *, queries=False):
        seeds = [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) for text in texts]
        rows = np.array([np.random.default_rng(seed).standard_normal(DIMENSIONS) for seed in seeds], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def unit_rows(seed, count, dimensions=DIMENSIONS):
    rows = np.random.default_rng(seed).standard_normal((count, dimensions)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def meant(*texts):
    """The vectors of a memory: one for each of some texts, as its passages."""
    return [
        Vector(part=part, embedder=Dense.identity, values=row.tobytes())
        for part, row in enumerate(Dense().embed(texts))
    ]


def said(text, *more, **declared):
    return an_entry(text, vectors=meant(text, *more), **{**MESSAGE, **declared})


def found(search, store, text, limit=10, namespace=ANA, **narrowed):
    """The ids and scores of what a search finds."""
    selection = Selection(namespaces=(namespace,), **narrowed)
    with store.read() as unit:
        hits = search.search(unit, Question(text, ("en",), selection, limit, WHEN), [namespace]).hits
    return [(hit.cube.id, pytest.approx(hit.score, abs=1e-4)) for hit in hits]


def searches():
    """One that holds vectors as they are, and one that holds them coarse as soon as there are more than twenty."""
    return tuple(Search(Dense(), cache_bytes=10**9, coarse_above=above) for above in (None, 20))


def space_of(search, namespace=ANA):
    return search.spaces._spaces[(namespace, Dense.identity)]


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "home")
    yield store
    store.close()


class TestCodes:
    numbers = st.floats(-1, 1, width=32)

    @given(st.lists(st.lists(numbers, min_size=5, max_size=5).filter(any), min_size=2, max_size=20))
    def test_a_cosine_is_off_by_no_more_than_it_says(self, rows):
        rows = np.array(rows, np.float64)
        rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

        values, error = coarse(rows[1:]).cosines(rows[0])

        assert np.abs(values - rows[1:] @ rows[0]).max() <= error + 1e-6

    @pytest.mark.parametrize("dimensions", [8, 384, 1536])
    def test_the_error_is_small(self, dimensions):
        rows = unit_rows(1, 500, dimensions)

        values, error = coarse(rows[1:]).cosines(rows[0])

        assert error < 0.04
        assert np.abs(values - rows[1:] @ rows[0]).max() < 0.01

    def test_no_number_is_off_by_more_than_half_a_scale(self):
        rows = unit_rows(2, 50)
        made = coarse(rows)

        assert (np.abs(rows - made.codes * made.scales[:, None]) <= 0.501 * made.scales[:, None]).all()
        assert np.abs(made.codes).max(axis=1).tolist() == [STEPS] * 50

    def test_a_vector_and_its_opposite_have_opposite_codes(self):
        rows = unit_rows(3, 50)

        assert (coarse(-rows).codes == -coarse(rows).codes).all()

    def test_a_vector_of_zeros_is_like_nothing(self):
        values, _ = coarse(np.zeros((1, DIMENSIONS), np.float32)).cosines(unit_rows(4, 1)[0])

        assert values.tolist() == [0]


class TestVectors:
    def test_beyond_the_limit_they_are_coarse_and_take_a_quarter(self):
        rows = unit_rows(5, 2 * BLOCK + 10, 384)
        exact, near = (Vectors(384, coarse_above=above) for above in (None, BLOCK))
        for vectors in (exact, near):
            vectors.extend([row.tobytes() for row in rows])

        assert not isinstance(exact.view, Coarse)
        assert isinstance(near.view, Coarse)
        assert len(exact) == len(near) == len(rows)
        assert exact.size / near.size == pytest.approx(4, rel=0.02)

    def test_it_does_not_matter_in_how_many_steps_they_came(self):
        rows = [row.tobytes() for row in unit_rows(6, 60)]
        slow, at_once = (Vectors(DIMENSIONS, coarse_above=20) for _ in range(2))
        at_once.extend(rows)
        for start in range(0, 60, 7):
            slow.extend(rows[start : start + 7])

        assert (slow.view.codes == at_once.view.codes).all()
        assert (slow.view.scales == at_once.view.scales).all()
        assert slow.view.remainder == at_once.view.remainder

    def test_what_was_handed_out_stays_as_it_was(self):
        rows = unit_rows(7, 60)
        vectors = Vectors(DIMENSIONS, coarse_above=20)
        vectors.extend([row.tobytes() for row in rows[:20]])
        before = vectors.view
        vectors.extend([row.tobytes() for row in rows[20:]])

        assert (before == rows[:20]).all()
        assert isinstance(vectors.view, Coarse)


class TestContenders:
    def test_whoever_may_be_among_the_best_is_one(self):
        total, slack = np.array([5, 4, 3, 1], np.float32), np.full(4, 0.6, np.float32)

        assert contenders(total, slack, np.full(4, True), 2).tolist() == [0, 1, 2]

    def test_what_may_not_count_at_all_keeps_nobody_out(self):
        total, slack = np.array([5, 4, 3, 1], np.float32), np.full(4, 0.1, np.float32)

        assert contenders(total, slack, np.array([False, True, True, True]), 1).tolist() == [0, 1]

    def test_there_is_an_end_where_all_are_alike(self):
        total = np.arange(2 * MOST, dtype=np.float32)

        places = contenders(total, np.full(2 * MOST, 1e6, np.float32), np.full(2 * MOST, True), 10)

        assert places.tolist() == list(range(MOST, 2 * MOST))


class TestSearching:
    """A search over coarse vectors finds what one over exact vectors does, with the same scores."""

    def agree(self, store, searches, *questions, **narrowed):
        exact, near = searches
        for question in questions:
            expected = found(exact, store, question, **narrowed)
            assert expected
            assert expected == found(near, store, question, **narrowed)

    def test_in_a_conversation_between_people(self, store):
        pair = searches()
        add(store, *(said(f"turn {n}", speaker=("Ana", "Bo")[n % 2], session=f"s{n // 30}") for n in range(200)))

        self.agree(store, pair, "turn 7", "what did Bo say", "elsewhere", "anything at all")
        assert isinstance(space_of(pair[1])._vectors.view, Coarse)
        assert not isinstance(space_of(pair[0])._vectors.view, Coarse)

    def test_in_a_chat_with_texts_of_several_passages(self, store):
        roles = ("user", "assistant")
        add(store, *(said(f"text {n}", f"more {n}", "the end", speaker_role=roles[n % 2]) for n in range(100)))

        self.agree(store, searches(), "text 7", "more 12", "what did you suggest?", "anything")

    def test_among_what_has_no_vectors_and_what_is_of_other_kinds(self, store):
        chat = [said(f"text {n}", speaker_role="user") for n in range(40)]
        notes = [
            an_entry(f"note {n}", semantic_type=SemanticType.KNOWLEDGE, vectors=meant(f"note {n}")) for n in range(40)
        ]
        add(store, *chat, *notes, *(an_entry(f"bare {n}", **MESSAGE) for n in range(40)))

        self.agree(store, searches(), "text 7", "note 3", "bare 3", "anything", "can you recommend a note?")

    def test_while_it_grows_over_the_limit_and_things_change_and_go(self, store):
        pair = searches()
        entries = [said(f"turn {n}") for n in range(60)]
        for start in range(0, 60, 15):
            add(store, *entries[start : start + 15])
            self.agree(store, pair, "turn 3", "anything")
        remove(store, *[entry.cube.id for entry in entries[10:20]])
        self.agree(store, pair, "turn 12", "anything")
        change(store, the_next(entries[5], "turned over", vectors=meant("turned over")))
        self.agree(store, pair, "turned over", "turn 5")
        anew = searches()
        assert found(anew[1], store, "anything") == found(pair[1], store, "anything")

    def test_when_most_of_it_was_closed_and_it_is_read_anew(self):
        store, pair = MemoryStore(), searches()
        entries = [said(f"turn {n}") for n in range(1_200)]
        add(store, *entries)
        self.agree(store, pair, "turn 7")
        remove(store, *[entry.cube.id for entry in entries[:1_100]])
        self.agree(store, pair, "turn 1107")
        add(store, said("one more"))

        self.agree(store, pair, "one more", "turn 1150")
        assert len(space_of(pair[1])._vectors) == 101

    def test_in_an_older_snapshot(self, store):
        _, near = searches()
        entries = [said(f"turn {n}") for n in range(40)]
        add(store, *entries)
        question = Question("turn 7", ("en",), Selection(namespaces=(ANA,)), 10, WHEN)
        with store.read() as old:
            before = near.search(old, question, [ANA]).hits
            change(store, the_next(entries[7], "quite another", vectors=meant("quite another")))
            remove(store, entries[8].cube.id)
            add(store, *(said(f"turn {n}") for n in range(40, 80)))
            found(near, store, "turn 7")

            assert near.search(old, question, [ANA]).hits == before

    def test_in_what_a_session_or_a_filter_leaves(self, store):
        pair = searches()
        add(store, *(said(f"turn {n}", session=f"s{n % 50}") for n in range(200)))

        self.agree(store, pair, "turn 7", "anything", session="s3")
        self.agree(store, pair, "turn 53", session="s3", limit=2)

    def test_beside_another_handle_on_the_folder(self, tmp_path):
        pair = searches()
        with MemOS(tmp_path, embedder=Dense()) as mem, MemOS(tmp_path, embedder=Dense()) as other:
            store = mem._tools.store
            for n in range(15):
                mem.add(f"text {n}", user_id="ana")
            self.agree(store, pair, "text 3")
            for n in range(15, 40):
                other.add(f"text {n}", user_id="ana")
            self.agree(store, pair, "text 33")
            other.delete(other.search("text 33", user_id="ana")[0].cube.id)

            self.agree(store, pair, "text 33", "anything")

    def test_with_twins_of_one_text(self, store):
        pair = searches()
        add(store, *(said("the same words", session=f"s{n}") for n in range(50)))

        assert [id for id, _ in found(pair[0], store, "same words")] == [
            id for id, _ in found(pair[1], store, "same words")
        ]


def test_the_bound_of_what_is_kept_counts_the_codes():
    store = MemoryStore()
    for user in ("ana", "bo"):
        add(store, *(an_entry(f"text {n}", f"users/{user}", vectors=meant(f"text {n}")) for n in range(400)))

    def kept(limit, coarse_above):
        spaces = Spaces(limit, coarse_above=coarse_above)
        with store.read() as unit:
            for user in ("ana", "bo"):
                spaces.snapshot(unit, f"users/{user}", Dense.identity, DIMENSIONS)
        return [space.size for space in spaces._spaces.values()]

    exact, near = kept(10**9, None), kept(10**9, 20)

    assert len(exact) == len(near) == 2
    assert sum(exact) - sum(near) == 2 * 400 * (4 * DIMENSIONS - DIMENSIONS - 4)
    assert len(kept(sum(near), 20)) == 2
    assert len(kept(sum(near), None)) == 1


def test_without_the_library_vectors_are_kept_as_they_are():
    program = """
import sys
sys.modules["numkong"] = None  # as if it were not installed
import numpy as np
from pymemos.operation.retrieval.vectors import Vectors
vectors = Vectors(4, coarse_above=2)
vectors.extend([np.ones(4, np.float32).tobytes()] * 5)
print(vectors.view.dtype, len(vectors))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert run.stdout.split() == ["float32", "5"]


def test_a_small_space_does_not_load_the_library():
    program = """
import sys
import numpy as np
from pymemos.operation.retrieval.vectors import Vectors
Vectors(4, coarse_above=20).extend([np.ones(4, np.float32).tobytes()] * 5)
print("numkong" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "False"
