"""Cases: a conversation with the questions that it answers, in one form for every benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec


class Turn(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message; its id is unique within the case."""

    id: str
    text: str
    role: str = "user"
    speaker: str | None = None  # a name, where the benchmark gives one
    at: datetime | None = None

    @property
    def said(self) -> str:
        """The text behind the name of who said it, as baselines index it; a role is no name."""
        return f"{self.speaker}: {self.text}" if self.speaker else self.text

    @property
    def line(self) -> str:
        """The turn as a prompt would hold it, and as token budgets count it: ``[date] Name: text``."""
        named = f"{self.speaker or self.role}: {self.text}"
        return f"[{self.at:%Y-%m-%d}] {named}" if self.at else named


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Turns that belong together, in the order in which they were said."""

    id: str
    turns: tuple[Turn, ...]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A question with the ids of the turns that answer it.

    One without evidence cannot be scored by what is found. ``sessions`` are the sessions that answer it, where the
    benchmark names them; ``asked`` is when it is asked.
    """

    id: str
    text: str
    category: str
    answer: str = ""
    evidence: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    asked: datetime | None = None


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What one user said, and what is asked about it; ``dangling`` counts evidence that names no turn."""

    id: str
    sessions: tuple[Session, ...]
    questions: tuple[Question, ...]
    dangling: int = 0

    @property
    def turns(self) -> Iterator[Turn]:
        """Every turn, in order."""
        return (turn for session in self.sessions for turn in session.turns)
