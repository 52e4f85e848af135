"""UUIDv7 (RFC 9562): ids that sort by the time they were made at and, within a process, by the order of making."""

from __future__ import annotations

import os
import re
import secrets
import struct
import threading
from datetime import datetime
from typing import Final

from pymemos.cube.filters import microseconds

_TAIL_BITS: Final = 74  # what version and variant leave of the 80 bits behind the milliseconds
_STEPS: Final = struct.Struct("<64I")  # random steps, drawn together; they keep the next id from being guessed
_TEXT: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def new_id(at: datetime) -> str:
    """A new id made at ``at``; one that is not later than the last id's time shares that time and sorts behind it."""
    return _GENERATOR.next(at)


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
        self._at: datetime | None = None  # of the last call: the ids of a batch are made at one time
        self._asked = 0  # the same in milliseconds since 1970
        self._milliseconds = -1
        self._tail = 0
        self._steps: list[int] = []

    def next(self, at: datetime) -> str:
        with self._lock:
            if at is not self._at:
                self._at, self._asked = at, max(0, microseconds(at) // 1000)
            if not self._steps:
                self._steps.extend(_STEPS.unpack(os.urandom(_STEPS.size)))
            self._tail += 1 + self._steps.pop()
            if self._asked > self._milliseconds or self._tail >> _TAIL_BITS:
                self._milliseconds = max(self._asked, self._milliseconds + 1)
                self._tail = secrets.randbits(_TAIL_BITS - 1)  # the highest bit is left free for the steps
            return format_id(self._milliseconds, self._tail)

    def forget_steps(self) -> None:
        """Draw the next steps anew: else a fork would make the ids of the process that it came from."""
        self._steps.clear()


_GENERATOR: Final = _Generator()
os.register_at_fork(after_in_child=_GENERATOR.forget_steps)
