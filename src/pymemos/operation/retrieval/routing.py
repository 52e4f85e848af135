"""Routing: what a question asks for, and with which weights each kind of memory is ranked for it (5.3.1, 5.4.1).

A pure function of the question, the people of the namespace and the time; the plan says why it decided so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from pymemos.cube.filters import microseconds
from pymemos.operation.retrieval.space import Kind
from pymemos.operation.timewords import understand

Weights = Mapping[str, float]

# Fitted by likelihood over the LoCoMo, BEAM and PrefEval halves that are for development, leaving one conversation out,
# and rounded (ADR 0020 has the figures and what was left out for helping too little).
WEIGHTS: Mapping[Kind, Weights] = {
    Kind.DIALOGUE: {
        "words": 0.35, "meaning": 8.0, "nearby": 0.25, "conversation": 0.3, "speaker": 2.0, "time": 1.0,
        "asking": -0.5, "answer": 0.4, "says when": 1.0, "length": 0.8,
    },
    Kind.CHAT: {"words": 0.3, "meaning": 10.0, "nearby": 0.1, "user": 1.5, "time": 1.0, "says when": 0.3},
    Kind.NOTE: {"words": 0.4, "meaning": 8.0, "time": 0.5},
    Kind.STATEMENT: {"words": 0.3, "meaning": 10.0, "time": 0.5, "speaker": 1.0},
}  # fmt: skip

_WHEN = re.compile(r"^\W*(?:when\b|(?:what|which)\s+(?:date|day|month|year|time)\b|how long ago\b|since when\b)", re.I)
_RECOMMEND = re.compile(
    r"\b(?:recommend|suggest|advise|advice|ideas?|tips?|options?|should i|could i|can you (?:help|give|find|plan)"
    r"|what (?:are|would be) (?:some|the best|good)|help me|looking for|plan (?:a|my|our))\b",
    re.I,
)
_ASSISTANT = re.compile(
    r"\b(?:(?:did|have|had) you (?:say|said|suggest|recommend|mention|tell|told|explain|give|given|propose|advise|list)"
    r"|you (?:said|suggested|recommended|mentioned|told|explained|gave|proposed|advised|listed)"
    r"|your (?:suggestions?|recommendations?|advice|answers?|explanations?|lists?|plan))\b",
    re.I,
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How one question is answered in one namespace."""

    text: str  # the question without the names of people, for likeness of meaning
    people: tuple[int, ...]  # codes of the speakers that it names
    names: frozenset[str]  # the words of all speakers' names
    spans: tuple[tuple[int, int], ...] = ()  # the times that it names, in microseconds
    asks_when: bool = False
    weights: Mapping[Kind, Weights]
    reasons: tuple[str, ...] = ()


def plan(question: str, speakers: Mapping[str, int], *, now: datetime) -> Plan:
    """Decide how to look for the answer to ``question`` among what these people said."""
    named = {name: code for name, code in speakers.items() if _names(name, question)}
    reasons = [f"it names {name}" for name in named]
    times = understand(question, now=now)
    reasons += [word.reason for word in times]
    weights = WEIGHTS
    if _RECOMMEND.search(question):
        weights = _with_preferences(weights)
        reasons.append("it asks for a recommendation: preferences count, and meaning more than words")
    if _ASSISTANT.search(question):
        weights = _of_anybody(weights)
        reasons.append("it asks what the assistant said: the user's words have no advantage")
    asks_when = bool(_WHEN.search(question))
    if asks_when:
        reasons.append("it asks when: what says a time counts more")
    return Plan(
        text=without(question, named),
        people=tuple(named.values()),
        names=frozenset(word for name in speakers for word in _words(name)),
        spans=tuple((microseconds(word.start), microseconds(word.end)) for word in times if word.precise),
        asks_when=asks_when,
        weights=weights,
        reasons=tuple(reasons),
    )


def without(question: str, names: Sequence[str] | Mapping[str, int]) -> str:
    """``question`` without these names: every turn of a person is alike in being theirs, whatever it is about."""
    for name in names:
        for word in _words(name):
            question = re.sub(rf"\b{re.escape(word)}(?:['’]s)?\b", " ", question, flags=re.I)
    return " ".join(question.split())


def _with_preferences(weights: Mapping[Kind, Weights]) -> Mapping[Kind, Weights]:
    changed = {
        kind: {**own, "words": own["words"] / 3, "preference": 2.0, "length": 0.0} for kind, own in weights.items()
    }
    return {**changed, Kind.DIALOGUE: {**weights[Kind.DIALOGUE], "preference": 0.5}}


def _of_anybody(weights: Mapping[Kind, Weights]) -> Mapping[Kind, Weights]:
    return {**weights, Kind.CHAT: {**weights[Kind.CHAT], "user": 0.0}}


def _names(name: str, question: str) -> bool:
    return any(re.search(rf"\b{re.escape(word)}(?:['’]s)?\b", question, re.I) for word in _words(name))


def _words(name: str) -> list[str]:
    return [word for word in re.findall(r"\w+", name) if len(word) > 1]
