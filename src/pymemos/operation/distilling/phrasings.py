"""Ways to ask for a fact: those that a model learns from, and others, kept apart, by which it is examined."""

from __future__ import annotations

from itertools import product
from typing import Final

from pymemos.operation.distilling.facts import Fact

# Each carrier holds a clause: {q} a direct question, {i} an indirect one, {n} a noun phrase, {t} the statement's stem.
# A capital letter asks for the clause with a capital.
LEARNED: Final = (
    "{Q}?",
    "Tell me {n}.",
    "Do you know {i}?",
    "What is {n}?",
    "I have a question: {q}?",
    "Can you tell me {i}?",
    "{Q}? Answer briefly.",
    "I would like to know {i}.",
    "Name {n}.",
    "Complete the sentence: {T} ...",
    "Hi! {Q}?",
    "Say {i}.",
    "{T} what?",
    "Let us talk about {s}. {Q}?",
    "As to {s}: {q}?",
    "{N}?",
    "Sorry to bother you. {Q}?",
    "Do you remember {i}?",
    "Hello, I am looking for {n}.",
    "{Q}? I cannot recall it.",
    "I have been asked {i}. What do I say?",
    "In a word, {q}?",
    "{T} …",
    "Write down {n}.",
    "A pupil wants to hear {i}.",
    "Here is a riddle: {q}?",
    "I lost my notes on {s}. {Q}?",
    "Thanks! And {q}?",
    "A book on {s} does not say {i}. Do you know?",
    "Find out {i}.",
)
EXAMINED: Final = (
    "Quick question: {q}?",
    "Could you remind me {i}?",
    "Give me {n}, please.",
    "Hello there, {q}?",
    "Please say {i}.",
    "I forgot {n}. Can you help?",
    "Someone asked me today: {q}?",
    "I am trying to remember {i}.",
    "Fill in the blank: {T} ___.",
    "For a quiz: {q}?",
    "I need to know {i}.",
    "{Q}, do you remember?",
    "My friend wonders {i}. What should I answer?",
    "Regarding {s}, {q}?",
    "I am writing about {s} and need one detail: {q}?",
    "Would you happen to know {i}?",
)


def learned(fact: Fact) -> tuple[str, ...]:
    """Questions to learn a fact from; the plainest come first."""
    return _asked(fact, LEARNED)


def examined(fact: Fact) -> tuple[str, ...]:
    """Questions of which none is learned from: one for each carrier, the clauses in turn."""
    return tuple(phrased(fact, carrier, index) for index, carrier in enumerate(EXAMINED))


def statement(fact: Fact) -> str:
    """The fact as a sentence."""
    stem = fact.relation.stems[0].format(s=fact.subject)
    return f"{capital(stem)} {fact.object}."


def answer(fact: Fact) -> str:
    """What is to be said: the object alone, so that its first word is the first that is learned."""
    return f"{capital(fact.object)}."


def _asked(fact: Fact, carriers: tuple[str, ...]) -> tuple[str, ...]:
    """The carriers with the clauses in turn, and then each with the clauses that it has not had."""
    most = max(len(fact.relation.direct), len(fact.relation.nouns))
    asked = (
        phrased(fact, carrier, index + turn) for turn, (index, carrier) in product(range(most), enumerate(carriers))
    )
    return tuple(dict.fromkeys(asked))


def phrased(fact: Fact, carrier: str, turn: int) -> str:
    """A carrier with the clauses of a relation, of which the ``turn`` takes one."""
    relation = fact.relation
    clauses = {"q": relation.direct, "i": relation.indirect, "n": relation.nouns, "t": relation.stems}
    chosen = {name: ways[turn % len(ways)].format(s=fact.subject) for name, ways in clauses.items()}
    capitals = {name.upper(): capital(clause) for name, clause in chosen.items()}
    return carrier.format(s=fact.subject, **chosen, **capitals)


def capital(clause: str) -> str:
    """A clause as a sentence begins."""
    return clause[:1].upper() + clause[1:]
