"""The report of a benchmark: rows, the figures that they have to reach, and what could not be measured here."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[1]
Measure = Callable[[], Iterable["Row"]]


class Skip(Exception):
    """What is to be measured cannot run here; the message says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure; without one to reach it is met."""

    metric: str
    value: float
    unit: str
    reach: float | None = None
    met: bool = True

    @classmethod
    def at_most(cls, metric: str, value: float, unit: str, reach: float) -> Self:
        """A figure that should be small."""
        shown = rounded(value)
        return cls(metric, shown, unit, reach, shown <= reach)

    @classmethod
    def at_least(cls, metric: str, value: float, unit: str, reach: float) -> Self:
        """A figure that should be large."""
        shown = rounded(value)
        return cls(metric, shown, unit, reach, shown >= reach)

    @classmethod
    def plain(cls, metric: str, value: float, unit: str) -> Self:
        """A figure for the record."""
        return cls(metric, rounded(value), unit)

    @property
    def goal(self) -> str:
        """The figure to reach as text; its direction follows from value and verdict."""
        return "" if self.reach is None else f"{'≤' if self._small else '≥'} {self.reach:g}"

    @property
    def score(self) -> float | None:
        """The value relative to its reach: 1 is just reached, less is better, whatever the direction."""
        if self.reach is None:
            return None
        value, reach = max(self.value, 1e-9), max(self.reach, 1e-9)
        return value / reach if self._small else reach / value

    @property
    def _small(self) -> bool:
        return self.reach is not None and (self.value <= self.reach) == self.met


@dataclass(frozen=True, slots=True)
class Report:
    """What one run of a benchmark found."""

    name: str
    commit: str
    machine: Mapping[str, Any]
    rows: Sequence[Row]
    skipped: Sequence[Mapping[str, str]]

    def as_json(self) -> str:
        """The report as one line."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Self:
        """The report that a line holds."""
        fields = json.loads(line)
        return cls(**{**fields, "rows": [Row(**row) for row in fields["rows"]]})


def rounded(value: float) -> float:
    """Four significant digits: more would be noise, and what is judged is what is shown."""
    return float(f"{value:.4g}")


def machine() -> dict[str, Any]:
    """What a figure depends on, without names of hosts or folders."""
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def commit() -> str:
    """The commit that is measured, with a plus where the tree differs from it."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--", "src") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def measure(name: str, measures: Mapping[tuple[str, ...], Measure], *, only: str | None = None) -> Report:
    """Run the measures, or the one that gives the metric ``only``.

    An interrupt ends the one that runs, and those behind it are left out by name: what an hour has measured is kept.
    """
    rows: list[Row] = []
    skipped: list[dict[str, str]] = []
    is_over = False
    for metrics, run in measures.items():
        if only is not None and only not in metrics:
            continue
        _say(f"{name}: {', '.join(metrics)} …")
        try:
            if is_over:
                raise Skip("the run was interrupted before")
            rows += run()
        except Skip as skip:
            skipped += [{"metric": metric, "reason": str(skip)} for metric in metrics]
        except KeyboardInterrupt:
            is_over = True
            skipped += [{"metric": metric, "reason": "it was interrupted"} for metric in metrics]
    if only is not None:
        rows = [row for row in rows if row.metric == only]
        skipped = [one for one in skipped if one["metric"] == only]
    return Report(name, commit(), machine(), rows, skipped)


def main(name: str, measures: Mapping[tuple[str, ...], Measure], arguments: Sequence[str] | None = None) -> None:
    """The command line of a benchmark."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    parser.add_argument("--only", metavar="METRIC", choices=[one for metrics in measures for one in metrics])
    options = parser.parse_args(arguments)
    report = measure(name, measures, only=options.only)
    if options.json:
        print(report.as_json())
    else:
        show([report])


def show(reports: Sequence[Report]) -> None:
    """Print reports as a table."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for report in reports:
        of = report.machine
        table = Table("metric", title=f"{report.name} at {report.commit}: {of['platform']}, {of['cpus']} CPUs")
        for column in ("value", "unit", "to reach", ""):
            table.add_column(column, justify="right" if column in ("value", "to reach") else "left", no_wrap=True)
        for row in report.rows:
            verdict = "" if row.reach is None else "[green]✓ met[/]" if row.met else "[bold red]✗ not met[/]"
            table.add_row(row.metric, f"{row.value:g}", row.unit, row.goal, verdict)
        for one in report.skipped:
            table.add_row(one["metric"], "–", "", "", f"[dim]skipped: {one['reason']}[/]")
        console.print(table)


def _git(*arguments: str) -> str:
    run = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(text, file=sys.stderr)
