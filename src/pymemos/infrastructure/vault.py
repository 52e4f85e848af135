"""MemVault: writes versions with everything that must stay in step with them: full text, context, edges (5.5.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from pymemos.cube.cube import MemCube
from pymemos.cube.erasure import Counts
from pymemos.cube.header import SemanticType
from pymemos.infrastructure import analysis
from pymemos.ports import Edge, Entry, Namespace, ReadUnit, Record, TextRow, Vector, WriteUnit

SAME_TALK = timedelta(hours=6)  # ours: without a session id, turns further apart are separate conversations
CONTEXT_LIMIT = 64  # terms of the turn before that a row carries: one utterance, not a whole answer

_LANGUAGES = "languages of "  # the settings that name the languages of each namespace


class Draft(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A cube with its analysed text, made before the transaction so that the writer does no slow work."""

    cube: MemCube
    terms: tuple[str, ...] = ()
    facets: tuple[str, ...] = ()
    document: bytes | None = None  # the cube's canonical bytes, where they are at hand
    vectors: tuple[Vector, ...] = ()


def draft(cube: MemCube) -> Draft:
    """Analyse the text of ``cube``; manifests and tensors have none."""
    if cube.is_manifest or not cube.text:
        return Draft(cube=cube)
    said = cube.header.descriptive
    facets = analysis.facet_terms(said.speaker, (said.event_time or said.created).date(), said.language)
    return Draft(cube=cube, terms=analysis.document_terms(cube.text, said.language), facets=facets)


def languages(unit: ReadUnit, namespace: str) -> list[str]:
    """The languages of the texts of a namespace; its queries are read in each of them."""
    return (unit.setting(_LANGUAGES + namespace) or "").split()


def write_turns(unit: WriteUnit, drafts: Sequence[Draft], now: datetime) -> Namespace:
    """Write new memories of one namespace and session in their order; each carries words of the turn before it."""
    first = drafts[0].cube
    stamp = unit.advance(first.namespace, now)
    previous = _last_turn(unit, first)
    entries = []
    for one in drafts:
        turn = _is_turn(one.cube)
        entries.append(_entry(one, previous if turn else None))
        previous = one if turn else previous
    unit.insert_all(entries)
    _note_languages(unit, drafts)
    return stamp


def supersede(unit: WriteUnit, one: Draft, now: datetime) -> None:
    """Write the next version of a memory, and the context of the turn behind it anew."""
    unit.advance(one.cube.namespace, now)
    unit.supersede(_entry(one, _turn_before(unit, one.cube.id)))
    _note_languages(unit, [one])
    _recontext(unit, one.cube.id, one)


def retire(unit: WriteUnit, cube: MemCube, now: datetime) -> None:
    """Delete a memory recoverably; the turn behind it now follows the turn before it."""
    unit.advance(cube.namespace, now)
    _recontext(unit, cube.id, _turn_before(unit, cube.id))
    unit.retire(cube.id)


def erase(unit: WriteUnit, homes: Mapping[str, str], erasure: str, now: datetime) -> Counts:
    """Take memories (by id, with their namespaces) out of reach for good; turns behind them follow what is left."""
    for namespace in dict.fromkeys(homes.values()):
        unit.advance(namespace, now)
    counts, followers = unit.erase(list(homes), erasure)
    for record in unit.current(followers):
        text, (before, _) = unit.text(record.cube.id), unit.turns_around(record.cube.id)
        previous = _stored_draft(before.cube, before.text) if before and _is_turn(record.cube) else None
        row = text_row(_stored_draft(record.cube, text), previous)
        if row != text:
            unit.retext(record.cube.id, row)
    return counts


def revive(unit: WriteUnit, one: Draft, now: datetime) -> None:
    """Write the next version of a deleted memory; it stands between the turns again that it stood between."""
    unit.advance(one.cube.namespace, now)
    before, behind = unit.turns_around(one.cube.id) if _is_turn(one.cube) else (None, None)
    unit.revive(_entry(one, None if before is None else _stored_draft(before.cube, before.text)))
    _note_languages(unit, [one])
    if behind is not None and behind.text is not None:
        row = text_row(_stored_draft(behind.cube, behind.text), one)
        if row != behind.text:
            unit.retext(behind.cube.id, row)


def adopt(unit: WriteUnit, records: Sequence[Record], now: datetime) -> None:
    """Take in a memory whole, as another store knew it."""
    newest = records[-1]
    unit.advance(newest.cube.namespace, now)
    one, current = draft(newest.cube), newest.known_to is None
    known = unit.text(newest.cube.id) is not None
    previous = _turn_before(unit, newest.cube.id) if known or not current else _last_turn(unit, newest.cube)
    unit.adopt(records, text_row(one, previous) if current else None)
    _note_languages(unit, [one])
    unit.link(edge for record in records for edge in _derivations(record.cube))
    _recontext(unit, newest.cube.id, one if current else previous)


def retext(unit: WriteUnit, cube: MemCube, now: datetime) -> None:
    """Analyse a current memory anew, as after a change of the analysis, and the context of the turn behind it."""
    unit.advance(cube.namespace, now)
    one = draft(cube)
    unit.retext(cube.id, text_row(one, _turn_before(unit, cube.id)))
    _recontext(unit, cube.id, one)


def place(unit: WriteUnit, cube: MemCube, now: datetime) -> None:
    """Analyse a current memory anew, as said after the turn that was written before it."""
    unit.advance(cube.namespace, now)
    before = unit.turns_around(cube.id)[0] if _is_turn(cube) else None
    unit.retext(cube.id, text_row(draft(cube), None if before is None else _stored_draft(before.cube, before.text)))


def text_row(one: Draft, previous: Draft | None) -> TextRow | None:
    """The full-text row of ``one`` said after ``previous``; None where there is nothing to find by words.

    Where its words may not be carried, ``previous`` is named all the same: a later change of either may allow it.
    """
    if one.cube.is_manifest or not (one.terms or one.facets):
        return None
    if previous is None:
        return TextRow(terms=one.terms, facets=one.facets)
    context = previous.terms[:CONTEXT_LIMIT] if may_carry(one.cube, previous.cube) else ()
    return TextRow(terms=one.terms, context=context, facets=one.facets, context_of=previous.cube.id)


def may_carry(one: MemCube, previous: MemCube) -> bool:
    """Whether ``one`` may carry words of ``previous``: both are messages, of one conversation, open to the same people.

    Else a search could show that the other turn holds a word to somebody who may not read it.
    """
    return _is_turn(one) and _is_turn(previous) and _same_talk(one, previous) and _same_access(one, previous)


def valid_from(cube: MemCube) -> datetime:
    """Since when the memory holds: as declared, else since it was said, else since it was written."""
    said = cube.header.descriptive
    return said.valid_from or said.event_time or said.created


def _entry(one: Draft, previous: Draft | None) -> Entry:
    cube = one.cube
    return Entry(
        cube=cube,
        valid_from=valid_from(cube),
        valid_to=cube.header.descriptive.valid_to,
        text=text_row(one, previous),
        document=one.document,
        vectors=one.vectors,
        edges=_derivations(cube),
    )


def _note_languages(unit: WriteUnit, drafts: Sequence[Draft]) -> None:
    namespace = drafts[0].cube.namespace
    stored = languages(unit, namespace)
    # A text whose language does not show is analysed as English, so queries must be read in it too.
    spoken = {one.cube.header.descriptive.language or "en" for one in drafts if one.terms}.difference(stored)
    if spoken:
        unit.set_setting(_LANGUAGES + namespace, " ".join([*stored, *sorted(spoken)]))


def _derivations(cube: MemCube) -> tuple[Edge, ...]:
    """What it was made from; a memory's own version before, which a merge pins too, is no other memory."""
    if not cube.parents:  # nearly always
        return ()
    return tuple(
        Edge(source=cube.id, kind="derived_from", target=parent.id) for parent in cube.parents if parent.id != cube.id
    )


def _last_turn(unit: WriteUnit, cube: MemCube) -> Draft | None:
    """The turn that ``cube`` is said after, by order of writing."""
    last = unit.last_turn(cube.namespace, cube.header.descriptive.session) if _is_turn(cube) else None
    return None if last is None or last.cube.id == cube.id else _stored_draft(last.cube, last.text)


def _turn_before(unit: WriteUnit, id: str) -> Draft | None:
    """The turn that a current memory is said after, as it is now, with the words that the index holds."""
    text = unit.text(id)
    records = unit.current([text.context_of]) if text is not None and text.context_of is not None else []
    return _stored_draft(records[0].cube, unit.text(records[0].cube.id)) if records else None


def _stored_draft(cube: MemCube, text: TextRow | None) -> Draft:
    return Draft(cube=cube) if text is None else Draft(cube=cube, terms=text.terms, facets=text.facets)


def _recontext(unit: WriteUnit, id: str, previous: Draft | None) -> None:
    """Let the turns behind ``id`` be said after ``previous``."""
    for record in unit.current(unit.followers(id)):
        text = unit.text(record.cube.id)
        row = text_row(_stored_draft(record.cube, text), previous)
        if row != text:
            unit.retext(record.cube.id, row)


def _is_turn(cube: MemCube) -> bool:
    return cube.header.descriptive.semantic_type is SemanticType.MESSAGE


def _same_talk(one: MemCube, other: MemCube) -> bool:
    """Whether both belong to one conversation: by its session, else by the call that brought both, else by time."""
    a, b = one.header.descriptive, other.header.descriptive
    if one.namespace != other.namespace or a.session != b.session:
        return False
    if a.session is not None or (a.episode is not None and a.episode == b.episode):
        return True
    return abs(_said_at(one) - _said_at(other)) <= SAME_TALK


def _said_at(cube: MemCube) -> datetime:
    return cube.header.descriptive.event_time or cube.header.descriptive.created


def _same_access(one: MemCube, other: MemCube) -> bool:
    a, b = one.header.governance, other.header.governance
    if a is b:
        return True
    return (a.owner, a.namespace, a.access) == (b.owner, b.namespace, b.access) and (
        set(a.sensitivity) == set(b.sensitivity)
    )
