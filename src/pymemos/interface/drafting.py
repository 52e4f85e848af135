"""Drafting: the messages of one call as memories, each with its terms; what they have in common is made once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from pymemos.cube.header import Descriptive, Governance
from pymemos.cube.payload import Plaintext
from pymemos.cube.wire import Document, Frame, seal
from pymemos.infrastructure.analysis import Reader, facet_terms
from pymemos.infrastructure.vault import Draft
from pymemos.interface.api import Tools
from pymemos.interface.requests import Message

_Said = tuple[str | None, str | None, datetime | None, str | None]  # by whom, in which role, when, in which language


class Drafting:
    """Makes a memory of each message of one call; ``shared`` is what they all have in common."""

    def __init__(self, shared: Descriptive, rules: Governance, tools: Tools) -> None:
        self._shared = shared
        self._rules = rules
        self._tools = tools
        self._reader = Reader(shared.language)
        self._facets: dict[tuple[Any, ...], tuple[str, ...]] = {}  # of names and days, which come again
        self._frames: dict[_Said, tuple[Frame, tuple[str, ...]]] = {}

    def draft(self, message: Message) -> Draft:
        """One message as a memory with its terms."""
        language, terms = self._reader.read(message.content)
        id, salt, payload = (
            self._tools.new_id(self._shared.created),
            self._tools.new_salt(),
            Plaintext(content=message.content),
        )
        if message.id is None and not message.metadata and not message.rest:
            frame, facets = self._frame(message, language)
            cube, document = frame.seal(id, payload, salt)
        else:  # no other message says the same of itself
            said = self._descriptive(message, language)
            cube, document = seal(Document(id=id, descriptive=said, governance=self._rules, payload=payload), salt)
            facets = self._facets_of(said)
        return Draft(cube=cube, terms=terms, facets=facets, document=document)

    def _frame(self, message: Message, language: str | None) -> tuple[Frame, tuple[str, ...]]:
        place = message.name, message.role, message.timestamp, language
        known = self._frames.get(place)
        if known is None:
            said = self._descriptive(message, language)
            known = self._frames[place] = Frame(said, self._rules), self._facets_of(said)
        return known

    def _descriptive(self, message: Message, language: str | None) -> Descriptive:
        shared, rest = self._shared, {"message": message.rest} if message.rest else {}
        return msgspec.structs.replace(
            shared,
            speaker=message.name,
            speaker_role=message.role,
            source_ids=() if message.id is None else (message.id,),
            event_time=message.timestamp or shared.event_time,
            language=language,
            metadata={**shared.metadata, **message.metadata, **rest},
        )

    def _facets_of(self, said: Descriptive) -> tuple[str, ...]:
        place = said.speaker, (said.event_time or said.created).date(), said.language
        if place not in self._facets:
            self._facets[place] = facet_terms(*place)
        return self._facets[place]
