"""UUIDv7 (RFC 9562): ids that sort by the time they were made at and, within a process, by the order of making."""

from __future__ import annotations

import os
import re
import secrets
import threading
from datetime import datetime
from typing import Final

from pymemos.cube.filters import microseconds

_TAIL_BITS: Final = 74  # what version and variant leave of the 80 bits behind the milliseconds
_STEP_BYTES: Final = 4  # random steps keep the next id within a millisecond from being guessed
_TEXT: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def new_id(at: datetime) -> str:
    """A new id made at ``at``; one that is not later than the last id's time shares that time and sorts behind it."""
    return _GENERATOR.next(max(0, microseconds(at) // 1000))


def is_id(text: str) -> bool:
    """Whether ``text`` is a UUIDv7 in its canonical form, in small letters."""
    return _TEXT.fullmatch(text) is not None


def format_id(milliseconds: int, tail: int) -> str:
    """The UUIDv7 with this time since 1970 and these 74 bits behind it."""
    high, low = tail >> 62, 0x8000 << 48 | tail & (1 << 62) - 1
    return (
        f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7{high:03x}-{low >> 48:04x}-{low & 0xFFFFFFFFFFFF:012x}"
    )


class _Generator:
    """The last id made; RFC 9562 6.2, method 2: within a millisecond, the tail is raised by a random step."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._milliseconds = -1
        self._tail = 0

    def next(self, milliseconds: int) -> str:
        with self._lock:
            self._tail += 1 + int.from_bytes(os.urandom(_STEP_BYTES))
            if milliseconds > self._milliseconds or self._tail >> _TAIL_BITS:
                self._milliseconds = max(milliseconds, self._milliseconds + 1)
                self._tail = secrets.randbits(_TAIL_BITS - 1)  # the highest bit is left free for the steps
            return format_id(self._milliseconds, self._tail)


_GENERATOR: Final = _Generator()
