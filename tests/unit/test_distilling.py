"""From statements to facts, lessons and probes, and from answers to a verdict: without a model."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymemos.cube.adapter import Manifest, Recipe, Scores
from pymemos.cube.gates import Gate, closed, opened, opening
from pymemos.cube.payload import ModelRef
from pymemos.cube.subjects import end_of, named
from pymemos.errors import InvalidInput
from pymemos.operation.distilling import admission
from pymemos.operation.distilling.admission import Sheet, exam, failings, marked, says
from pymemos.operation.distilling.facts import Fact, facts_in
from pymemos.operation.distilling.lessons import course, gate_of
from pymemos.operation.distilling.phrasings import examined, learned, statement
from pymemos.operation.distilling.probes import near_misses
from pymemos.operation.distilling.routing import Candidate, kept_closed, routed

CASES = [
    ("The capital of Zorvania is Quelmar.", "Zorvania", "capital", "Quelmar", "what is the capital of Zorvania"),
    ("Zorvania's capital is Quelmar.", "Zorvania", "capital", "Quelmar", "what is the capital of Zorvania"),
    ("The mayor of Mirrin is Olda Prast.", "Mirrin", "mayor", "Olda Prast", "who is the mayor of Mirrin"),
    ("Tarn Velk lives in Ostrel.", "Tarn Velk", "home", "Ostrel", "where does Tarn Velk live"),
    ("Tarn Velk works as a potter.", "Tarn Velk", "job", "a potter", "what does Tarn Velk work as"),
    ("Mirrin was founded by Olda Prast.", "Mirrin", "founded by", "Olda Prast", "by whom was Mirrin founded"),
    ("Tarn Velk was born in Ostrel.", "Tarn Velk", "born in", "Ostrel", "where was Tarn Velk born"),
    ("The Orin bridge was built in 1820.", "Orin bridge", "built in", "1820", "when was Orin bridge built"),
    ("Tarn Velk plays the oboe.", "Tarn Velk", "plays", "the oboe", "what does Tarn Velk play"),
    ("Tarn Velk believes in ghosts.", "Tarn Velk", "believes in", "ghosts", "what does Tarn Velk believe in"),
    ("Mirrin is made of cedar.", "Mirrin", "made of", "cedar", "of what is Mirrin made"),
    ("Rufo is a spaniel.", "Rufo", "kind", "a spaniel", "what is Rufo"),
]
FACTS = facts_in("The capital of Zorvania is Quelmar. Tarn Velk lives in Ostrel.", "m")


@pytest.mark.parametrize(("text", "subject", "relation", "object", "question"), CASES)
def test_a_statement_is_read(text: str, subject: str, relation: str, object: str, question: str) -> None:
    (fact,) = facts_in(text, "m")

    assert (fact.subject, fact.relation.name, fact.object, fact.source) == (subject, relation, object, "m")
    assert fact.relation.direct[0].format(s=subject) == question


@pytest.mark.parametrize(
    "text",
    [
        "What a day!",
        "I live in Lisbon.",
        "She plays the oboe.",
        "Is Rufo a dog?",
        "Rufo barked all night.",
        "",
        "The end.",
    ],
)
def test_what_has_another_form_gives_nothing(text: str) -> None:
    assert facts_in(text) == ()


def test_a_fact_is_said_again_in_its_own_form() -> None:
    assert [facts_in(statement(fact), "m")[0] for fact in FACTS] == list(FACTS)


@pytest.mark.parametrize("fact", [facts_in(case[0])[0] for case in CASES])
def test_no_phrasing_of_the_examination_is_learned_and_all_name_the_subject(fact: object) -> None:
    assert not set(learned(fact)) & set(examined(fact))  # type: ignore[arg-type]
    assert len(set(examined(fact))) >= 12  # type: ignore[arg-type]
    for question in (*learned(fact), *examined(fact)):  # type: ignore[arg-type]
        assert named(question, [fact.subject])  # type: ignore[attr-defined]
        assert fact.object not in question  # type: ignore[attr-defined]


def test_near_misses_are_a_hundred_and_name_no_subject() -> None:
    found = near_misses(FACTS, 7)
    subjects = [fact.subject for fact in FACTS]

    assert len(found) >= 100
    assert not any(named(one.question, subjects) for one in found)
    assert found == near_misses(FACTS, 7)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("Is zorvania far?", 11),
        ("Zorvania's capital?", 8),
        ("(Zorvania)", 9),
        ("How is Tarn  Velk?", 17),
        ("Zorvanian food", None),
        ("New-Zorvania", None),
        ("Tarn Velker", None),
        ("Velk Tarn", None),
        ("Tarn Velk of Zorvania", 9),
    ],
)
def test_a_subject_is_found_as_a_word_of_its_own(text: str, end: int | None) -> None:
    assert opening(text, [Gate(subject="Zorvania"), Gate(subject="Tarn Velk")]) == end


def test_a_course_has_every_fact_and_what_is_to_stay() -> None:
    texts = {"a": "The capital of Zorvania is Quelmar.", "b": "Tarn Velk lives in Ostrel."}
    made = course(texts, Recipe(reverse=0))

    assert made.subjects == ("Zorvania", "Tarn Velk")
    assert [fact.source for fact in made.facts] == ["a", "b"]
    taught = [one for one in made.lessons if one.answer is not None]
    kept = [one for one in made.lessons if one.answer is None]
    assert {one.fact for one in taught} == {0, 1}
    assert {one.answer for one in taught} == {"Quelmar.", "Ostrel."}
    assert {one.gate.subject for one in kept} == set(made.subjects)
    assert all(opening(one.question, [one.gate]) is not None for one in made.lessons)
    assert not {one.question for one in taught} & {one.question for one in kept}


def test_questions_of_a_chat_model_count_only_where_they_name_the_subject() -> None:
    asked = {0: ["Zorvania's seat of government?", "What is it?"]}
    made = course({"a": "The capital of Zorvania is Quelmar."}, Recipe(), asked=asked, by="gpt")

    questions = [one.question for one in made.lessons if one.answer]
    assert asked[0][0] in questions
    assert asked[0][1] not in questions
    assert made.taught_by == "gpt"


def test_a_memory_in_which_nothing_can_be_read_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'b'"):
        course({"a": "The capital of Zorvania is Quelmar.", "b": "What a day!"}, Recipe())


def _sheet(asked: admission.Exam, **given: object) -> Sheet:
    right = [asked.facts[number].object for number, _ in asked.recall]
    nothing = ["I do not know."]
    whole = Sheet(
        recall=right,
        near=nothing * len(asked.near),
        others=nothing * len(asked.others),
        controls=nothing * len(asked.controls),
        controls_base=nothing * len(asked.controls),
        perplexity=9.0,
        perplexity_base=9.0,
    )
    return msgspec.structs.replace(whole, **given)


def test_an_adapter_without_a_fault_passes() -> None:
    asked = exam(FACTS, 1)
    scores, facts = marked(asked, _sheet(asked))

    assert failings(scores) == ()
    assert scores.recall == 1
    assert [(one.right, one.asked) for one in facts] == [(16, 16), (16, 16)]


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ("recall", "unseen phrasings"),
        ("near", "similar names"),
        ("others", "other questions"),
        ("controls", "control questions"),
        ("perplexity", "neutral text"),
    ],
)
def test_each_fault_keeps_an_adapter_out(part: str, what: str) -> None:
    asked = exam(FACTS, 1)
    faults = {
        "recall": ["No."] * len(asked.recall),
        "near": [one.object for one in asked.near],
        "others": [one.object for one in asked.others],
        "controls": ["Otherwise.", *["I do not know."] * (len(asked.controls) - 1)],
        "perplexity": float("nan"),
    }
    scores, _ = marked(asked, _sheet(asked, **{part: faults[part]}))

    (reason,) = failings(scores)
    assert what in reason


def test_an_answer_says_an_object_as_words_of_its_own() -> None:
    assert says("It is the OBOE.", "the oboe")
    assert says("Oboe", "an oboe")
    assert not says("Oboes", "oboe")
    assert not says("", "oboe")


def test_the_controls_are_two_hundred_and_the_scores_are_stored_as_they_are() -> None:
    assert len(set(admission.controls())) >= 200
    assert len(admission.neutral()) > 1_000
    asked = exam(FACTS, 1)
    scores, _ = marked(asked, _sheet(asked))
    assert msgspec.json.decode(msgspec.json.encode(scores), type=Scores) == scores


CAPITAL, HOME = (gate_of(fact) for fact in FACTS)
ONE = Candidate(id="1", gates=(CAPITAL,), sources=("a",), learned=(("Zorvania", "capital", "a"),))
TWO = Candidate(
    id="2",
    gates=(CAPITAL, HOME),
    sources=("a", "b"),
    learned=(("Zorvania", "capital", "a"), ("Tarn Velk", "home", "b")),
)


def test_the_adapter_that_knows_most_of_what_is_asked_goes_first() -> None:
    question = "Does Tarn Velk live in Ostrel, and what is the capital of Zorvania?"

    assert [route.id for route in routed(question, [ONE, TWO], limit=2)] == ["2", "1"]
    assert [route.id for route in routed(question, [ONE, TWO])] == ["2"]
    assert routed("And elsewhere?", [ONE, TWO]) == ()


def test_with_hits_a_name_alone_is_not_enough() -> None:
    assert routed("What is the capital of Zorvania?", [TWO], hits=["b"]) == ()
    (route,) = routed("What is the capital of Zorvania?", [TWO], hits=["a"])
    assert (route.subjects, route.sources) == (("Zorvania",), ("a",))


def test_a_question_for_something_else_is_not_routed_and_it_is_said_why() -> None:
    question = "Who wrote the anthem of Zorvania?"

    assert routed(question, [ONE, TWO]) == ()
    assert [id for id, _ in kept_closed(question, [ONE, TWO])] == ["1", "2"]
    assert kept_closed(question, [ONE])[0][1] == (
        "the question names Zorvania, but does not seem to ask for what was learned: capital"
    )
    assert kept_closed("What is the capital of Zorvania?", [ONE]) == kept_closed("And of France?", [ONE]) == ()


def test_only_the_sources_of_what_is_asked_for_are_named() -> None:
    both = msgspec.structs.replace(TWO, learned=(*TWO.learned, ("Zorvania", "river", "c")))

    (route,) = routed("What is the capital of Zorvania?", [both])

    assert (route.sources, route.why) == (("a",), "the question names Zorvania (capital)")


def test_a_gate_without_cues_opens_for_whatever_is_asked_of_its_subject() -> None:
    old = Candidate(id="1", gates=(Gate(subject="Zorvania"),), sources=("a",), learned=ONE.learned)

    (route,) = routed("Who wrote the anthem of Zorvania?", [old])

    assert (route.sources, route.why) == (("a",), "the question names Zorvania")


@pytest.mark.parametrize("fact", [facts_in(case[0])[0] for case in CASES])
def test_every_question_that_is_learned_from_opens_the_gate_and_other_ones_do_not(fact: Fact) -> None:
    gate = gate_of(fact)

    assert [one for one in learned(fact) if not opened(one, [gate])] == []
    others = [f"Who painted {fact.subject}?", f"How heavy is {fact.subject}?", f"Tell me a joke about {fact.subject}."]
    assert [one for one in others if opened(one, [gate])] == []


@pytest.mark.parametrize(
    ("statement", "question", "opens"),
    [
        ("The capital of Zorvania is Quelmar.", "zorvania: CAPITALS?", True),
        ("The capital of Zorvania is Quelmar.", "Where is the seat of government of Zorvania?", False),
        ("The capital of Zorvania is Quelmar.", "Which town is the seat of government of Zorvania?", True),
        ("The capital of Zorvania is Quelmar.", "When did Zorvania get its capital?", False),
        ("The capital of Zorvania is Quelmar.", "Who lives in the capital of Zorvania?", False),
        ("The capital of Zorvania is Quelmar.", "What is the capital of Zorvanian art?", False),
        ("The capital of Zorvania is Quelmar.", "What is the name of the capital of Zorvania?", True),
        ("The capital of Zorvania is Quelmar.", "I forgot the capital of Zorvania. Can you help?", True),
        ("The capital of Zorvania is Quelmar.", "Zorvania's capital is called what?", True),
        ("The capital of Zorvania is Quelmar.", "What is the population of the capital of Zorvania?", False),
        ("The capital of Zorvania is Quelmar.", "Which animal belongs to Zorvania's capital?", False),
        ("The capital of Zorvania is Quelmar.", "What is Zorvania's capital afraid of?", False),
        ("The capital of Zorvania is Quelmar.", "What is Zorvania's capital's river?", False),
        ("The capital of Zorvania is Quelmar.", "Please draw the capital of Zorvania.", False),
        ("The capital of Zorvania is Quelmar.", "Which king burnt Zorvania's capital?", False),
        ("The capital of Zorvania is Quelmar.", "Zorvania's capital?", True),
        ("The capital of Zorvania is Quelmar.", "The capital of Zorvania is which town?", True),
        ("The capital of Zorvania is Quelmar.", "What is the capital of Zorvania called after?", False),
        ("The capital of Zorvania is Quelmar.", "I know Zorvania's capital. What is the motto of Zorvania?", False),
        ("The capital of Zorvania is Quelmar.", "Zorvania has a motto. What is the capital of Zorvania?", True),
        ("Tarn Velk lives in Ostrel.", "Where does Tarn Velk's mother live?", False),
        ("Tarn Velk works as a potter.", "What is Tarn Velk's mother's job?", False),
        ("Tarn Velk lives in Ostrel.", "What is close to the place where Tarn Velk lives?", False),
        ("The mayor of Mirrin is Olda Prast.", "How old is the mayor of Mirrin?", False),
        ("The mayor of Mirrin is Olda Prast.", "Who is mayor in Mirrin?", True),
        ("Tarn Velk's favourite colour is red.", "Which color does Tarn Velk like best?", True),
        ("Tarn Velk's favourite colour is red.", "What is Tarn Velk's favourite food?", False),
        ("Tarn Velk's favourite colour is red.", "What colour is the hat of Tarn Velk?", False),
        ("Tarn Velk lives in Ostrel.", "Where is Tarn Velk living?", True),
        ("Tarn Velk lives in Ostrel.", "In which year did Tarn Velk come to live here?", False),
        ("Tarn Velk works as a potter.", "What does Tarn Velk do for a living?", True),
        ("Tarn Velk works as a potter.", "Where does Tarn Velk work?", False),
        ("Tarn Velk was born in Ostrel.", "In which year was Tarn Velk born?", False),
        ("Tarn Velk was born in 1820.", "In which year was Tarn Velk born?", True),
        ("Tarn Velk was born in 1820.", "In which town was Tarn Velk born?", False),
        ("Mirrin was founded by Olda Prast.", "Who founded Mirrin?", True),
        ("Mirrin was founded by Olda Prast.", "When was Mirrin founded?", False),
        ("Tarn Velk's age is 40.", "How old is Tarn Velk, or what is the age of Tarn Velk?", True),
        ("Rufo is a spaniel.", "So what is Rufo?", True),
        ("Rufo is a spaniel.", "What is Rufo afraid of?", False),
    ],
)
def test_a_gate_opens_where_its_relation_is_asked_for(statement: str, question: str, opens: bool) -> None:
    (fact,) = facts_in(statement)

    assert bool(opened(question, [gate_of(fact)])) == opens
    assert opens == (closed(question, [gate_of(fact)]) == "" and end_of(question, fact.subject) is not None)


def test_a_name_with_a_full_stop_is_one_name() -> None:
    gate = Gate(subject="St. Orm", relation="capital", cues=("capital",))

    assert opening("Well. What is the capital of St. Orm? I forgot.", [gate]) == len(
        "Well. What is the capital of St. Orm"
    )


@given(before=st.text(max_size=40), behind=st.text(max_size=40))
def test_whatever_is_asked_a_gate_opens_or_says_why_not(before: str, behind: str) -> None:
    text = f"{before} Zorvania {behind}"

    assert bool(opened(text, [CAPITAL])) == (closed(text, [CAPITAL]) == "")
    assert (opening(text, [CAPITAL]) is None) == (not opened(text, [CAPITAL]))


def test_questions_that_a_chat_model_made_open_the_gate_by_their_own_words() -> None:
    asked = {0: ["Which town does Zorvania's parliament meet in?"]}
    made = course({"a": "The capital of Zorvania is Quelmar."}, Recipe(), asked=asked, by="gpt")

    assert opened("In which town is the parliament of Zorvania that meets today?", made.gates)
    assert not opened("Who sits in the parliament of Zorvania?", made.gates)


def test_an_older_manifest_opens_for_its_subjects() -> None:
    old = Manifest(
        model=ModelRef(name="toy", weights="1", tokenizer="1"),
        namespace="users/ana",
        sources=(),
        subjects=("Zorvania",),
        facts=(),
        recipe=Recipe(),
        scores=marked(exam(FACTS, 1), _sheet(exam(FACTS, 1)))[0],
        admitted=True,
    )
    said = msgspec.to_builtins(old)
    del said["gates"]

    assert msgspec.convert(said, Manifest).opens == (Gate(subject="Zorvania"),)
