"""Blending: notes encoded apart, kept as memories, and put together behind the exact beginning of a prompt (4.1).

It is approximate, has to be asked for, and is there only for a model with which a probe found it good enough
(ADR 0036). Segments are found, read and confirmed as exact ones are: what was erased, changed, revoked or expired
until the prompt is given out is not in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from pymemos.cube.call import Request
from pymemos.cube.payload import Activation
from pymemos.cube.segment import SegmentAbout, SegmentSource, tokens_digest
from pymemos.errors import MissingBlob, SegmentRefused, StaleVersion
from pymemos.interface.activation import Apart, Confirmed, FindSegments, Found, Inject, NewSegment, Usable
from pymemos.interface.api import Handler, Outcome, Work
from pymemos.interface.encoding import ASKED, ATTEMPTS, Encoded, Encoder, New
from pymemos.interface.injecting import Injected, Injector, NoteUse, Report, SegmentUse, Who
from pymemos.interface.requests import Labels
from pymemos.interface.segments import KV
from pymemos.interface.transfer import OnStore
from pymemos.operation.mixing import Mix, ends_of, mix
from pymemos.operation.prefixes import Refused
from pymemos.operation.tiers import Tier
from pymemos.ports import Prompt, Tokens

if TYPE_CHECKING:
    from pymemos.interface.api import Tools
    from pymemos.ports import Blended, Blender, Kv, Loose

NOT_APART = "nothing of it is stored apart for prompts that begin so"


class ProbeBlending(Request, frozen=True, kw_only=True, tag="probe_blending"):
    """Measure how near blending comes with the local model: it keeps the machine busy, so the steward is asked."""

    cases: int


class ProbeBlendingHandler(OnStore):
    """The steward's; what is measured is about the model, and is kept beside it."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: ProbeBlending = work.call.request  # type: ignore[assignment]
        return Outcome(result=None, about={"cases": request.cases})


HANDLERS: dict[type[Request], Handler] = {ProbeBlending: ProbeBlendingHandler()}


class _Read(msgspec.Struct, frozen=True):
    """A segment that was encoded apart, read from its file, and what that took."""

    usable: Usable
    loose: Loose
    ms: float


class _Mixed(msgspec.Struct, frozen=True):
    """A prompt that was put together."""

    mix: Mix
    read: Mapping[int, _Read]  # by the number of the note
    prefix: tuple[Kv, ...]
    blended: Blended


class Blending:
    """Encodes notes apart, and gives prompts that are put together of them; ``open_blender`` is asked when needed."""

    def __init__(self, injector: Injector, encoder: Encoder, tools: Tools, open_blender: Callable[[], Blender]) -> None:
        self._injector, self._encoder, self._tools = injector, encoder, tools
        self._engine, self._open = injector.engine, open_blender
        encoder.read_loose = self.read

    def check(self) -> None:
        """Raise BlendRefused where a probe has not allowed it."""
        self._open()

    def encode(
        self,
        who: Who,
        ids: Sequence[str],
        *,
        system: str | None = None,
        labels: Labels = Labels(),  # noqa: B008 (frozen)
    ) -> Encoded:
        """Keep each memory apart, for prompts that begin with ``system``: one segment, made from that memory alone.

        What is stored already is left as it is; a source that changed meanwhile is encoded again. Raises BlendRefused.
        """
        blender = self._open()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._encoded(who, blender, tuple(dict.fromkeys(ids)), self._encoder.head(system), labels)
            except StaleVersion:
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("the loop returns or raises")

    def inject(self, who: Who, prompt: Prompt, notes: Sequence[SegmentSource] = ()) -> Injected:
        """A prompt's exact beginning, and the notes behind it from segments that were encoded apart; close it after.

        ``notes`` pins the memories whose texts are ``prompt.notes``. Where nothing is stored apart, it is the exact
        beginning alone, and the report says why. Raises BlendRefused.
        """
        blender = self._open()
        for _ in range(ATTEMPTS):
            exact = self._injector.inject(who, prompt, notes)
            try:
                made = self._over(who, blender, prompt, notes, exact)
            except BaseException:
                exact.close()
                raise
            if made is not None:
                return made
            exact.close()
        return _unblended(self._injector.inject(who, prompt, notes), "what it is made from kept changing meanwhile")

    def read(self, usable: Usable, tokens: Tokens) -> Loose:
        """A segment that was encoded apart, from its file, of which every byte is looked at."""
        return self._read(self._open(), usable, tokens)

    # Encoding.

    def _encoded(self, who: Who, blender: Blender, ids: tuple[str, ...], head: str, labels: Labels) -> Encoded:
        started = time.perf_counter()
        cubes = self._encoder.sources(who, ids)
        texts = [self._encoder.render(cube) for cube in cubes]
        prompt = self._engine.prompt(head, texts, ASKED)
        pins = [SegmentSource(cube.id, cube.version, cube.content_hash) for cube in cubes]
        found = self._find(who, blender, prompt, pins)
        made: list[New] = []
        try:
            for text, pin in zip(texts, pins, strict=True):
                if pin.id not in found.loose:
                    made.append(self._apart(who, blender, head, prompt, text, pin))
            kept = self._encoder.write(who, made, labels, found.seq)
        except BaseException:
            self._encoder.remove([one.kept.payload.blob for one in made])
            raise
        computed = sum(one.kept.payload.tokens or 0 for one in made)
        return Encoded(
            cubes=kept,
            sources=ids,
            tokens=computed,
            reused=sum(map(len, prompt.notes)) - computed,
            nbytes=sum(one.kept.payload.size for one in made),
            seconds=time.perf_counter() - started,
        )

    def _apart(self, who: Who, blender: Blender, head: str, prompt: Prompt, text: str, pin: SegmentSource) -> New:
        """One memory, encoded and stored."""
        loose = blender.encode(text, system=head)
        about = SegmentAbout(
            namespace=who[1].namespace or who[0].namespace,
            sources=(pin,),
            prefix_tokens=tokens_digest(prompt.head),
            form=blender.recipe,
        )
        dump = partial(blender.dump, loose, about)
        blob, size = self._tools.blobs.put(dump())
        payload = Activation(
            form=KV,
            blob=blob,
            size=size,
            model=self._engine.ref,
            tokens=len(loose.tokens),
            encoding=blender.recipe,
            before=about.prefix_tokens,
            through=tokens_digest(loose.tokens),
        )
        return New(NewSegment(payload=payload, sources=(pin,)), dump)

    # Injecting.

    def _over(
        self, who: Who, blender: Blender, prompt: Prompt, notes: Sequence[SegmentSource], exact: Injected
    ) -> Injected | None:
        """The prompt put together over its exact beginning; None where something of it was gone when it was ready."""
        started = time.perf_counter()
        stored = exact.report.injected
        if stored >= ends_of(prompt)[-1]:
            return exact  # everything is exact: there is nothing to blend
        found = self._find(who, blender, prompt, notes)
        read, damaged = self._all_read(blender, prompt, notes, found.loose)
        refused = (*found.refused, *damaged)
        plan = mix(prompt, stored, read)
        if plan is None:
            self._tell(who, exact.report, refused, notes)
            left = [one for one in refused if one not in exact.report.refused]
            return _unblended(exact, NOT_APART if not left else "what is stored apart may not be used", left)
        mixed = self._mixed(blender, prompt, exact, plan, read)
        confirmed = self._confirmed(who, notes, exact, mixed)
        if confirmed.closed or confirmed.kept < len(exact.chain):
            return None
        self._tell(who, exact.report, refused, notes)
        report = _report(prompt, notes, exact.report, mixed, refused, set(confirmed.changed))
        report = msgspec.structs.replace(report, ms=exact.report.ms + (time.perf_counter() - started) * 1e3)
        return exact.blended((*mixed.prefix, mixed.blended.kv), report)

    def _find(self, who: Who, blender: Blender, prompt: Prompt, notes: Sequence[SegmentSource]) -> Found:
        digests = tuple(tokens_digest(note) for note in prompt.notes)
        apart = Apart(recipe=blender.recipe, head=tokens_digest(prompt.head), notes=digests)
        found: Found = self._injector.dispatch(who, FindSegments(tokens=(), notes=tuple(notes), apart=apart))
        return found

    def _all_read(
        self, blender: Blender, prompt: Prompt, notes: Sequence[SegmentSource], found: Mapping[str, Usable]
    ) -> tuple[dict[int, _Read], list[Refused]]:
        """Every note that is stored apart, by its number; what cannot be read is text."""
        read, refused = {}, []
        for number, (note, own) in enumerate(zip(notes, prompt.notes, strict=True)):
            usable = found.get(note.id)
            if usable is None or not number:  # the first note is exact always
                continue
            started = time.perf_counter()
            try:
                loose = self._read(blender, usable, own)
            except (SegmentRefused, MissingBlob) as error:
                refused.append(Refused(usable.keeping.id, str(error)))
                continue
            read[number] = _Read(usable, loose, (time.perf_counter() - started) * 1e3)
        return read, refused

    def _read(self, blender: Blender, usable: Usable, tokens: Tokens) -> Loose:
        segment = usable.link.segment
        file = self._tools.blobs.open_whole(segment.blob)
        if len(file) != segment.size:
            raise SegmentRefused(f"its file has {len(file):,} bytes, not {segment.size:,}")
        return blender.load(file, usable.about, tokens)

    def _mixed(self, blender: Blender, prompt: Prompt, exact: Injected, plan: Mix, read: Mapping[int, _Read]) -> _Mixed:
        """Read what is exact and not stored, and put the rest together."""
        prefix = self._cut(exact.prefix, plan.stored)
        if plan.stored < plan.exact:
            prefix = (*prefix, self._engine.prefill(prompt.tokens[plan.stored : plan.exact], prefix=prefix))
        parts: list[Loose | Tokens] = [
            read[number].loose if is_apart else prompt.notes[number] for number, is_apart in plan.rest
        ]
        return _Mixed(plan, read, prefix, blender.compose(prefix, parts, prompt.tail))

    def _cut(self, prefix: Sequence[Kv], length: int) -> tuple[Kv, ...]:
        """The first tokens of a chain."""
        kept = []
        for kv in prefix:
            left = length - kv.start
            if left > 0:
                kept.append(kv if left >= len(kv.tokens) else self._engine.cut(kv, left))
        return tuple(kept)

    def _confirmed(self, who: Who, notes: Sequence[SegmentSource], exact: Injected, mixed: _Mixed) -> Confirmed:
        """What of it holds in a snapshot of this moment."""
        loose = tuple(mixed.read[number].usable.link.segment for number, is_apart in mixed.mix.rest if is_apart)
        request = Inject(segments=exact.chain, notes=tuple(notes), loose=loose)
        confirmed: Confirmed = self._injector.dispatch(who, request)
        return confirmed

    def _tell(self, who: Who, report: Report, refused: Sequence[Refused], notes: Sequence[SegmentSource]) -> None:
        """Record what is read as text though it is stored apart."""
        if refused:
            self._injector.tell(who, msgspec.structs.replace(report, refused=tuple(refused)), notes)


def _unblended(exact: Injected, why: str, refused: Sequence[Refused] = ()) -> Injected:
    """The exact beginning alone, and why there is no more."""
    report = msgspec.structs.replace(exact.report, unblended=why, refused=(*exact.report.refused, *refused))
    return exact.blended(exact.prefix, report)


def _report(
    prompt: Prompt,
    notes: Sequence[SegmentSource],
    exact: Report,
    mixed: _Mixed,
    refused: Sequence[Refused],
    changed: set[str],
) -> Report:
    """What was used of which memory, and how near it is."""
    uses, segments = list(exact.notes), _shortened(exact.segments, mixed.mix.stored)
    reasons = {one.id: one.reason for one in refused}
    injected, place = mixed.mix.stored, 0
    for number, is_apart in mixed.mix.rest:
        own = len(prompt.notes[number])
        again = sum(place <= index < place + own for index in mixed.blended.again)
        if is_apart:
            one, told = mixed.read[number], f"it was encoded apart; {again} of its {own} tokens were computed again"
            uses[number] = _note_use(notes[number].id, own, own - again, one.usable.link.segment.form, again, told)
            segments.append(_segment_use(one, told))
            injected += own - again
        else:
            why = next(iter(reasons.values())) if reasons else NOT_APART
            uses[number] = NoteUse(id=notes[number].id, tier=Tier.TEXT, why=why, tokens=own, injected=0)
        place += own
    return msgspec.structs.replace(
        exact,
        injected=injected,
        notes=tuple(msgspec.structs.replace(one, changed=one.id in changed) for one in uses),
        segments=tuple(segments),
        refused=(*exact.refused, *(one for one in refused if one not in exact.refused)),
    )


def _note_use(id: str, tokens: int, injected: int, form: str, again: int, why: str) -> NoteUse:
    return NoteUse(id=id, tier=Tier.DISK, why=why, tokens=tokens, injected=injected, form=form, recomputed=again)


def _segment_use(one: _Read, why: str) -> SegmentUse:
    return SegmentUse(
        id=one.usable.keeping.id,
        tier=Tier.DISK,
        form=one.usable.link.segment.form,
        tokens=len(one.loose.tokens),
        nbytes=one.loose.nbytes,
        ms=one.ms,
        why=why,
    )


def _shortened(segments: Sequence[SegmentUse], length: int) -> list[SegmentUse]:
    """The segments of the first tokens; of one that is cut, as much of its bytes as of its tokens."""
    kept, left = [], length
    for one in segments:
        if left <= 0:
            break
        taken = min(one.tokens, left)
        nbytes = one.nbytes * taken // one.tokens
        kept.append(msgspec.structs.replace(one, tokens=taken, nbytes=nbytes) if taken < one.tokens else one)
        left -= taken
    return kept
