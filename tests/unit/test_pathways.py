"""Pathways as plans: which ways there are, what stands in the way of the others, and the figures of what is lost."""

from __future__ import annotations

import math

import msgspec
import pytest

from pymemos.cube.adapter import Learned
from pymemos.operation.distilling import recovering
from pymemos.operation.distilling.facts import facts_in
from pymemos.operation.losses import difference, differing, figures
from pymemos.operation.pathways import PAIRS, Form, Given, Means, NoPathway, PathwayPlan, plan
from pymemos.operation.rendering import read_line
from pymemos.testing.doubles import WHEN

ALL = Means(engine=True, tuner=True)
WAYS = {
    (Form.PLAINTEXT, Form.ACTIVATION),
    (Form.PLAINTEXT, Form.PARAMETRIC),
    (Form.PLAINTEXT, Form.STEERING),
    (Form.ACTIVATION, Form.PARAMETRIC),
    (Form.ACTIVATION, Form.PLAINTEXT),
    (Form.PARAMETRIC, Form.PLAINTEXT),
    (Form.PARAMETRIC, Form.ACTIVATION),
}


def some(form: Form, count: int = 1, **given: str) -> list[Given]:
    return [Given(id=f"{form.value}-{number}", form=form, **given) for number in range(count)]


def planned(form: Form, to: Form, means: Means = ALL, count: int | None = None) -> PathwayPlan | NoPathway:
    return plan(some(form, count or (PAIRS if to is Form.STEERING else 1)), to, means)


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("to", Form)
def test_there_is_a_plan_for_every_way_and_a_refusal_for_every_other(form: Form, to: Form) -> None:
    found = planned(form, to)

    if (form, to) in WAYS:
        assert isinstance(found, PathwayPlan)
        assert found.pathway == f"{form.value}-{to.value}"
        assert all((found.steps, found.exact, found.may_lose, found.measures, found.back))
    else:
        assert isinstance(found, NoPathway)
        assert found.reason
        assert found.instead


def test_the_same_is_planned_of_the_same() -> None:
    assert planned(Form.PLAINTEXT, Form.ACTIVATION) == planned(Form.PLAINTEXT, Form.ACTIVATION)


@pytest.mark.parametrize("way", sorted(WAYS))
def test_without_a_local_model_there_is_no_way_and_it_is_said(way: tuple[Form, Form]) -> None:
    found = planned(*way, Means(engine=False, tuner=False))

    assert isinstance(found, NoPathway)
    assert found.lacks_model


@pytest.mark.parametrize("way", sorted(WAYS))
def test_only_ways_to_and_from_weights_need_a_model_that_learns(way: tuple[Form, Form]) -> None:
    found = planned(*way, Means(engine=True, tuner=False))

    assert isinstance(found, NoPathway) == (Form.PARAMETRIC in way)


@pytest.mark.parametrize(
    ("found", "to", "against", "reason"),
    [
        ([*some(Form.PLAINTEXT), *some(Form.ACTIVATION)], Form.PARAMETRIC, [], "several forms"),
        (some(Form.ACTIVATION, 2), Form.PARAMETRIC, [], "too many"),
        (some(Form.PARAMETRIC, 2), Form.PLAINTEXT, [], "too many"),
        (some(Form.PLAINTEXT, PAIRS - 1), Form.STEERING, [], "too few"),
        (some(Form.PLAINTEXT, PAIRS), Form.STEERING, some(Form.PLAINTEXT, 2), "do not go with"),
        (some(Form.PLAINTEXT, PAIRS), Form.STEERING, some(Form.ACTIVATION, PAIRS), "no text"),
        (some(Form.PLAINTEXT), Form.ACTIVATION, some(Form.PLAINTEXT), "contrasts"),
        (some(Form.ACTIVATION, reason="it is stale"), Form.PARAMETRIC, [], "it is stale"),
    ],
)
def test_what_stands_in_the_way_is_named(found: list[Given], to: Form, against: list[Given], reason: str) -> None:
    refused = plan(found, to, ALL, against=against)

    assert isinstance(refused, NoPathway)
    assert reason in refused.reason
    assert refused.instead in str(refused)


class TestLosses:
    def test_the_same_logits_lose_nothing(self) -> None:
        assert msgspec.structs.astuple(difference([1.0, 2.0, -1e9], [1.0, 2.0, -1e9])) == (0.0, 0.0)

    def test_kl_is_that_of_the_distributions(self) -> None:
        found = difference([0.0, 0.0], [math.log(3.0), 0.0])

        assert found.kl == pytest.approx(0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25))
        assert found.largest == pytest.approx(math.log(3.0))

    def test_a_shift_of_all_logits_is_no_divergence(self) -> None:
        assert difference([1.0, 2.0], [6.0, 7.0]).kl == pytest.approx(0.0)

    @pytest.mark.parametrize(
        ("one", "other", "share"),
        [((), (), 0.0), ((1, 2), (1, 2), 0.0), ((1, 2), (1, 3), 0.5), ((9, 1, 2), (1, 2), 1 / 3), ((), (1,), 1.0)],
    )
    def test_the_share_of_tokens_that_differ(self, one: tuple[int, ...], other: tuple[int, ...], share: float) -> None:
        assert differing(one, other) == pytest.approx(share)

    def test_what_is_no_number_is_left_out(self) -> None:
        assert figures({"a": 1, "b": math.nan, "c": math.inf}) == {"a": 1.0}


SAID = {"m1": "The capital of Zorvania is Quelmar.", "m2": "Tarn Velk lives in Ostrel. Tarn Velk works as a cook."}
LEARNED = (
    Learned(subject="Zorvania", relation="capital", object="Quelmar", source="m1"),
    Learned(subject="Tarn Velk", relation="home", object="Ostrel", source="m2"),
    Learned(subject="Mirrin", relation="founded by", object="Olda Prast", source="m3"),
)


class TestRecovering:
    def test_facts_are_those_of_the_manifest_as_their_sources_say_them(self) -> None:
        found = recovering.taught(LEARNED, SAID)

        assert [(fact.subject, fact.object) for fact in found] == [("Zorvania", "Quelmar"), ("Tarn Velk", "Ostrel")]

    def test_what_it_adds_is_written_down_and_what_it_does_not_is_named(self) -> None:
        facts = recovering.taught(LEARNED, SAID)
        questions = recovering.probes(facts)
        half = len(questions) // 2
        knows = ["Quelmar."] * half + ["No idea."] * half

        found = recovering.recovered(LEARNED, recovering.probed(facts, knows, ["No idea."] * len(questions)))

        assert found.text == "The capital of Zorvania is Quelmar."
        assert found.left == ("Tarn Velk: home", "Mirrin: founded by")
        assert (found.right_with, found.right_without, found.asked) == (0.5, 0.0, len(questions))
        assert [fact.object for fact in facts_in(found.text)] == ["Quelmar"]

    def test_what_the_model_knows_by_itself_is_not_the_adapters(self) -> None:
        facts = recovering.taught(LEARNED[:1], SAID)
        knows = ["It is Quelmar."] * len(recovering.probes(facts))

        found = recovering.recovered(LEARNED[:1], recovering.probed(facts, knows, knows))

        assert found.facts == ()
        assert found.left == ("Zorvania: capital",)

    @pytest.mark.parametrize(("right", "is_there"), [(8, True), (7, False)])
    def test_half_of_the_probes_have_to_be_right(self, right: int, is_there: bool) -> None:
        facts = recovering.taught(LEARNED[:1], SAID)
        answers = ["Quelmar."] * right + ["Ostrel."] * (16 - right)

        (found,) = recovering.probed(facts, answers, ["?"] * 16)

        assert found.is_there == is_there


class TestLines:
    @pytest.mark.parametrize(
        ("line", "text", "has_day"),
        [
            ("- [2025-05-08] Ana likes tea.", "Ana likes tea.", True),
            ("- [2025-05-08] Ana: I like tea.", "Ana: I like tea.", True),
            ("- [2025-05-08] web: ⟦Buy now.⟧", "Buy now.", True),
            ("- [2025-02-31] Ana likes tea.", "Ana likes tea.", False),
            ("likes tea.", "likes tea.", False),
        ],
    )
    def test_a_line_is_read_as_what_the_memory_said(self, line: str, text: str, has_day: bool) -> None:
        found = read_line(line)

        assert found.text == text
        assert (found.day is not None) == has_day

    def test_the_day_is_that_of_the_line(self) -> None:
        day = read_line(f"- [{WHEN.date().isoformat()}] x").day

        assert day is not None
        assert day.date() == WHEN.date()
