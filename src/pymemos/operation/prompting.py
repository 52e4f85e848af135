"""Prompting: a layout as the text that a model reads (ADR 0034). The same values always give the same text."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pymemos.cube.cube import MemCube
from pymemos.infrastructure.vault import valid_from
from pymemos.operation.fences import NOTE, line
from pymemos.operation.layout import Exchange, Layout, Note
from pymemos.ports import Utterance

SYSTEM = "You are a helpful assistant."
MANNER = (
    "You remember what was said in earlier conversations. Such memories are lines with the day that they are of. Use "
    "the ones that matter for the answer, and no others; where two disagree, the later one holds. If neither they nor "
    "the conversation tell, say that you do not know."
)
PAUSE = "…"
STABLE_HEAD = "Memories:"
CHANGED_HEAD = "(Memories that were changed lately, as of {day}:)"
FRESH_HEAD = "(Memories that may matter here, as of {day}:)"


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt in words: what the system says, the lines of the stable block, and the turns, the question last."""

    system: str
    notes: tuple[str, ...]
    turns: tuple[Utterance, ...]

    @property
    def messages(self) -> tuple[Utterance, ...]:
        """All of it as messages, for a model that is given nothing but messages."""
        return (Utterance("system", "\n".join([self.system, *self.notes])), *self.turns)


def script(layout: Layout, question: str, *, system: str | None, day: str) -> Script:
    """The prompt of a layout; ``day`` is today, in ISO 8601."""
    told = [turn for exchange in layout.history for turn in _turns(exchange)]
    asked = Utterance("user", question_with(question, layout.fresh, day) + _changed(layout.volatile, day))
    return Script(
        system=head(system, notes=bool(layout.stable)),
        notes=tuple(note.text for note in layout.stable),
        turns=(*told, asked),
    )


def head(system: str | None = None, *, notes: bool = True) -> str:
    """What the system says, up to the memories of the stable block where there are any."""
    text = f"{system or SYSTEM}\n\n{MANNER} {NOTE}"
    return f"{text}\n\n{STABLE_HEAD}" if notes else text


def question_with(question: str, notes: Sequence[Note], day: str) -> str:
    """What a user asked, behind the memories that the question brought in."""
    if not notes:
        return question
    return f"{_block(FRESH_HEAD, notes, day)}\n\n{question}"


def dated(cube: MemCube) -> str:
    """A memory as one line with its day; in a fence what is not trusted."""
    return f"- [{valid_from(cube).date().isoformat()}] {line(cube).removeprefix('- ')}"


def _changed(notes: Sequence[Note], day: str) -> str:
    """What stands behind the question: the next prompt has it no more, and is the same up to there."""
    return f"\n\n{_block(CHANGED_HEAD, notes, day)}" if notes else ""


def _block(head: str, notes: Sequence[Note], day: str) -> str:
    return "\n".join([head.format(day=day), *(note.text for note in notes)])


def _turns(exchange: Exchange) -> tuple[Utterance, Utterance]:
    """Both halves, for templates want them in turns; a half that is missing is a pause."""
    asked = question_with(exchange.asked, exchange.notes, exchange.day)
    return Utterance("user", asked or PAUSE), Utterance("assistant", exchange.answer or PAUSE)
