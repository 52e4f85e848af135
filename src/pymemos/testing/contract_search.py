"""Contract of finding: filters of every operator and type, and BM25 against numbers worked out by hand."""

from __future__ import annotations

from datetime import timedelta
from math import log
from typing import Any

import pytest

from pymemos.cube.filters import DEPTH_LIMIT, WIDTH_LIMIT, matches, parse
from pymemos.cube.header import Behaviour, Origin, Priority, SemanticType, State
from pymemos.cube.payload import Activation, ModelRef
from pymemos.ports import Store, TermWeights
from pymemos.testing.acts import PLAIN, add, change, found, ids_of, remove, retext, search, select
from pymemos.testing.builders import ANA, a_cube, a_row, an_entry, the_next
from pymemos.testing.doubles import WHEN

BO = "users/bo"
HOUR = timedelta(hours=1)
FORTY = 40  # memories: more than any store may keep from its index
FULL = "full"  # a memory with every field set
BARE = "bare"  # one with none
TENSOR_ID = "0196b000-0000-7000-8000-000000000001"
FULL_ID = "0196b000-0000-7000-8000-000000000002"
BARE_ID = "0196b000-0000-7000-8000-000000000003"
NAMED = {FULL_ID: FULL, BARE_ID: BARE, TENSOR_ID: "tensor"}


def _three(store: Store) -> None:
    """A plaintext memory with every field set, one with none, and a tensor."""
    full = an_entry(
        "Coffee in Lisbon, 50% off",
        id=FULL_ID,
        origin=Origin.INFERENCE,
        semantic_type=SemanticType.FACT,
        speaker="Ana",
        speaker_role="user",
        agent="a1",
        session="s1",
        role="analyst",
        task="t1",
        episode="e1",
        language="en",
        priority=Priority.HIGH,
        frozen=True,
        tags=("work", "o'hara"),
        entities=("Lisbon",),
        source_ids=("m1", "m2"),
        sensitivity=("health",),
        updated=WHEN + HOUR,
        event_time=WHEN - HOUR,
        valid_to=WHEN + 2 * HOUR,
        metadata={"n": 3, "x": 2.5, "flag": True, "text": "red", "list": ["a", 1], "deep": {"k": 1}, "none": None},
        behaviour=Behaviour(state=State.ACTIVATED, uses=4, last_used=WHEN + HOUR),
    )
    tensor = Activation(form="kv", blob="0" * 64, size=1, model=ModelRef(name="m", weights="w"))
    add(store, full, an_entry("tea", id=BARE_ID), an_entry(cube=a_cube(id=TENSOR_ID, payload=tensor)))


ON = "2025-05-08T13:56:00Z"  # WHEN, as a filter writes it
BEFORE, AFTER = "2025-05-08T13:00:00+00:00", "2025-05-08T16:56:00+02:00"
MANY = 40_000
NOT_FULL = f"{BARE} tensor"
ALL = f"{BARE} {FULL} tensor"
FILTERS: list[tuple[dict[str, Any], str]] = [
    # texts
    ({"id": FULL_ID}, FULL),
    ({"id": {"gt": FULL_ID}}, BARE),
    ({"kind": "plaintext"}, f"{BARE} {FULL}"),
    ({"kind": {"ne": "plaintext"}}, "tensor"),
    ({"type": "fact"}, FULL),
    ({"type": {"in": ["fact", "event"]}}, FULL),
    ({"origin": {"nin": ["user_input"]}}, FULL),
    ({"speaker": "Ana"}, FULL),
    ({"speaker": "ana"}, ""),
    ({"speaker": {"ne": "Bo"}}, ALL),
    ({"speaker": {"ne": "Ana"}}, NOT_FULL),
    ({"speaker": {"in": []}}, ""),
    ({"speaker": {"nin": []}}, ALL),
    ({"speaker": {"gt": "A"}}, FULL),
    ({"speaker": {"lte": "Ana"}}, FULL),
    ({"speaker": {"lt": "Ana"}}, ""),
    ({"speaker": {"contains": "n"}}, FULL),
    ({"speaker_role": {"exists": True}}, FULL),
    ({"agent": {"exists": False}}, NOT_FULL),
    ({"session": "s1"}, FULL),
    ({"role": "analyst"}, FULL),
    ({"task": {"gte": "t1"}}, FULL),
    ({"episode": "e1"}, FULL),
    ({"language": "en"}, FULL),
    ({"priority": "high"}, FULL),
    ({"priority": "mid"}, NOT_FULL),
    ({"state": "activated"}, FULL),
    ({"content": {"contains": "Lisbon"}}, FULL),
    ({"content": {"contains": "lisbon"}}, ""),
    ({"content": {"contains": "50%"}}, FULL),
    ({"content": {"contains": "L_sbon"}}, ""),
    ({"content": {"contains": ""}}, ALL),
    ({"content": ""}, "tensor"),
    # flags and numbers
    ({"frozen": True}, FULL),
    ({"frozen": {"ne": True}}, NOT_FULL),
    ({"frozen": {"in": [True, False]}}, ALL),
    ({"revision": 1}, ALL),
    ({"revision": {"gt": 1}}, ""),
    ({"uses": {"gte": 4}}, FULL),
    ({"uses": {"lt": 3.5}}, NOT_FULL),
    ({"uses": 4.0}, FULL),
    # sets
    ({"tags": "work"}, FULL),
    ({"tags": {"contains": "o'hara"}}, FULL),
    ({"tags": {"contains": "wor"}}, ""),
    ({"tags": {"ne": "work"}}, NOT_FULL),
    ({"tags": {"in": ["home", "work"]}}, FULL),
    ({"tags": {"nin": ["home"]}}, ALL),
    ({"tags": {"nin": ["work"]}}, NOT_FULL),
    ({"tags": {"exists": True}}, FULL),
    ({"entities": {"exists": False}}, NOT_FULL),
    ({"source_ids": "m2"}, FULL),
    ({"sensitivity": "health"}, FULL),
    # times
    ({"created": ON}, ALL),
    ({"created": {"lt": ON}}, ""),
    ({"created": {"in": [ON, BEFORE]}}, ALL),
    ({"created": {"gt": BEFORE, "lt": AFTER}}, ALL),
    ({"created": {"gt": AFTER}}, ""),
    ({"updated": AFTER}, FULL),
    ({"updated": {"ne": AFTER}}, NOT_FULL),
    ({"event_time": {"lt": BEFORE}}, FULL),
    ({"event_time": {"exists": False}}, NOT_FULL),
    ({"valid_from": {"lt": BEFORE}}, FULL),
    ({"valid_from": ON}, NOT_FULL),
    ({"valid_to": {"exists": True}}, FULL),
    ({"valid_to": {"gte": ON}}, FULL),
    ({"last_used": {"gte": WHEN}}, FULL),
    # metadata
    ({"metadata.n": 3}, FULL),
    ({"metadata.n": 3.0}, FULL),
    ({"metadata.n": "3"}, ""),
    ({"metadata.n": {"gt": 2}}, FULL),
    ({"metadata.n": {"gt": "2"}}, ""),
    ({"metadata.n": True}, ""),
    ({"metadata.x": {"lte": 2.5}}, FULL),
    ({"metadata.flag": True}, FULL),
    ({"metadata.flag": 1}, ""),
    ({"metadata.flag": {"ne": 1}}, ALL),
    ({"metadata.flag": {"gte": False}}, FULL),
    ({"metadata.text": {"contains": "re"}}, FULL),
    ({"metadata.text": {"gt": 1}}, ""),
    ({"metadata.text": {"in": ["red", 7]}}, FULL),
    ({"metadata.text": {"nin": ["red"]}}, NOT_FULL),
    ({"metadata.list": {"contains": "a"}}, FULL),
    ({"metadata.list": 1}, FULL),
    ({"metadata.list": True}, ""),
    ({"metadata.list": {"contains": ""}}, ""),
    ({"metadata.deep": {"exists": True}}, FULL),
    ({"metadata.none": {"exists": False}}, ALL),
    ({"metadata.missing": {"ne": 1}}, ALL),
    # together
    ({}, ALL),
    ({"speaker": "Ana", "frozen": False}, ""),
    ({"uses": {"gt": 3, "lt": 5}}, FULL),
    ({"AND": [{"speaker": "Ana"}, {"tags": "work"}]}, FULL),
    ({"OR": [{"speaker": "Ana"}, {"kind": "activation"}]}, f"{FULL} tensor"),
    ({"NOT": {"speaker": "Ana"}}, NOT_FULL),
    ({"NOT": [{"kind": "plaintext"}, {"speaker": "Ana"}]}, NOT_FULL),
    ({"NOT": {"OR": [{"speaker": {"gt": "A"}}, {"kind": "activation"}]}}, BARE),
    ({"AND": []}, ALL),
    ({"OR": []}, ""),
    ({"NOT": []}, ""),
]


class FilterContract:
    """What a filter selects, whichever way the store reads it."""

    @pytest.mark.parametrize(("where", "expected"), FILTERS, ids=[f"{n}: {case[0]}" for n, case in enumerate(FILTERS)])
    def test_a_filter_selects_the_memories_that_satisfy_it(
        self, store: Store, where: dict[str, Any], expected: str
    ) -> None:
        _three(store)

        from_store = {NAMED[id] for id in _ids(store, where)}

        assert from_store == set(expected.split())

    def test_a_filter_sees_the_uses_that_were_counted(self, store: Store) -> None:
        entry, other = an_entry("used"), an_entry("idle")
        add(store, entry, other)

        store.write(lambda unit: unit.use([entry.cube.id], WHEN))

        assert found(store, where={"uses": {"gt": 0}}) == ["used"]
        assert found(store, where={"last_used": {"exists": False}}) == ["idle"]

    def test_a_filter_sees_the_revision(self, store: Store) -> None:
        entry = an_entry("old")
        add(store, entry, an_entry("other"))

        change(store, the_next(entry, "new"))

        assert found(store, where={"revision": {"gte": 2}}) == ["new"]

    @pytest.mark.parametrize(
        ("field", "values"),
        [
            ("id", [f"id {n}" for n in range(MANY)]),
            ("speaker", ["Ana", *(f"Ann {n}" for n in range(MANY))]),
            ("tags", [*(f"tag {n}" for n in range(MANY)), "home"]),
            ("frozen", [True, False] * (MANY // 2)),
            ("revision", [-(2**63), 2**63 - 1, 1.5, float("inf"), float("nan"), 1.0, *range(2, MANY)]),
            ("metadata.k", [*range(MANY), *map(str, range(100)), 0.5, True]),
        ],
        ids=lambda value: value if isinstance(value, str) else "values",
    )
    def test_a_field_is_compared_with_tens_of_thousands_of_values(
        self, store: Store, field: str, values: list[Any]
    ) -> None:
        kept = (7, "7", 0.5, True, False, -1, "x", None, [7], ["7", None], [[7]], [False])
        entries = [an_entry(f"{n}", metadata={"k": value}) for n, value in enumerate(kept)]
        entries += [an_entry("a", speaker="Ana"), an_entry("b", tags=("home", "odd")), an_entry("c", frozen=True)]
        add(store, *entries)

        for op in ("in", "nin"):
            where = parse({field: {op: values}})
            expected = sorted(entry.cube.text for entry in entries if matches(where, entry.cube))
            assert found(store, where={field: {op: values}}) == expected

    def test_the_widest_and_the_deepest_filter_are_answered(self, store: Store) -> None:
        add(store, an_entry("one", speaker="Ana"), an_entry("two"))
        none = [{f"metadata.k{n}": n} for n in range(WIDTH_LIMIT - 1)]
        deep: dict[str, Any] = {"speaker": "Ana"}
        for _ in range(DEPTH_LIMIT // 2):
            deep = {"OR": [{"NOT": deep}, *none[:30]], "AND": [{"NOT": {"speaker": "Bo"}}] * 3}

        assert found(store, where={"OR": [*none, {"speaker": "Ana"}]}) == ["one"]
        assert found(store, where={"AND": [*none, {"speaker": "Ana"}]}) == []
        assert found(store, where={"OR": [{"OR": [*none, {"speaker": "Ana"}]} for _ in range(3)]}) == ["one"]
        assert found(store, where=deep) == ["one"]

    def test_a_filter_narrows_a_match(self, store: Store) -> None:
        add(store, an_entry("one", text=a_row("lisbon"), tags=("x",)), an_entry("two", text=a_row("lisbon")))

        assert _contents(search(store, "lisbon", where={"tags": "x"})) == ["one"]


class LexicalContract:
    """What ``match`` finds and how it ranks."""

    def test_a_score_is_that_of_bm25(self, store: Store) -> None:
        one = an_entry("one", text=a_row("lisbon may lisbon"))
        two = an_entry("two", text=a_row("porto may tram river fado"))
        add(store, one, two)

        first, second = search(store, "lisbon may")

        # N=2, 8 words, mean 4. "lisbon" is in 1 row, "may" in 2; the lengths are 3 and 5.
        rare, common = log(1 + 1.5 / 1.5), log(1 + 0.5 / 2.5)
        short, long = 1.2 * (0.25 + 0.75 * 3 / 4), 1.2 * (0.25 + 0.75 * 5 / 4)
        assert first.record.cube == one.cube
        assert first.score == pytest.approx(rare * 2 * 2.2 / (2 + short) + common * 2.2 / (1 + short))
        assert first.score == pytest.approx(1.2283, abs=1e-4)
        assert second.record.cube == two.cube
        assert second.score == pytest.approx(common * 2.2 / (1 + long))
        assert second.score == pytest.approx(0.1654, abs=1e-4)

    def test_columns_count_by_their_weights(self, store: Store) -> None:
        add(store, an_entry("one", text=a_row("lisbon", context="lisbon lisbon", facets="lisbon")))
        weights = TermWeights(k1=2.0, b=0.5, terms=1.0, context=0.25, facets=3.0)

        (match,) = search(store, "lisbon", weights=weights)

        # One row of mean length, so the length changes nothing: frequency 1 + 2×0.25 + 3, norm k1.
        assert match.score == pytest.approx(log(1 + 0.5 / 1.5) * 4.5 * 3 / (4.5 + 2))

    def test_a_term_that_is_in_a_column_without_weight_is_found_and_scores_nothing(self, store: Store) -> None:
        add(store, an_entry("one", text=a_row("porto", context="lisbon")))

        (match,) = search(store, "lisbon", weights=TermWeights(context=0.0))

        assert (match.score, match.words) == (0.0, ("lisbon",))

    def test_a_row_with_a_term_in_two_columns_counts_once_among_those_that_hold_it(self, store: Store) -> None:
        add(store, an_entry("one", text=a_row("a", context="a", facets="a")), an_entry("two", text=a_row("b b b")))

        (match,) = search(store, "a")

        assert match.score == pytest.approx(log(1 + 1.5 / 1.5) * 2.5 * 2.2 / (2.5 + 1.2))

    def test_the_words_of_a_match_are_the_distinct_terms_it_holds_in_the_order_of_the_query(self, store: Store) -> None:
        add(store, an_entry("one", text=a_row("may lisbon", context="river", facets="2025")))

        (match,) = search(store, "2025 tram river lisbon river 2025 fado may")

        assert match.words == ("2025", "river", "lisbon", "may")

    def test_a_repeated_term_of_a_query_counts_once(self, store: Store) -> None:
        add(store, an_entry("one", text=a_row("lisbon")))

        assert search(store, "lisbon lisbon") == search(store, "lisbon")

    def test_memories_that_share_no_term_are_not_found(self, store: Store) -> None:
        add(store, an_entry("one", text=a_row("lisbon")), an_entry("two", text=a_row("porto")))

        assert _contents(search(store, "lisbon")) == ["one"]
        assert search(store, "braga") == []
        assert search(store, "") == []

    def test_terms_are_whole_and_exact(self, store: Store) -> None:
        odd = ["o'hara", "Lisbon", "çà", '"x"', "a*", "a:b", "not", "2025-05-08", "-", "𝄞"]
        add(store, *(an_entry(term, text=a_row(term)) for term in odd))

        assert [_contents(search(store, term)) for term in odd] == [[term] for term in odd]
        assert search(store, "lisbon ca hara a b x NOT 2025 lis") == []

    def test_matches_are_best_first_and_ties_go_by_the_order_of_first_writing(self, store: Store) -> None:
        entries = [an_entry(str(n), text=a_row("lisbon")) for n in range(3)]
        best = an_entry("best", text=a_row("lisbon porto"))
        add(store, *reversed(entries), best)
        change(store, the_next(entries[2], "2", text=a_row("lisbon")))

        assert _contents(search(store, "lisbon porto")) == ["best", "2", "1", "0"]
        assert _contents(search(store, "lisbon porto", limit=2)) == ["best", "2"]
        assert search(store, "lisbon", limit=0) == []

    def test_the_words_of_one_namespace_do_not_move_the_scores_of_another(self, store: Store) -> None:
        add(store, an_entry("hers", text=a_row("lisbon may")), an_entry("other", text=a_row("porto")))
        before = search(store, "lisbon", namespaces=(ANA,))

        add(store, *(an_entry(str(n), BO, text=a_row("lisbon " * (n + 1))) for n in range(5)))

        assert search(store, "lisbon", namespaces=(ANA,)) == before

    def test_each_namespace_of_a_search_is_scored_by_its_own_statistics(self, store: Store) -> None:
        add(store, an_entry("hers", text=a_row("lisbon")), an_entry("other", text=a_row("porto")))
        add(store, an_entry("his", BO, text=a_row("lisbon")))

        scores = {match.record.cube.text: match.score for match in search(store, "lisbon")}

        # One word a row: frequency and length cancel out, and the rarity is left.
        assert scores == pytest.approx({"hers": log(1 + 1.5 / 1.5), "his": log(1 + 0.5 / 1.5)})

    def test_statistics_follow_changes_and_deletions(self, store: Store) -> None:
        kept, changed, deleted = (an_entry(name, text=a_row("lisbon")) for name in ("kept", "changed", "deleted"))
        add(store, kept, changed, deleted)
        change(store, the_next(changed, text=a_row("porto")))
        remove(store, deleted.cube.id)

        (match,) = search(store, "lisbon")

        assert match.score == pytest.approx(log(1 + 1.5 / 1.5))

    def test_a_past_version_is_scored_by_the_statistics_of_today(self, store: Store) -> None:
        entry = an_entry("old", text=a_row("lisbon may"))
        add(store, entry, an_entry("other", text=a_row("porto fado tram")))
        change(store, the_next(entry, text=a_row("braga")), at=WHEN + HOUR)

        (match,) = search(store, "lisbon", known_at=WHEN)

        # Two current rows, four words, none of them "lisbon"; the past row has mean length.
        assert match.score == pytest.approx(log(1 + 2.5 / 0.5))

    def test_a_past_version_is_scored_where_no_row_is_current(self, store: Store) -> None:
        entry = an_entry("old", text=a_row("lisbon may"))
        add(store, entry)
        remove(store, entry.cube.id, at=WHEN + HOUR)

        (match,) = search(store, "lisbon", known_at=WHEN)

        assert match.score == pytest.approx(log(1 + 0.5 / 0.5) * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 1)))

    def test_rows_without_words_count_among_the_memories(self, store: Store) -> None:
        add(store, an_entry("one", text=a_row("lisbon")), an_entry("empty", text=a_row("")))

        (match,) = search(store, "lisbon")

        # N=2, mean ½.
        assert match.score == pytest.approx(log(1 + 1.5 / 1.5) * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2)))

    def test_a_memory_without_a_full_text_row_is_neither_found_nor_counted(self, store: Store) -> None:
        entry = an_entry("one", text=a_row("lisbon"))
        add(store, entry)

        retext(store, entry.cube.id, None)

        assert search(store, "lisbon") == []
        with store.read() as unit:
            namespace = unit.namespace(ANA)
        assert namespace is not None
        assert (namespace.memories, namespace.words) == (0, 0)

    # Rows may reach an index some at a time; nothing tells.

    def test_each_of_many_memories_is_found_as_soon_as_it_is_written(self, store: Store) -> None:
        for number in range(FORTY):
            add(store, an_entry(f"tram {number}", text=a_row(f"tram n{number}", context="tram" if number % 2 else "")))

            assert _contents(search(store, f"n{number}")) == [f"tram {number}"]
            with store.read() as unit:
                (places,) = unit.postings(["tram"], ANA)
            assert places == sorted(places)
            assert len(places) == number + 1 + (number + 1) // 2

    def test_what_becomes_of_a_memory_among_many_is_seen_wherever_its_words_are(self, store: Store) -> None:
        rows = [[an_entry(f"{name}{number}", text=a_row(f"tram {name}")) for name in "abc"] for number in range(FORTY)]
        for row in rows:
            add(store, *row)
        for number, (one, two, three) in enumerate(rows):
            change(store, the_next(one, f"d{number}", text=a_row("tram d")), at=WHEN + 2 * HOUR)
            remove(store, two.cube.id, at=WHEN + 2 * HOUR)
            retext(store, three.cube.id, a_row("bus c"))

        now, then = (
            _contents(search(store, "tram", limit=100)),
            _contents(search(store, "a", known_at=WHEN + HOUR, limit=100)),
        )
        assert now == [f"d{number}" for number in range(FORTY)]
        assert then == [f"a{number}" for number in range(FORTY)]
        assert _contents(search(store, "bus", limit=100)) == [f"c{number}" for number in range(FORTY)]
        assert search(store, "b") == []

    def test_many_together_are_found_with_those_before(self, store: Store) -> None:
        add(store, an_entry("first", text=a_row("tram")))
        add(store, *(an_entry(str(number), text=a_row("tram")) for number in range(FORTY)))
        add(store, an_entry("last", text=a_row("tram")))

        assert _contents(search(store, "tram", limit=100)) == ["first", *map(str, range(FORTY)), "last"]

    def test_a_match_carries_the_record(self, store: Store) -> None:
        entry = an_entry("one", text=a_row("lisbon"))
        add(store, entry)

        (match,) = search(store, "lisbon", weights=PLAIN)

        with store.read() as unit:
            assert [match.record] == unit.current([entry.cube.id])

    def test_a_selection_narrows_a_match(self, store: Store) -> None:
        add(
            store,
            an_entry("one", text=a_row("lisbon"), session="s"),
            an_entry("two", text=a_row("lisbon")),
            an_entry("three", BO, text=a_row("lisbon"), session="s"),
            an_entry("an episode", text=a_row("lisbon"), session="s", semantic_type=SemanticType.EPISODE),
        )

        assert _contents(search(store, "lisbon", session="s", namespaces=(ANA,))) == ["one"]


def _ids(store: Store, where: dict[str, Any]) -> list[str]:
    return ids_of(select(store, where=where))


def _contents(matches: list[Any]) -> list[str]:
    return [match.record.cube.text for match in matches]
