"""LoCoMo files: long conversations between two people, each session a day, with photos told by their captions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec

from pymemos.errors import MalformedRecord
from pymemos.interface.importers.files import MOST_BYTES, Item, items, parse
from pymemos.interface.importers.session import Broken, Found, Session, Source, attempt
from pymemos.interface.requests import Message

_FILES = re.compile(r".+\.json")
_SESSION = re.compile(r"session_(\d+)")
_TIME = "%I:%M %p on %d %B, %Y"  # 1:56 pm on 8 May, 2023
_TURN = timedelta(seconds=1)  # ours: the file dates whole sessions, and times should keep the order of the turns


class _Said(msgspec.Struct):
    speaker: str
    dia_id: str
    text: str
    blip_caption: str | None = None


class _Talk(msgspec.Struct):
    sample_id: str
    conversation: dict[str, msgspec.Raw]


def read(path: Path, *, most: int = MOST_BYTES) -> Source:
    """The sessions of a LoCoMo file such as ``locomo10.json``, or of a folder of them; the questions stay out."""
    sessions = [session for one in items(path, _FILES, most=most) for session in _sessions(one)]
    return Source(total=len(sessions), sessions=iter(sessions))


def _sessions(item: Item | Broken) -> Iterator[Found]:
    """The sessions of a conversation, in the order of their numbers."""
    if isinstance(item, Broken):
        yield item
        return
    try:
        talk = parse(item.raw, _Talk)
    except MalformedRecord as error:
        yield Broken(where=item.where, reason=str(error))
        return
    for number in sorted(int(found[1]) for key in talk.conversation if (found := _SESSION.fullmatch(key))):
        where = f"{item.where} ({talk.sample_id}), session_{number}"
        yield attempt(where, partial(_session, talk, f"session_{number}", where))


def _session(talk: _Talk, name: str, where: str) -> Session:
    if f"{name}_date_time" not in talk.conversation:
        raise MalformedRecord(f"it has no {name}_date_time")
    at = _time(parse(talk.conversation[f"{name}_date_time"], str))
    said = parse(talk.conversation[name], list[_Said])
    turns = (
        Message(content=_with_photo(one), id=one.dia_id, name=one.speaker, timestamp=at + place * _TURN)
        for place, one in enumerate(said)
    )
    return Session(
        id=f"{talk.sample_id}/{name}",  # every conversation begins with a session_1
        where=where,
        messages=tuple(turn for turn in turns if turn.content.strip()),
        at=at,
        metadata={"source": "locomo", "conversation": talk.sample_id},
    )


def _with_photo(said: _Said) -> str:
    return f"{said.text} [shares a photo: {said.blip_caption}]" if said.blip_caption else said.text


def _time(text: str) -> datetime:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError as error:
        raise MalformedRecord(f"{text!r} is no time such as '1:56 pm on 8 May, 2023'") from error
