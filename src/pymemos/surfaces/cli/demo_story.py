"""The story that the demonstration plays: who said what and when, what is asked of it, and what changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import msgspec

PACE = timedelta(minutes=1)  # between two messages: the story dates its sessions only


class Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message."""

    id: str
    name: str
    role: str
    text: str


class Session(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One sitting; the message at place ``n``, from 0, is said ``n`` minutes after the timestamp."""

    id: str
    timestamp: datetime
    title: str
    turns: tuple[Turn, ...]

    @property
    def ends(self) -> datetime:
        """When everything has been said."""
        return self.timestamp + PACE * len(self.turns)

    def dated(self) -> Iterator[tuple[Turn, datetime]]:
        """The messages with their times."""
        for place, turn in enumerate(self.turns):
            yield turn, self.timestamp + PACE * place

    def messages(self) -> list[dict[str, Any]]:
        """The messages in OpenAI form, as ``add`` takes them."""
        return [
            {"role": turn.role, "name": turn.name, "content": turn.text, "timestamp": at, "id": turn.id}
            for turn, at in self.dated()
        ]


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question, the messages that answer it (none where nobody said it), and what there is to learn from it."""

    kind: str
    ask: str
    evidence: tuple[str, ...]
    note: str = ""


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A moment to ask about: what was true then, what was known then, or what is known now."""

    note: str
    valid_at: datetime | None = None
    known_at: datetime | None = None


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The message ``turn`` says ``text`` from ``at`` on; with ``all_along`` that was true since it was first said."""

    title: str
    lead: str
    turn: str
    ask: str
    text: str
    at: datetime
    looks: tuple[Look, ...]
    lesson: str
    all_along: bool = False


class Story(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that is played."""

    intro: str
    people: tuple[str, ...]
    sessions: tuple[Session, ...]
    questions: tuple[Question, ...]
    changes: tuple[Change, ...]

    def said_at(self, turn: str) -> datetime:
        """When the message of that id was said."""
        return next(at for session in self.sessions for one, at in session.dated() if one.id == turn)


class StoryClock:
    """A clock that stands where the story stands, and runs on from there.

    The store is told each session on its own evening, so what it knew in June can be asked for later.
    """

    def __init__(self) -> None:
        self._off = timedelta()

    def turn_to(self, time: datetime) -> None:
        """Make it ``time`` now."""
        self._off = time - datetime.now(UTC)

    def release(self) -> None:
        """Let it be as late as it really is."""
        self._off = timedelta()

    def __call__(self) -> datetime:
        """The time of the story."""
        return datetime.now(UTC) + self._off


def load() -> Story:
    """The story that comes with the package."""
    file = resources.files("pymemos.surfaces.cli") / "demo_conversation.json"
    return msgspec.json.decode(file.read_bytes(), type=Story)
