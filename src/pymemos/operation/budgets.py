"""Budgets: what a plan may take, and why something is left out of it or read as text, in words (5.4.2)."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Budgets(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a plan may take; None is without a limit.

    ``seconds`` is how long reading the memories is expected to take, ``device_bytes`` what KV caches and adapters may
    take where the model computes, on a device or in the memory of the host. ``calls`` is not chosen: it is what the
    rate limits of the caller leave it for this answer.
    """

    tokens: int | None = None
    seconds: float | None = None
    device_bytes: int | None = None
    memories: int | None = None
    calls: int | None = None

    def within(self, other: Budgets) -> Budgets:
        """The tighter of two limits in each."""
        pairs = [(name, getattr(self, name), getattr(other, name)) for name in self.__struct_fields__]
        return Budgets(**{name: b if a is None else a if b is None else min(a, b) for name, a, b in pairs})


class Why(StrEnum):
    """Why a memory is left out of a plan, or is read as text though another form of it lies ready."""

    REFUSED = "refused"
    STALE = "stale"
    TOKENS = "tokens"
    SECONDS = "seconds"
    BYTES = "bytes"
    MEMORIES = "memories"
    CALLS = "calls"
    BEHIND_TEXT = "behind text"  # what stands before it in the stable block is no KV cache, so that it cannot be one


def in_words(why: Why, needs: float, of: Budgets) -> str:
    """Why something does not fit; ``needs`` is what the plan would take with it."""
    if why is Why.STALE:
        return "what it was made from has changed"
    if why is Why.BEHIND_TEXT:
        return "what stands before it in the prompt is read as text"
    if why is Why.TOKENS:
        return f"{needs:,.0f} tokens would pass the budget of {of.tokens or 0:,}"
    if why is Why.SECONDS:
        return f"{needs:.3g} s of reading would pass the budget of {of.seconds or 0:.3g} s"
    if why is Why.BYTES:
        return f"{size(needs)} would pass the budget of {size(of.device_bytes or 0)}"
    if why is Why.MEMORIES:
        return f"the budget of memories is {of.memories or 0:,}"
    if why is Why.CALLS:
        return f"{needs:,.0f} calls would pass the {of.calls or 0:,} that the caller's rate limit leaves"
    return why.value


def size(of: float) -> str:
    """Bytes as people read them."""
    for unit, least in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if of >= least:
            return f"{of / least:.3g} {unit}"
    return f"{of:,.0f} bytes"
