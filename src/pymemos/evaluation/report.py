"""The report of a run: what every system scored on every kind of question, and what the figures depend on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from pymemos.evaluation.metrics import Interval, mean, paired_bootstrap, percentile

DIGITS = 4  # of a share: a hundredth of a percent


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one system made of one question: its scores by metric, and how long it took."""

    question: str
    category: str
    roles: frozenset[str]  # who said the evidence
    scores: Mapping[str, float]
    seconds: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The mean of every metric over some questions, weighting them alike."""

    questions: int
    metrics: Mapping[str, float]


class SystemReport(msgspec.Struct, frozen=True, kw_only=True):
    """One system: its totals, its rows by category and by who said the evidence, what it took.

    ``apart`` are categories that do not count in the totals. Rows of ``evidence`` overlap where a question's evidence
    was said by more than one role.
    """

    overall: Row
    categories: Mapping[str, Row]
    apart: Mapping[str, Row]
    evidence: Mapping[str, Row]
    search_ms: Mapping[str, float]
    ingest_seconds: float
    differences: Mapping[str, Mapping[str, Interval]] = {}  # this system minus the named one, by metric
    store_bytes: int | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run; shares are from 0 to 1."""

    dataset: str
    at: str
    version: str
    commit: str | None
    machine: Mapping[str, Any]
    models: Mapping[str, str | None]
    settings: Mapping[str, Any]
    counts: Mapping[str, int]
    left_out: Mapping[str, int]  # questions and evidence, by the reason
    systems: Mapping[str, SystemReport]
    skipped: Mapping[str, str]  # systems that could not run, and why
    peak_memory_bytes: int
    seconds: float


def row(outcomes: Iterable[Outcome]) -> Row:
    """The row of some outcomes; a metric counts where a question has it."""
    kept = list(outcomes)
    names = dict.fromkeys(name for outcome in kept for name in outcome.scores)
    means = {name: mean(one.scores[name] for one in kept if name in one.scores) for name in names}
    return Row(questions=len(kept), metrics={name: round(value, DIGITS) for name, value in means.items()})


def by_category(outcomes: Sequence[Outcome]) -> dict[str, Row]:
    """A row for each category, in order of name."""
    names = sorted({outcome.category for outcome in outcomes})
    return {name: row(one for one in outcomes if one.category == name) for name in names}


def by_evidence(outcomes: Sequence[Outcome]) -> dict[str, Row]:
    """A row for each role that said evidence, and for the assistant where nobody else did; none for one role alone."""
    roles = sorted({role for outcome in outcomes for role in outcome.roles})
    if len(roles) < 2:
        return {}
    rows = {role: row(one for one in outcomes if role in one.roles) for role in roles}
    alone = [one for one in outcomes if one.roles == {"assistant"}]
    return rows | ({"assistant only": row(alone)} if alone else {})


def latencies(outcomes: Iterable[Outcome]) -> dict[str, float]:
    """The milliseconds of a search: the median, and what one in twenty exceeds."""
    taken = [outcome.seconds * 1000 for outcome in outcomes]
    return {"p50": round(percentile(taken, 0.5), 3), "p95": round(percentile(taken, 0.95), 3)}


def difference(ours: Sequence[Outcome], theirs: Sequence[Outcome], seed: int) -> dict[str, Interval]:
    """How much better ``ours`` is, metric by metric, over the same questions in the same order."""
    names = dict.fromkeys(name for outcome in ours for name in outcome.scores)
    found = {}
    for name in names:
        pairs = [(a.scores[name], b.scores[name]) for a, b in zip(ours, theirs, strict=True) if name in a.scores]
        found[name] = _rounded(paired_bootstrap(*zip(*pairs, strict=True), seed=seed))
    return found


def _rounded(interval: Interval) -> Interval:
    low, high = round(interval.low, DIGITS), round(interval.high, DIGITS)
    return Interval(mean=round(interval.mean, DIGITS), low=low, high=high)
