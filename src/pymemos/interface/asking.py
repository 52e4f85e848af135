"""Questions for lessons by a chat model: asked once for a training, and kept with it until it ends (4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from pymemos.operation.distilling.asking import OPTIONS, request, served
from pymemos.operation.distilling.facts import facts_in
from pymemos.ports import ChatModel, Utterance

QUESTIONS: Final = "questions.json"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The questions for each fact, by its number, and the model that made them."""

    by: str
    questions: dict[int, tuple[str, ...]]


def questions_for(texts: Mapping[str, str], chat: ChatModel, folder: Path) -> Asked:
    """Further questions for every fact of some memories, by id; whoever goes on with a training gets the same ones.

    Of a fact for which the model makes none that serves there are none. Raises ChatFailed.
    """
    kept = _kept(folder)
    if kept is not None:
        return kept
    facts = [fact for id, text in texts.items() for fact in facts_in(text, id)]
    made = {number: served(_said(chat, request(fact)), fact) for number, fact in enumerate(facts)}
    asked = Asked(by=chat.identity, questions=made)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{QUESTIONS}"
    partial.write_bytes(msgspec.json.encode(asked))
    partial.replace(folder / QUESTIONS)
    return asked


def _kept(folder: Path) -> Asked | None:
    try:
        return msgspec.json.decode((folder / QUESTIONS).read_bytes(), type=Asked)
    except (FileNotFoundError, msgspec.MsgspecError):  # half a file is asked for again
        return None


def _said(chat: ChatModel, messages: Sequence[Utterance]) -> str:
    return "".join(piece.text for piece in chat.stream(messages, OPTIONS))
