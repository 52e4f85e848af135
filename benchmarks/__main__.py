"""The command ``make bench``: runs benchmarks, each by itself, prints, appends to the results and draws them."""

from __future__ import annotations

import argparse
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import benchmarks
from benchmarks._svg import draw
from benchmarks.report import ROOT, Report, show

FOLDER = Path(__file__).parent
RESULTS, PICTURE = FOLDER / "results.jsonl", FOLDER / "results.svg"


def names() -> list[str]:
    """Every benchmark of the package."""
    found = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    return [name for name in found if not name.startswith("_") and name != "report"]


def run(name: str) -> Report | None:
    """Run one benchmark in a process of its own; None when it fails, its error is on the screen then."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, check=False
    )
    return Report.from_json(done.stdout) if done.returncode == 0 else None


def main() -> int:
    """Run those that are named, else all; a figure that is not met is no failure, a benchmark that breaks is."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    asked.add_argument("name", nargs="*", help=f"one of {', '.join(names())}; all of them by default")
    chosen = asked.parse_args().name or names()
    if unknown := sorted(set(chosen).difference(names())):
        asked.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(names())}")
    failed = False
    for name in chosen:
        report = run(name)
        if report is None:
            print(f"benchmarks.{name} failed", file=sys.stderr)
            failed = True
            continue
        show([report])
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(report.as_json() + "\n")
    if RESULTS.exists():
        lines = RESULTS.read_text("utf-8").splitlines()
        PICTURE.write_text(draw([Report.from_json(line) for line in lines]), "utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
