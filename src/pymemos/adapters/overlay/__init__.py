"""The overlay adapter: a store as it was at one moment, with changes that live in memory alone (5.4.3, what-if)."""

from pymemos.adapters.overlay.overlay import MemoryOverlay

__all__ = ["MemoryOverlay"]
