"""Evaluation: public benchmarks, run on this machine from files that one has."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from pymemos.errors import InvalidInput, ModelError
from pymemos.settings import from_environment
from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import Shell, verb

if TYPE_CHECKING:
    from pymemos.evaluation.datasets import Dataset
    from pymemos.evaluation.judged import Completing, JudgedRow, JudgedRun
    from pymemos.evaluation.report import Report, Row, SystemReport
    from pymemos.evaluation.runner import Progress

BENCHMARKS = ("locomo", "beam", "prefeval", "longmemeval")


@verb(name="eval")
@click.argument("dataset", type=click.Choice(BENCHMARKS))
@click.option("--data", envvar="PYMEMOS_DATA", type=click.Path(path_type=Path), help="File or folder of the data.")
@click.option(
    "--baselines/--no-baselines",
    default=None,
    help="Run BM25, dense, RRF and chunked RAG beside it; by default unless answers are judged.",
)
@click.option("--lexical", is_flag=True, help="By words alone, without an embedder.")
@click.option("--judge", is_flag=True, help="Let the chat model answer, and judge the answers.")
@click.option("--judged-by", metavar="MODEL", help="Let another chat model judge, such as https://host/v1#model.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N questions.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Decides places and resamples.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the report here.")
def evaluate(
    shell: Shell,
    dataset: str,
    data: Path | None,
    baselines: bool | None,
    lexical: bool,
    judge: bool,
    judged_by: str | None,
    limit: int | None,
    seed: int,
    out: Path | None,
) -> None:
    """Measure retrieval on the benchmark DATASET.

    DATASET is locomo, beam, prefeval or longmemeval. It works in a temporary folder; no store of yours is touched.
    The data are not part of pymemos: --data, else PYMEMOS_DATA, names the authors' files or a folder of them.
    With --judge the model of PYMEMOS_CHAT answers from twenty memories, and each answer is marked three times: four
    replies a question and system. Try it with a small --limit.

    In a pipe a line holds system, category, number of questions and metrics, separated by tabs.
    """
    from pymemos.evaluation import runner
    from pymemos.evaluation.datasets import DATASETS
    from pymemos.evaluation.judged import JudgedRun
    from pymemos.evaluation.tokens import counter_of
    from pymemos.wiring import open_embedder

    known = DATASETS[dataset]
    chats = _chats(judged_by) if judge or judged_by else None
    if data is None:
        raise InvalidInput(f"no data of {known.title}; get {known.source}, and name its folder with --data")
    beside = chats is None if baselines is None else baselines
    plan = runner.Plan(dataset=dataset, data=data.expanduser(), baselines=beside, limit=limit, seed=seed)
    embedder = open_embedder(from_environment(os.environ, Path.home()), None)
    run = partial(runner.answered, chats=chats) if chats else runner.evaluate
    _check_place(out)
    with _progress(known.title) as advance:
        report = run(plan, embedder=None if lexical else embedder, count=counter_of(embedder), on_progress=advance)
    if out is not None:
        out.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    if shell.json:
        shell.answer(report)
    elif isinstance(report, JudgedRun):
        tell_judged(report)
    else:
        tell(report, known)


def _check_place(out: Path | None) -> None:
    """Refuse a file that could not be written, before the hours that a run may take."""
    if out is not None and not os.access(out if out.exists() else out.parent, os.W_OK):
        raise InvalidInput(f"{out} cannot be written; name a file in a folder that is there and open to you")


def _chats(judged_by: str | None) -> tuple[Completing, Completing]:
    """The model that answers, which is that of the settings, and the one that judges: the same, unless one is named."""
    from pymemos.evaluation.judged import Completing
    from pymemos.wiring import open_chat

    settings = from_environment(os.environ, Path.home())
    answering = open_chat(settings)
    if answering is None:
        raise ModelError(
            "there is no chat model to answer; set PYMEMOS_CHAT to https://host/v1#model, a folder or a name such as "
            "smollm2, or run 'pymemos models use --chat'"
        )
    judging = answering if judged_by is None else open_chat(settings, judged_by)
    if judging is None:
        raise InvalidInput(f"--judged-by is {judged_by!r}; name a model, or leave it out for the one that answers")
    return Completing(answering), Completing(judging)


def tell_judged(run: JudgedRun) -> None:
    """Print a judged run: a row for each system, then the share that was judged right in every category."""
    columns = ("questions", "judge", "±", "F1", "tokens", "unread", "search ms", "total ms")
    rows = [[name, *_judged_cells(one.overall)] for name, one in run.systems.items()]
    by_category = {name: one for report in run.systems.values() for name, one in report.categories.items()}
    if not show.on_terminal():
        show.tabbed("system", "category", *columns)
        for name, report in run.systems.items():
            for category, row in {"total": report.overall, **report.categories}.items():
                show.tabbed(name, category, *_judged_cells(row))
        return
    show.table([show.Column("system", "bold"), *(show.Column(one, right=True) for one in columns)], rows, empty="")
    click.echo()
    heads = [show.Column("judge", "bold"), *(show.Column(name, right=True) for name in run.systems)]
    shares = [
        [category, *(f"{100 * one.categories[category].judge:.1f}" for one in run.systems.values())]
        for category in by_category
    ]
    show.table(heads, shares, empty="")
    facts = [
        *(f"{name} was skipped: {reason}" for name, reason in run.skipped.items()),
        f"answered by {run.models['answers']}, judged by {run.models['judge']}",
        f"tokens counted by {run.models['tokens']}; embedder: {run.models['embedder'] or 'none'}; {run.seconds:,.0f} s",
    ]
    for fact in facts:
        click.secho(fact, dim=True)


def _judged_cells(row: JudgedRow) -> list[str]:
    shares = [f"{100 * share:.1f}" for share in (row.judge, row.judge_sd, row.f1)]
    times = [f"{one['p50']:,.0f}" for one in (row.search_ms, row.total_ms)]
    return [f"{row.questions:,}", *shares, f"{row.context_tokens:,.0f}", f"{row.unreadable:,}", *times]


def tell(report: Report, dataset: Dataset) -> None:
    """Print a report: the totals, then the headline metric of every category."""
    if not show.on_terminal():
        _lines(report, dataset)
        return
    counts = report.counts
    counted = next(iter(report.systems.values())).overall.questions
    apart = f" ({counts['questions'] - counted:,} apart)" if counted < counts["questions"] else ""
    about = f"about {counts['turns']:,} turns in {counts['sessions']:,} sessions"
    click.secho(f"\n{dataset.title}: {counted:,} questions{apart} {about}\n", bold=True)
    _totals(report, dataset.shown)
    click.echo()
    _categories(report, dataset.headline)
    click.echo()
    _differences(report, dataset.headline)
    _remarks(report)


def _totals(report: Report, shown: Sequence[str]) -> None:
    columns = [show.Column("system", "bold"), *(show.Column(name, right=True) for name in shown)]
    columns += [show.Column(f"{name} ms", "dim", right=True) for name in ("p50", "p95")]
    rows = []
    for name, system in report.systems.items():
        times = [f"{system.search_ms[which]:.2f}" for which in ("p50", "p95")]
        rows.append([name, *_percents(system.overall, shown), *times])
    show.table(columns, rows, empty="")


def _categories(report: Report, headline: str) -> None:
    """The headline metric: a row for each category, a column for each system."""
    names = [show.Column(name, right=True) for name in report.systems]
    columns = [show.Column(headline, "bold"), show.Column("questions", "dim", right=True), *names]
    by_system = [_rows(system) for system in report.systems.values()]
    rows = [
        [category, f"{row.questions:,}", *(_percents(one[category], [headline])[0] for one in by_system)]
        for category, row in by_system[0].items()
    ]
    show.table(columns, rows, empty="")


def _differences(report: Report, headline: str) -> None:
    for name, system in report.systems.items():
        for other, metrics in system.differences.items():
            gap = metrics[headline]
            span = f"95 % of resamples between {100 * gap.low:+.1f} and {100 * gap.high:+.1f}"
            click.echo(f"{headline}, {name} − {other}: {100 * gap.mean:+.1f} points ({span})")


def _remarks(report: Report) -> None:
    size = next((one.store_bytes for one in report.systems.values() if one.store_bytes), 0)
    facts = [
        *(f"{name} was skipped: {reason}" for name, reason in report.skipped.items()),
        *(f"left out: {number:,} {reason}" for reason, number in report.left_out.items()),
        f"tokens counted by {report.models['tokens']}; embedder: {report.models['embedder'] or 'none'}",
        f"store {size / 1e6:,.1f} MB, peak memory {report.peak_memory_bytes / 1e6:,.0f} MB, {report.seconds:,.0f} s",
    ]
    for fact in facts:
        click.secho(fact, dim=True)


def _lines(report: Report, dataset: Dataset) -> None:
    """For a pipe: a line for each system and category, the totals first."""
    show.tabbed("system", "category", "questions", *dataset.shown)
    for name, system in report.systems.items():
        for category, row in {"total": system.overall, **_rows(system)}.items():
            show.tabbed(name, category, row.questions, *_percents(row, dataset.shown))


def _rows(system: SystemReport) -> dict[str, Row]:
    """Every row below the totals, under a name that says what it is."""
    apart = {f"{name} (apart)": row for name, row in system.apart.items()}
    evidence = {f"evidence: {name}": row for name, row in system.evidence.items()}
    return {**system.categories, **apart, **evidence}


def _percents(row: Row, names: Sequence[str]) -> list[str]:
    return [f"{100 * row.metrics[name]:.1f}" if name in row.metrics else "–" for name in names]


@contextmanager
def _progress(title: str) -> Iterator[Progress]:
    """A line on stderr while a person watches; gives the function that moves it on."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{title} …") as status:
        yield lambda done: status.update(f"{title}: {done:,} questions")
