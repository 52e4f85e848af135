"""KV memories in chats: the stored beginning of a prompt is injected, and what is read often is stored (5.4.2)."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pymemos.cube.segment import SegmentSource
from pymemos.errors import PymemosError
from pymemos.interface.arguments import BLEND
from pymemos.operation import replies, tiers
from pymemos.operation.costs import Form
from pymemos.operation.replies import Injection, Within
from pymemos.operation.swapping import Part

if TYPE_CHECKING:
    from pymemos.interface.blending import Blending
    from pymemos.interface.encoding import Encoder
    from pymemos.interface.injecting import Injected, Injector, Who
    from pymemos.operation.layout import Note
    from pymemos.ports import Engine, Prompt

_TIERS: Final = {  # where a segment lay, as the reply tells it
    tiers.Tier.DEVICE: replies.Tier.KV_DEVICE,
    tiers.Tier.HOST: replies.Tier.KV_HOST,
    tiers.Tier.DISK: replies.Tier.KV_DISK,
}
_BLOCKS: Final = 1_000  # of memories, whose uses are counted
OTHER_MODEL: Final = "nothing was blended: what is stored is of another local model than the one that answers"
NO_BUDGET: Final = "nothing was blended: blending keeps to no budget of bytes or calls, and the plan has one"
_LOGGER = logging.getLogger("pymemos")

Activation = tuple["Injector", "Encoder"]


class KvInChat:
    """Gives chats the stored beginning of their prompts, and stores what they read again and again.

    ``needed`` opens the local model, ``blending`` gives what blends with it. A block of memories that chats
    read as text ``after_uses`` times is encoded (0: never by itself).
    """

    def __init__(
        self, needed: Callable[[], Activation], blending: Callable[[], Blending], *, after_uses: int = 0
    ) -> None:
        self._needed, self._blending, self._after_uses = needed, blending, after_uses
        self._lock = threading.Lock()
        self._read: OrderedDict[tuple[object, ...], int] = OrderedDict()  # how often a block was read as text

    @contextmanager
    def injection(
        self, engine: Engine, prompt: Prompt, who: Who, notes: Sequence[Note], within: Within
    ) -> Iterator[Injection]:
        """The stored beginning of a chat's prompt whose notes are these memories, locked inside the block.

        In the mode "blend" the notes behind it come from segments that were encoded apart; raises BlendRefused.
        """
        injector, _ = self._needed()
        if injector.engine is not engine:  # keys and values of one model are nothing to another
            yield Injection(remarks=(OTHER_MODEL,) if within.mode == BLEND else ())
            return
        if within.mode == BLEND:  # also where nothing is there to blend: else it went unnoticed until something is
            self._blending().check()
        is_free = within.notes is None and within.nbytes is None
        remarks = (NO_BUDGET,) if within.mode == BLEND and not is_free else ()
        if within.notes == 0:  # no call is made for it either
            yield Injection(remarks=remarks)
            return
        pins = [SegmentSource(note.id, note.version, note.content_hash) for note in notes]
        blends = within.mode == BLEND and is_free and pins  # without a memory there is nothing to put together
        with self._blend(who, prompt, pins) if blends else self._exact(who, prompt, pins, within) as injected:
            report = injected.report
            covered = sum(len(kv.tokens) for kv in injected.prefix)
            came = {note.id: _TIERS[note.tier] for note in report.notes if note.tier in _TIERS}
            yield Injection(
                prefix=injected.prefix,
                tiers=came,
                remarks=(*remarks, *report.remarks),
                by_engine=True,
                read=covered - report.injected,
                parts=tuple(
                    Part(one.id, one.blob, one.size, Form.KV)
                    for one in injected.chain
                    if one.namespace == who[0].namespace
                ),
            )

    def _exact(self, who: Who, prompt: Prompt, pins: Sequence[SegmentSource], within: Within) -> Injected:
        """The stored beginning itself, as much of it as a plan allows."""
        most = None if within.notes is None else len(prompt.head) + sum(map(len, prompt.notes[: within.notes]))
        return self._needed()[0].inject(who, prompt, pins, most_tokens=most, most_bytes=within.nbytes)

    def _blend(self, who: Who, prompt: Prompt, pins: Sequence[SegmentSource]) -> Injected:
        return self._blending().inject(who, prompt, pins)

    def promote(self, who: Who, notes: Sequence[Note], system: str | None, injection: Injection) -> None:
        """Encode a chat's stable block once it was read as text often enough (5.4.2); the next chat has it injected.

        What forbids it, such as a rule or a source that changes, is logged, and the block stays text.
        """
        if not injection.by_engine or not notes or all(note.id in injection.tiers for note in notes):
            return
        if not self._pays((who[0].namespace, system, *(note.content_hash for note in notes))):
            return
        try:
            self._needed()[1].encode(who, [note.id for note in notes], system=system)
        except PymemosError as refused:
            _LOGGER.info("the stable block of a chat stays text: %s", refused)

    def _pays(self, block: tuple[object, ...]) -> bool:
        with self._lock:
            uses = self._read[block] = self._read.pop(block, 0) + 1
            if len(self._read) > _BLOCKS:
                self._read.popitem(last=False)
            return 0 < self._after_uses <= uses
