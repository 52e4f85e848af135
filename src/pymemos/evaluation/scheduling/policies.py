"""Policies that are compared: those that always do the same, the classics of caching, and the cost model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pymemos.evaluation.scheduling.optimum import CostsOf
from pymemos.evaluation.scheduling.traces import Event
from pymemos.operation.costs import DAY_S, Form
from pymemos.operation.moves import Standing, decide, worth_of_room
from pymemos.operation.usage import UNINFORMED, Prior, Usage, learn

LEARN_EVERY = 100  # events after which the cost model looks again at what memories are like


class Policy(Protocol):
    """Says after each event how its memory is to be kept, and which one goes when there is no room."""

    def after(self, event: Event, form: Form) -> Standing:
        """How to keep the memory that an event happened to, and how long if it rests."""

    def worth(self, cube: str, t: float, *, kept: bool) -> float:
        """Who is worth least goes first, and nobody goes for one who is worth no more."""

    def evicted(self, cube: str) -> None:
        """A memory went for another."""


class Never:
    """Text, always."""

    def after(self, event: Event, form: Form) -> Standing:  # noqa: D102
        return Standing(Form.TEXT)

    def worth(self, cube: str, t: float, *, kept: bool) -> float:  # noqa: D102
        return 0.0

    def evicted(self, cube: str) -> None:  # noqa: D102
        return


class Always(Never):
    """A KV cache of everything, made anew after every change, as long as there is room."""

    def after(self, event: Event, form: Form) -> Standing:  # noqa: D102
        return Standing(Form.KV)


class Lru(Never):
    """A KV cache of what is used; who was used last the longest ago goes."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}

    def after(self, event: Event, form: Form) -> Standing:  # noqa: D102
        self._seen[event.cube] = self._priority(event)
        return Standing(Form.KV if event.op == "use" else form)

    def worth(self, cube: str, t: float, *, kept: bool) -> float:  # noqa: D102
        return self._seen[cube]

    def _priority(self, event: Event) -> float:
        return event.t


class Lfu(Lru):
    """A KV cache of what is used; who was used least often goes."""

    def _priority(self, event: Event) -> float:
        return self._seen.get(event.cube, 0.0) + (event.op == "use")


class Gdsf(Lru):
    """Greedy dual size frequency: frequency times what a miss costs, by size, over the level of what went last."""

    def __init__(self, costs_of: CostsOf) -> None:
        super().__init__()
        self._costs_of, self._level = costs_of, 0.0
        self._uses: dict[str, int] = {}

    def _priority(self, event: Event) -> float:
        self._uses[event.cube] = self._uses.get(event.cube, 0) + (event.op == "use")
        costs = self._costs_of(event.tokens)
        return self._level + self._uses[event.cube] * costs.text.read_s / costs.kv.bytes

    def evicted(self, cube: str) -> None:  # noqa: D102
        self._level = max(self._level, self._seen[cube])


class CostModel:
    """The scheduler's own: ``operation.moves`` by what was seen so far in the very trace."""

    def __init__(self, costs_of: CostsOf) -> None:
        self._costs_of = costs_of
        self._usage: dict[str, Usage] = {}
        self._tokens: dict[str, int] = {}
        self._prior: Prior = UNINFORMED
        self._events = 0

    def after(self, event: Event, form: Form) -> Standing:  # noqa: D102
        at = event.t / DAY_S
        known = self._usage.get(event.cube) or Usage(since=at, at=at)
        usage = known.happened(at, use=event.op == "use")
        self._usage[event.cube], self._tokens[event.cube] = usage, event.tokens
        self._events += 1
        if self._events % LEARN_EVERY == 0:
            self._prior = learn(self._usage.values(), at)
        return decide(form, self._costs_of(event.tokens), usage, self._prior, at)

    def worth(self, cube: str, t: float, *, kept: bool) -> float:  # noqa: D102
        costs = self._costs_of(self._tokens[cube])
        return worth_of_room(costs, self._usage[cube], self._prior, t / DAY_S, kept=kept)

    def evicted(self, cube: str) -> None:  # noqa: D102
        return


POLICIES: dict[str, Callable[[CostsOf], Policy]] = {
    "never": lambda _: Never(),
    "always": lambda _: Always(),
    "lru": lambda _: Lru(),
    "lfu": lambda _: Lfu(),
    "gdsf": Gdsf,
    "cost model": CostModel,
}
OURS = "cost model"
