"""A trace replayed through a policy, without a model: what its decisions cost, in seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from pymemos.evaluation.scheduling.optimum import CostsOf
from pymemos.evaluation.scheduling.policies import Policy
from pymemos.evaluation.scheduling.traces import Event
from pymemos.operation.costs import DAY_S, Form, FormCosts


class Spent(msgspec.Struct):
    """Seconds by what they went for; ``total`` after every event, for a picture."""

    read: float = 0.0
    write: float = 0.0
    keep: float = 0.0
    course: list[tuple[float, float]] = []

    @property
    def total(self) -> float:
        """All of it."""
        return self.read + self.write + self.keep


class _Kept(msgspec.Struct):
    form: Form
    costs: FormCosts
    since: float  # paid for until then
    until: float


def replay(events: Sequence[Event], policy: Policy, costs_of: CostsOf, *, room: float = math.inf) -> Spent:
    """What a policy's decisions take; at most ``room`` bytes are kept at any time."""
    run = _Run(policy, costs_of, room)
    for event in events:
        run.step(event)
    for cube in list(run.kept):
        run.pay(cube, events[-1].t)
    return run.spent


class _Run:
    """What is kept, and what was spent so far."""

    def __init__(self, policy: Policy, costs_of: CostsOf, room: float) -> None:
        self._policy, self._costs_of, self._room = policy, costs_of, room
        self._used = 0.0
        self.kept: dict[str, _Kept] = {}
        self.spent = Spent()

    def step(self, event: Event) -> None:
        self.pay(event.cube, event.t)
        held = self.kept.get(event.cube)
        costs = self._costs_of(event.tokens)
        if event.op == "use":
            self.spent.read += costs.of(held.form if held else Form.TEXT).read_s
        elif held:
            self._drop(event.cube)
            held = None
        before = held.form if held else Form.TEXT
        standing = self._policy.after(event, before)
        if event.op == "erase":
            standing = msgspec.structs.replace(standing, form=Form.TEXT)
        self._keep(event, before, standing.form, costs.of(standing.form), event.t + standing.rest_days * DAY_S)
        self.spent.course.append((event.t, self.spent.total))

    def pay(self, cube: str, t: float) -> None:
        """Pay for what a memory's form took room since it was last paid for, and end it where it rested too long."""
        held = self.kept.get(cube)
        if held is None:
            return
        self.spent.keep += held.costs.keep_day_s * (min(t, held.until) - held.since) / DAY_S
        held.since = t
        if held.until < t:
            self._drop(cube)

    def _keep(self, event: Event, before: Form, form: Form, costs: FormCosts, until: float) -> None:
        if form is before:
            if form is not Form.TEXT:
                self.kept[event.cube].until = until
            return
        if before is not Form.TEXT:
            self._drop(event.cube)
        if form is not Form.TEXT and self._make_room(event, costs.bytes):
            self.spent.write += costs.write_s
            self._used += costs.bytes
            self.kept[event.cube] = _Kept(form, costs, event.t, until)

    def _make_room(self, event: Event, needed: float) -> bool:
        """Whether there is room now; who is worth less than the newcomer goes, if that is enough."""
        if self._used + needed <= self._room:
            return True
        for cube in list(self.kept):
            self.pay(cube, event.t)
        worth = self._policy.worth
        most = worth(event.cube, event.t, kept=False)
        going: list[str] = []
        free = self._room - self._used
        for value, cube in sorted((worth(cube, event.t, kept=True), cube) for cube in self.kept):
            if free >= needed or value >= most:
                break
            going.append(cube)
            free += self.kept[cube].costs.bytes
        if free < needed:
            return False
        for cube in going:
            self._drop(cube)
            self._policy.evicted(cube)
        return True

    def _drop(self, cube: str) -> None:
        self._used -= self.kept.pop(cube).costs.bytes
