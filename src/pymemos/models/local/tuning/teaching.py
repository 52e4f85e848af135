"""A teacher: the model with notes in its memory, whose log-probabilities an adapter is to have without them (4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import torch
from torch import Tensor

from pymemos.models.local import past
from pymemos.models.local.hooks import AdapterUse
from pymemos.models.local.identity import digest_of
from pymemos.ports import Teacher, Tokens, Utterance

if TYPE_CHECKING:
    from pymemos.models.local.engine import LocalEngine

LONGEST: Final = 8  # tokens of a teacher's answer that are learned, and measured (ours)


class Said(msgspec.Struct, frozen=True, eq=False):
    """What a teacher says to a question, and how likely it held every token: log-probabilities (tokens, vocabulary)."""

    tokens: Tokens
    rows: Tensor


def said(engine: LocalEngine, teacher: Teacher, question: str) -> Said:
    """The likeliest tokens of an answer, up to its end; nothing of the notes is read again."""
    prompt = engine.prompt(teacher.system, teacher.notes, [Utterance("user", question)]).tokens
    before = past.covering(prompt, teacher.prefix, digest_of(engine.ref))
    cache = engine.new_past(len(prompt) + LONGEST, before)
    tokens: list[int] = []
    rows = [engine.forward(prompt[cache.start :], cache)]
    while True:
        tokens.append(int(rows[-1].argmax()))
        if len(tokens) == LONGEST or tokens[-1] in engine.ends:
            return Said(tuple(tokens), torch.stack(rows).float().log_softmax(dim=-1))
        rows.append(engine.forward(tokens[-1:], cache))


def apart(engine: LocalEngine, prompt: Tokens, use: Sequence[AdapterUse], taught: Said) -> float:
    """KL of the model from a teacher, in nats a token, over the teacher's answer behind a prompt without notes."""
    tokens = (*prompt, *taught.tokens[:-1])
    with torch.inference_mode():
        rows = engine.passed(tokens, engine.new_past(len(tokens)), keep=len(taught.tokens), adapters=use)
        own = rows.float().log_softmax(dim=-1)
        each = torch.nn.functional.kl_div(own, taught.rows.to(own), log_target=True, reduction="none").sum(-1)
    return float(each.mean())
