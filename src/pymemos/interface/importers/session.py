"""What parsers and runners share: sessions of messages, what could not be read, and how far an import is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from pymemos.cube.header import SemanticType
from pymemos.errors import InvalidInput
from pymemos.interface.requests import Message


class Kind(StrEnum):
    """What can be taken in, beside JSON Lines."""

    CHATGPT = "chatgpt"
    MARKDOWN = "markdown"
    LOCOMO = "locomo"


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Messages that belong together, in their order, and what they have in common; each message has an id.

    ``where`` is the file and the place in it, for whoever has to mend something.
    """

    id: str
    where: str
    messages: tuple[Message, ...]
    type: SemanticType = SemanticType.MESSAGE
    at: datetime | None = None  # of messages that have no time of their own
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """A file, session or message that could not be taken in: where it is and what is wrong with it."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


Found = Session | Broken


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What a parser found: how much it is, and the sessions one by one, read when they are asked for."""

    total: int
    sessions: Iterator[Found]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far an import is: so many of so many conversations or notes, and which one was last."""

    done: int
    total: int
    what: str


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did, counted in messages or passages.

    ``missing`` are passages that are in the memory and no longer in the folder; they are kept. With ``prune`` they are
    deleted, and are in ``pruned`` instead.
    """

    sessions: int = 0
    written: int = 0
    known: int = 0
    updated: int = 0
    missing: tuple[str, ...] = ()
    pruned: tuple[str, ...] = ()
    broken: tuple[Broken, ...] = ()


OnProgress = Callable[[Progress], object]


def attempt(where: str, make: Callable[[], Session]) -> Found:
    """What ``make`` gives, or what is wrong with it."""
    try:
        return make()
    except InvalidInput as error:
        return Broken(where=where, reason=str(error))
