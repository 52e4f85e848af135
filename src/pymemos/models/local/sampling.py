"""How tokens become an answer: chosen from logits, put into words that are whole, and ended by a stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor

_HALF: Final = "\ufffd"  # what a tokenizer gives for bytes that are no character yet


class Chooser:
    """The next token from logits: the highest at temperature 0, else by chance, repeatable by its seed."""

    def __init__(self, temperature: float, seed: int | None) -> None:
        self._temperature = temperature
        self._dice = torch.Generator()
        if seed is None:
            self._dice.seed()
        else:
            self._dice.manual_seed(seed)

    def __call__(self, logits: Tensor) -> int:
        """A token of (vocabulary,) logits."""
        if self._temperature <= 0:
            return int(logits.argmax())
        behind = logits.double().cpu() - float(logits.max())  # first, so that no division by what is tiny overflows
        chances = (behind / self._temperature).softmax(dim=-1)
        return int(torch.multinomial(chances, 1, generator=self._dice))


class Words:
    """The text of tokens as they come; a character of several tokens is told when it is whole."""

    def __init__(self, tokenizer: Any) -> None:
        self._decode: Callable[[Sequence[int]], str] = lambda ids: tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        self._ids: list[int] = []
        self._begin = 0  # decoding begins a little before what is new: a tokenizer may treat a first token otherwise
        self._told = 0

    def add(self, token: int) -> str:
        """What can be said now that ``token`` has come: perhaps nothing."""
        self._ids.append(token)
        before = self._decode(self._ids[self._begin : self._told])
        now = self._decode(self._ids[self._begin :])
        if now.endswith(_HALF) or len(now) <= len(before):
            return ""
        self._begin, self._told = self._told, len(self._ids)
        return now[len(before) :]


class Stops:
    """Holds back what might become a stop string, until it is one or cannot become one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.reached = False

    def add(self, text: str) -> str:
        """What may be told of the text so far; after a stop, nothing more."""
        self._held += text
        places = [place for place in (self._held.find(stop) for stop in self._stops) if place >= 0]
        if places:
            self.reached = True
            return self._told(min(places))
        ends = [size for stop in self._stops for size in range(1, len(stop)) if self._held.endswith(stop[:size])]
        return self._told(len(self._held) - max(ends, default=0))

    def rest(self) -> str:
        """What was held back, when no more text comes."""
        return "" if self.reached else self._held

    def _told(self, length: int) -> str:
        told, self._held = self._held[:length], self._held[length:]
        return told
