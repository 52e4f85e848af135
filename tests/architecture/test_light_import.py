"""Importing is light: what a program does not use, it does not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

MODELS = {"torch", "transformers", "fastapi", "openai", "numpy"}


def _loaded(program: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after ``program``."""
    report = "import sys; sys.stderr.write(' '.join({name.partition('.')[0] for name in sys.modules}))"
    run = subprocess.run([sys.executable, "-c", f"{program}\n{report}"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return set(run.stderr.split())


@pytest.mark.parametrize(
    "program",
    ["import pymemos", "from pymemos import MemOS"],
    ids=["the package", "the facade"],
)
def test_the_library_loads_no_model_server_or_terminal_library(program):
    loaded = _loaded(program)

    assert set() == loaded & (MODELS | {"rich", "click"})


def test_the_help_of_the_command_line_loads_no_model_or_server_library():
    program = "\n".join(
        [
            "from pymemos.surfaces.cli import main",
            "try: main(['--help'])",
            "except SystemExit: pass",
        ]
    )

    assert set() == _loaded(program) & MODELS
