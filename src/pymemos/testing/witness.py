"""WitnessStore: another store, with a record of everything that reaches it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pymemos.cube.erasure import Verification
from pymemos.ports import BlobStore, Finding, ReadUnit, Store, WriteUnit

T = TypeVar("T")


class WitnessStore(Store):
    """Passes everything on to ``inner``; ``seen`` says what was opened or done, in order: read, write, check, …"""

    def __init__(self, inner: Store) -> None:
        super().__init__()
        self.seen: list[str] = []
        self._inner = inner

    @property
    def units(self) -> int:
        """How many units of work were opened."""
        return sum(kind in ("read", "write") for kind in self.seen)

    @contextmanager
    def _read(self) -> Iterator[ReadUnit]:
        self.seen.append("read")
        with self._inner.read() as unit:
            yield unit

    def _write(self, work: Callable[[WriteUnit], T]) -> T:
        self.seen.append("write")
        return self._inner.write(work)

    def _close(self) -> None:
        self.seen.append("close")
        self._inner.close()

    def _check(self) -> list[Finding]:
        self.seen.append("check")
        return self._inner.check()

    def _backup(self, target: Path) -> None:
        self.seen.append("backup")
        self._inner.backup(target)

    def _scrub(self, erasure: str, blobs: BlobStore) -> Verification:
        self.seen.append("scrub")
        return self._inner.scrub(erasure, blobs)

    def _remnants(self) -> Verification:
        self.seen.append("remnants")
        return self._inner.remnants()
