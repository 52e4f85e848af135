"""The documents run: every Python block of the README and of docs/ is a program that works."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python(?P<info>[^\n]*)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"no-run: \S.*")


def _blocks() -> Iterator[tuple[str, str, str]]:
    """Where each block is, what its info string says after the language, and its code."""
    for page in PAGES:
        text = page.read_text()
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start()) + 1
            yield f"{page.relative_to(ROOT)}:{line}", block["info"].strip(), block["code"]


BLOCKS = list(_blocks())


@pytest.mark.parametrize(("where", "code"), [pytest.param(w, code, id=w) for w, info, code in BLOCKS if not info])
def test_a_python_block_runs(where, code, tmp_path):
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]

    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False)

    assert run.returncode == 0, f"{where}\n{run.stderr}"


def test_a_block_that_does_not_run_gives_its_reason():
    silent = [where for where, info, _ in BLOCKS if info and not NOT_RUN.fullmatch(info)]

    assert [] == silent


def test_the_readme_shows_code_that_runs():
    assert any(where.startswith("README.md") and not info for where, info, _ in BLOCKS)
