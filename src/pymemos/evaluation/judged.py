"""The judged protocol: a chat model answers from what was found, and a chat model marks the answer.

It follows the public harness of the MemOS authors: twenty memories, short answers, relative dates made absolute, a
generous judge whose marks are averaged over three runs, adversarial questions left out. It differs in one point: a
conversation is kept once, and not once for each speaker with the roles swapped.
"""

from __future__ import annotations

import re
import string
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from itertools import islice
from statistics import pstdev
from typing import Protocol

import msgspec

from pymemos.evaluation.cases import Case, Question
from pymemos.evaluation.metrics import mean, percentile
from pymemos.evaluation.systems import Passage, System
from pymemos.evaluation.tokens import Counter, approximate_wordpieces, name_of
from pymemos.ports import ChatModel, ChatOptions, Utterance

TOP_K = 20
RUNS = 3
_VERDICT = re.compile(r"\b(CORRECT|WRONG)\b")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class Chat(Protocol):
    """A chat model: any object with this method; a temperature of 0 makes a run repeatable."""

    def complete(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The reply to messages of ``role`` and ``content``."""


class Completing:
    """A chat model of the port, as this protocol asks it: the whole reply at once, at temperature 0."""

    def __init__(self, model: ChatModel, *, max_tokens: int = 512) -> None:
        self._model = model
        self._options = ChatOptions(max_tokens=max_tokens)

    @property
    def identity(self) -> str:
        """Which model it is."""
        return self._model.identity

    def complete(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The reply to messages of ``role`` and ``content``."""
        said = [Utterance(one["role"], one["content"]) for one in messages]
        return "".join(piece.text for piece in self._model.stream(said, self._options))


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One question, answered and marked; ``unreadable`` marks, neither CORRECT nor WRONG, count as wrong."""

    question: str
    category: str
    expected: str
    answer: str
    marks: tuple[bool, ...]
    unreadable: int
    f1: float
    context_tokens: int
    search_seconds: float
    total_seconds: float  # of search and answer; the judge is no part of it


class JudgedRow(msgspec.Struct, frozen=True, kw_only=True):
    """Some questions: the share that was marked CORRECT, its deviation between the runs, and what it took."""

    questions: int
    judge: float
    judge_sd: float
    f1: float
    context_tokens: float
    unreadable: int
    search_ms: Mapping[str, float]
    total_ms: Mapping[str, float]


class JudgedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A judged run of several systems on a benchmark, and what it was done with."""

    dataset: str
    at: str
    version: str
    commit: str | None
    machine: Mapping[str, object]
    models: Mapping[str, str | None]  # embedder, tokens, and by whom it was answered and judged
    systems: Mapping[str, JudgedReport]
    skipped: Mapping[str, str]
    seconds: float


class JudgedReport(msgspec.Struct, frozen=True, kw_only=True):
    """A judged run of one system: its row, one for each category, and every answer."""

    system: str
    top_k: int
    runs: int
    tokens: str  # what counted them
    overall: JudgedRow
    categories: Mapping[str, JudgedRow]
    answers: Sequence[Judged]


def judge(
    cases: Iterable[Case],
    system: System,
    chat: Chat,
    *,
    judged_by: Chat | None = None,
    apart: Sequence[str] = (),
    top_k: int = TOP_K,
    runs: int = RUNS,
    limit: int | None = None,
    count: Counter = approximate_wordpieces,
    on_answer: Callable[[], object] = lambda: None,
) -> JudgedReport:
    """Let ``chat`` answer every question from what ``system`` finds, and ``judged_by`` (or the same) mark the answers.

    Questions without an answer, and those of the categories ``apart``, are left out.
    """
    answers: list[Judged] = []
    for case in cases:
        room = None if limit is None else limit - len(answers)
        asked = [one for one in case.questions if one.answer and one.category not in apart]
        if room == 0:
            break
        system.take(case)
        for question in islice(asked, room):
            answers.append(_judged(case, question, system, chat, judged_by or chat, top_k, runs, count))
            on_answer()
    categories = sorted({one.category for one in answers})
    return JudgedReport(
        system=system.name,
        top_k=top_k,
        runs=runs,
        tokens=name_of(count),
        overall=judged_row(answers),
        categories={name: judged_row([one for one in answers if one.category == name]) for name in categories},
        answers=answers,
    )


def judged_row(answers: Sequence[Judged]) -> JudgedRow:
    """What some answers come to; questions count alike."""
    by_run = [mean(marks) for marks in zip(*(one.marks for one in answers), strict=True)]
    return JudgedRow(
        questions=len(answers),
        judge=mean(by_run),
        judge_sd=pstdev(by_run) if by_run else 0.0,
        f1=mean(one.f1 for one in answers),
        context_tokens=mean(one.context_tokens for one in answers),
        unreadable=sum(one.unreadable for one in answers),
        search_ms=_milliseconds([one.search_seconds for one in answers]),
        total_ms=_milliseconds([one.total_seconds for one in answers]),
    )


def answer_prompt(question: Question, passages: Iterable[Passage]) -> str:
    """What the answering model is told."""
    asked = f"The question is asked on {question.asked:%Y-%m-%d}." if question.asked else ""
    return _prompt("answer", memories=memories_of(passages), asked=asked, question=question.text)


def judge_prompt(question: Question, answer: str) -> str:
    """What the judge is told."""
    return _prompt("judge", question=question.text, expected=question.answer, answer=answer)


def memories_of(passages: Iterable[Passage]) -> str:
    """The passages as a block, a line each, in the order in which they were found."""
    return "\n".join(" ".join(passage.text.split()) for passage in passages)


def verdict(reply: str) -> bool | None:
    """Whether the judge said CORRECT or WRONG, the last of these words; None where neither is there."""
    said = _VERDICT.findall(reply.upper())
    return said[-1] == "CORRECT" if said else None


def token_f1(answer: str, expected: str) -> float:
    """The harmonic mean of precision and recall over normalised words, as SQuAD defines it."""
    given, right = normalised(answer), normalised(expected)
    if not given or not right:
        return float(given == right)
    shared = sum((Tally(given) & Tally(right)).values())
    return 2 * shared / (len(given) + len(right))


def normalised(text: str) -> list[str]:
    """The words of ``text`` in lower case, without punctuation and articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split()


def _judged(
    case: Case,
    question: Question,
    system: System,
    chat: Chat,
    judged_by: Chat,
    top_k: int,
    runs: int,
    count: Counter,
) -> Judged:
    started = time.perf_counter()
    passages = system.search(case, question, top_k)
    searched = time.perf_counter()
    answer = _say(chat, answer_prompt(question, passages))
    answered = time.perf_counter()
    marks = [verdict(_say(judged_by, judge_prompt(question, answer))) for _ in range(runs)]
    return Judged(
        question=question.id,
        category=question.category,
        expected=question.answer,
        answer=answer,
        marks=tuple(mark is True for mark in marks),
        unreadable=marks.count(None),
        f1=token_f1(answer, question.answer),
        context_tokens=count(memories_of(passages)),
        search_seconds=searched - started,
        total_seconds=answered - started,
    )


def _say(chat: Chat, prompt: str) -> str:
    return chat.complete([{"role": "user", "content": prompt}]).strip()


def _prompt(name: str, **values: str) -> str:
    text = resources.files("pymemos.evaluation").joinpath("prompts", f"{name}.md").read_text("utf-8")
    return string.Template(text).substitute(values)


def _milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    return {f"p{share}": percentile(seconds, share / 100) * 1000 for share in (50, 95)}
