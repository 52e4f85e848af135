"""Merging: what several memories say as one, and who wins where their fields differ (5.3.2, 5.4.3, ADR 0027).

Pure, and without a model: it cannot see that two statements contradict each other, so it keeps both. Every field has a
rule that is named here, and what a rule did not keep is told with the result.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from pymemos.cube.cube import MemCube, Parent
from pymemos.cube.header import Access, Lifespan, Priority, Provenance, SemanticType
from pymemos.cube.payload import Plaintext
from pymemos.errors import InvalidInput, MergeConflict
from pymemos.infrastructure import analysis, vault

SHOWN = 120  # characters of a value that an explanation shows
_JOINED = frozenset({"text", "markdown"})  # formats whose texts can stand below each other
Kept = TypeVar("Kept")

MESSAGE = "message"  # the metadata key of what a message brought along: of that message, and not of what many say
_BULLET = re.compile(r"[-*•]\s+(?=[^\W\d])")


class Policy(StrEnum):
    """Who wins where fields collide: type, language, the end of validity, and each key of the metadata."""

    NEWEST = "newest"  # the memory that holds since the latest time
    OLDEST = "oldest"
    KEEP_ALL = "keep_all"  # everything, where a field can hold it
    FAIL = "fail"  # nobody: the call fails, and nothing changes


class Statement(msgspec.Struct, frozen=True):
    """A line of the merged text, and the memories that say it."""

    text: str
    sources: tuple[str, ...]


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """A field of which memories said different things: what was kept by which rule, and who said what instead."""

    field: str
    kept: Any
    rule: str
    dropped: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        instead = ", ".join(f"{_shown(value)} of {id}" for id, value in self.dropped)
        return f"{self.field}: {_shown(self.kept)} ({self.rule})" + (f" instead of {instead}" if instead else "")


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """What several memories are as one; ``statements`` and ``conflicts`` say what came from whom."""

    payload: Plaintext
    statements: tuple[Statement, ...]  # none where the text was given
    conflicts: tuple[Conflict, ...]
    semantic_type: SemanticType
    language: str | None
    speaker: str | None
    speaker_role: str | None
    tags: tuple[str, ...]
    entities: tuple[str, ...]
    event_time: datetime | None
    valid_from: datetime
    valid_to: datetime | None
    metadata: dict[str, Any]
    links: tuple[str, ...]
    access: Access
    lifespan: Lifespan
    priority: Priority
    sensitivity: tuple[str, ...]
    watermark: str | None

    def __str__(self) -> str:
        return "\n".join([self.payload.content, *map(str, self.conflicts)])


def merge(cubes: Iterable[MemCube], policy: Policy, content: str | None = None) -> Merged:
    """What these plaintext memories are as one; ``content`` is its text, where somebody wrote one.

    They are taken in the order of the times since which they hold. MergeConflict where the policy is to fail.
    """
    ordered = sorted(cubes, key=lambda cube: (vault.valid_from(cube), cube.id))
    text, statements = _text(ordered) if content is None else (content, ())
    fields = _Fields(ordered, policy)
    end = fields.settled("valid_to", [(cube.id, _said(cube).valid_to) for cube in ordered], _latest_end)
    merged = Merged(
        payload=Plaintext(content=text, format=_format(ordered)),
        statements=statements,
        semantic_type=fields.semantic_type(),
        language=fields.language(text),
        speaker=_same(_said(cube).speaker for cube in ordered),
        speaker_role=_same(_said(cube).speaker_role for cube in ordered),
        tags=_united(_said(cube).tags for cube in ordered),
        entities=_united(_said(cube).entities for cube in ordered),
        event_time=max((said for cube in ordered if (said := _said(cube).event_time)), default=None),
        valid_from=vault.valid_from(ordered[0]),
        valid_to=end,
        metadata=fields.metadata(),
        links=_united((_said(cube).provenance or Provenance()).links for cube in ordered),
        access=fields.access(),
        lifespan=fields.lifespan(),
        priority=fields.priority(),
        sensitivity=_united(cube.header.governance.sensitivity for cube in ordered),
        watermark=", ".join(_united((m,) for c in ordered if (m := c.header.governance.watermark))) or None,
        conflicts=tuple(fields.conflicts),
    )
    if policy is Policy.FAIL:
        _check_agreement(merged.conflicts)
    return merged


def parents_of(target: MemCube | None, sources: Sequence[MemCube]) -> tuple[Parent, ...]:
    """The pins of a merged memory: its own version before, what that was made from, and everything merged in now."""
    pins = {} if target is None else {pin.id: pin for pin in (*target.parents, target.pin())}
    return tuple({**pins, **{cube.id: cube.pin() for cube in sources}}.values())


def normal(line: str) -> str:
    """A line as it is compared: without case, bullet, spare spaces and a full stop, which change no meaning."""
    text = " ".join(_BULLET.sub("", line.strip(), count=1).split())
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).rstrip(" .!…") or text


# ── The text ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _text(ordered: Sequence[MemCube]) -> tuple[str, tuple[Statement, ...]]:
    """Every distinct line once, below each other; with the speaker's name where there are several.

    A text that brings only new lines stays as it is, with its empty lines and those that it says twice.
    """
    odd = [cube for cube in ordered if _format_of(cube) not in _JOINED]
    if odd and len({cube.text for cube in ordered}) > 1:
        raise InvalidInput(f"memory {odd[0].id!r} is {_format_of(odd[0])}, whose lines cannot be joined; pass content=")
    named = len({_said(cube).speaker for cube in ordered}) > 1
    known: dict[str, tuple[str, list[str]]] = {}
    blocks = []
    for cube in ordered:
        lines = [_attributed(line, cube) if named else line for line in cube.text.split("\n")]
        said = [line for line in lines if line.strip()]
        fresh = [line for line in said if normal(line) not in known]
        if fresh:
            blocks.append("\n".join(lines if len(fresh) == len(said) else fresh))
        for line in said:
            sources = known.setdefault(normal(line), (line, []))[1]
            if cube.id not in sources:
                sources.append(cube.id)
    return "\n".join(blocks), tuple(Statement(line, tuple(ids)) for line, ids in known.values())


def _attributed(line: str, cube: MemCube) -> str:
    speaker = _said(cube).speaker
    return f"{speaker}: {line}" if speaker and line.strip() else line


def _format(ordered: Sequence[MemCube]) -> str:
    formats = _distinct(_format_of(cube) for cube in ordered)
    return str(formats[0]) if len(formats) == 1 else "markdown" if _JOINED.issuperset(formats) else "text"


def _format_of(cube: MemCube) -> str:
    return cube.payload.format if isinstance(cube.payload, Plaintext) else cube.payload.kind


# ── The fields ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _Fields:
    """The fields of which a memory has one value, as they are settled; keeps account of what collided."""

    def __init__(self, ordered: Sequence[MemCube], policy: Policy) -> None:
        self._ordered = ordered
        self._policy = policy
        self.conflicts: list[Conflict] = []

    def settled(self, field: str, told: Sequence[tuple[str, Any]], together: Callable[[list[Any]], Any]) -> Any:
        """One value by the policy, of what the memories said in the order of their times."""
        values = _distinct(value for _, value in told)
        if len(values) < 2:
            return values[0] if values else None
        winners = {Policy.NEWEST: told[-1][1], Policy.OLDEST: told[0][1], Policy.FAIL: None}
        kept = winners[self._policy] if self._policy in winners else together(values)
        self._note(field, kept, self._policy.value, told)
        return kept

    def semantic_type(self) -> SemanticType:
        """What it is about. A consolidated text was not said by anybody, so a message counts as saying nothing."""
        about = [(cube.id, _said(cube).semantic_type) for cube in self._ordered]
        told = [(id, kind) for id, kind in about if kind is not SemanticType.MESSAGE]
        return self.settled("type", told, lambda _: SemanticType.FACT) or SemanticType.FACT

    def language(self, text: str) -> str | None:
        """Where memories of several languages are kept, what the whole text looks like."""
        told = [(cube.id, code) for cube in self._ordered if (code := _said(cube).language)]
        found: str | None = self.settled("language", told, lambda _: analysis.detect_language(text))
        return found

    def metadata(self) -> dict[str, Any]:
        """Every key; where all values are kept, a list of them, which filters read as any of them."""
        held = [(cube.id, _said(cube).metadata) for cube in self._ordered]
        keys = [key for key in _united(tuple(metadata) for _, metadata in held) if key != MESSAGE]
        return {
            key: self.settled(f"metadata.{key}", [(id, own[key]) for id, own in held if key in own], _flat)
            for key in keys
        }

    def access(self) -> Access:
        """Only what every source allows beyond its owner."""
        grants = [cube.header.governance.access for cube in self._ordered]
        first = grants[0]
        kept = Access(
            read=tuple(name for name in first.read if all(name in one.read for one in grants)),
            write=tuple(name for name in first.write if all(name in one.write for one in grants)),
            share=first.share if all(one.share == first.share for one in grants) else Access().share,
        )
        told = [(cube.id, one) for cube, one in zip(self._ordered, grants, strict=True)]
        return self._by_rule("access", kept, "what all allow", told)

    def lifespan(self) -> Lifespan:
        """The earliest end, as an instant, for the sources were not made at one time; the shortest half-life."""
        spans = [(cube, cube.header.governance.lifespan) for cube in self._ordered]
        ends = [end for cube, span in spans if (end := span.ends(_said(cube).created))]
        halves = [span.half_life_s for _, span in spans if span.half_life_s]
        kept = Lifespan(expires=min(ends, default=None), half_life_s=min(halves, default=None))
        return self._by_rule("lifespan", kept, "the strictest", [(cube.id, span) for cube, span in spans])

    def priority(self) -> Priority:
        """The highest."""
        told = [(cube.id, cube.header.governance.priority) for cube in self._ordered]
        kept = max((value for _, value in told), key=list(Priority).index)
        return self._by_rule("priority", kept, "the highest", told)

    def _by_rule(self, field: str, kept: Kept, rule: str, told: Sequence[tuple[str, Any]]) -> Kept:
        """A value that no policy has a say in, for rules never widen."""
        if len(_distinct(value for _, value in told)) > 1:
            self._note(field, kept, rule, told)
        return kept

    def _note(self, field: str, kept: Any, rule: str, told: Sequence[tuple[str, Any]]) -> None:
        among = {_key(kept), *(map(_key, kept) if isinstance(kept, list) else ())}
        dropped = tuple((id, value) for id, value in told if not {_key(one) for one in _flat([value])} <= among)
        self.conflicts.append(Conflict(field=field, kept=kept, rule=rule, dropped=dropped))


def _check_agreement(conflicts: Sequence[Conflict]) -> None:
    told = ", ".join(one.field for one in conflicts if one.rule == Policy.FAIL)
    if told:
        raise MergeConflict(
            f"the memories differ in {told}; choose a policy (newest, oldest, keep_all), or make them agree first"
        )


def _said(cube: MemCube) -> Any:
    return cube.header.descriptive


def _same(values: Iterable[str | None]) -> str | None:
    """What all say; None where they differ."""
    found = set(values)
    return found.pop() if len(found) == 1 else None


def _united(values: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for group in values for value in group))


def _latest_end(ends: list[datetime | None]) -> datetime | None:
    """The latest end; none where one of them is open."""
    known = [end for end in ends if end is not None]
    return max(known) if len(known) == len(ends) else None


def _flat(values: list[Any]) -> list[Any]:
    """The distinct values of a list, those of lists in it too."""
    return _distinct(one for value in values for one in (value if isinstance(value, list) else [value]))


def _distinct(values: Iterable[Any]) -> list[Any]:
    """Values that differ, in order; a flag is no number, as in JSON."""
    found: dict[bytes, Any] = {}
    for value in values:
        found.setdefault(_key(value), value)
    return list(found.values())


def _key(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
