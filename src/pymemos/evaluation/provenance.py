"""Provenance: what a figure depends on, told without the names of people, hosts or folders."""

from __future__ import annotations

import os
import platform
import resource
import sys
from pathlib import Path
from typing import Any

import pymemos

_PACKAGE = Path(pymemos.__file__).parent


def commit(package: Path = _PACKAGE) -> str | None:
    """The commit of the checkout that the package is run from; None for one that was installed."""
    git = package.parents[1] / ".git"
    if package.parent.name != "src" or not git.is_dir():
        return None
    head = (git / "HEAD").read_text("utf-8").strip()
    name = head.removeprefix("ref: ")
    if name == head:
        return head
    loose = git / name
    return loose.read_text("utf-8").strip() if loose.is_file() else _packed(git / "packed-refs", name)


def machine() -> dict[str, Any]:
    """The processors, the interpreter and the system."""
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def peak_memory() -> int:
    """The most memory that this process held so far, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def size_of(folder: Path) -> int:
    """The bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _packed(refs: Path, name: str) -> str | None:
    lines = refs.read_text("utf-8").splitlines() if refs.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), None)
