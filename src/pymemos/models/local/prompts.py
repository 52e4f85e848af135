"""A model's chat template in pieces: what comes before, between and behind the texts, and the texts tokenised alone.

Equal pieces get equal tokens, whatever stands beside them, so that what a model computed for them can be used again.
And a text never becomes a mark of the template: only what the template itself says is read for marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from jinja2 import TemplateError
from tokenizers import Tokenizer

from pymemos.errors import InvalidInput, ModelError
from pymemos.ports import Prompt, Tokens, Utterance

_PLACE: Final = "[[pymemos:{}]]"  # stands for a text while the template is looked at
_BETWEEN: Final = "\n\n"  # system and question, where a template knows no system
_SYSTEM: Final = "system"
_USER: Final = "user"
_NOBODY: Final = Utterance(_USER, "")  # asks where only head and notes are wanted


class Template:
    """The chat template of a tokenizer; threads may share it."""

    def __init__(self, tokenizer: Any) -> None:
        if not tokenizer.chat_template:
            raise ModelError("the model has no chat template; use one that is made for chats")
        self._tokenizer = tokenizer
        # Copies that nobody changes: a tokenizer that is told how to treat marks cannot be used by another thread.
        self._marks, self._texts = (_copy(tokenizer.backend_tokenizer, marks=marks) for marks in (True, False))
        self._knows_system = self._takes(_SYSTEM)

    def prompt(self, system: str, notes: Sequence[str], turns: Sequence[Utterance]) -> Prompt:
        """Head (up to the system's text), notes (each on a line of its own behind it), and tail."""
        turns = turns or [_NOBODY]
        if not system and not notes:
            return Prompt(head=(), notes=(), tail=self._whole(turns))
        if self._knows_system:
            return self._split(system, notes, [Utterance(_SYSTEM, ""), *turns])
        if turns[0].role != _USER:
            raise InvalidInput("the model's chat template knows no system; begin with a message of the user")
        return self._split(system, notes, [Utterance(_USER, ""), *turns[1:]], then=_BETWEEN + turns[0].content)

    def _split(self, system: str, notes: Sequence[str], messages: list[Utterance], then: str = "") -> Prompt:
        """The pieces where system and notes are the first message's text, and ``then`` what follows in it."""
        literals = self._literals(len(messages), [one.role for one in messages])
        tail = self.text(then) if then else ()
        for literal, message in zip(literals[1:], [*messages[1:], None], strict=True):
            tail += self._marked(literal)
            tail += self.text(message.content) if message is not None else ()
        return Prompt(
            head=self._marked(literals[0]) + self.text(system),
            notes=tuple(self.text(f"\n{note}") for note in notes),
            tail=tail,
        )

    def _whole(self, turns: Sequence[Utterance]) -> Tokens:
        """A conversation without a system's message of ours: the template may put its own."""
        tokens: Tokens = ()
        for literal, turn in zip(self._literals(len(turns), [one.role for one in turns]), [*turns, None], strict=True):
            tokens += self._marked(literal) + (self.text(turn.content) if turn is not None else ())
        return tokens

    def _literals(self, count: int, roles: Sequence[str]) -> list[str]:
        """What the template puts before, between and behind the texts of ``count`` messages."""
        places = [_PLACE.format(index) for index in range(count)]
        rest = self._rendered([{"role": role, "content": place} for role, place in zip(roles, places, strict=True)])
        literals = []
        for place in places:
            literal, found, rest = rest.partition(place)
            if not found:
                raise ModelError(
                    "the model's chat template changes or leaves out a message; it cannot be used in pieces"
                )
            literals.append(literal)
        return [*literals, rest]

    def _takes(self, role: str) -> bool:
        """Whether the template has a message of this role before the user's, and says its text."""
        messages = [{"role": role, "content": _PLACE.format(0)}, {"role": _USER, "content": _PLACE.format(1)}]
        try:
            return _PLACE.format(0) in self._rendered(messages)
        except InvalidInput:
            return False

    def _rendered(self, messages: list[dict[str, str]]) -> str:
        try:
            text: str = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except TemplateError as error:
            raise InvalidInput(f"the model's chat template refuses these messages ({error})") from error
        return text

    def _marked(self, literal: str) -> Tokens:
        return tuple(self._marks.encode(literal, add_special_tokens=False).ids)

    def text(self, text: str) -> Tokens:
        """The tokens of a text as it stands in a prompt."""
        return tuple(self._texts.encode(text.encode("utf-8", "replace").decode(), add_special_tokens=False).ids)


def _copy(tokenizer: Tokenizer, *, marks: bool) -> Tokenizer:
    """A tokenizer of its own that reads marks as marks, or as the letters that they are written with."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    copy.encode_special_tokens = not marks
    return copy
