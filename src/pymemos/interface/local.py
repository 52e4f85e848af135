"""The local model of a process: opened when something first needs its state, with what injects and encodes for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pymemos.cube.segment import SegmentSource
from pymemos.interface.segments import SegmentIndex
from pymemos.operation import replies, tiers
from pymemos.operation.replies import Injection

if TYPE_CHECKING:
    from pymemos.interface.encoding import Encoder
    from pymemos.interface.injecting import Injector, Who
    from pymemos.operation.layout import Note
    from pymemos.ports import Engine, Prompt

_TIERS: Final = {  # where a segment lay, as the reply tells it
    tiers.Tier.DEVICE: replies.Tier.KV_DEVICE,
    tiers.Tier.HOST: replies.Tier.KV_HOST,
    tiers.Tier.DISK: replies.Tier.KV_DISK,
}
Activation = tuple["Injector", "Encoder"]


class Local:
    """An engine and what stands on it, for any number of threads; all of it is None before it is opened.

    ``open_engine`` gives the engine, None where no local model is set; ``wire`` puts the rest together.
    """

    def __init__(self, open_engine: Callable[[], Engine | None] = lambda: None) -> None:
        self._open_engine = open_engine
        self._lock = threading.RLock()
        self.wire: Callable[[], Activation] | None = None
        self.engine: Engine | None = None
        self.segments: SegmentIndex | None = None
        self.ready: Activation | None = None

    def opened(self) -> Activation | None:
        """What injects and encodes; loads the model where that was not done. None where there is no local model."""
        with self._lock:
            if self.ready is None and self.wire is not None and (engine := self._open_engine()) is not None:
                self.engine, self.segments = engine, SegmentIndex(engine.ref)
                self.ready = self.wire()
            return self.ready

    @contextmanager
    def injection(self, engine: Engine, prompt: Prompt, who: Who, notes: Sequence[Note]) -> Iterator[Injection]:
        """The stored beginning of a chat's prompt whose notes are these memories, locked inside the block."""
        found = self.opened()
        if found is None or found[0].engine is not engine:  # keys and values of one model are nothing to another
            yield Injection()
            return
        pins = [SegmentSource(note.id, note.version, note.content_hash) for note in notes]
        with found[0].inject(who, prompt, pins) as injected:
            report = injected.report
            came = {note.id: _TIERS[note.tier] for note in report.notes if note.tier in _TIERS}
            yield Injection(prefix=injected.prefix, tiers=came, remarks=report.remarks)
