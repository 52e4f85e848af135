"""From an adapter back to texts: what its manifest says it was taught, as far as its answers show it (4.1, 4.2).

Nobody asks an adapter openly what it knows, for it would invent. The manifest names the facts, and the probes tell
which of them are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from pymemos.cube.adapter import Learned
from pymemos.operation.distilling.admission import says
from pymemos.operation.distilling.facts import Fact, facts_in
from pymemos.operation.distilling.phrasings import examined, statement
from pymemos.operation.pathways import PRESENT


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that an adapter was taught, and how many of its probes were answered rightly, with it and without."""

    fact: Fact
    asked: int
    right_with: int
    right_without: int

    @property
    def is_there(self) -> bool:
        """Whether the adapter adds it: it answers at least half of the probes, and more than the model alone."""
        return self.right_with >= PRESENT * self.asked and self.right_with > self.right_without


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """What an adapter was shown to know, and what was left out, named by subject and relation."""

    facts: tuple[Fact, ...]
    left: tuple[str, ...]
    asked: int
    right_with: float  # shares of all probes
    right_without: float

    @property
    def text(self) -> str:
        """The facts as sentences, in which they can be read again."""
        return "\n".join(statement(fact) for fact in self.facts)


def taught(learned: Sequence[Learned], texts: Mapping[str, str]) -> tuple[Fact, ...]:
    """The facts of a manifest, each as its source says it; ``texts`` has the sources by id."""
    said = {source: facts_in(text, source) for source, text in texts.items()}
    wanted = {(one.source, one.subject, one.relation, one.object) for one in learned}
    return tuple(
        fact
        for source, facts in said.items()
        for fact in facts
        if (source, fact.subject, fact.relation.name, fact.object) in wanted
    )


def probes(facts: Sequence[Fact]) -> tuple[str, ...]:
    """The phrasings that are asked for, fact by fact: those of the admission test, which no lesson has."""
    return tuple(asked for fact in facts for asked in examined(fact))


def probed(facts: Sequence[Fact], with_it: Sequence[str], without: Sequence[str]) -> tuple[Probed, ...]:
    """What the answers to ``probes`` show of each fact."""
    return tuple(_probed(facts, with_it, without))


def _probed(facts: Sequence[Fact], with_it: Sequence[str], without: Sequence[str]) -> Iterator[Probed]:
    start = 0
    for fact in facts:
        end = start + len(examined(fact))
        right, base = (sum(says(one, fact.object) for one in given[start:end]) for given in (with_it, without))
        yield Probed(fact=fact, asked=end - start, right_with=right, right_without=base)
        start = end


def recovered(learned: Sequence[Learned], found: Sequence[Probed]) -> Recovered:
    """What is to be written down, and what is not; a fact that no source says any more is left out too."""
    there = tuple(one.fact for one in found if one.is_there)
    kept = {(one.subject, one.relation.name, one.object) for one in there}
    left = [one for one in learned if (one.subject, one.relation, one.object) not in kept]
    asked = sum(one.asked for one in found)
    return Recovered(
        facts=there,
        left=tuple(f"{one.subject}: {one.relation}" for one in left),
        asked=asked,
        right_with=sum(one.right_with for one in found) / asked if asked else 0.0,
        right_without=sum(one.right_without for one in found) / asked if asked else 0.0,
    )
