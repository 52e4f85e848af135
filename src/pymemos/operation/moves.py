"""Promotion and demotion: in which form a memory should be kept, by what it costs and how it is used (5.4.2).

A form pays when the uses expected until the memory changes save more than making and keeping it takes. It is given up
only when it rests for so long that keeping it costs more than making it again would: between the two lies the
hysteresis, so that nothing flaps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta

import msgspec

from pymemos.operation.costs import FORMS, Costs, Form
from pymemos.operation.usage import RECENT_DAYS, Estimate, Prior, Usage, estimate, present_uses, quiet_days, seen_uses

MARGIN = 1.75  # ours: by how much a move has to pay: what is expected is uncertain, and waiting keeps both ways open
ASSUMED = " (what an adapter takes is assumed: it was not measured on this machine)"
ENTRY = 0.3  # ours: the share of its making that a newcomer has to earn before another one goes for it


class Move(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A memory that should be kept in another form, and by what that follows."""

    id: str
    before: Form
    after: Form
    uses_day: float  # as they were seen, each halving in weight over the half-life of heat
    unchanged_days: float  # since the last change that is known
    uses_left: float  # expected until it changes or loses interest
    pays_after: float  # uses after which the new form has paid for itself; infinite where it never does
    saves_s: float  # seconds that a use takes less
    is_assumed: bool = False  # what an adapter takes was assumed and not measured here

    @property
    def reason(self) -> str:
        """The move in words."""
        seen = f"used {_rate(self.uses_day)}, unchanged for {_days(self.unchanged_days)}"
        by = ASSUMED if self.is_assumed else ""
        if self.after is Form.TEXT or self.saves_s < 0:
            return f"{seen}: keeping {_NAMES[self.before]} costs more than it saves{by}"
        return (
            f"{seen}: {_NAMES[self.after]} pays for itself after {_uses(self.pays_after)}, "
            f"and about {_count(self.uses_left)} are expected before it changes{by}"
        )


class Standing(msgspec.Struct, frozen=True, gc=False):
    """The form to keep a memory in from now on, and the days that it may rest until it should be text again."""

    form: Form
    rest_days: float = math.inf


def pays_after(costs: Costs, before: Form, after: Form, expected: Estimate) -> float:
    """The uses after which ``after`` has paid for itself: the threshold of the move; infinite where it never does."""
    old, new = costs.of(before), costs.of(after)
    kept = (new.keep_day_s - old.keep_day_s) * expected.next_days / expected.uses_left
    saved = old.read_s - new.read_s - kept
    return new.write_s / saved if saved > 0 else math.inf


def decide(
    now_in: Form, costs: Costs, usage: Usage, prior: Prior, at: float, allowed: tuple[Form, ...] = FORMS
) -> Standing:
    """The form that costs least from now on, where its threshold is passed; and how long it may rest.

    A form that is kept is given up for text only when it is not worth its room any more.
    """
    expected = estimate(usage, prior, at)
    keeps = now_in is not Form.TEXT and rest_days(now_in, costs, usage, prior, at) > 0

    def ahead(form: Form) -> float:
        one = costs.of(form)
        made = 0.0 if form is now_in else MARGIN * one.write_s
        return expected.uses_left * one.read_s + expected.next_days * one.keep_day_s + made

    best = min((form for form in allowed if not (keeps and form is Form.TEXT)), key=ahead, default=now_in)
    return Standing(best) if best is Form.TEXT else Standing(best, rest_days(best, costs, usage, prior, at))


def rest_days(form: Form, costs: Costs, usage: Usage, prior: Prior, at: float) -> float:
    """Days without a use after which keeping a form costs more than reading text and making it again would."""
    one = costs.of(form)
    if one.keep_day_s <= 0:
        return math.inf
    worth = costs.text.read_s - one.read_s + one.write_s
    return quiet_days(usage, prior, at, one.keep_day_s / worth) if worth > 0 else 0.0


def worth_of_room(costs: Costs, usage: Usage, prior: Prior, at: float, *, kept: bool) -> float:
    """Seconds that a byte for a KV cache saves a day at present: where room is scarce, who is worth least goes.

    One that is kept also saves making it again; one that is not has to earn a part of that first. Between the two
    lies the hysteresis.
    """
    uses = present_uses(usage, prior, at)
    saved = costs.text.read_s - costs.kv.read_s
    if kept:
        return uses * (saved + costs.kv.write_s) / costs.kv.bytes
    ends = estimate(usage, prior, at).changes_day + 1 / RECENT_DAYS
    return (uses * saved - ENTRY * costs.kv.write_s * ends) / costs.kv.bytes


def move(id: str, before: Form, after: Form, costs: Costs, usage: Usage, prior: Prior, at: float) -> Move:
    """The move from one form to another with what it follows from."""
    expected = estimate(usage, prior, at)
    return Move(
        id=id,
        before=before,
        after=after,
        uses_day=seen_uses(usage, at),
        unchanged_days=at - (usage.since if usage.changed is None else usage.changed),
        uses_left=expected.uses_left,
        pays_after=pays_after(costs, before, after, expected),
        saves_s=costs.of(before).read_s - costs.of(after).read_s,
        is_assumed=Form.ADAPTER in (before, after) and not costs.adapter_measured,
    )


def prefetch(kept: Mapping[str, tuple[Costs, Usage]], prior: Prior, at: float, room: float) -> tuple[str, ...]:
    """The memories whose KV caches should lie on the device before they are asked for, within ``room`` bytes.

    Those of which a byte saves most seconds a day at present, best first; one that does not fit is passed over.
    """
    worth = {id: worth_of_room(costs, usage, prior, at, kept=True) for id, (costs, usage) in kept.items()}
    chosen: list[str] = []
    for id in sorted(kept, key=lambda id: (-worth[id], id)):
        size = kept[id][0].kv.bytes
        if size <= room:
            chosen.append(id)
            room -= size
    return tuple(chosen)


_NAMES = {Form.TEXT: "text", Form.KV: "a KV cache", Form.ADAPTER: "an adapter"}


def _rate(day: float) -> str:
    for per, name in ((1.0, "day"), (7.0, "week"), (30.0, "month")):
        if day * per >= 0.95:
            times = round(day * per)
            return f"once a {name}" if times == 1 else f"{times:,} times a {name}"
    return "less than once a month"


def _days(days: float) -> str:
    if days < 1:
        hours = timedelta(days=max(days, 0.0)) // timedelta(hours=1)
        return "less than an hour" if hours == 0 else "an hour" if hours == 1 else f"{hours} hours"
    return "a day" if round(days) == 1 else f"{round(days):,} days"


def _count(uses: float) -> str:
    return f"{uses:,.1f}" if uses < 10 else f"{uses:,.0f}"


def _uses(uses: float) -> str:
    if math.isinf(uses):
        return "no number of uses"
    times = max(1, math.ceil(uses))
    return "one more use" if times == 1 else f"{times:,} more uses"
