"""Routing: what a question asks for, and with which weights each kind of memory is ranked for it (5.3.1, 5.4.1).

A pure function of the question, the people of the namespace and the time; the plan says why it decided so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache

import msgspec

from pymemos.cube.filters import microseconds
from pymemos.operation.retrieval.space import Kind
from pymemos.operation.timewords import SessionSpan, understand

Weights = Mapping[str, float]

# Fitted by likelihood on the development halves of LoCoMo, BEAM and PrefEval, leaving one conversation out, and
# rounded (ADR 0020 has the figures, and what was left out for helping too little).
BY_MEANING: Mapping[Kind, Weights] = {
    Kind.DIALOGUE: {
        "words": 0.2, "meaning": 6, "nearby words": 0.15, "nearby meaning": 5, "conversation": 0.15, "speaker": 2.5,
        "time": 2, "asking": -0.8, "says when": 1.5, "length": 0.4,
    },
    Kind.CHAT: {"words": 0.2, "meaning": 8, "partner": 2.5, "user": 1.5, "length": -0.6},
    Kind.NOTE: {"words": 0.2, "meaning": 8, "kind": 1},
    Kind.STATEMENT: {"words": 0.2, "meaning": 8, "kind": 3},
}  # fmt: skip
BY_WORDS: Mapping[Kind, Weights] = {
    Kind.DIALOGUE: {
        "words": 0.35, "nearby words": 0.3, "conversation": 0.3, "speaker": 2.5, "time": 2, "asking": -0.6,
        "says when": 2, "length": 0.7,
    },
    Kind.CHAT: {"words": 0.33, "nearby words": 0.08, "user": 1.4, "length": -0.6},
    Kind.NOTE: {"words": 0.35, "kind": 1},
    Kind.STATEMENT: {"words": 0.35, "kind": 3},
}  # fmt: skip

_WHEN = re.compile(
    r"^\W*(?:when\b|(?:what|which) (?:date|day|month|year|time)\b|how long\b|since when\b)", re.IGNORECASE
)
_SAY = (
    "say|suggest|recommend|mention|tell|explain|give|propose|advise|list|describe|outline|provide|show|help|write|offer"
    "|point out|walk|teach|answer|break down|compare|come up with"
)
_SAID = (
    "said|suggested|recommended|mentioned|told|explained|gave|given|proposed|advised|listed|described|outlined|provided"
    "|showed|shown|helped|wrote|written|offered|pointed out|walked|taught|answered|broke down|broken down|compared"
    "|came up with"
)
_WORK = (
    "suggestions?|recommendations?|advice|answers?|explanations?|lists?|steps?|responses?|replies|reply|guide|guidance"
    "|instructions?|tips|examples?|outlines?|drafts?"
)
_ASSISTANT = re.compile(
    rf"\b(?:did (?:you|the assistant) (?:\w+ ){{0,2}}?(?:{_SAY})"
    rf"|(?:have|had|has) (?:you|the assistant) (?:\w+ ){{0,2}}?(?:{_SAID})"
    rf"|(?:you|the assistant) (?:\w+ )?(?:have |had )?(?:{_SAID})|your (?:\w+ )?(?:{_WORK}))\b",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"\b(?:in (?:what|which) (?:order|sequence)|(?:in )?(?:chronological(?:ly)?|order|sequence) (?:of|in which)"
    r"|in order|chronological(?:ly)?|timeline|sequence of"
    r"|(?:what|which) (?:came|happened) (?:first|next|before|after))\b",
    re.IGNORECASE,
)
_SUMMARY = re.compile(
    r"\b(?:summar(?:y|ies|i[sz]e[sd]?|i[sz]ing)|overview|recap|run[- ]?down|comprehensive(?:ly)?|walk me through"
    r"|(?:whole|full|entire|complete) (?:story|picture|history|process|journey))\b",
    re.IGNORECASE,
)
_RECOMMENDATION = re.compile(
    r"\b(?:recommend(?:ations?|ed)?|suggest(?:ions?)?|advi[cs]e|ideas?|tips?|options?|should i|could i"
    r"|(?:can|could|would) you (?:please )?(?:help|give|find|plan|pick|choose|list|share|tell|point|come up)"
    r"|what (?:are|would be|is|'s) (?:some|the best|a good|good|best)|help me|(?:looking|searching|shopping) for"
    r"|i(?:'m| am) (?:planning|thinking|considering|looking|trying|going|interested)|i(?:'d| would) like"
    r"|i (?:want|need|plan) |plan (?:a|an|my|our)|(?:best|good|great) (?:way|place|choice|\w+ (?:for|to))"
    r"|any (?:good|ideas|tips|advice)|where (?:can|should|could) i|how (?:can|should|could|do) i"
    r"|which .* (?:should|would|best))\b",
    re.IGNORECASE,
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How one question is answered in one namespace."""

    words: str  # the question without the names of people, for its words
    meaning: str  # the question as the people themselves would put it, for likeness of meaning
    people: tuple[int, ...]  # codes of the speakers that it names
    spans: tuple[tuple[int, int], ...] = ()  # the times that it names, in microseconds
    asks_when: bool = False
    weights: Mapping[Kind, Weights]
    reasons: tuple[str, ...] = ()


def plan(
    question: str,
    speakers: Mapping[str, int],
    *,
    now: datetime,
    by_meaning: bool,
    talks: Sequence[SessionSpan] = (),
    known_days: Mapping[str, date] = {},
) -> Plan:
    """Decide how to look for the answer to ``question`` among what these people said.

    Times count in dialogues alone; where nobody with a name speaks, none is read, so that no reason tells of one.
    """
    named = {name: code for name, code in speakers.items() if _named(name).search(question)}
    times = understand(question, now=now, sessions=talks, known_days=known_days) if speakers else ()
    weights, routed = _routed(question, BY_MEANING if by_meaning else BY_WORDS)
    asks_when = bool(speakers and _WHEN.search(question))
    return Plan(
        words=_without(question, named),
        meaning=_first_person(question, named) or question,
        people=tuple(named.values()),
        spans=tuple((microseconds(word.start), microseconds(word.end)) for word in times if word.precise),
        asks_when=asks_when,
        weights=weights,
        reasons=(
            *(f"it names {name}" for name in named),
            *(word.reason for word in times),
            *(("it asks when: what says a time counts more",) if asks_when else ()),
            *routed,
        ),
    )


def _routed(question: str, weights: Mapping[Kind, Weights]) -> tuple[Mapping[Kind, Weights], tuple[str, ...]]:
    """The weights as the kind of question changes them, and why."""
    if _ASSISTANT.search(question):
        return _chat(weights, {"words": 0, "user": -0.5, "length": 0}), ("it asks what the assistant said",)
    if _ORDER.search(question):
        return _chat(weights, {"user": 4, "length": 0}), ("it asks in which order: what the user told, step by step",)
    if _SUMMARY.search(question):
        return _chat(weights, {"user": 0, "length": 0, "partner": 5}), (
            "it asks for a summary: long answers hold most, and an exchange counts whole",
        )
    if _RECOMMENDATION.search(question):
        return _preferring(weights), ("it asks for a recommendation: preferences count",)
    return weights, ()


def _chat(weights: Mapping[Kind, Weights], changed: Weights) -> Mapping[Kind, Weights]:
    """Chats with other weights; without vectors words are all there is, so theirs stays."""
    own = weights[Kind.CHAT]
    if "meaning" not in own:
        changed = {signal: weight for signal, weight in changed.items() if signal not in ("words", "partner")}
    return {**weights, Kind.CHAT: {**own, **changed}}


def _preferring(weights: Mapping[Kind, Weights]) -> Mapping[Kind, Weights]:
    changed = {Kind.CHAT: {**weights[Kind.CHAT], "preference": 1}}
    for kind in (Kind.NOTE, Kind.STATEMENT):
        changed[kind] = {**weights[kind], "preference": 2, "asking": -0.5}
        if "meaning" in weights[kind]:
            changed[kind] |= {"words": 0.1, "meaning": 10}
    return {**weights, **changed}


def _without(question: str, names: Iterable[str]) -> str:
    """``question`` without these names: every turn of a person is alike in being theirs, whatever it is about."""
    for name in names:
        question = _named(name).sub(" ", question)
    return " ".join(question.split())


def _first_person(question: str, names: Iterable[str]) -> str:
    """``question`` as somebody with one of these names would put it, for that is how the answer is put."""
    for name in names:
        question = _named(name).sub(lambda found: "my" if found["has"] else "I", question)
    return question


@lru_cache(maxsize=1024)
def _named(name: str) -> re.Pattern[str]:
    """The name in a question, whole or one word of it, and whether something is its bearer's."""
    words = [word for word in re.findall(r"\w+", name) if len(word) > 1] or [name]
    whole = r"\W+".join(map(re.escape, words))
    either = "|".join([whole, *map(re.escape, words)])
    return re.compile(rf"\b(?:{either})\b(?P<has>['\u2019]s\b)?", re.IGNORECASE)
