"""Rendering backwards: a line of a prompt, as memories stand in it, read as what the memory said."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

import msgspec

from pymemos.operation.fences import CLOSE, OPEN

_LINE: Final = re.compile(r"- \[(?P<day>\d{4}-\d\d-\d\d)\] (?P<text>.+)", re.DOTALL)
_FENCED: Final = re.compile(rf"(?:agent|tool|web): {OPEN}(?P<text>.+){CLOSE}", re.DOTALL)


class Line(msgspec.Struct, frozen=True):
    """What a line says, and the day that it is of, where it names one."""

    text: str
    day: datetime | None = None


def read_line(line: str) -> Line:
    """The text of a line, without its day and its fence; any other line is all text."""
    found = _LINE.fullmatch(line.strip())
    if found is None:
        return Line(line.strip())
    text = found["text"]
    fenced = _FENCED.fullmatch(text)
    return Line(text if fenced is None else fenced["text"], _day(found["day"]))


def _day(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:  # no day of any calendar, such as 2025-02-31
        return None
