"""An interrupt (Ctrl-C) comes at any moment of a write: the store stays usable, here and for other processes."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import apsw
import pytest

from pymemos.adapters.sqlite import SqliteStore
from pymemos.adapters.sqlite.store import DATABASE, TICKET
from pymemos.ports import Store, WriteUnit


class Interrupt:
    """Raises KeyboardInterrupt at one of the places where Python delivers a signal: as a call begins or comes back."""

    def __init__(self, place: int) -> None:
        self._left = place

    def __call__(self, _frame: FrameType, event: str, _argument: Any) -> None:
        if event in ("call", "c_return"):
            self._left -= 1
            if self._left < 0:
                sys.setprofile(None)
                raise KeyboardInterrupt


class OtherProcess:
    """What another process meets: the ticket and SQLite's own lock, neither of which it waits for."""

    def __init__(self, home: Path) -> None:
        self._ticket = os.open(home / TICKET, os.O_RDWR)
        self._connection = apsw.Connection(str(home / DATABASE))

    def can_write(self) -> bool:
        try:
            fcntl.flock(self._ticket, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._connection.execute("BEGIN IMMEDIATE; ROLLBACK")
        except (BlockingIOError, apsw.BusyError):
            return False
        finally:
            fcntl.flock(self._ticket, fcntl.LOCK_UN)
        return True

    def close(self) -> None:
        os.close(self._ticket)
        self._connection.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "home")
    yield store
    store.close()


@pytest.fixture
def other(store: SqliteStore) -> Iterator[OtherProcess]:
    other = OtherProcess(store.home)
    yield other
    other.close()


class Refused(Exception):
    """What a closure raises on purpose."""


def writes(unit: WriteUnit) -> None:
    unit.set_setting("written", "1")


def refuses(unit: WriteUnit) -> None:
    unit.set_setting("written", "1")
    raise Refused


def is_interrupted(store: Store, work: Callable[[WriteUnit], None], place: int) -> bool:
    """Write, with an interrupt at a place; says whether the write was not over before."""
    sys.setprofile(Interrupt(place))
    try:
        store.write(work)
    except Refused:
        return False
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


@pytest.mark.parametrize("work", [writes, refuses])
def test_an_interrupt_anywhere_in_a_write_leaves_nothing_locked(
    store: SqliteStore, other: OtherProcess, work: Callable[[WriteUnit], None]
) -> None:
    place, locked = 0, []
    while is_interrupted(store, work, place):
        if not other.can_write():
            locked.append(place)
        store.write(writes)
        place += 1

    assert locked == []
    assert place > 20
