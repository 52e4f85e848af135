"""Costs, estimates and moves: when another form pays, said in words, and that nothing flaps."""

from __future__ import annotations

import math

import msgspec
import pytest
from tests.unit.scheduling_kit import CALIBRATION, steadily, used

from pymemos.errors import InvalidInput
from pymemos.operation.costs import FORMS, Form, Prices, Timing, costs, fit_line, fit_prefill
from pymemos.operation.moves import decide, move, pays_after, prefetch, rest_days, worth_of_room
from pymemos.operation.usage import LASTING_DAYS, UNINFORMED, Prior, Usage, estimate, learn, present_uses, quiet_days

SHORT = costs(40, CALIBRATION)


class TestCosts:
    def test_reading_follows_the_formula(self):
        assert 0.001 * 500 + 1e-6 * 500**2 == pytest.approx(CALIBRATION.prefill(500))
        assert 0.001 + 500 * 40_000 / 4e9 == pytest.approx(CALIBRATION.load(500))

    def test_the_question_looks_back_at_text_and_cache_alike(self):
        quiet, asked = (costs(500, CALIBRATION, Prices(question_tokens=tokens)) for tokens in (0, 200))

        text, kv = asked.text.read_s - quiet.text.read_s, asked.kv.read_s - quiet.kv.read_s

        assert 2 * 1e-6 * 500 * 200 == pytest.approx(text) == pytest.approx(kv)
        assert quiet.adapter.read_s == asked.adapter.read_s

    def test_room_has_its_price(self):
        assert 40 * 40_000 * 1e-9 == pytest.approx(SHORT.kv.keep_day_s)
        assert 0 == SHORT.text.keep_day_s

    @pytest.mark.parametrize("noise", [0.0, 0.02])
    def test_a_fit_finds_what_made_the_timings(self, noise):
        lengths = (32, 64, 128, 256, 512, 768)
        timings = [
            Timing(n, (0.1 + 0.002 * n + 1e-6 * n * n) * (1 + noise * (-1) ** place)) for place, n in enumerate(lengths)
        ]

        begin, token, square = fit_prefill(timings)

        assert pytest.approx((0.1, 0.002, 1e-6), rel=1e-6 + 15 * noise) == (begin, token, square)

    def test_a_term_that_noise_makes_negative_is_left_out(self):
        fit = fit_prefill([Timing(100, 0.2), Timing(200, 0.41), Timing(400, 0.7)])

        assert min(fit) >= 0
        assert fit[1] > 0

    @pytest.mark.parametrize(
        "timings", [[Timing(100, 0.2), Timing(200, 0.3)], [Timing(100, 0.2), Timing(200, 0.0), Timing(300, 0.4)]]
    )
    def test_too_few_timings_are_refused(self, timings):
        with pytest.raises(InvalidInput, match="at least three lengths"):
            fit_prefill(timings)

    def test_a_line_has_a_beginning_and_a_rate(self):
        begin, rate = fit_line([(1e6, 0.02), (2e6, 0.03), (4e6, 0.05)])

        assert (0.01, 1e8) == (pytest.approx(begin), pytest.approx(rate))

    def test_a_line_that_noise_turned_is_all_rate(self):
        assert (0.0, pytest.approx(1e8)) == fit_line([(1e6, 0.02), (2e6, 0.01)])

    def test_a_calibration_of_nonsense_is_refused(self):
        with pytest.raises(InvalidInput, match="measure it again"):
            msgspec.structs.replace(CALIBRATION, load_bytes_s=0.0)


class TestEstimates:
    def test_what_is_seen_outweighs_what_others_are_like(self):
        usage = steadily(14, 9)

        expected = estimate(usage, UNINFORMED, usage.at)

        assert 11 < expected.uses_day < 18
        assert expected.uses_left > 20

    def test_one_use_says_little(self):
        few, many = used([0.0]), steadily(1, 10)

        assert estimate(few, UNINFORMED, 0.1).uses_left < estimate(many, UNINFORMED, many.at + 0.1).uses_left

    def test_a_burst_fades(self):
        usage = used([5 + minute / 1440 for minute in range(20)])

        later = [estimate(usage, UNINFORMED, usage.at + days).uses_day for days in (0, 3, 30)]

        assert sorted(later, reverse=True) == later
        assert later[0] > 4 * later[2]
        assert present_uses(usage, UNINFORMED, usage.at) > 8 * present_uses(usage, UNINFORMED, usage.at + 10)

    def test_uses_within_minutes_are_one_sitting(self):
        usage = used([0.0, 0.001, 0.002, 5.0])

        assert 2 == pytest.approx(usage.sittings, rel=0.2)

    def test_who_changes_all_the_time_is_expected_to_change(self):
        calm, restless = used([1.0, 3.0, 5.0]), used([1.0, 3.0, 5.0], changed=[1.5, 2.0, 2.5, 3.5, 4.0, 4.5])

        assert estimate(calm, UNINFORMED, 5.0).uses_left > 2 * estimate(restless, UNINFORMED, 5.0).uses_left

    def test_after_a_change_what_followed_earlier_ones_counts(self):
        served = used([1.0, 2.0, 3.0], changed=[0.5, 1.5, 2.5, 3.5])
        unserved = used([0.1], changed=[0.5, 1.5, 2.5, 3.5])

        assert estimate(served, UNINFORMED, 3.5).again > 0.75
        assert estimate(unserved, UNINFORMED, 3.5).again < 0.45

    def test_a_prior_is_what_the_others_are_like(self):
        seldom = [used([float(day), day + 20.0]) for day in range(30)]
        often = [steadily(6, 10) for _ in range(30)]

        assert learn(seldom, 60.0).sittings.count / learn(seldom, 60.0).sittings.days < 0.3
        assert learn(often, 10.0).sittings.count / learn(often, 10.0).sittings.days > 3

    def test_a_few_memories_teach_nothing_yet(self):
        assert UNINFORMED == learn([steadily(1, 9)] * 5, 9.0)

    @pytest.mark.parametrize("rate", [0.02, 0.05, 0.2])
    def test_rest_ends_when_the_estimate_falls_to_the_rate(self, rate):
        usage, prior = steadily(2, 20), Prior()
        rest = quiet_days(usage, prior, usage.at, rate)

        def sittings(at: float) -> float:
            expected = estimate(usage, prior, at)
            return 1 / expected.next_days - expected.changes_day - 1 / LASTING_DAYS

        if math.isfinite(rest):
            assert sittings(usage.at + rest * 0.9) > rate > sittings(usage.at + rest * 1.1)
        else:
            assert sittings(usage.at + 1_000) > rate


class TestMoves:
    def test_hot_and_stable_text_becomes_a_kv_cache(self):
        usage = steadily(14, 9)

        assert Form.KV is decide(Form.TEXT, SHORT, usage, UNINFORMED, usage.at).form

    def test_what_changes_as_often_as_it_is_used_stays_text(self):
        usage = used([1.0, 2.0, 3.0, 4.0], changed=[1.4, 1.6, 2.4, 2.6, 3.4, 3.6, 4.4])

        assert Form.TEXT is decide(Form.TEXT, SHORT, usage, UNINFORMED, usage.at).form

    def test_an_adapter_needs_far_more_uses_than_a_kv_cache(self):
        usage = steadily(14, 9)
        expected = estimate(usage, UNINFORMED, usage.at)

        assert pays_after(SHORT, Form.TEXT, Form.ADAPTER, expected) > 50 * pays_after(
            SHORT, Form.TEXT, Form.KV, expected
        )

    def test_a_window_that_is_scarce_makes_adapters_pay(self):
        usage = steadily(40, 60)
        free, scarce = (costs(200, CALIBRATION, Prices(window_token_s=price)) for price in (0.0, 0.02))

        assert Form.KV is decide(Form.KV, free, usage, UNINFORMED, usage.at).form
        assert Form.ADAPTER is decide(Form.KV, scarce, usage, UNINFORMED, usage.at).form

    def test_a_move_says_in_words_what_it_follows_from(self):
        usage = used([number / 14 for number in range(1, 126)], changed=[0.01])

        told = move("m1", Form.TEXT, Form.KV, SHORT, usage, UNINFORMED, usage.at).reason

        assert "used 14 times a day, unchanged for 9 days: a KV cache pays for itself after 4 more uses, and" in told
        assert told.endswith("are expected before it changes")

    def test_a_demotion_says_that_it_costs_more_than_it_saves(self):
        usage = used([0.0])

        told = move("m1", Form.KV, Form.TEXT, SHORT, usage, UNINFORMED, 90.0).reason

        assert "unchanged for 90 days: keeping a KV cache costs more than it saves" in told

    def test_what_nobody_uses_any_more_becomes_text_again(self):
        dear = costs(40, CALIBRATION, Prices(byte_day_s=1e-8))
        usage = steadily(2, 5)
        kept = decide(Form.KV, dear, usage, UNINFORMED, usage.at)

        assert Form.KV is kept.form
        assert 1 < kept.rest_days < 200
        assert Form.TEXT is decide(Form.KV, dear, usage, UNINFORMED, usage.at + kept.rest_days + 1).form

    def test_only_the_forms_that_are_allowed_are_taken(self):
        usage = steadily(14, 9)

        assert Form.TEXT is decide(Form.TEXT, SHORT, usage, UNINFORMED, usage.at, (Form.TEXT,)).form

    @pytest.mark.parametrize("a_day", [0.05, 0.2, 0.5, 1, 3, 14])
    @pytest.mark.parametrize("price", [1e-9, 1e-8, 1e-7])
    def test_nothing_flaps(self, a_day, price):
        """A memory used evenly goes back and forth at most once, however near its use is to the threshold."""
        of = costs(40, CALIBRATION, Prices(byte_day_s=price))
        usage, form, moves = Usage(since=0.0, at=0.0), Form.TEXT, 0
        for number in range(1, 200):
            usage = usage.happened(number / a_day, use=True)
            standing = decide(form, of, usage, UNINFORMED, usage.at)
            moves += standing.form is not form
            form = standing.form

        assert moves <= 2

    def test_who_is_kept_is_worth_more_room_than_one_like_it_who_would_come(self):
        usage = steadily(1, 9)
        kept, new = (worth_of_room(SHORT, usage, UNINFORMED, usage.at, kept=kept) for kept in (True, False))

        assert kept > 1.2 * new

    def test_what_is_of_interest_now_is_fetched_ahead_within_the_room(self):
        hot, cold = steadily(6, 9), used([0.0, 1.0])
        kept = {
            "hot": (SHORT, hot),
            "hot and long": (costs(900, CALIBRATION), hot),
            "cold": (SHORT, cold),
        }

        assert ("hot", "cold") == prefetch(kept, UNINFORMED, hot.at, 2.5 * SHORT.kv.bytes)
        assert () == prefetch(kept, UNINFORMED, hot.at, 0)

    def test_what_nobody_ever_used_is_not_worth_its_room_however_long_ago(self):
        never = Usage(since=0.0, at=0.0)
        dear = msgspec.structs.replace(CALIBRATION, kv_token_bytes=1e6)

        assert 0 == rest_days(Form.KV, costs(100, dear), never, UNINFORMED, 5_000.0)

    def test_text_can_rest_forever(self):
        usage = steadily(1, 9)

        assert math.inf == rest_days(Form.TEXT, SHORT, usage, UNINFORMED, usage.at)
        assert {Form.TEXT, Form.KV, Form.ADAPTER} == set(FORMS)
