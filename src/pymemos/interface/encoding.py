"""Encoding: memories become KV segments, each behind everything that stands before it (4.2: plaintext to activation).

A segment ends where a memory ends, so that what changes makes stale only what stands behind it. The beginning that is
stored already is not computed again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from pymemos.cube.cube import MemCube
from pymemos.cube.header import Priority, Provenance
from pymemos.cube.payload import Activation, ModelRef
from pymemos.cube.segment import EXACT, INT8, SegmentAbout, SegmentSource, is_loose, tokens_digest, verify_blob
from pymemos.errors import (
    BlendRefused,
    InvalidInput,
    MissingBlob,
    NotAllowed,
    PromptTooLong,
    SegmentRefused,
    StaleVersion,
)
from pymemos.interface.activation import Encode, FindSegments, Found, NewSegment, ReadSources, Segments, Shown, Usable
from pymemos.interface.injecting import Injector, Who
from pymemos.interface.kv_pool import Keeping
from pymemos.interface.requests import Labels
from pymemos.interface.segments import KV, held_by, is_sealed, segment_of
from pymemos.operation.decisions import FormDecision
from pymemos.operation.fences import line
from pymemos.operation.prefixes import Segment
from pymemos.operation.tiers import RESIDENT, Budget, Tier
from pymemos.ports import Engine, Prompt, Tokens, Utterance

if TYPE_CHECKING:
    from pymemos.interface.api import Tools
    from pymemos.ports import Kv

ATTEMPTS = 3  # at encoding memories that others change meanwhile
PART = 50_000  # characters of a document that one memory holds (ours)
FORMS = (EXACT, INT8)
ASKED = (Utterance("user", "?"),)  # templates want a conversation; what stands before it is the same for all
Render = Callable[[MemCube], str]  # a memory as it stands in a prompt
# What is to be said of new segments, from the system's text, the lines, and the whole prefix read back from its files.
Saying = Callable[[str, Sequence[str], "Sequence[Kv]"], Provenance]
ReadLoose = Callable[[Usable, Tokens], object]
Head = Callable[[str | None], str]  # the system's text as it stands in a prompt, from what a caller asked for


class Encoded(msgspec.Struct, frozen=True, kw_only=True):
    """What encoding gave: the new segments, how many tokens they hold, and how many were stored already."""

    cubes: tuple[MemCube, ...] = ()
    sources: tuple[str, ...] = ()  # the memories whose texts are encoded, in their order
    tokens: int = 0  # computed now
    reused: int = 0  # stored before
    nbytes: int = 0
    seconds: float = 0.0

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the new segments."""
        return tuple(cube.id for cube in self.cubes)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at of a segment, whether it is well, and what was seen."""

    name: str
    ok: bool
    detail: str


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a segment is what it should be, check by check."""

    id: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether all is well, so that it may be injected."""
        return all(one.ok for one in self.checks)


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """Where a segment lies now, where it lay before, and why there."""

    id: str
    before: Tier
    tier: Tier
    why: str = ""


class _Work(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be computed: a prompt's beginning, where its pieces end, and what of it there is already."""

    namespace: str
    pins: tuple[SegmentSource, ...]
    tokens: Tokens
    ends: tuple[int, ...]  # of the head, and of each memory
    base: tuple[Kv, ...]
    before: str | None  # the blob of the last segment of that
    reused: int
    system: str
    form: str


class New(msgspec.Struct, frozen=True):
    """A segment that was computed and stored, before its memory is written; ``dump`` writes its file anew."""

    kept: NewSegment
    dump: Callable[[], BinaryIO]
    kv: Kv | None = None  # of one that has its place in a prompt


def _no_blender(usable: Usable, tokens: Tokens) -> None:
    del usable, tokens
    raise SegmentRefused("it was encoded apart, and there is nothing here that blends")


def as_given(system: str | None) -> str:
    """The system's text as the caller gave it."""
    return system or ""


class Encoder:
    """Makes, loads, verifies and evicts segments.

    ``render`` and ``head`` put a memory, and what the system says, as the prompts have them that are to be served.
    """

    def __init__(
        self, injector: Injector, tools: Tools, *, render: Render = line, head: Head = as_given, low_form: str = EXACT
    ) -> None:
        self._injector, self._tools, self.render, self.head = injector, tools, render, head
        self._low_form = low_form
        self.read_loose: ReadLoose = _no_blender  # reads what was encoded apart, where there is what blends
        self._engine = injector.engine
        self._lock = threading.Lock()  # one prefill at a time: so nothing is computed twice in this process

    def encode(
        self,
        who: Who,
        ids: Sequence[str],
        *,
        system: str | None = None,
        form: str | None = None,
        labels: Labels = Labels(),  # noqa: B008 (frozen)
        decisions: Sequence[FormDecision] = (),
        saying: Saying | None = None,
    ) -> Encoded:
        """Compute and keep what is not stored yet of a prompt that begins with ``system`` and these memories.

        The files come first, then, in one transaction, the memories that name them: refused where a source changed
        meanwhile, and done again. What is stored already is left as it is. Without a ``form`` the policy decides.
        ``decisions`` of the scheduler are kept with the segments that they ask for.
        ``saying`` is asked before anything is written, and not where nothing is new.
        """
        chosen = form or (self._low_form if labels.priority is Priority.LOW else EXACT)
        if chosen not in FORMS:
            raise InvalidInput(f"form is {form!r}; use one of {', '.join(FORMS)}")
        with self._lock:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    return self._encoded(who, ids, self.head(system), chosen, labels, decisions, saying)
                except StaleVersion:
                    if attempt == ATTEMPTS:
                        raise
        raise AssertionError("the loop returns or raises")

    @property
    def engine(self) -> Engine:
        """The local model that it encodes with."""
        return self._engine

    def stored(self, who: Who, ids: Sequence[str]) -> tuple[str, ...]:
        """The ids of the exact segments that hold these memories now, in their order, as a prompt would find them."""
        cubes = self.sources(who, ids)
        prompt = self._engine.prompt(self.head(None), [self.render(cube) for cube in cubes], ASKED)
        pins = tuple(SegmentSource(cube.id, cube.version, cube.content_hash) for cube in cubes)
        asked = FindSegments(tokens=_before_the_talk(prompt), notes=pins, exact_only=True)
        found: Found = self._injector.dispatch(who, asked)
        return tuple(one.link.segment.id for one in found.links if one.link.segment.source is not None)

    def sources(self, who: Who, ids: Sequence[str]) -> tuple[MemCube, ...]:
        """The memories that may stand in a prompt, in their order."""
        cubes: tuple[MemCube, ...] = self._injector.dispatch(who, ReadSources(ids=tuple(ids)))
        return cubes

    def load(self, who: Who, id: str, tier: Tier, *, only_if_free: bool = False) -> tuple[Moved, ...]:
        """Bring a segment, and everything before it, into memory now, every byte checked.

        With ``only_if_free`` nothing but what is spare makes room for it, and what lies in memory stays where it does.
        """
        shown: Shown = self._injector.dispatch(who, Segments(id=id))
        if is_loose(_segment(shown).form):
            raise InvalidInput(f"segment {id!r} was encoded apart; it is read from its file whenever it is blended")
        if shown.reason or shown.chain is None:
            raise SegmentRefused(f"segment {id!r} cannot be used: {shown.reason or 'what stood before it is gone'}")
        tokens, moved = self._tokens_of(shown), []
        for one in shown.chain:
            segment, pool = one.link.segment, self._injector.pool
            before = pool.tier_of(segment.blob)
            if before is tier or (only_if_free and before in RESIDENT):
                moved.append(Moved(id=segment.id, before=before, tier=tier, why="it lies there already"))
                continue
            if before in RESIDENT and (why := pool.evict(segment.blob)):
                moved.append(Moved(id=segment.id, before=before, tier=before, why=why))
                continue
            kv = self._injector.read(one, tokens[segment.start : segment.end])
            room = pool.place(one.keeping, kv, tier, self._tools.clock(), only_if_free=only_if_free)
            moved.append(Moved(id=segment.id, before=before, tier=room.tier, why=room.why))
        self._injector.let_go([one.id for one in moved])
        return tuple(moved)

    def evict(self, who: Who, id: str) -> Moved:
        """Take a segment out of memory; its file stays. Refused while it is frozen or in use."""
        shown: Shown = self._injector.dispatch(who, Segments(id=id))
        segment = _segment(shown)
        before = self._injector.pool.tier_of(segment.blob)
        if before is Tier.DISK:
            return Moved(id=id, before=before, tier=before, why="it does not lie in memory")
        why = self._injector.pool.evict(segment.blob)
        if why:
            raise NotAllowed(f"segment {id!r} stays in memory: {why}; unfreeze it, or wait until it is given back")
        return Moved(id=id, before=before, tier=Tier.DISK)

    def verify(self, who: Who, id: str) -> Verified:
        """Look at everything that makes a segment usable: its file, its model, its sources, its tokens."""
        shown: Shown = self._injector.dispatch(who, Segments(id=id))
        return verified(shown, self._tools, self._engine.ref, lambda: self._read_back(shown))

    def _read_back(self, shown: Shown) -> None:
        """Read the segment as an injection would; raises SegmentRefused where it would not."""
        if shown.chain is None:
            raise SegmentRefused("what stood before it is gone, so it has no place in a prompt")
        segment = _segment(shown)
        if is_loose(segment.form):
            self.read_loose(shown.chain[-1], self.tokens_apart(shown))
            return
        tokens = self._tokens_of(shown)[segment.start : segment.end]
        self._injector.read(shown.chain[-1], tokens)

    # Computing.

    def _encoded(
        self,
        who: Who,
        ids: Sequence[str],
        system: str,
        form: str,
        labels: Labels,
        decisions: Sequence[FormDecision],
        saying: Saying | None,
    ) -> Encoded:
        started = time.perf_counter()
        cubes = self.sources(who, ids)
        lines = [self.render(cube) for cube in cubes]
        prompt = self._engine.prompt(system, lines, ASKED)
        pins = tuple(SegmentSource(cube.id, cube.version, cube.content_hash) for cube in cubes)
        tokens = _before_the_talk(prompt)
        self._check_room(tokens)
        asked = FindSegments(tokens=tokens, notes=pins, exact_only=form == EXACT)
        found: Found = self._injector.dispatch(who, asked)
        made: list[New] = []
        with ExitStack() as leases:
            # Only whole segments are gone on from: behind a part of one nothing could be loaded or verified by itself.
            whole = tuple(takewhile(lambda one: not one.link.is_cut, found.links))
            taken, _ = self._injector.take(whole, tokens, len(tokens), leases)
            work = _Work(
                namespace=who[1].namespace or who[0].namespace,
                pins=pins,
                tokens=tokens,
                ends=tuple(accumulate(map(len, prompt.notes), initial=len(prompt.head))),
                base=tuple(self._injector.cut(one) for one in taken),
                before=taken[-1].usable.link.segment.blob if taken else None,
                reused=sum(one.usable.link.take for one in taken),
                system=system,
                form=form,
            )
            try:
                for new in self._computed(work):
                    made.append(new)
                said = None if saying is None or not made else saying(system, lines, self._read_again(work, made))
                kept = self.write(who, made, labels, found.seq, decisions, said)
            except BaseException:
                self.remove([one.kept.payload.blob for one in made])
                raise
        self._keep_at_hand(kept, made)
        return Encoded(
            cubes=kept,
            sources=tuple(ids),
            tokens=len(tokens) - work.reused,
            reused=work.reused,
            nbytes=sum(one.kept.payload.size for one in made),
            seconds=time.perf_counter() - started,
        )

    def _check_room(self, tokens: Tokens) -> None:
        window = self._engine.window
        if window is not None and len(tokens) >= window:
            raise PromptTooLong(
                f"together they have {len(tokens):,} tokens, and the model reads {window:,}; encode fewer memories. "
                "What was given as a document is kept as text"
            )

    def _computed(self, work: _Work) -> Iterator[New]:
        """Each memory's keys and values behind everything before it; a file is complete before the next is begun."""
        place, base, before = work.reused, list(work.base), work.before
        for number, end in enumerate(work.ends):
            if end <= place:
                continue
            sources, own = work.pins[:number], work.tokens[place:end]
            kv = self._engine.prefill(own, prefix=base)
            about = SegmentAbout(
                namespace=work.namespace,
                sources=sources,
                prefix=before,
                prefix_tokens=tokens_digest(work.tokens[:place]),
                form=work.form,
            )
            blob, size = self._tools.blobs.put(self._engine.dump(kv, about))
            payload = Activation(
                form=KV,
                blob=blob,
                size=size,
                model=self._engine.ref,
                tokens=len(own),
                start=place,
                encoding=None if work.form == EXACT else work.form,
                prefix=before,
                before=about.prefix_tokens,
                through=tokens_digest(work.tokens[:end]),
            )
            system = work.system if number == 0 else None
            yield New(
                NewSegment(payload=payload, sources=sources, system=system), partial(self._engine.dump, kv, about), kv
            )
            base.append(kv)
            place, before = end, blob

    def _read_again(self, work: _Work, made: Sequence[New]) -> list[Kv]:
        """The whole prefix with what is new as it lies in its files, where a lossy form is no longer what it was."""
        found = list(work.base)
        for new in made:
            assert new.kv is not None  # noqa: S101 (each has its place)
            payload = new.kept.payload
            about = SegmentAbout(
                namespace=work.namespace,
                sources=new.kept.sources,
                prefix=payload.prefix,
                prefix_tokens=payload.before,
                form=work.form,
            )
            found.append(self._engine.load(self._tools.blobs.open(payload.blob), about, new.kv.tokens, new.kv.start))
        return found

    def write(
        self,
        who: Who,
        made: Sequence[New],
        labels: Labels,
        since: int,
        decisions: Sequence[FormDecision] = (),
        provenance: Provenance | None = None,
    ) -> tuple[MemCube, ...]:
        """Write the memories that name the files; a scrub that came between may have taken a file that nobody named."""
        if not made:
            return ()
        segments, asked = tuple(one.kept for one in made), tuple(decisions)
        request = Encode(segments=segments, since=since, labels=labels, decisions=asked, provenance=provenance)
        cubes: tuple[MemCube, ...] = self._injector.dispatch(who, request)
        for one in made:
            try:
                self._tools.blobs.open(one.kept.payload.blob)
            except MissingBlob:
                self._tools.blobs.put(one.dump())
        return cubes

    def remove(self, blobs: Sequence[str]) -> None:
        """Unlink files that no memory came to name: what they hold may be erased by now."""
        if blobs:
            with self._tools.store.read() as unit:
                named = unit.blobs()
            for blob in set(blobs) - named:
                self._tools.blobs.remove(blob)

    def _keep_at_hand(self, cubes: Sequence[MemCube], made: Sequence[New]) -> None:
        """Leave what was just computed in memory where there is room for it anyway."""
        pool = self._injector.pool
        tier = best_tier(pool.budget)
        for cube, one in zip(cubes, made, strict=True):
            if tier in RESIDENT and one.kv is not None and one.kept.payload.encoding is None:
                rules = cube.header.governance
                keeping = Keeping(
                    blob=one.kept.payload.blob, id=cube.id, namespace=cube.namespace, priority=rules.priority
                )
                pool.place(keeping, one.kv, tier, self._tools.clock(), only_if_free=True)
        self._injector.let_go([cube.id for cube in cubes])
        for cube, one in zip(cubes, made, strict=True):
            if (segment := segment_of(cube)) is not None and one.kv is not None:
                self._tools.segments.learn(segment, one.kv.tokens)

    def tokens_apart(self, shown: Shown) -> Tokens:
        """The tokens of a segment that was encoded apart, made again from the memory that it holds."""
        notes = self._engine.prompt("", [self.render(cube) for cube in shown.sources], ASKED).notes
        if len(notes) != 1 or tokens_digest(notes[0]) != _segment(shown).through:
            raise SegmentRefused("its tokens are not those that its source has in a prompt now; encode it again")
        return notes[0]

    def prefix_of(self, shown: Shown) -> tuple[Kv, ...]:
        """A segment and everything before it, read from their files with every byte looked at."""
        if shown.reason or shown.chain is None or is_loose(_segment(shown).form):
            why = shown.reason or ("what stood before it is gone" if shown.chain is None else "it was encoded apart")
            raise SegmentRefused(f"segment {shown.cube.id!r} cannot be used: {why}")
        tokens, links = self._tokens_of(shown), [one.link.segment for one in shown.chain]
        return tuple(
            self._injector.read(one, tokens[segment.start : segment.end])
            for one, segment in zip(shown.chain, links, strict=True)
        )

    def _tokens_of(self, shown: Shown) -> Tokens:
        """The tokens of a prompt up to a segment's end, made again from the memories that it holds."""
        segment = _segment(shown)
        prompt = self._engine.prompt(shown.system or "", [self.render(cube) for cube in shown.sources], ASKED)
        tokens = _before_the_talk(prompt)[: segment.end]
        if tokens_digest(tokens) != segment.through:
            raise SegmentRefused("its tokens are not those that its sources have in a prompt now; encode them again")
        return tokens


def verified(
    shown: Shown, tools: Tools, ref: ModelRef | None = None, read_back: Callable[[], None] | None = None
) -> Verified:
    """The checks of a segment; without the ``ref`` of a model and ``read_back``, those that need no model."""
    segment = _segment(shown)
    checks = [_file_check(segment, tools)]
    sealed = is_sealed(shown.cube, tools.key)
    checks.append(Check(name="encoded here", ok=sealed, detail="ok" if sealed else "by another instance, or changed"))
    stale = "; ".join(map(str, shown.cube.stale))
    checks.append(Check(name="sources are the same", ok=not stale, detail=stale or "ok"))
    if ref is not None and read_back is not None:
        checks += [_model_check(shown.cube, ref), _reading_check(read_back)]
    else:
        checks.append(Check(name="model", ok=True, detail="not looked at, nor the tokens: there is no local model"))
    checks.append(Check(name="may be used", ok=not shown.reason, detail=shown.reason or "ok"))
    return Verified(id=shown.cube.id, checks=tuple(checks))


def _file_check(segment: Segment, tools: Tools) -> Check:
    """Whether the file is there, and to the last bit the one that was stored."""
    try:
        file = tools.blobs.open(segment.blob)
        if len(file) != segment.size:
            raise SegmentRefused(f"its file has {len(file):,} bytes, not {segment.size:,}")
        verify_blob(file, segment.blob)
    except (MissingBlob, SegmentRefused) as error:
        return Check(name="file", ok=False, detail=str(error))
    return Check(name="file", ok=True, detail=f"{segment.size:,} bytes")


def _model_check(cube: MemCube, ref: ModelRef) -> Check:
    payload = cube.payload
    own = isinstance(payload, Activation) and payload.model == ref
    name = payload.model.name if isinstance(payload, Activation) else ""
    return Check(name="model", ok=own, detail=name if own else f"made by {name}, which is not the model in use")


def _reading_check(read_back: Callable[[], None]) -> Check:
    try:
        read_back()
    except (SegmentRefused, MissingBlob, BlendRefused) as error:
        return Check(name="can be read", ok=False, detail=str(error))
    return Check(name="can be read", ok=True, detail="ok")


def parts(text: str, limit: int = PART) -> tuple[str, ...]:
    """A document in pieces of at most ``limit`` characters, cut between paragraphs, else lines, else words."""
    found = []
    while len(text) > limit:
        at = next((cut for sign in ("\n\n", "\n", " ") if (cut := text.rfind(sign, limit // 2, limit)) > 0), limit)
        found.append(text[:at])
        text = text[at:].lstrip()
    return tuple(one for one in (*found, text) if one.strip())


def best_tier(budget: Budget) -> Tier:
    """The quickest tier that there is a budget for."""
    if budget.device:
        return Tier.DEVICE
    return Tier.HOST if budget.host else Tier.DISK


def _before_the_talk(prompt: Prompt) -> Tokens:
    """The tokens of a prompt that do not change with what is asked."""
    return (*prompt.head, *(token for note in prompt.notes for token in note))


def _segment(shown: Shown) -> Segment:
    segment = held_by(shown.cube)
    assert segment is not None  # noqa: S101 (else there is nothing that is shown)
    return segment
