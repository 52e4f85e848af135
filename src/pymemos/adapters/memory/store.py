"""MemoryStore: the reference twin of every store, plain dicts that are simple before they are fast."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pymemos.adapters.memory.reading import MemoryReadUnit
from pymemos.adapters.memory.state import Memory, State
from pymemos.adapters.memory.writing import MemoryWriteUnit
from pymemos.cube.erasure import Verification
from pymemos.errors import StoreError
from pymemos.ports import BlobStore, Finding, ReadUnit, Store, WriteUnit

T = TypeVar("T")


class MemoryStore(Store):
    """A store that is gone with the process.

    It shares no helper with the adapters that are held against it. A write changes a copy of the state and publishes
    it when the closure has returned; a closure that raises leaves its copy to the garbage collector, and a reader
    keeps the state that it began with.
    """

    def __init__(self) -> None:
        super().__init__()
        self._state = State()
        self._lock = threading.Lock()

    @contextmanager
    def _read(self) -> Iterator[ReadUnit]:
        yield MemoryReadUnit(self._state)

    def _write(self, work: Callable[[WriteUnit], T]) -> T:
        with self._lock:
            changed = self._state.copied()
            result = work(MemoryWriteUnit(changed))
            self._state = changed
            return result

    def _close(self) -> None:
        self._state = State()

    def _check(self) -> list[Finding]:
        state = self._state
        memories = list(state.memories.values())
        chained = all([entry.n for entry in chain] == list(range(1, len(chain) + 1)) for chain in state.audit.values())
        homeless = {memory.namespace for memory in memories} - state.namespaces.keys()
        return [
            _finding("versions", [id for id, memory in state.memories.items() if not _whole(memory)], len(memories)),
            _finding("namespaces", sorted(homeless), len(state.namespaces)),
            Finding(check="audit", ok=chained, detail=f"{len(state.audit)} chains"),
        ]

    def _scrub(self, erasure: str, blobs: BlobStore) -> Verification:
        with self._lock:
            named = MemoryReadUnit(self._state).blobs()
            for blob in self._state.doomed.get(erasure, ()):
                if blob not in named:
                    blobs.remove(blob)
            changed = self._state.copied()
            changed.doomed.pop(erasure, None)
            self._state = changed
        return Verification(method="memory")

    def _remnants(self) -> Verification:
        return Verification(method="memory")

    def _backup(self, target: Path) -> None:
        raise StoreError(f"a memory store has no file to back up to {str(target)!r}; open a folder instead")


def _finding(check: str, wrong: list[str], examined: int) -> Finding:
    return Finding(check=check, ok=not wrong, detail=f"wrong: {', '.join(wrong)}" if wrong else f"{examined} examined")


def _whole(memory: Memory) -> bool:
    """Whether all versions but the last are closed, the last is open unless deleted, and vectors agree with that."""
    *earlier, last = memory.rows
    open_vectors = any(stored.seq_to is None for stored in memory.vectors)
    return (
        all(not row.current and row.seq_to is not None for row in earlier)
        and last.current == (memory.retired is None)
        and not (open_vectors and memory.retired is not None)
    )
