"""MemVault: writes versions with everything that must stay in step with them: full text, context, edges (5.5.2)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from pymemos.cube.cube import MemCube
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
    """Analyse the text of ``cube``; episodes and tensors have none."""
    if cube.is_episode or not cube.text:
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
        entries.append(_entry(one, previous))
        if _is_turn(one.cube):
            previous = one
    unit.insert_all(entries)
    _note_languages(unit, drafts)
    return stamp


def supersede(unit: WriteUnit, one: Draft, now: datetime) -> None:
    """Write the next version of a memory, and the context of the turn behind it anew."""
    unit.advance(one.cube.namespace, now)
    before = unit.text(one.cube.id)
    previous = _current_draft(unit, before.context_of) if before else None
    unit.supersede(_entry(one, previous))
    _note_languages(unit, [one])
    _recontext(unit, one.cube.id, one)


def retire(unit: WriteUnit, cube: MemCube, now: datetime) -> None:
    """Delete a memory recoverably; the turn behind it now follows the turn before it."""
    unit.advance(cube.namespace, now)
    if unit.followers(cube.id):
        text = unit.text(cube.id)
        _recontext(unit, cube.id, _current_draft(unit, text.context_of) if text else None)
    unit.retire(cube.id)


def adopt(unit: WriteUnit, records: Sequence[Record], now: datetime) -> None:
    """Take in a memory whole, as another store knew it."""
    newest = records[-1]
    unit.advance(newest.cube.namespace, now)
    text: TextRow | None = None
    one = draft(newest.cube)
    if newest.known_to is None:
        before = unit.text(newest.cube.id)
        previous = _current_draft(unit, before.context_of) if before else _last_turn(unit, newest.cube)
        text = text_row(one, previous)
    unit.adopt(records, text)
    _note_languages(unit, [one])
    unit.link(edge for record in records for edge in _derivations(record.cube))
    _recontext(unit, newest.cube.id, one if newest.known_to is None else None)


def retext(unit: WriteUnit, cube: MemCube) -> None:
    """Analyse a current memory anew, as after a change of the analysis."""
    before = unit.text(cube.id)
    previous = _current_draft(unit, before.context_of) if before else None
    unit.retext(cube.id, text_row(draft(cube), previous))


def text_row(one: Draft, previous: Draft | None) -> TextRow | None:
    """The full-text row of ``one`` said after ``previous``; None where there is nothing to find by words.

    Words of the turn before are carried only where both turns are open to the same people: else a search could show
    that the other turn holds a word to somebody who may not read it.
    """
    if one.cube.is_episode or not (one.terms or one.facets):
        return None
    if previous is None or not _same_access(one.cube, previous.cube):
        return TextRow(terms=one.terms, facets=one.facets)
    context = previous.terms[:CONTEXT_LIMIT]
    return TextRow(terms=one.terms, context=context, facets=one.facets, context_of=previous.cube.id)


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
    return tuple(Edge(source=cube.id, kind="derived_from", target=parent.id) for parent in cube.parents)


def _last_turn(unit: WriteUnit, cube: MemCube) -> Draft | None:
    if not _is_turn(cube):
        return None
    session = cube.header.descriptive.session
    last = unit.last_turn(cube.namespace, session)
    if last is None or last.text is None:
        return None
    if session is None and abs(valid_from(cube) - valid_from(last.cube)) > SAME_TALK:
        return None
    return Draft(cube=last.cube, terms=last.text.terms, facets=last.text.facets)


def _current_draft(unit: WriteUnit, id: str | None) -> Draft | None:
    """A current memory as a draft, from the words that the index holds."""
    records = unit.current([id]) if id is not None else []
    text = unit.text(records[0].cube.id) if records else None
    if text is None:
        return None
    return Draft(cube=records[0].cube, terms=text.terms, facets=text.facets)


def _recontext(unit: WriteUnit, id: str, previous: Draft | None) -> None:
    """Let the turns behind ``id`` carry the words of ``previous``."""
    for record in unit.current(unit.followers(id)):
        text = unit.text(record.cube.id)
        if text is not None:
            one = Draft(cube=record.cube, terms=text.terms, facets=text.facets)
            unit.retext(record.cube.id, text_row(one, previous))


def _is_turn(cube: MemCube) -> bool:
    return cube.header.descriptive.semantic_type is SemanticType.MESSAGE


def _same_access(one: MemCube, other: MemCube) -> bool:
    a, b = one.header.governance, other.header.governance
    return (a.namespace, a.access, a.sensitivity) == (b.namespace, b.access, b.sensitivity)
