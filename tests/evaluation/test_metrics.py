"""The metrics: by examples computed by hand, and by the laws that hold for every ranking."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluation.small import LetterEmbedder

from pymemos.evaluation.metrics import (
    all_at,
    fitting,
    hit_at,
    mean,
    ndcg_at,
    paired_bootstrap,
    percentile,
    recall_at,
    recall_within,
    score,
    sessions_of,
)
from pymemos.evaluation.tokens import approximate_wordpieces, counter_of, name_of, remembering

FOUND = [("a",), ("b",), ("c",), ("d",)]
turns = st.sampled_from("abcdefgh")
rankings = st.lists(turns, unique=True).map(lambda ids: [(id,) for id in ids])
chunks = st.lists(st.lists(turns, min_size=1, max_size=3).map(tuple), max_size=6)
evidences = st.lists(turns, min_size=1, unique=True)
shares = st.floats(0, 1)


class TestByHand:
    def test_recall_is_the_share_of_the_evidence_found(self):
        assert [0, 0.5, 0.5, 1] == [recall_at(FOUND, ["b", "d"], k) for k in (1, 2, 3, 4)]

    def test_a_hit_is_any_of_the_evidence_and_all_is_all_of_it(self):
        assert [0, 1, 1, 1] == [hit_at(FOUND, ["b", "d"], k) for k in (1, 2, 3, 4)]
        assert [0, 0, 0, 1] == [all_at(FOUND, ["b", "d"], k) for k in (1, 2, 3, 4)]

    def test_ndcg_discounts_by_the_logarithm_of_the_rank(self):
        gained, ideal = 1 / math.log2(3) + 1 / math.log2(5), 1 + 1 / math.log2(3)

        assert gained / ideal == pytest.approx(ndcg_at(FOUND, ["b", "d"]))

    def test_a_chunk_counts_for_every_turn_it_holds_but_gains_once(self):
        assert 1 == recall_at([("a", "b")], ["a", "b"], 1)
        assert 1 / (1 + 1 / math.log2(3)) == pytest.approx(ndcg_at([("a", "b"), ("a",)], ["a", "b"]))

    def test_a_budget_is_filled_in_rank_order_up_to_the_first_that_does_not_fit(self):
        costs = [10, 20, 100, 1]

        assert [0, 1, 2, 2, 4] == [fitting(costs, budget) for budget in (9, 29, 30, 129, 131)]
        assert 0.5 == recall_within(FOUND, costs, ["b", "d"], 129)

    def test_sessions_rank_at_their_first_turn(self):
        assert [("s2",), ("s1",)] == sessions_of([("b",), ("a", "c")], {"a": "s1", "b": "s2", "c": "s2"})

    def test_percentiles_lie_between_values(self):
        assert [1, 2.5, 4] == [percentile([4, 1, 3, 2], share) for share in (0, 0.5, 1)]
        assert 3.85 == pytest.approx(percentile([4, 1, 3, 2], 0.95))

    def test_of_nothing_there_is_no_mean(self):
        assert math.isnan(mean([]))
        assert math.isnan(percentile([], 0.5))

    def test_every_metric_has_a_name_that_says_what_it_is(self):
        scores = score(FOUND, [10, 10, 10, 10], ["b"], ranks=(1, 2), budgets=(25,))

        assert {
            "recall@1": 0,
            "recall@2": 1,
            "hit@1": 0,
            "hit@2": 1,
            "all@1": 0,
            "all@2": 1,
            "ndcg@10": pytest.approx(1 / math.log2(3)),
            "recall≤25": 1,
        } == scores


class TestBootstrap:
    def test_the_same_difference_everywhere_leaves_no_doubt(self):
        interval = paired_bootstrap([1.0] * 9, [0.75] * 9)

        assert (0.25, 0.25, 0.25) == (interval.mean, interval.low, interval.high)

    def test_an_interval_is_near_that_of_the_normal_distribution(self):
        ours = [1.0] * 60 + [0.0] * 40  # mean 0.6, standard error 0.049

        interval = paired_bootstrap(ours, [0.0] * 100)

        assert 0.6 == interval.mean
        assert 0.6 - 1.96 * 0.049 == pytest.approx(interval.low, abs=0.015)
        assert 0.6 + 1.96 * 0.049 == pytest.approx(interval.high, abs=0.015)

    def test_the_seed_decides(self):
        ours, theirs = [math.sqrt(n) for n in range(40)], [math.cos(n) for n in range(40)]

        assert paired_bootstrap(ours, theirs, seed=5) == paired_bootstrap(ours, theirs, seed=5)
        assert paired_bootstrap(ours, theirs, seed=5) != paired_bootstrap(ours, theirs, seed=6)

    @given(st.lists(st.tuples(shares, shares), min_size=1, max_size=30))
    def test_the_mean_lies_within_and_swapping_the_systems_mirrors_it(self, pairs):
        ours, theirs = zip(*pairs, strict=True)

        there, back = paired_bootstrap(ours, theirs, rounds=200), paired_bootstrap(theirs, ours, rounds=200)

        assert there.low <= there.high
        assert there.mean == pytest.approx(-back.mean)
        assert (there.low, there.high) == (pytest.approx(-back.high), pytest.approx(-back.low))


class TestLaws:
    @given(chunks, evidences, st.integers(0, 6))
    def test_more_ranks_never_find_less(self, found, evidence, k):
        for metric in (recall_at, hit_at, all_at):
            assert metric(found, evidence, k) <= metric(found, evidence, k + 1)

    @given(chunks, evidences, st.integers(1, 6))
    def test_all_implies_recall_implies_a_hit(self, found, evidence, k):
        assert all_at(found, evidence, k) <= recall_at(found, evidence, k) <= hit_at(found, evidence, k)

    @given(chunks, evidences)
    def test_every_metric_is_a_share(self, found, evidence):
        scores = score(found, [7] * len(found), evidence, ranks=(1, 5), budgets=(20,))

        assert all(0 <= value <= 1 + 1e-12 for value in scores.values())

    @given(evidences, st.lists(st.sampled_from("xyz"), unique=True))
    def test_evidence_first_is_ideal(self, evidence, others):
        assert 1 == pytest.approx(ndcg_at([(id,) for id in [*evidence, *others]], evidence))

    @given(rankings, evidences, st.data())
    def test_evidence_that_moves_up_never_gains_less(self, found, evidence, data):
        places = [place for place, (id,) in enumerate(found) if place and id in evidence]
        if not places:
            return
        place = data.draw(st.sampled_from(places))
        better = [*found]
        better[place - 1], better[place] = better[place], better[place - 1]

        assert ndcg_at(found, evidence) <= ndcg_at(better, evidence) + 1e-12

    @given(rankings, evidences, st.lists(st.integers(0, 50), min_size=8, max_size=8), st.integers(0, 300))
    def test_a_larger_budget_never_finds_less_and_a_boundless_one_finds_what_was_found(
        self, found, evidence, costs, budget
    ):
        within = recall_within(found, costs[: len(found)], evidence, budget)

        assert within <= recall_within(found, costs[: len(found)], evidence, budget + 10)
        assert recall_at(found, evidence, 8) == recall_within(found, costs[: len(found)], evidence, 10_000)


class TestTokens:
    @pytest.mark.parametrize(
        ("text", "tokens"),
        [
            ("", 0),
            ("I moved to Lisbon.", 5),
            ("internationally", 2),
            ("[2023-05-08] Ana: yes", 11),
            ("你好", 2),
            ("a_b", 3),
        ],
    )
    def test_tokens_are_counted_without_a_vocabulary(self, text, tokens):
        assert tokens == approximate_wordpieces(text)

    def test_an_embedder_counts_by_its_own_tokenizer_where_it_has_one(self):
        class Lettered(LetterEmbedder):
            def count_tokens(self, text):
                return len(text)

        count = counter_of(Lettered())

        assert (4, "tokenizer of letters") == (count("four"), name_of(count))
        assert approximate_wordpieces is counter_of(LetterEmbedder())
        assert approximate_wordpieces is counter_of(None)

    def test_no_text_is_counted_twice_and_the_name_stays(self):
        counted = []

        def by_letters(text):
            counted.append(text)
            return len(text)

        count = remembering(by_letters)

        assert [2, 3, 2] == [count("ab"), count("abc"), count("ab")]
        assert (["ab", "abc"], "by_letters") == (counted, name_of(count))

    @given(st.lists(st.text(alphabet="abc XYZ.,9é你", min_size=1)))
    def test_tokens_add_up_over_words(self, texts):
        words = " ".join(texts).split()

        assert approximate_wordpieces(" ".join(words)) == sum(map(approximate_wordpieces, words))
