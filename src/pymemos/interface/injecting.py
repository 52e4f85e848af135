"""Injecting: the stored beginning of a prompt, put together, checked at this use, and given to the model (4.1, 5.4.2).

Find the chain in one snapshot, read and lock its segments, then ask again in a snapshot of that moment: what was
erased, changed, revoked or expired until then is not given out. Whatever does not fit is read as text, and said.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from pymemos.cube.call import Caller, MemoryCall, Request, Scope
from pymemos.cube.segment import EXACT, SegmentSource, is_loose
from pymemos.errors import MissingBlob, SegmentRefused
from pymemos.interface.activation import FallBack, FindSegments, Found, Inject, Usable
from pymemos.interface.kv_pool import KvPool, Lease
from pymemos.operation.budgets import Budgets, Why, in_words
from pymemos.operation.prefixes import Link, Refused, Segment, shortened
from pymemos.operation.tiers import Tier
from pymemos.ports import Engine, Prompt, Tokens

if TYPE_CHECKING:
    from pymemos.interface.api import MemoryAPI, Tools
    from pymemos.ports import Kv

_LOGGER = logging.getLogger("pymemos")
Who = tuple[Caller, Scope]


class SegmentUse(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that was injected: of which memory, from where, how much of it, and in which form."""

    id: str
    tier: Tier
    form: str  # "exact", or a lossy one
    tokens: int
    nbytes: int
    ms: float  # to bring it there
    why: str


class NoteUse(msgspec.Struct, frozen=True, kw_only=True):
    """How a memory of the prompt reaches the model: the slowest tier that its tokens come from, and why that one."""

    id: str
    tier: Tier
    why: str
    tokens: int
    injected: int  # of these, not read again
    form: str = EXACT
    recomputed: int = 0  # of a note that was encoded apart: the tokens that were computed again
    changed: bool = False  # it says something else by now, or is gone: the prompt is to be made anew

    @property
    def approximate(self) -> bool:
        """Whether it was encoded apart and blended in: the answer may be another one than after reading it."""
        return is_loose(self.form)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an injection used, what it saved and what it fell back from; nothing of it is content."""

    model: str
    tokens: int  # of the prompt
    injected: int  # of these, taken from memory
    notes: tuple[NoteUse, ...] = ()
    segments: tuple[SegmentUse, ...] = ()
    refused: tuple[Refused, ...] = ()  # segments that fit, and were read as text
    others: int = 0  # segments of other models, which nothing here can read
    unblended: str = ""  # why nothing was blended where that was asked for
    ms: float = 0.0

    @property
    def nbytes(self) -> int:
        """The bytes that were injected."""
        return sum(one.nbytes for one in self.segments)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was done otherwise than hoped, in sentences."""
        told = [f"segment {one.id} was read as text: {one.reason}" for one in self.refused]
        told += [f"memories were injected in the lossy form {form}" for form in self.lossy]
        if blended := self.blended:
            tokens, again = sum(one.tokens for one in blended), sum(one.recomputed for one in blended)
            told.append(
                f"{len(blended)} memories were encoded apart and blended, which is approximate: "
                f"{again} of their {tokens} tokens ({again / tokens:.0%}) were computed again"
            )
        told += [f"nothing was blended: {self.unblended}"] if self.unblended else []
        if self.others:
            told.append(f"{self.others} segments were made by other models than {self.model}, and are of no use to it")
        return tuple(told)

    @property
    def lossy(self) -> tuple[str, ...]:
        """The lossy forms that were used."""
        forms = dict.fromkeys(one.form for one in self.segments)
        return tuple(form for form in forms if form != EXACT and not is_loose(form))

    @property
    def blended(self) -> tuple[NoteUse, ...]:
        """The notes that were encoded apart, and are there approximately."""
        return tuple(one for one in self.notes if one.approximate)


class Injected:
    """The beginning of a prompt from memory: pass ``prefix`` to the engine with all of ``tokens``, then close it.

    Until it is closed nothing takes the segments out of memory. ``rest`` are the tokens that are left to read.
    """

    def __init__(
        self,
        tokens: Tokens,
        prefix: tuple[Kv, ...],
        report: Report,
        leases: ExitStack,
        chain: tuple[Segment, ...] = (),
    ) -> None:
        self.tokens, self.prefix, self.report = tokens, prefix, report
        self.chain = chain  # the exact segments that it begins with
        self._leases = leases

    @property
    def rest(self) -> Tokens:
        """The tokens that the model still has to read."""
        return self.tokens[sum(len(kv.tokens) for kv in self.prefix) :]

    def blended(self, prefix: tuple[Kv, ...], report: Report) -> Injected:
        """The same prompt with more of it put together; from now on that holds the segments."""
        return Injected(self.tokens, prefix, report, self._leases.pop_all(), self.chain)

    def close(self) -> None:
        """Give the segments back."""
        self._leases.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Taken(msgspec.Struct, frozen=True):
    """A link whose segment was read and is locked, and what it took."""

    usable: Usable
    lease: Lease
    ms: float


class Injector:
    """Gives prompts their stored beginning; for one engine, and whoever calls."""

    def __init__(self, api: MemoryAPI, tools: Tools, engine: Engine, pool: KvPool) -> None:
        self._api, self._tools, self.engine, self.pool = api, tools, engine, pool

    def inject(
        self,
        who: Who,
        prompt: Prompt,
        notes: Sequence[SegmentSource] = (),
        *,
        exact_only: bool = False,
        most_tokens: int | None = None,
        most_bytes: int | None = None,
    ) -> Injected:
        """The longest stored beginning of a prompt that the caller may use now, locked until it is closed.

        It has at most ``most_tokens`` tokens, and its segments at most ``most_bytes`` bytes. ``notes`` pins the
        memories whose texts are ``prompt.notes``, in their order. Whatever may not be used, or cannot, is read as text;
        the report and the log say so. The last token of the prompt is always left to read.
        """
        started, tokens = time.perf_counter(), prompt.tokens
        found: Found = self.dispatch(who, FindSegments(tokens=tokens, notes=tuple(notes), exact_only=exact_only))
        with ExitStack() as leases:
            used: list[_Taken] = []
            leases.callback(self._keep, used)  # last of all, when nobody waits any more
            length = len(tokens) - 1 if most_tokens is None else min(len(tokens) - 1, most_tokens)
            taken, refused = self.take(found.links, tokens, length, leases, most_bytes)
            asked = Inject(segments=tuple(one.usable.link.segment for one in taken), notes=tuple(notes))
            confirmed = self.dispatch(who, asked)
            for late in taken[confirmed.kept :]:
                late.lease.release()
            self.pool.drop(one.usable.keeping.blob for one in taken[confirmed.kept :])  # it may be gone for good
            taken = taken[: confirmed.kept]
            used += taken
            refused = (*found.refused, *refused, *confirmed.refused)
            prefix = tuple(self.cut(one) for one in taken)
            report = Report(
                model=self.engine.identity,
                tokens=len(tokens),
                injected=sum(one.usable.link.take for one in taken),
                notes=tuple(_note_uses(prompt, notes, taken, refused, set(confirmed.changed))),
                segments=tuple(map(_segment_use, taken, prefix)),
                refused=refused,
                others=found.others,
                ms=(time.perf_counter() - started) * 1e3,
            )
            if refused:
                self.tell(who, report, notes)
            chain = tuple(one.usable.link.segment for one in taken)
            return Injected(tokens, prefix, report, leases.pop_all(), chain)

    def let_go(self, placed: Iterable[str] = ()) -> None:
        """Free what lies in memory of segments that are no more, whoever deleted or erased them.

        ``placed`` are ids of memories whose segments have just come to memory, perhaps too late.
        """
        index, ids, names = self._tools.segments, list(placed), self.pool.namespaces()
        if not ids and not names:
            return
        with self._tools.store.read() as unit:  # tells nobody anything, so it needs no decision
            index.follow(unit, names)
            alive = {record.cube.id for record in unit.current(ids)}
        self.pool.forget(set(ids) - alive)

    def take(
        self,
        links: Sequence[Usable],
        tokens: Tokens,
        length: int,
        leases: ExitStack,
        most_bytes: int | None = None,
    ) -> tuple[list[_Taken], tuple[Refused, ...]]:
        """Read and lock the segments of a chain, at most ``length`` tokens of it; it ends before the first that fails.

        Or before the one that would pass ``most_bytes``. The caller's stack gives them back.
        """
        taken: list[_Taken] = []
        kept = shortened([one.link for one in links], length)
        nbytes = 0
        for usable, link in zip(links, kept, strict=False):
            nbytes += usable.link.segment.size
            if most_bytes is not None and nbytes > most_bytes:
                why = in_words(Why.BYTES, nbytes, Budgets(device_bytes=most_bytes))
                return taken, (Refused(usable.keeping.id, why),)
            started = time.perf_counter()
            try:
                lease = self._lease(usable, tokens)
            except (SegmentRefused, MissingBlob) as error:
                return taken, (Refused(usable.keeping.id, str(error)),)
            leases.callback(lease.release)
            cut = msgspec.structs.replace(usable, link=link)
            taken.append(_Taken(cut, lease, (time.perf_counter() - started) * 1e3))
        return taken, ()

    def dispatch(self, who: Who, request: Request) -> Any:
        """One call through the door."""
        caller, scope = who
        return self._api.dispatch(MemoryCall(caller=caller, scope=scope, request=request))

    def read(self, usable: Usable, tokens: Tokens) -> Kv:
        """A segment from its file, mapped and known to be whole; ``tokens`` are its own."""
        segment = usable.link.segment
        file = self._tools.blobs.open_whole(segment.blob)
        if len(file) != segment.size:
            raise SegmentRefused(f"its file has {len(file):,} bytes, not {segment.size:,}")
        return self.engine.load(file, usable.about, tokens, segment.start)

    def _lease(self, usable: Usable, tokens: Tokens) -> Lease:
        segment = usable.link.segment
        is_whole = usable.link.take == segment.length or segment.tokens is None
        own = tokens[segment.start : segment.end] if is_whole else segment.tokens or ()
        lease = self.pool.lease(usable.keeping, lambda: self.read(usable, own), self._tools.clock())
        self._tools.segments.learn(segment, own)
        return lease

    def cut(self, one: _Taken) -> Kv:
        """As much of a segment as its link takes."""
        link = one.usable.link
        return self.engine.cut(one.lease.kv, link.take) if link.is_cut else one.lease.kv

    def _keep(self, used: Sequence[_Taken]) -> None:
        """Bring what is worth it to memory for the next use."""
        placed = []
        for one in used:
            lease = one.lease
            if lease.tier is not Tier.DISK or lease.wanted is Tier.DISK:
                continue
            self.pool.place(one.usable.keeping, lease.kv, lease.wanted, self._tools.clock())
            placed.append(one.usable.keeping.id)
        if placed:
            self.let_go(placed)

    def tell(self, who: Who, report: Report, notes: Sequence[SegmentSource]) -> None:
        """Record that text is read where there was a segment."""
        reasons = "; ".join(f"{one.id}: {one.reason}" for one in report.refused[:3])
        _LOGGER.info("%d segments were not used, and their text is read: %s", len(report.refused), reasons)
        self.dispatch(who, FallBack(ids=tuple(one.id for one in report.refused), notes=tuple(notes)))


def _segment_use(one: _Taken, kv: Kv) -> SegmentUse:
    return SegmentUse(
        id=one.usable.keeping.id,
        tier=one.lease.tier,
        form=one.usable.link.segment.form,
        tokens=one.usable.link.take,
        nbytes=kv.nbytes,
        ms=one.ms,
        why=one.lease.why,
    )


def _note_uses(
    prompt: Prompt,
    notes: Sequence[SegmentSource],
    taken: Sequence[_Taken],
    refused: Sequence[Refused],
    changed: set[str],
) -> Iterator[NoteUse]:
    """Each memory of the prompt, by where its tokens lie."""
    end = sum(one.usable.link.take for one in taken)
    start = len(prompt.head)
    reason = refused[0].reason if refused else "nothing is stored of the prompt up to there"
    for note, own in zip(notes, prompt.notes, strict=False):
        stop = start + len(own)
        inside = [one for one in taken if _begin(one) < stop and _begin(one) + one.usable.link.take > start]
        injected = max(min(end, stop) - start, 0)
        slowest = max(inside, key=lambda one: tuple(Tier).index(one.lease.tier), default=None)
        forms = [one.usable.link.segment.form for one in inside]
        whole = slowest is not None and injected == len(own)
        yield NoteUse(
            id=note.id,
            tier=slowest.lease.tier if whole and slowest else Tier.TEXT,
            why=slowest.lease.why if whole and slowest else reason,
            tokens=len(own),
            injected=injected,
            form=next((form for form in forms if form != EXACT), EXACT),
            changed=note.id in changed,
        )
        start = stop


def _begin(one: _Taken) -> int:
    link: Link = one.usable.link
    return link.segment.start
