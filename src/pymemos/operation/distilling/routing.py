"""Which adapters a question may be answered with: those that were taught of someone whom it names."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from pymemos.cube.subjects import named


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter that holds: it is admitted, its sources say what they said, and the caller may use it."""

    id: str
    subjects: tuple[str, ...]
    sources: tuple[str, ...]  # ids of memories
    learned: tuple[tuple[str, str], ...] = ()  # subject and source of each fact


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter to attach, the subjects that the question names, and the memories that it stands for."""

    id: str
    subjects: tuple[str, ...]
    sources: tuple[str, ...]
    why: str


def routed(
    question: str, candidates: Sequence[Candidate], *, hits: Collection[str] | None = None, limit: int = 1
) -> tuple[Route, ...]:
    """The adapters for a question, those that know most of what it names first.

    With ``hits``, the memories that retrieval found, an adapter is used only where one of its sources on a named
    subject is among them: a name alone does not make it the right memory.
    """
    found = [route for one in candidates if (route := _route(question, one, hits)) is not None]
    return tuple(sorted(found, key=lambda one: (-len(one.subjects), -len(one.sources), one.id))[:limit])


def _route(question: str, one: Candidate, hits: Collection[str] | None) -> Route | None:
    subjects = named(question, one.subjects)
    sources = tuple(dict.fromkeys(source for subject, source in one.learned if subject in subjects))
    if hits is not None:
        sources = tuple(source for source in sources if source in hits)
    if not subjects or not sources:
        return None
    why = f"the question names {', '.join(subjects)}"
    return Route(id=one.id, subjects=subjects, sources=sources, why=why)
