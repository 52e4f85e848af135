"""An interrupt (Ctrl-C) comes at any moment of a write: the store stays usable, here and for other processes."""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import apsw
import pytest
from tests.reliability.support import Waiting

from pymemos.adapters.sqlite import SqliteStore
from pymemos.adapters.sqlite.store import DATABASE, TICKET
from pymemos.errors import StoreError
from pymemos.ports import Store, WriteUnit


class Interrupt:
    """Raises KeyboardInterrupt at one of the places where Python delivers a signal: as a call begins or comes back."""

    def __init__(self, place: int, *, behind: str = "") -> None:
        self._left = place
        self._behind = behind  # the one built-in function that counts, if one is named

    def __call__(self, frame: FrameType, event: str, function: Any) -> None:
        if self._behind and (event != "c_return" or function.__name__ != self._behind):
            return
        # Not where the garbage collector calls back, for what is raised there comes to nobody.
        if event in ("call", "c_return") and not frame.f_code.co_filename.endswith("weakrefset.py"):
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


def is_interrupted(store: Store, work: Callable[[WriteUnit], None], interrupt: Interrupt) -> bool:
    """Write, with an interrupt; says whether the write was not over before."""
    gc.disable()  # what is raised in its callbacks comes to nobody
    sys.setprofile(interrupt)
    try:
        store.write(work)
    except Refused:
        return False
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
        gc.enable()
    return False


@pytest.mark.parametrize("work", [writes, refuses])
def test_an_interrupt_anywhere_in_a_write_leaves_nothing_locked(
    store: SqliteStore, other: OtherProcess, work: Callable[[WriteUnit], None]
) -> None:
    place, locked = 0, []
    while is_interrupted(store, work, Interrupt(place)):
        if not other.can_write():
            locked.append(place)
        store.write(writes)
        place += 1

    assert locked == []
    assert place > 20


def test_nothing_is_remembered_of_a_write_that_failed_and_was_interrupted_as_it_did(store: SqliteStore) -> None:
    place, believed = 0, []
    while is_interrupted(store, refuses, Interrupt(place)):
        if store.write(lambda unit: unit.setting("written")) is not None:
            believed.append(place)
        place += 1

    assert believed == []
    assert place > 20


def sets(name: str) -> Callable[[WriteUnit], None]:
    return lambda unit: unit.set_setting(name, "written")


def test_an_interrupt_anywhere_in_a_shared_write_leaves_nobody_behind_and_tells_the_truth(store: SqliteStore) -> None:
    place, interrupted = 0, True
    while interrupted:
        others = [Waiting(store, f"{name}{place}", sets(f"{name}{place}")) for name in "ab"]
        interrupted = is_interrupted(store, writes, Interrupt(place))
        for other in others:
            other.go_on()
        with store.read() as unit:
            written = [unit.setting(other.name) == "written" for other in others]
        assert written == [other.told == "written" for other in others], place
        assert all(other.told == "written" or isinstance(other.told, StoreError) for other in others), place
        place += 1

    assert written == [True, True]
    assert place > 30


def test_an_interrupt_in_somebody_elses_closure_is_of_the_thread_that_runs_it(store: SqliteStore) -> None:
    def pressed(unit: WriteUnit) -> None:
        unit.set_setting("pressed", "1")
        signal.raise_signal(signal.SIGINT)

    other = Waiting(store, "other", pressed)
    with pytest.raises(KeyboardInterrupt):
        store.write(writes)
    other.go_on()

    assert isinstance(other.told, StoreError)
    with store.read() as unit:
        assert (unit.setting("pressed"), unit.setting("written")) == (None, None)


def test_a_write_that_was_interrupted_before_its_turn_is_not_done_later(store: SqliteStore) -> None:
    queued = Interrupt(0, behind="append")
    assert is_interrupted(store, writes, queued)

    store.write(sets("later"))

    with store.read() as unit:
        assert (unit.setting("later"), unit.setting("written")) == ("written", None)
