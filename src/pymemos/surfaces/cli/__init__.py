"""The command line: the verbs of the facade for people at a keyboard and for scripts."""

from pymemos.surfaces.cli import demo, evaluation, memories, transfer, upkeep  # noqa: F401 (their commands register themselves)
from pymemos.surfaces.cli.app import main

__all__ = ["main"]
