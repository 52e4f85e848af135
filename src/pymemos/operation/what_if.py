"""What-if: the inside of one counterfactual world, and what it comes to (5.4.3)."""

from __future__ import annotations

import threading
from datetime import datetime

import msgspec

from pymemos.cube.cube import MemCube
from pymemos.errors import WorldClosed
from pymemos.operation.retrieval.searcher import Searcher
from pymemos.ports import Overlay


class Imagined(msgspec.Struct, frozen=True, kw_only=True):
    """A memory that a what-if changed: as the store had it at the moment, and as it is there; None where it is not."""

    id: str
    before: MemCube | None
    after: MemCube | None

    @property
    def what(self) -> str:
        """What became of it: added, changed or deleted."""
        if self.before is None:
            return "added"
        return "deleted" if self.after is None else "changed"

    def __str__(self) -> str:
        texts = [cube.text for cube in (self.before, self.after) if cube is not None]
        return f"{self.what} {self.id}: {' → '.join(map(repr, texts))}"


class World:
    """A moment, and what was changed since in this world alone. Time stands still in it: it is always that moment."""

    def __init__(self, at: datetime, overlay: Overlay, searcher: Searcher) -> None:
        self.at = at
        self.lock = threading.Lock()
        self.unembedded: tuple[MemCube, ...] = ()  # what the next search has to embed
        self._inside: tuple[Overlay, Searcher] | None = (overlay, searcher)

    @property
    def overlay(self) -> Overlay:
        """Where its changes are."""
        return self._open()[0]

    @property
    def searcher(self) -> Searcher:
        """Who searches in it."""
        return self._open()[1]

    def close(self) -> None:
        """Let go of everything; closing twice is allowed."""
        self._inside = None

    def _open(self) -> tuple[Overlay, Searcher]:
        if self._inside is None:
            raise WorldClosed()
        return self._inside


def imagined(altered: list[tuple[MemCube | None, MemCube | None]]) -> tuple[Imagined, ...]:
    """What a world changed, conversations' manifests apart: they follow from their messages."""
    return tuple(
        Imagined(id=cube.id, before=before, after=after)
        for before, after in altered
        if (cube := after or before) is not None and not cube.is_episode
    )
