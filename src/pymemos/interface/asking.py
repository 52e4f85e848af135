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

    Each fact is asked for once by a model, however often that fails at another. Of a fact for which the model makes
    none that serves there are none. Raises ChatFailed.
    """
    facts = [fact for id, text in texts.items() for fact in facts_in(text, id)]
    asked = _kept(folder)
    if asked is None or (asked.by != chat.identity and len(asked.questions) < len(facts)):
        asked = Asked(by=chat.identity, questions={})
    for number, fact in enumerate(facts):
        if number not in asked.questions:
            made = served(_said(chat, request(fact)), fact)
            asked = msgspec.structs.replace(asked, questions={**asked.questions, number: made})
            _keep(folder, asked)
    return asked


def _keep(folder: Path, asked: Asked) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{QUESTIONS}"
    partial.write_bytes(msgspec.json.encode(asked))
    partial.replace(folder / QUESTIONS)


def _kept(folder: Path) -> Asked | None:
    try:
        return msgspec.json.decode((folder / QUESTIONS).read_bytes(), type=Asked)
    except (FileNotFoundError, msgspec.MsgspecError):  # half a file is asked for again
        return None


def _said(chat: ChatModel, messages: Sequence[Utterance]) -> str:
    return "".join(piece.text for piece in chat.stream(messages, OPTIONS))
