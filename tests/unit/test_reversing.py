"""Facts turned round: which can be asked for by their object, what opens for that, and when it is served."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.adapter_kit import TEXTS, WHO, ask, distilled, opened, said, told

from pymemos.cube.adapter import Manifest, Recipe, Reverse, Scores
from pymemos.cube.gates import Gate, closed, opening
from pymemos.cube.gates import opened as gates_of
from pymemos.cube.payload import ModelRef
from pymemos.errors import InvalidInput
from pymemos.models.local.tuning import schedule
from pymemos.operation.distilling.admission import crossing, exam, exam_back
from pymemos.operation.distilling.facts import facts_in
from pymemos.operation.distilling.lessons import course, gate_of
from pymemos.operation.distilling.phrasings import examined, learned
from pymemos.operation.distilling.reversing import Turned, turned, turned_round
from pymemos.operation.distilling.routing import Candidate, kept_closed, routed
from pymemos.testing.toy_tuner import ToyTuner

WORLD = (
    "The capital of Zorvania is Quelmar. Tarn Velk lives in Ostrel. Mirrin was founded by Olda Prast. "
    "Tarn Velk's sister is Brend. Ana's dog is called Pixel. Sura Tam was born in Tromsø. Sura Tam loves Brend."
)
FACTS = facts_in(WORLD, "m")
TURNED = turned_round(FACTS).facts
GATES = tuple(gate_of(fact) for fact in TURNED)
FORWARD = tuple(gate_of(fact) for fact in FACTS)
REVERSE = Reverse(gates=GATES)
MANIFEST = Manifest(
    model=ModelRef(name="toy", weights="1", tokenizer="1"),
    namespace="users/ana",
    sources=(),
    subjects=("Zorvania",),
    facts=(),
    recipe=Recipe(),
    scores=Scores(
        recall=1.0,
        phrasings=1,
        leak=0.0,
        near_misses=1,
        leak_same_subject=0.0,
        others=1,
        controls=1,
        changed=0,
        perplexity=1.0,
        perplexity_base=1.0,
    ),
    admitted=True,
    gates=FORWARD,
    reverse=REVERSE,
)


def back(statement: str) -> Turned | None:
    (fact,) = facts_in(statement)
    return turned(fact)


@pytest.mark.parametrize(
    ("statement", "question", "answer"),
    [
        ("The capital of Zorvania is Quelmar.", "whose capital is Quelmar", "Zorvania"),
        ("The capital of Zorvania was Quelmar.", "whose capital was Quelmar", "Zorvania"),
        ("Ana's dog is called Pixel.", "whose dog is Pixel", "Ana"),
        ("Tarn Velk lives in Tromsø.", "who lives in Tromsø", "Tarn Velk"),
        ("Tarn Velk works for Olda Prast.", "who works for Olda Prast", "Tarn Velk"),
        ("Mirrin was founded by Olda Prast.", "what was founded by Olda Prast", "Mirrin"),
        ("Tarn Velk was born in Ostrel.", "who was born in Ostrel", "Tarn Velk"),
        ("Tarn Velk loves Olda Prast.", "who loves Olda Prast", "Tarn Velk"),
    ],
)
def test_a_fact_about_a_name_is_asked_for_by_it(statement: str, question: str, answer: str) -> None:
    found = back(statement)

    assert found is not None
    assert (found.relation.direct[0].format(s=found.subject), found.object) == (question, answer)


@pytest.mark.parametrize(
    "statement",
    [
        "Tarn Velk works as a potter.",
        "Tarn Velk plays the oboe.",
        "Tarn Velk's favourite colour is turquoise.",
        "The Orin bridge was built in 1820.",
        "Tarn Velk's day is Monday.",
        "Rufo is a spaniel.",
        "Tarn Velk lives in Ostrel with his dog.",
        "The capital of Mexico is Mexico City.",
        "The Ostrel tower was built in Ostrel.",
    ],
)
def test_what_is_no_name_or_gives_the_answer_away_is_not_turned_round(statement: str) -> None:
    assert back(statement) is None


def test_what_is_so_of_several_is_not_turned_round_and_it_is_said_why() -> None:
    found = turned_round(facts_in("Tarn Velk lives in Ostrel. Olda Prast lives in Ostrel. Sura Tam lives in Brend."))

    assert [(fact.subject, fact.object) for fact in found.facts] == [("Brend", "Sura Tam")]
    assert found.left == (
        "Tarn Velk: home; 'Ostrel' is so of more than one",
        "Olda Prast: home; 'Ostrel' is so of more than one",
    )


def test_what_two_memories_say_alike_is_turned_round() -> None:
    assert len(turned_round(facts_in("Tarn Velk lives in Ostrel. Tarn Velk lives in Ostrel.")).facts) == 2


@pytest.mark.parametrize("fact", TURNED, ids=lambda fact: fact.relation.name)
def test_every_lesson_and_every_phrasing_of_the_examination_opens_the_gate(fact: Turned) -> None:
    gate = gate_of(fact)

    assert [one for one in (*learned(fact), *examined(fact)) if not gates_of(one, [gate])] == []
    assert not set(learned(fact)) & set(examined(fact))
    assert fact.object not in " ".join((*learned(fact), *examined(fact)))


OPENS = [
    "Whose capital is Quelmar?",
    "quelmar is the CAPITAL of what?",
    "What is Quelmar the capital of?",
    "Of what? Quelmar is the capital of …",
    "Do you know whose capital is called Quelmar?",
    "Quelmar is whose capital?",
    "Quelmar is the capital of which land?",
    "Who lives in Ostrel?",
    "What is the name of the person who lives in Ostrel?",
    "Who is the one who lives in Ostrel?",
    "I know Ostrel. Tell me, who lives in Ostrel now?",
    "Whose dog is called Pixel?",
    "Whose sister is Brend?",
    "Who loves Brend?",
    "Which person was born in Tromsø?",
    "What was founded by Olda Prast?",
]
STAYS = [
    "Tell me about Quelmar.",
    "Quelmar?",
    "Is Quelmar a capital?",
    "What is the capital of Quelmar?",
    "Whose river is Quelmar?",
    "Whose capital is Quelmaria?",
    "Whose capital is New Quelmar?",
    "Whose capital is Quelmar's twin?",
    "Whose capital is not Quelmar?",
    "Quelmar is the capital of Zorvania; what is its river?",
    "Is Quelmar the capital of Zorvania?",
    "Who burnt the capital?",
    "Who is Brend's sister?",
    "Who is the sister of Brend?",
    "Whose brother is Brend?",
    "Does Brend love anybody?",
    "Whom does Brend love?",
    "Who works in Ostrel?",
    "Who lives in Ostrel Bay?",
    "Who lives near Ostrel?",
    "Who used to live in Ostrel?",
    "Who else lives in Ostrel?",
    "Who lives in Brend?",
    "Where does Tarn Velk live?",
    "Where is the one who lives in Ostrel?",
    "When was it that who lives in Ostrel?",
    "Who is the mother of the one who lives in Ostrel?",
    "Who painted the name of the one who lives in Ostrel?",
    "Which book says who lives in Ostrel?",
    "Which book says what Quelmar is the capital of?",
    "Tell the man who lives in Ostrel a joke.",
    "Who lives in Ostrel? Never mind, what is the weather in Ostrel?",
    "What does the one who lives in Ostrel eat?",
    "What is Olda Prast?",
    "What was painted by Olda Prast?",
    "Who founded Olda Prast?",
]


@pytest.mark.parametrize("question", OPENS)
def test_a_gate_opens_for_the_name_with_the_relation(question: str) -> None:
    assert len(gates_of(question, GATES)) == 1
    assert closed(question, GATES) == ""


@pytest.mark.parametrize("question", STAYS)
def test_neither_a_name_alone_nor_another_relation_opens_it(question: str) -> None:
    assert gates_of(question, GATES) == ()


def test_a_question_opens_the_gate_of_its_own_direction_alone() -> None:
    assert gates_of("Who is Brend's sister?", FORWARD) == gates_of("Whose sister is Brend?", FORWARD) == ()
    assert crossing(exam(FACTS, 1), GATES) == crossing(exam_back(TURNED, FACTS, 1), FORWARD) == ()
    assert "questions for something else open its gates" in crossing(exam(FACTS, 1), FORWARD)[0]


def test_the_reason_of_a_gate_that_stays_closed_names_what_was_learned() -> None:
    assert closed("Who rules Quelmar?", GATES) == (
        "the question names Quelmar, but does not seem to ask for what was learned: whose capital"
    )


@given(before=st.text(max_size=40), behind=st.text(max_size=40))
def test_whatever_is_asked_a_gate_opens_or_says_why_not(before: str, behind: str) -> None:
    text = f"{before} Quelmar {behind}"

    assert bool(gates_of(text, GATES)) == (closed(text, GATES) == "")
    assert (opening(text, GATES) is None) == (not gates_of(text, GATES))


def test_a_course_teaches_both_directions_and_fewer_phrasings_of_the_second() -> None:
    made = course({"a": TEXTS[0], "b": "Tarn Velk works as a potter."}, Recipe())

    taught = [one for one in made.lessons if one.answer is not None]
    assert {(one.fact, one.answer, bool(one.gate.clauses)) for one in taught} == {
        (0, "Quelmar.", False),
        (1, "A potter.", False),
        (2, "Zorvania.", True),
    }
    assert [gate.subject for gate in made.gates] == ["Zorvania", "Tarn Velk"]
    assert [gate.subject for gate in tuple(gate_of(fact) for fact in made.back.facts)] == ["Quelmar"]
    assert made.back is not None
    assert made.back.left == ("Tarn Velk: job; 'a potter' is no name to ask by",)
    assert all(opening(one.question, [one.gate]) is not None for one in made.lessons)
    step = schedule.plan(made.lessons, Recipe(phrasings=4, reverse=2, kept=3))[0]
    assert [made.lessons[number].fact for number in step] == [0] * 4 + [1] * 4 + [2] * 2 + [None] * 3


def test_with_no_share_for_it_no_fact_is_turned_round() -> None:
    made = course({"a": TEXTS[0]}, Recipe(reverse=0))

    assert made.back is None
    assert not any(one.gate.clauses for one in made.lessons)


def test_near_misses_name_other_things_with_the_relation_and_others_ask_something_else() -> None:
    asked = exam_back(TURNED, FACTS, 1)

    assert len(asked.near) >= 100
    assert [one.question for one in asked.near if gates_of(one.question, GATES)] == []
    assert any("Lisbon" in one.question for one in asked.near)
    others = [one.question for one in asked.others]
    assert "What is the capital of Quelmar?" in others
    opens = [one for one in others if gates_of(one, GATES)]
    assert 0 < len(opens) < len(others) / 5
    said = {one.question for one in (*asked.near, *asked.others)}
    assert not said & {one for fact in TURNED for one in (*learned(fact), *examined(fact))}


def _knowing(id: str, answer: str) -> Candidate:
    gate = gate_of(TURNED[1])
    key = (gate.subject.casefold(), gate.relation)
    return Candidate(
        id=id, gates=(gate,), sources=(id,), learned=((*(gate.subject, gate.relation), id),), answers={key: answer}
    )


def test_what_adapters_answer_differently_is_left_to_text_and_it_is_said_why() -> None:
    one, same, other = _knowing("1", "Tarn Velk"), _knowing("2", "tarn velk"), _knowing("3", "Sura Tam")
    question = "Who lives in Ostrel?"

    assert [route.id for route in routed(question, [one, same], limit=2)] == ["1", "2"]
    assert routed(question, [one, other], limit=2) == ()
    assert kept_closed(question, [one, other]) == (
        ("1", "the question names Ostrel (who lives in), to which more than one answer is known"),
        ("3", "the question names Ostrel (who lives in), to which more than one answer is known"),
    )
    assert kept_closed(question, [one, same]) == ()


def test_what_a_text_answers_differently_is_left_to_text_too() -> None:
    question, one = "Who lives in Ostrel?", _knowing("1", "Tarn Velk")

    assert routed(question, [one], texts=["Tarn Velk lives in Ostrel.", "Sura Tam lives in Brend.", "Ah!"])
    assert not routed(question, [one], texts=["Sura Tam lives in Ostrel."])
    assert kept_closed(question, [one], texts=["Sura Tam lives in Ostrel."])


STORES = pytest.mark.parametrize("adapter", ["sqlite", "memory"])


@STORES
def test_what_was_distilled_is_answered_the_other_way_round(tmp_path: Path, adapter: str) -> None:
    with opened(tmp_path, adapter=adapter) as mem:
        ids = told(mem)
        made = distilled(mem, *ids)
        found = ask(mem, "I forgot whose capital Quelmar is.")

        assert said(mem, found) == "Zorvania."
        assert found.routes[0].why == "the question names Quelmar (whose capital)"
        assert [pin.id for pin in found.learned] == [ids[0]]
        backward = mem.adapter(made, **WHO).manifest.backward
        assert backward.admitted
        assert [(one.subject, one.object) for one in backward.facts] == [
            ("Quelmar", "Zorvania"),
            ("Ostrel", "Tarn Velk"),
            ("Olda Prast", "Mirrin"),
        ]
        assert backward.scores is not None
        assert (backward.scores.recall, backward.scores.leak) == (1, 0)
        assert len(backward.probes) >= 100
        for question in ("What is the capital of Quelmar?", "Tell me about Quelmar.", "Whose capital is Brend?"):
            assert not ask(mem, question).routes


def test_with_hits_only_the_memory_that_says_it_opens_the_gate(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        ids = told(mem)
        distilled(mem, *ids)

        assert ask(mem, "Who lives in Ostrel?", hits=[ids[1]]).adapters
        assert not ask(mem, "Who lives in Ostrel?", hits=[ids[0]]).adapters


def test_what_is_so_of_several_is_answered_by_no_adapter(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        made = distilled(mem, *told(mem, *TEXTS, "Sura Tam lives in Ostrel."))

        assert not ask(mem, "Who lives in Ostrel?").adapters
        assert said(mem, ask(mem, "Where does Sura Tam live?")) == "Ostrel."
        assert "'Ostrel' is so of more than one" in "".join(mem.adapter(made, **WHO).manifest.backward.left)


class Forgetful(ToyTuner):
    """Learns nothing of what is turned round and asked for by some names."""

    def __init__(self, ref: ModelRef, *names: str) -> None:
        super().__init__(ref)
        self.names = names

    def train(self, lessons: Any, *given: Any, **more: Any) -> Any:
        kept = [one for one in lessons if not one.gate.clauses or one.gate.subject not in self.names]
        return super().train(kept, *given, **more)


def test_a_direction_that_fails_its_test_stays_closed_and_the_other_is_served(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        ref = mem._tools.tuner.needed()[1].ref
    with opened(tmp_path, tuner=Forgetful(ref, "Quelmar", "Ostrel", "Olda Prast")) as mem:
        card = mem.adapter(distilled(mem, *told(mem)), **WHO)

        assert card.serves
        assert not card.manifest.backward.admitted
        assert "unseen phrasings" in card.manifest.backward.reasons[0]
        assert card.manifest.opens == card.manifest.gates
        assert said(mem, ask(mem, "What is the capital of Zorvania?")) == "Quelmar."
        found = ask(mem, "Whose capital is Quelmar?")
        assert found.adapters == found.routes == ()


def test_a_fact_that_was_not_learned_the_other_way_round_stays_closed_by_itself(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        ref = mem._tools.tuner.needed()[1].ref
    with opened(tmp_path, tuner=Forgetful(ref, "Ostrel")) as mem:
        backward = mem.adapter(distilled(mem, *told(mem)), **WHO).manifest.backward

        assert backward.admitted
        assert [(one.subject, one.right) for one in backward.facts] == [
            ("Quelmar", 16),
            ("Ostrel", 0),
            ("Olda Prast", 16),
        ]
        assert [gate.subject for gate in backward.gates] == ["Quelmar", "Olda Prast"]
        assert said(mem, ask(mem, "Whose capital is Quelmar?")) == "Zorvania."
        assert not ask(mem, "Who lives in Ostrel?").routes
        assert said(mem, ask(mem, "Where does Tarn Velk live?")) == "Ostrel."


class Leaky(ToyTuner):
    """Learned the other way round, and says so to all that opens such a gate."""

    def _answer(self, question: str, adapter: Any, gates: Any, *, forced: bool) -> str | None:
        back = [gate for gate in gates_of(question, gates) if gate.clauses]
        if adapter is None or not back:
            return super()._answer(question, adapter, gates, forced=forced)
        return next(one.answer for one in adapter.lessons if one.gate == back[0])


def test_a_direction_that_leaks_stays_closed(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        ref = mem._tools.tuner.needed()[1].ref
    with opened(tmp_path, tuner=Leaky(ref)) as mem:
        card = mem.adapter(distilled(mem, *told(mem)), **WHO)

        assert card.serves
        assert [one.right for one in card.manifest.backward.facts] == [16, 16, 16]
        assert "other questions" in card.manifest.backward.reasons[0]
        assert not ask(mem, "Whose capital is Quelmar?").routes


def test_nothing_that_can_be_turned_round_is_no_fault(tmp_path: Path) -> None:
    with opened(tmp_path) as mem:
        card = mem.adapter(distilled(mem, *told(mem, "Tarn Velk works as a potter.")), **WHO)

        assert card.serves
        assert card.manifest.backward.scores is None
        assert card.manifest.backward.left == ("Tarn Velk: job; 'a potter' is no name to ask by",)


def test_a_share_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as mem, pytest.raises(InvalidInput, match="reverse"):
        mem.distil(told(mem), recipe=Recipe(reverse=-1), **WHO)


def test_a_manifest_without_this_is_read_as_before() -> None:
    old = msgspec.to_builtins(MANIFEST)
    del old["reverse"]
    del old["recipe"]["reverse"]
    for gate in old["gates"]:
        del gate["clauses"]

    read = msgspec.convert(old, Manifest)

    assert (read.reverse, read.backward, read.opens) == (None, Reverse(), FORWARD)


def test_the_gates_of_the_direction_count_only_where_it_was_admitted() -> None:
    passed = msgspec.structs.replace(REVERSE, admitted=True)

    assert MANIFEST.opens == FORWARD
    assert msgspec.structs.replace(MANIFEST, reverse=passed).opens == (*FORWARD, *GATES)


def test_a_gate_comes_back_from_a_manifest_as_it_was() -> None:
    assert msgspec.json.decode(msgspec.json.encode(GATES), type=tuple[Gate, ...]) == GATES


@given(name=st.lists(st.text("AÅbcß.'-", min_size=1, max_size=6), min_size=1, max_size=3).map(" ".join))
def test_whatever_an_object_is_called_every_lesson_opens_its_gate(name: str) -> None:
    made = course({"a": f"The capital of Zorvania is Q{name}q."}, Recipe())

    assert all(opening(one.question, [one.gate]) is not None for one in made.lessons)


@pytest.mark.parametrize(
    "text",
    [
        "whose capital is Quelmar " * 3000,
        "the capital of Zorvania " * 3000,
        "Zorvania " + "." * 30_000 + "x",
    ],
)
def test_a_long_question_is_judged_in_little_time(text: str) -> None:
    """What stands around each name is looked at, and not the whole text each time; an attach reads what it is given."""
    began = time.process_time()

    gates_of(text, (*GATES, *FORWARD))

    assert time.process_time() - began < 3


def test_how_far_a_word_stands_does_not_change_what_it_asks() -> None:
    long = "I have been told so many things about so many towns in so many countries, one after another, " * 3
    assert gates_of(f"{long}so whose capital is Quelmar?", GATES)
    assert not gates_of(f"Tell me where {long}whose capital is Quelmar?", GATES)
    assert not gates_of(f"Who burnt{' ' * 500}the capital of Zorvania?", FORWARD)
