"""What the reliability tests share: programs of this folder, threads that wait, and the proof that a store is sound."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from pymemos import MemOS
from pymemos.adapters.sqlite import SqliteStore
from pymemos.errors import StoreError
from pymemos.infrastructure.audit import first_broken, instance_key
from pymemos.ports import AuditQuery, AuditRecord, Store, WriteUnit

ROOT = Path(__file__).parents[2]
EVERY_RECORD = AuditQuery(limit=10_000_000)


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a program of this folder; what it prints can be read line by line."""
    return subprocess.Popen(
        [sys.executable, "-m", f"tests.reliability.{program}", *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def say(**line: Any) -> None:
    """Print one line of JSON in one call to the system, so that it is whole or not there."""
    os.write(1, (json.dumps(line) + "\n").encode())


def heard(lines: list[str]) -> list[dict[str, Any]]:
    """What a program said, but for a last line that was cut off."""
    return [json.loads(line) for line in lines if line.endswith("\n")]


class Waiting(threading.Thread):
    """Another thread with a closure in the queue that waits before its turn, so that somebody else carries it out."""

    def __init__(self, store: Store, name: str, work: Callable[[WriteUnit], None]) -> None:
        super().__init__(daemon=True, name=name)
        self.told: object = "nothing"
        self._store, self._work = store, work
        self._queued, self._may_go_on = threading.Event(), threading.Event()
        self.start()
        assert self._queued.wait(5)

    def run(self) -> None:
        sys.setprofile(self._pause)
        try:
            self._store.write(self._work)
            self.told = "written"
        except StoreError as error:
            self.told = error
        except KeyboardInterrupt:
            self.told = "interrupted"

    def _pause(self, frame: FrameType, event: str, function: Any) -> None:
        if event == "c_return" and function.__name__ == "append" and frame.f_code.co_name == "write":
            sys.setprofile(None)
            self._queued.set()
            self._may_go_on.wait()

    def go_on(self) -> None:
        self._may_go_on.set()
        self.join(5)
        assert not self.is_alive()


def audited(home: Path) -> list[AuditRecord]:
    """Every audit entry of the store, oldest first in each chain."""
    store = SqliteStore(home)
    try:
        with store.read() as unit:
            return sorted(unit.audit(EVERY_RECORD), key=lambda record: (record.namespace, record.n))
    finally:
        store.close()


def assert_sound(home: Path) -> None:
    """All parts of the store agree, and no audit entry is missing or changed."""
    with MemOS(home) as mem:
        assert [finding for finding in mem.doctor() if not finding.ok] == []
    store = SqliteStore(home)
    try:
        with store.read() as unit:
            key = instance_key(Path(os.environ["PYMEMOS_CONFIG_DIR"]), unit.setting("store_id") or "")
            records = unit.audit(EVERY_RECORD)
    finally:
        store.close()
    for namespace in {record.namespace for record in records}:
        chain = sorted((one for one in records if one.namespace == namespace), key=lambda one: one.n)
        assert first_broken(chain, key) is None, namespace
