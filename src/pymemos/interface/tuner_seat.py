"""The tuner of a system, opened when it is first needed: a local model takes its time to load."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from pymemos.cube.payload import ModelRef
from pymemos.errors import ModelError
from pymemos.ports import Engine, Tuner

NO_TUNER: Final = "there is no local model that learns; pass engine= with one, or name one in the settings"
Pair = tuple[Engine, Tuner]


class TunerSeat:
    """The local model and what trains adapters for it; ``learns`` says that there may be one."""

    def __init__(self, open_both: Callable[[], Pair | None], *, learns: bool) -> None:
        self._open, self.learns = open_both, learns
        self._lock = threading.Lock()
        self._made: Pair | None = None

    def needed(self) -> Pair:
        """Both of them; raises ModelError where there is none. Slow when it is first called, so never in a unit."""
        made = self.opened()
        if made is None:
            raise ModelError(NO_TUNER)
        return made

    def opened(self) -> Pair | None:
        """Both of them, or nothing where there is no local model that learns."""
        with self._lock:
            if self._made is None and self.learns:
                self._made = self._open()
            return self._made

    @property
    def ref(self) -> ModelRef | None:
        """The model that adapters are used with, once it is opened."""
        made = self._made
        return None if made is None else made[1].ref
