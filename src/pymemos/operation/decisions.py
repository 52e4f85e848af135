"""Decisions on the form of a memory, with all that they were made from: kept on cubes, and made again (5.4.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from pymemos.operation.costs import Calibration, Form, Prices, costs
from pymemos.operation.moves import Move, decide, move
from pymemos.operation.usage import Prior, Usage

KEPT: Final = "decisions"  # the metadata of a cube that decisions made: them, oldest first


class Grounds(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a decision is made from; times in days."""

    id: str
    version: str
    tokens: int
    usage: Usage
    prior: Prior
    at: float
    before: Form
    allowed: tuple[Form, ...]
    calibration: Calibration
    prices: Prices


class FormDecision(msgspec.Struct, frozen=True, kw_only=True):
    """In which form a memory should be kept from a moment on, why (in words, where it moves), and its grounds."""

    grounds: Grounds
    after: Form
    reason: str

    @property
    def id(self) -> str:
        """The memory that it is about."""
        return self.grounds.id

    @property
    def before(self) -> Form:
        """The form that the memory had."""
        return self.grounds.before

    @property
    def is_move(self) -> bool:
        """Whether the memory should be kept in another form than it is."""
        return self.after is not self.before

    @property
    def move(self) -> Move:
        """The move that it asks for, with the figures."""
        return _move(self.grounds, self.after)

    def again(self) -> FormDecision:
        """The same decision made again from its grounds; it differs where the rules of deciding changed since."""
        return decided(self.grounds)


def decided(grounds: Grounds) -> FormDecision:
    """Decide on a memory."""
    of = costs(grounds.tokens, grounds.calibration, grounds.prices)
    after = decide(grounds.before, of, grounds.usage, grounds.prior, grounds.at, grounds.allowed).form
    reason = "" if after is grounds.before else _move(grounds, after).reason
    return FormDecision(grounds=grounds, after=after, reason=reason)


def as_kept(decisions: Iterable[FormDecision]) -> list[dict[str, Any]]:
    """As the header of a cube keeps them."""
    return [msgspec.to_builtins(one) for one in decisions]


def kept_in(metadata: Mapping[str, Any]) -> tuple[FormDecision, ...]:
    """The decisions in the metadata of a cube; none where somebody wrote something else there."""
    try:
        return msgspec.convert(metadata.get(KEPT, ()), tuple[FormDecision, ...])
    except msgspec.ValidationError:
        return ()


def _move(of: Grounds, after: Form) -> Move:
    return move(of.id, of.before, after, costs(of.tokens, of.calibration, of.prices), of.usage, of.prior, of.at)
