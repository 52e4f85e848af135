"""The import of other programs' archives: its progress, as a bar or as lines of JSON, and what it brought."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
import msgspec

from pymemos.surfaces.cli.app import FAILED, Shell

if TYPE_CHECKING:
    from pymemos.interface.importers.session import ImportReport, Progress

KINDS = ("chatgpt", "markdown", "locomo")
NAMED = 10  # passages that a person is told by name


def take_in(shell: Shell, path: str, kind: str, *, prune: bool, **identity: str | None) -> int:
    """Import ``path`` and tell what came of it; gives the exit code."""
    with shell.open(create=True) as mem, _progress(shell) as tell:
        try:
            report = mem.import_from(path, kind=kind, prune=prune, on_progress=tell, **identity)
        except KeyboardInterrupt:
            click.echo(f"Interrupted; import {path} again and it goes on where it was.", err=True)
            raise
    if shell.json:
        shell.answer(report)
    else:
        _say(report)
    return FAILED if report.broken else 0


@contextmanager
def _progress(shell: Shell) -> Iterator[Callable[[Progress], object]]:
    """What is told of the progress, on stderr: lines for a program, a bar while a person watches, else nothing."""
    if shell.json:
        yield _say_percent
    elif sys.stderr.isatty():
        with _bar() as tell:
            yield tell
    else:
        yield lambda _: None


def _say_percent(progress: Progress) -> None:
    """A line of JSON at each new percent, so that a long import does not fill a log."""
    if progress.done * 100 // progress.total > (progress.done - 1) * 100 // progress.total:
        click.echo(msgspec.json.encode(progress), err=True)


@contextmanager
def _bar() -> Iterator[Callable[[Progress], object]]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = [TextColumn("Importing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    what = TextColumn("[dim]{task.description}")
    with Bar(*columns, what, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda now: bar.update(task, completed=now.done, total=now.total, description=escape(now.what))


def _say(report: ImportReport) -> None:
    parts = [f"Imported {report.written:,}"]
    parts += [f"updated {report.updated:,}"] if report.updated else []
    parts += [f"known already {report.known:,}"]
    parts += [f"deleted {len(report.pruned):,}"] if report.pruned else []
    click.echo(f"{', '.join(parts)}, broken {len(report.broken):,}; from {report.sessions:,} conversations or notes.")
    if report.missing:
        click.echo(f"No longer in the folder, and kept: {len(report.missing):,} (--prune deletes them):", err=True)
        named = [*report.missing[:NAMED], *(["…"] if len(report.missing) > NAMED else [])]
        click.echo("\n".join(f"  {source}" for source in named), err=True)
    for one in report.broken:
        click.echo(str(one), err=True)
