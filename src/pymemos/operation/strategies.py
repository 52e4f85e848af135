"""Strategies: by what the candidates of a call are ranked, and which one a caller's policy asks for (5.4.2, SHORT)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

import msgspec

from pymemos.cube.header import Priority
from pymemos.operation.budgets import Budgets
from pymemos.operation.costs import Form, Reading


class Candidate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A memory that a call could use, as everything about it was known then; times in days.

    ``forms`` are the forms in which it lies ready; text always does. ``refused`` says why rules or a missing role keep
    it from this caller, which was decided before.
    """

    id: str
    version: str
    tokens: int
    score: float = 0.0  # how well it fits the call, in [0, 1]
    uses: int = 0
    heat: float = 0.0  # uses, each halving in weight over the half-life of heat
    last_used: float | None = None
    changed: float = 0.0  # when its present version was written
    priority: Priority = Priority.MID
    labels: tuple[str, ...] = ()
    forms: tuple[Form, ...] = ()
    is_trusted: bool = True
    is_current: bool = True  # False: another version holds by now, and this one was asked for
    is_stale: bool = False  # what it was made from changed
    refused: str | None = None
    position: int | None = None  # in the stable block, which stands in the prompt whatever is asked; None: not in it


class StrategyName(StrEnum):
    """The strategies that can be chosen."""

    RECENCY = "recency"  # the least recently used go first when there is no room
    SIMILARITY = "similarity"
    LABELS = "labels"
    PRIORITY = "priority"
    COST = "cost"


class SchedulePolicy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a caller's memories are scheduled: by which strategy, by which labels where that asks for some, and in what.

    The tighter holds of ``budgets`` and of what a call itself leaves.
    """

    strategy: StrategyName = StrategyName.SIMILARITY
    labels: tuple[str, ...] = ()
    budgets: Budgets = Budgets()


class PolicyBook(msgspec.Struct, frozen=True, kw_only=True):
    """The policies that somebody set; the narrowest holds: a task's before a user's before an organisation's."""

    tasks: Mapping[str, SchedulePolicy] = {}
    users: Mapping[str, SchedulePolicy] = {}
    organisations: Mapping[str, SchedulePolicy] = {}
    default: SchedulePolicy = SchedulePolicy()

    def of(
        self, *, task: str | None = None, user: str | None = None, organisation: str | None = None
    ) -> SchedulePolicy:
        """The policy of a call."""
        for book, name in ((self.tasks, task), (self.users, user), (self.organisations, organisation)):
            if name is not None and name in book:
                return book[name]
        return self.default


Rank = Callable[[Candidate], float]  # more is better
Strategy = Callable[[SchedulePolicy, Reading], Rank]

_WEIGHT = {Priority.LOW: 0.0, Priority.MID: 1.0, Priority.HIGH: 2.0}
_NEVER = 1e9  # days before everything
_ASIDE_S = 0.02  # seconds beside which what a short memory takes makes no difference


def by_recency(one: Candidate) -> float:
    """Who was used last; who never was comes after all others, the newest first."""
    return one.changed - _NEVER if one.last_used is None else one.last_used


def by_similarity(one: Candidate) -> float:
    """Who fits the call best."""
    return one.score


def by_priority(one: Candidate) -> float:
    """Whose priority is highest; the score decides between equals."""
    return _WEIGHT[one.priority] + 0.5 * one.score


def by_labels(wanted: frozenset[str]) -> Rank:
    """Who bears most of some labels; the score decides between equals."""
    return lambda one: len(wanted.intersection(one.labels)) + 0.5 * one.score


def by_cost(reading: Reading) -> Rank:
    """Who gives most fit for the seconds that reading it takes, in the fastest form that lies ready."""
    fastest = reading.fastest
    return lambda one: one.score / (_ASIDE_S + fastest(one.forms, one.tokens)[1])


STRATEGIES: Mapping[StrategyName, Strategy] = {
    StrategyName.RECENCY: lambda _policy, _reading: by_recency,
    StrategyName.SIMILARITY: lambda _policy, _reading: by_similarity,
    StrategyName.LABELS: lambda policy, _reading: by_labels(frozenset(policy.labels)),
    StrategyName.PRIORITY: lambda _policy, _reading: by_priority,
    StrategyName.COST: lambda _policy, reading: by_cost(reading),
}
