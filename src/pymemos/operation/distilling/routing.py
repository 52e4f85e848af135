"""Which adapters a question may be answered with: those of which it opens a gate, by whom it names and what it asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import msgspec

from pymemos.cube.gates import Gate, closed, opened
from pymemos.operation.distilling.facts import facts_in
from pymemos.operation.distilling.reversing import key_of, turned

Key = tuple[str, str]  # what is named, in small letters, and the relation


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter that holds: it is admitted, its sources say what they said, and the caller may use it."""

    id: str
    gates: tuple[Gate, ...]
    sources: tuple[str, ...]  # ids of memories
    learned: tuple[tuple[str, str, str], ...] = ()  # subject, relation and source of each fact
    answers: Mapping[tuple[str, str], str] = {}  # of those turned round, by subject and relation


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter to attach, the gates that the question opens, and the memories that these stand for."""

    id: str
    gates: tuple[Gate, ...]
    sources: tuple[str, ...]
    why: str

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whom the question names."""
        return tuple(dict.fromkeys(gate.subject for gate in self.gates))


def routed(
    question: str,
    candidates: Sequence[Candidate],
    *,
    hits: Collection[str] | None = None,
    texts: Collection[str] = (),
    limit: int = 1,
) -> tuple[Route, ...]:
    """The adapters for a question, those that know most of what it asks first.

    With ``hits``, the memories that retrieval found, a gate opens only where one of its sources is among them: a name
    alone does not make it the right memory. What adapters, or ``texts`` that were found, answer
    each in its own way is left to text.
    """
    several = _of_several(question, candidates, texts)
    found = [route for one in candidates if (route := _route(question, one, hits, several)) is not None]
    return tuple(sorted(found, key=lambda one: (-len(one.subjects), -len(one.sources), one.id))[:limit])


def kept_closed(
    question: str, candidates: Sequence[Candidate], *, texts: Collection[str] = ()
) -> tuple[tuple[str, str], ...]:
    """The adapters that know whom a question names, and not what it asks for: their ids, and why they stay out."""
    several = _of_several(question, candidates, texts)
    return tuple((one.id, why) for one in candidates if (why := _closed(question, one, several)))


def _closed(question: str, one: Candidate, several: Collection[Key]) -> str:
    gates = opened(question, one.gates)
    if not gates or any(_key(gate) not in several for gate in gates):
        return closed(question, one.gates)
    return f"the question names {_said(gates)}, to which more than one answer is known"


def _of_several(question: str, candidates: Sequence[Candidate], texts: Collection[str]) -> frozenset[Key]:
    """What a question asks for the other way round, and adapters or texts answer each in its own way."""
    answers: dict[Key, set[str]] = defaultdict(set)
    for one in candidates:
        for key in map(_key, opened(question, one.gates)):
            if key in one.answers:
                answers[key].add(one.answers[key].casefold())
    told = [turned(fact) for text in texts for fact in facts_in(text)] if answers else []
    for fact in told:
        if fact is not None and key_of(fact) in answers:
            answers[key_of(fact)].add(fact.object.casefold())
    return frozenset(key for key, given in answers.items() if len(given) > 1)


def _key(gate: Gate) -> Key:
    return gate.subject.casefold(), gate.relation


def _route(question: str, one: Candidate, hits: Collection[str] | None, several: Collection[Key]) -> Route | None:
    behind = {gate: _sources(gate, one, hits) for gate in opened(question, one.gates) if _key(gate) not in several}
    gates = tuple(gate for gate, sources in behind.items() if sources)
    if not gates:
        return None
    sources = tuple(dict.fromkeys(source for gate in gates for source in behind[gate]))
    return Route(id=one.id, gates=gates, sources=sources, why=f"the question names {_said(gates)}")


def _sources(gate: Gate, one: Candidate, hits: Collection[str] | None) -> tuple[str, ...]:
    return tuple(
        source
        for subject, relation, source in one.learned
        if subject == gate.subject and gate.relation in ("", relation) and (hits is None or source in hits)
    )


def _said(gates: Sequence[Gate]) -> str:
    """Names, each with what is asked of it."""
    return ", ".join(f"{gate.subject} ({gate.relation})" if gate.relation else gate.subject for gate in gates)
