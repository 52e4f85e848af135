"""The runner: gives every system every case, asks every question, and reports what was found and what it took."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from pymemos import MemOS, Settings, __version__
from pymemos.errors import InvalidInput
from pymemos.evaluation import provenance
from pymemos.evaluation.cases import Case, Question
from pymemos.evaluation.datasets import DATASETS, Dataset, locate
from pymemos.evaluation.judged import Completing, JudgedRun, judge
from pymemos.evaluation.metrics import hit_at, recall_at, score, sessions_of
from pymemos.evaluation.report import (
    Outcome,
    Report,
    SystemReport,
    by_category,
    by_evidence,
    difference,
    latencies,
    row,
)
from pymemos.evaluation.systems import (
    AskedClock,
    Bm25,
    Chunks,
    Dense,
    Passage,
    Pymemos,
    Remembering,
    Rrf,
    System,
    chunks_name,
)
from pymemos.evaluation.tokens import Counter, approximate_wordpieces, counter_of, name_of, remembering
from pymemos.ports import Embedder

DEPTH = 100  # passages that are asked for; a budget of 2,000 tokens holds about seventy turns of a dialogue
RANKS = (1, 3, 5, 10, 20)
BUDGETS = (500, 1000, 2000)  # tokens
NO_EMBEDDER = "it needs an embedder, and this run has none"

Progress = Callable[[int], object]  # is told how many questions are done


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run, and on what; ``limit`` is the number of questions that are asked, the first ones."""

    dataset: str
    data: Path
    baselines: bool = True
    limit: int | None = None
    seed: int = 0


class Measured:
    """What is known while a run goes on: outcomes and times by system, and counts."""

    def __init__(self, systems: Sequence[System]) -> None:
        self.outcomes: dict[str, list[Outcome]] = {system.name: [] for system in systems}
        self.taking: dict[str, float] = dict.fromkeys(self.outcomes, 0.0)
        self.counts = dict.fromkeys(("cases", "sessions", "turns", "questions"), 0)
        self.left_out = dict.fromkeys(("questions without evidence", "evidence that names no turn"), 0)


def evaluate(
    plan: Plan,
    *,
    embedder: Embedder | None = None,
    count: Counter | None = None,
    on_progress: Progress = lambda _: None,
) -> Report:
    """Run a plan and report it: pymemos in a temporary folder, and the baselines beside it.

    Without an embedder pymemos ranks by words, and the baselines that need one are named as skipped. Without ``count``
    tokens are those of the embedder's tokenizer, or estimated.
    """
    count = remembering(count or counter_of(embedder))
    dataset = DATASETS[plan.dataset]
    cases = dataset.load(locate(plan.dataset, plan.data), plan.seed)
    shared = None if embedder is None else Remembering(embedder)
    baselines, skipped = _baselines(shared, count) if plan.baselines else ([], {})
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="pymemos-eval-") as folder:
        with opened(Path(folder), shared) as ours:
            measured = measure(cases, [ours, *baselines], limit=plan.limit, count=count, on_progress=on_progress)
        store_bytes = provenance.size_of(Path(folder) / "store")
    if not measured.counts["questions"]:
        raise InvalidInput(f"{dataset.title} in {plan.data} has no question with evidence; name its whole folder")
    return Report(
        **_origin(plan),
        models={"embedder": embedder.identity if embedder else None, "tokens": name_of(count)},
        settings=_settings(plan),
        counts=measured.counts,
        left_out={reason: number for reason, number in measured.left_out.items() if number},
        systems=summarise(measured, dataset, ours=ours.name, store_bytes=store_bytes, seed=plan.seed),
        skipped=skipped,
        peak_memory_bytes=provenance.peak_memory(),
        seconds=round(time.perf_counter() - started, 1),
    )


def answered(
    plan: Plan,
    *,
    chats: tuple[Completing, Completing],
    embedder: Embedder | None = None,
    count: Counter | None = None,
    on_progress: Progress = lambda _: None,
) -> JudgedRun:
    """Run a plan through the judged protocol: the first chat model answers from what is found, the other one marks it.

    A question takes four replies for each system: the answer, and three marks.
    """
    answering, judging = chats
    count = remembering(count or counter_of(embedder))
    dataset, done = DATASETS[plan.dataset], itertools.count(1)
    shared = None if embedder is None else Remembering(embedder)
    baselines, skipped = _baselines(shared, count) if plan.baselines else ([], {})
    started, reports = time.perf_counter(), {}
    with tempfile.TemporaryDirectory(prefix="pymemos-eval-") as folder, opened(Path(folder), shared) as ours:
        for system in (ours, *baselines):
            reports[system.name] = judge(
                dataset.load(locate(plan.dataset, plan.data), plan.seed),
                system,
                answering,
                judged_by=judging,
                apart=dataset.apart,
                limit=plan.limit,
                count=count,
                on_answer=lambda: on_progress(next(done)),
            )
    if not reports[ours.name].answers:
        raise InvalidInput(f"{dataset.title} in {plan.data} has no question with an answer to judge by")
    return JudgedRun(
        **_origin(plan),
        models={
            "embedder": embedder.identity if embedder else None,
            "tokens": name_of(count),
            "answers": answering.identity,
            "judge": judging.identity,
        },
        systems=reports,
        skipped=skipped,
        seconds=round(time.perf_counter() - started, 1),
    )


def _origin(plan: Plan) -> dict[str, Any]:
    """Of which benchmark a report is, when it was made, and by what."""
    return {
        "dataset": plan.dataset,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "commit": provenance.commit(),
        "machine": provenance.machine(),
    }


@contextmanager
def opened(folder: Path, embedder: Embedder | None = None) -> Iterator[Pymemos]:
    """pymemos on a fresh store in ``folder``, with its keys beside it and nothing elsewhere."""
    clock = AskedClock()
    settings = Settings(home=folder / "store", config_dir=folder / "keys", embedder="none")
    with MemOS(settings=settings, clock=clock, embedder=embedder) as mem:
        yield Pymemos(mem, clock)


def measure(
    cases: Iterable[Case],
    systems: Sequence[System],
    *,
    limit: int | None = None,
    count: Counter = approximate_wordpieces,
    on_progress: Progress = lambda _: None,
) -> Measured:
    """Ask every system every question that has evidence, case by case, until the limit is reached."""
    measured = Measured(systems)
    for case in cases:
        room = None if limit is None else limit - measured.counts["questions"]
        if room == 0:
            break
        answerable = [question for question in case.questions if question.evidence or question.sessions]
        asked = list(islice(answerable, room))
        _count(measured, case, len(asked), len(case.questions) - len(answerable))
        for system in systems:
            started = time.perf_counter()
            system.take(case)
            measured.taking[system.name] += time.perf_counter() - started
        known = _Known(case)
        for done, question in enumerate(asked, start=measured.counts["questions"] - len(asked) + 1):
            for system in systems:
                measured.outcomes[system.name].append(ask(system, known, question, count))
            on_progress(done)
    return measured


class _Known:
    """A case, and whose turn is whose: role and session by the id of the turn."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.roles = {turn.id: turn.role for turn in case.turns}
        self.sessions = {turn.id: session.id for session in case.sessions for turn in session.turns}


def ask(system: System, known: _Known, question: Question, count: Counter) -> Outcome:
    """Put one question to one system, and score what it found."""
    started = time.perf_counter()
    passages = system.search(known.case, question, DEPTH)
    seconds = time.perf_counter() - started
    return Outcome(
        question=question.id,
        category=question.category,
        roles=frozenset(known.roles[id] for id in question.evidence),
        scores=scores_of(passages, question, known.sessions, count),
        seconds=seconds,
    )


def scores_of(
    passages: Sequence[Passage], question: Question, sessions: Mapping[str, str], count: Counter
) -> dict[str, float]:
    """Every metric that the question can be scored by: of turns, of sessions, or both."""
    found = [passage.turns for passage in passages]
    scores = {}
    if question.evidence:
        costs = [count(passage.text) for passage in passages]
        scores = score(found, costs, question.evidence, ranks=RANKS, budgets=BUDGETS)
    if question.sessions:
        places = sessions_of(found, sessions)
        scores |= {f"sessions@{k}": recall_at(places, question.sessions, k) for k in RANKS}
        scores |= {f"session hit@{k}": hit_at(places, question.sessions, k) for k in RANKS}
    return scores


def summarise(
    measured: Measured, dataset: Dataset, *, ours: str, store_bytes: int | None, seed: int
) -> dict[str, SystemReport]:
    """What the outcomes come to, system by system; ours is compared with every other."""
    counted = {
        name: [outcome for outcome in outcomes if outcome.category not in dataset.apart]
        for name, outcomes in measured.outcomes.items()
    }
    found = {}
    for name, outcomes in measured.outcomes.items():
        others = [other for other in counted if other != name] if name == ours and counted[name] else []
        found[name] = SystemReport(
            overall=row(counted[name]),
            categories=by_category(counted[name]),
            apart=by_category([outcome for outcome in outcomes if outcome.category in dataset.apart]),
            evidence=by_evidence(counted[name]),
            search_ms=latencies(outcomes),
            ingest_seconds=round(measured.taking[name], 3),
            differences={other: difference(counted[name], counted[other], seed) for other in others},
            store_bytes=store_bytes if name == ours else None,
        )
    return found


def _baselines(embedder: Embedder | None, count: Counter) -> tuple[list[System], dict[str, str]]:
    """The baselines that can run, and why the others cannot."""
    words = Bm25()
    if embedder is None:
        return [words], dict.fromkeys((Dense.name, Rrf.name, chunks_name()), NO_EMBEDDER)
    dense = Dense(embedder)
    return [words, dense, Rrf(words, dense), Chunks(embedder, count)], {}


def _count(measured: Measured, case: Case, asked: int, unanswerable: int) -> None:
    sizes = {"cases": 1, "sessions": len(case.sessions), "turns": sum(1 for _ in case.turns), "questions": asked}
    for name, size in sizes.items():
        measured.counts[name] += size
    measured.left_out["questions without evidence"] += unanswerable
    measured.left_out["evidence that names no turn"] += case.dangling


def _settings(plan: Plan) -> dict[str, object]:
    return {
        "depth": DEPTH,
        "ranks": RANKS,
        "budgets": BUDGETS,
        "baselines": plan.baselines,
        "limit": plan.limit,
        "seed": plan.seed,
    }
