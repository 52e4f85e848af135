"""Losses: how far what came out of a pathway is from what went into it, as figures (4.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How two rows of logits for the same next token differ."""

    kl: float  # in nats, of the second from the first
    largest: float  # between two logits


def difference(one: Sequence[float], other: Sequence[float]) -> Difference:
    """How the second row of logits differs from the first; both have a number for every token."""
    expected, found = _log_softmax(one), _log_softmax(other)
    kl = sum(math.exp(a) * (a - b) for a, b in zip(expected, found, strict=True) if a > _NEVER)
    return Difference(kl=max(kl, 0.0), largest=max(abs(a - b) for a, b in zip(one, other, strict=True)))


_NEVER = -700.0  # the logarithm of what a float can hardly hold: it adds nothing


def differing(one: Sequence[int], other: Sequence[int]) -> float:
    """The share of tokens that are not the same, counted from the ends: a beginning may have been cut off."""
    longer = max(len(one), len(other))
    if not longer:
        return 0.0
    same = sum(a == b for a, b in zip(reversed(one), reversed(other), strict=False))
    return 1 - same / longer


def _log_softmax(row: Sequence[float]) -> list[float]:
    top = max(row)
    total = top + math.log(sum(math.exp(value - top) for value in row))
    return [value - total for value in row]


def figures(given: Mapping[str, float]) -> dict[str, float]:
    """Figures for a header, which has numbers alone: one that could not be measured is left out."""
    return {name: float(value) for name, value in given.items() if math.isfinite(value)}
