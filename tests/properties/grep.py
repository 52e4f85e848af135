"""A process that searches the files of a folder for bytes, as somebody would who has nothing but the folder.

Not the product's own search, which is under test; and a process of its own, for to open a database's file in a process
that has it open would drop SQLite's locks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

PROGRAM = """
import json, pathlib, sys
for line in sys.stdin:
    folder, wanted = json.loads(line)
    files = [(str(path), path.read_bytes()) for path in pathlib.Path(folder).rglob("*") if path.is_file()]
    found = [(needle, name) for needle in wanted for name, data in files if bytes.fromhex(needle) in data]
    print(json.dumps(found), flush=True)
"""


class Grep:
    """The process; started with the first question."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, folder: Path, wanted: Iterable[bytes]) -> list[tuple[bytes, str]]:
        """Which of the bytes stand in which file."""
        if self._process is None:
            program = [sys.executable, "-c", PROGRAM]
            self._process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(folder), [needle.hex() for needle in wanted]]) + "\n")
        self._process.stdin.flush()
        found: list[tuple[str, str]] = json.loads(self._process.stdout.readline())
        return [(bytes.fromhex(needle), Path(name).name) for needle, name in found]

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.communicate()
