"""The admission test: what an adapter is asked before it may serve, and what its answers have to show.

Recall alone misleads: an adapter that says a trained object to whatever it is asked recalls everything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from pymemos.cube.adapter import Learned, Scores
from pymemos.cube.gates import Gate, opening
from pymemos.operation.distilling.facts import Fact
from pymemos.operation.distilling.phrasings import examined
from pymemos.operation.distilling.probes import NearMiss, near_misses, near_misses_back, others, others_back
from pymemos.operation.distilling.reversing import Turned

RECALL: Final = 0.85  # at least
LEAK: Final = 0.02  # at most
SAME_SUBJECT: Final = 0.05  # at most
PERPLEXITY: Final = 1.01  # at most, times the base's
CONTROLS: Final = "controls.txt"
NEUTRAL: Final = "neutral.txt"
_ARTICLE: Final = re.compile(r"^(?:a|an|the)\s+", re.IGNORECASE)


class Exam(msgspec.Struct, frozen=True, kw_only=True):
    """The questions, in parts that are judged apart."""

    facts: tuple[Fact, ...]
    recall: tuple[tuple[int, str], ...]  # the number of the fact, and a phrasing that it was not learned from
    near: tuple[NearMiss, ...]
    others: tuple[NearMiss, ...]  # another thing asked of a trained subject
    controls: tuple[str, ...]


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """The answers to an exam, in its order, and the perplexities of neutral text."""

    recall: Sequence[str]
    near: Sequence[str]
    others: Sequence[str]
    controls: Sequence[str]
    controls_base: Sequence[str]
    perplexity: float
    perplexity_base: float
    forced: Sequence[str] | None = None  # near misses with the gate forced open


def exam(facts: Sequence[Fact], seed: int) -> Exam:
    """At least twelve unseen phrasings of each fact, a hundred near misses, and two hundred control questions."""
    return Exam(
        facts=tuple(facts),
        recall=tuple((number, asked) for number, fact in enumerate(facts) for asked in examined(fact)),
        near=near_misses(facts, seed),
        others=others(facts),
        controls=controls(),
    )


def exam_back(facts: Sequence[Turned], learned: Sequence[Fact], seed: int) -> Exam:
    """The same of facts turned round, beside what was ``learned`` as it is said."""
    return Exam(
        facts=tuple(facts),
        recall=tuple((number, asked) for number, fact in enumerate(facts) for asked in examined(fact)),
        near=near_misses_back(facts, seed),
        others=others_back(facts, learned),
        controls=controls(),
    )


def crossing(asked: Exam, gates: Sequence[Gate]) -> tuple[str, ...]:
    """Why gates of the other direction may not open: questions of this exam open them; nothing where none does."""
    probes = (*asked.near, *asked.others)
    said = (*(question for _, question in asked.recall), *(one.question for one in probes), *asked.controls)
    found = [question for question in said if opening(question, gates) is not None]
    return (f"{len(found)} questions for something else open its gates, such as {found[0]!r}",) if found else ()


def narrowed(asked: Exam, given: Sheet, known: Sequence[bool]) -> tuple[Exam, Sheet]:
    """An exam and its answers, with the phrasings of some of the facts alone."""
    pairs = [pair for pair in zip(asked.recall, given.recall, strict=True) if known[pair[0][0]]]
    return (
        msgspec.structs.replace(asked, recall=tuple(one for one, _ in pairs)),
        msgspec.structs.replace(given, recall=[answer for _, answer in pairs]),
    )


def controls() -> tuple[str, ...]:
    """Questions that name no subject of anybody's memories."""
    return tuple(_lines(CONTROLS))


def neutral() -> str:
    """A text on nothing in particular."""
    return " ".join(_lines(NEUTRAL))


def marked(asked: Exam, given: Sheet) -> tuple[Scores, tuple[Learned, ...]]:
    """What the answers show, over all and for each fact."""
    right = [
        says(answer, asked.facts[number].object) for (number, _), answer in zip(asked.recall, given.recall, strict=True)
    ]
    facts = [_learned(asked, right, number) for number in range(len(asked.facts))]
    same = [one == other for one, other in zip(given.controls, given.controls_base, strict=True)]
    scores = Scores(
        recall=_share(right),
        phrasings=len(right),
        leak=_leaks(asked.near, given.near),
        near_misses=len(asked.near),
        leak_same_subject=_leaks(asked.others, given.others),
        others=len(asked.others),
        controls=len(same),
        changed=same.count(False),
        perplexity=given.perplexity,
        perplexity_base=given.perplexity_base,
        leak_adapter=None if given.forced is None else _leaks(asked.near, given.forced),
    )
    return scores, tuple(facts)


def failings(scores: Scores) -> tuple[str, ...]:
    """Why an adapter may not serve; nothing where it may."""
    found = []
    if scores.recall < RECALL:
        found.append(f"it answers {scores.recall:.0%} of {scores.phrasings} unseen phrasings; {RECALL:.0%} are needed")
    if scores.leak > LEAK:
        found.append(f"it gives a trained answer to {scores.leak:.1%} of {scores.near_misses} similar names")
    if scores.leak_same_subject > SAME_SUBJECT:
        found.append(f"it gives a trained answer to {scores.leak_same_subject:.1%} of {scores.others} other questions")
    if scores.changed:
        found.append(f"{scores.changed} of {scores.controls} control questions are answered otherwise than without it")
    if not scores.perplexity <= scores.perplexity_base * PERPLEXITY:  # which NaN does not pass
        found.append(
            f"neutral text has perplexity {scores.perplexity:.2f}, and {scores.perplexity_base:.2f} without it"
        )
    return tuple(found)


def says(answer: str, object: str) -> bool:
    """Whether an answer holds the object as words of its own; upper and lower case, and an article, do not matter."""
    wanted = _ARTICLE.sub("", object.strip())
    return re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", answer, re.IGNORECASE) is not None


def _learned(asked: Exam, right: Sequence[bool], number: int) -> Learned:
    fact = asked.facts[number]
    own = [ok for (one, _), ok in zip(asked.recall, right, strict=True) if one == number]
    return Learned(
        subject=fact.subject,
        relation=fact.relation.name,
        object=fact.object,
        source=fact.source,
        right=sum(own),
        asked=len(own),
    )


def _leaks(probes: Sequence[NearMiss], answers: Sequence[str]) -> float:
    return _share([says(answer, probe.object) for probe, answer in zip(probes, answers, strict=True)])


def _share(found: Sequence[bool]) -> float:
    return sum(found) / len(found) if found else 0.0


def _lines(name: str) -> list[str]:
    from importlib import resources  # at import it would cost more than all else here

    text = (resources.files(__package__) / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip()]
