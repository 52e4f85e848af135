"""The command line: the verbs of the facade for people at a keyboard and for scripts."""

from pymemos.surfaces.cli import (  # noqa: F401 (their commands register themselves)
    access,
    adapters,
    auditing,
    chatting,
    demo,
    erasing,
    evaluation,
    kv,
    lifecycle,
    memories,
    merging,
    models,
    privacy,
    provenance,
    scheduling,
    signing,
    steering,
    time_machine,
    transfer,
    transforming,
    upkeep,
    what_if,
)
from pymemos.surfaces.cli.app import main

__all__ = ["main"]
