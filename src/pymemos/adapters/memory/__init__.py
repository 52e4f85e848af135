"""The in-memory adapters: the reference that every other adapter is held against."""

from pymemos.adapters.memory.blobs import MemoryBlobs
from pymemos.adapters.memory.store import MemoryStore

__all__ = ["MemoryBlobs", "MemoryStore"]
