"""A search over coarse vectors beside one over exact vectors: the same best memories, with the same scores."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pymemos.adapters.memory import MemoryStore
from pymemos.cube.call import Selection
from pymemos.cube.header import SemanticType
from pymemos.operation.retrieval.question import Question
from pymemos.operation.retrieval.search import Search
from pymemos.ports import Vector
from pymemos.testing.acts import add, change, remove
from pymemos.testing.builders import ANA, an_entry, the_next
from pymemos.testing.doubles import WHEN

DIMENSIONS = 12
WORDS = ("tea", "mint", "boat", "is the", "Lisbon?", "swim")

texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
numbers = st.integers(-5, 5)
means = st.lists(numbers, min_size=DIMENSIONS - 1, max_size=DIMENSIONS - 1)
kinds = st.sampled_from(
    [
        {"semantic_type": SemanticType.MESSAGE, "speaker": "Bo"},
        {"semantic_type": SemanticType.MESSAGE, "speaker_role": "user"},
        {"semantic_type": SemanticType.MESSAGE, "speaker_role": "assistant"},
        {"semantic_type": SemanticType.KNOWLEDGE},
    ]
)
memories = st.fixed_dictionaries(
    {
        "text": texts,
        "kind": kinds,
        "session": st.sampled_from(["s1", "s2", None]),
        "passages": st.lists(means, max_size=3),
    }
)
steps = st.lists(st.tuples(st.sampled_from(["change", "remove"]), st.integers(0, 100), means), max_size=4)


class Asking:
    """An embedder that gives the one vector that a question is to have."""

    identity = "asking"
    dimensions = DIMENSIONS

    def __init__(self, mean):
        self._rows = np.frombuffer(_values([*mean, 1]), np.float32)[None]

    def embed(self, texts, *, queries=False):
        return self._rows


def _values(mean):
    row = np.array(mean, np.float64)
    return (row / np.linalg.norm(row)).astype(np.float32).tobytes()


def _vectors(passages):
    """Even numbers and a 1: never at a right angle to a question, where rounding would say what is related to it."""
    return [
        Vector(part=n, embedder=Asking.identity, values=_values([*(2 * number for number in mean), 1]))
        for n, mean in enumerate(passages)
    ]


@given(
    batches=st.lists(st.lists(memories, min_size=1, max_size=12), min_size=1, max_size=3),
    steps=steps,
    asked=st.tuples(texts, means),
    limit=st.integers(1, 8),
    session=st.sampled_from([None, None, "s1"]),
)
def test_coarse_vectors_find_what_exact_vectors_find(batches, steps, asked, limit, session):
    store, (text, mean), entries = MemoryStore(), asked, []
    pair = [Search(Asking(mean), cache_bytes=10**9, coarse_above=above) for above in (None, 3)]
    question = Question(text, ("en",), Selection(namespaces=(ANA,), session=session), limit, WHEN)
    for batch in batches:
        made = [
            an_entry(
                one["text"],
                vectors=_vectors(one["passages"]),
                session=one["session"],
                event_time=WHEN + timedelta(minutes=len(entries) + n),
                **one["kind"],
            )
            for n, one in enumerate(batch)
        ]
        add(store, *made)
        entries += made
        _agree(store, pair, question)
    for what, place, other in steps:
        if entries:
            entry = entries.pop(place % len(entries))
            if what == "remove":
                remove(store, entry.cube.id)
            else:
                change(store, the_next(entry, "mint boat", vectors=_vectors([other])))
            _agree(store, pair, question)


def _agree(store, pair, question):
    """The same scores, of the same memories; where two are equal but for rounding, either may come first."""
    with store.read() as unit:
        exact, near = ([(hit.score, hit.cube.id) for hit in one.search(unit, question, [ANA]).hits] for one in pair)
    assert len(exact) == len(near)
    assert np.allclose([score for score, _ in exact], [score for score, _ in near], rtol=0, atol=1e-5)
    last = exact[-1][0] if exact else 0
    clear = {id for score, id in exact if score > last + 1e-5}
    assert clear <= {id for _, id in near}
