"""The public API type-checks as users write it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_public_api_passes_mypy_strict():
    command = [sys.executable, "-m", "mypy", "--strict", "tests/typing/api.py"]

    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout + run.stderr
