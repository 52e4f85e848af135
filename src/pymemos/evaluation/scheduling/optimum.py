"""The best that could be done with a trace by who knows it to its end: the measure of every policy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pymemos.evaluation.scheduling.traces import Event, by_cube
from pymemos.operation.costs import DAY_S, FORMS, Costs

CostsOf = Callable[[int], Costs]  # what a memory of so many tokens takes


def optimum(events: Sequence[Event], costs_of: CostsOf, *, byte_day_s: float = 0.0) -> float:
    """Seconds that the best decisions take where room has no limit: exact, since memories do not touch each other.

    A policy may make a form right after an event of its memory, and give it up at any time; so may the optimum.
    ``byte_day_s`` is a price of room on top of that of the costs.
    """
    end = events[-1].t if events else 0.0
    return sum(_best(one, costs_of, end, byte_day_s) for one in by_cube(events).values())


def bound(events: Sequence[Event], costs_of: CostsOf, room: float) -> float:
    """Seconds that no decisions can go below where at most ``room`` bytes are kept at any time.

    The Lagrangian relaxation: whatever price a byte has for a day, the optimum at that price less what all the room
    would bring at it is a bound. It is concave in the price, so that the best price is found by narrowing it down.
    """
    days = (events[-1].t - events[0].t) / DAY_S if events else 0.0

    def at(exponent: float) -> float:
        price: float = 10.0**exponent
        return optimum(events, costs_of, byte_day_s=price) - price * room * days

    low, high = -12.0, -4.0
    for _ in range(18):
        third = (high - low) / 3
        if at(low + third) < at(high - third):
            low += third
        else:
            high -= third
    return max(optimum(events, costs_of), at((low + high) / 2))


def _best(events: Sequence[Event], costs_of: CostsOf, end: float, byte_day_s: float) -> float:
    """The least for one memory, by dynamic programming over the form that it is kept in; the first form is text."""
    least: list[float] = [0.0] + [math.inf] * (len(FORMS) - 1)
    for place, event in enumerate(events):
        each = [costs_of(event.tokens).of(form) for form in FORMS]
        if event.op == "use":
            least = [spent + one.read_s for spent, one in zip(least, each, strict=True)]
        else:  # whatever was made of it holds no more
            least = [min(least)] + [math.inf] * (len(FORMS) - 1)
        gap = ((events[place + 1].t if place + 1 < len(events) else end) - event.t) / DAY_S
        cheapest = min(least) if event.op != "erase" else math.inf
        least = [
            min(spent, cheapest + one.write_s) + (one.keep_day_s + one.bytes * byte_day_s) * gap
            for spent, one in zip(least, each, strict=True)
        ]
    return min(least)
