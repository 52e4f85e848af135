"""MemoryOverlay: an overlay that is gone with the object."""

from __future__ import annotations

from datetime import datetime

from pymemos.adapters.overlay.held import Held
from pymemos.adapters.overlay.unit import OverlayUnit
from pymemos.ports import OverlaidUnit, Overlay, ReadUnit


class MemoryOverlay(Overlay):
    """Whoever uses one from several threads takes turns."""

    def __init__(self, at: datetime) -> None:
        self._held = Held(at=at)

    def over(self, base: ReadUnit) -> OverlayUnit:
        return OverlayUnit(base, self._held.copied())

    def keep(self, unit: OverlaidUnit) -> None:
        if not isinstance(unit, OverlayUnit):
            raise TypeError("an overlay keeps what its own units changed")
        self._held = unit.held
