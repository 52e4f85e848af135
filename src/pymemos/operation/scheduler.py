"""MemScheduler: from a call's candidates, budgets and costs to a plan, purely (5.4.2).

Which memories, in which form, where in the prompt and in what order; each with a reason that is put into words only
when somebody asks. A decision keeps what it was made from, so that it can be stored and replayed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import StrEnum
from operator import itemgetter

import msgspec

from pymemos.operation.costs import DEFAULT_PRICES, Calibration, Form, Prices, Reading
from pymemos.operation.strategies import STRATEGIES, Candidate, SchedulePolicy


class Place(StrEnum):
    """Where a memory reaches the model: the prompt is system, stable block, volatile text, question (ADR 0038)."""

    STABLE = "stable"  # right behind the system's text, hottest first, so that prefixes are the same again
    VOLATILE = "volatile"  # behind it, best first
    WEIGHTS = "weights"  # an adapter, which takes no room in the prompt


class Budgets(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a plan may take; None is without a limit. ``memories`` is what the caller's rate leaves it."""

    tokens: int | None = None
    seconds: float | None = None
    device_bytes: int | None = None
    memories: int | None = None


class Why(StrEnum):
    """Why a memory is in a plan, or is left out."""

    RANKED = "ranked"
    REFUSED = "refused"
    STALE = "stale"
    TOKENS = "tokens"
    SECONDS = "seconds"
    MEMORIES = "memories"


class Placement(msgspec.Struct, frozen=True, gc=False):
    """One memory in a plan: its form, its place, its rank by the strategy, and what reading it takes."""

    id: str
    version: str
    form: Form
    place: Place
    rank: float
    tokens: int
    seconds: float
    text_seconds: float  # what text would take
    wanted: Form  # what would be read fastest; another than ``form`` where the device has no room for it


class LeftOut(msgspec.Struct, frozen=True, gc=False):
    """One memory that is not in a plan; ``detail`` is what rules said of it."""

    id: str
    why: Why
    detail: str | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What reaches the model, in the order of the prompt; adapters first."""

    strategy: str
    placed: tuple[Placement, ...]
    left_out: tuple[LeftOut, ...]
    tokens: int
    seconds: float
    device_bytes: float

    def reasons(self) -> list[str]:
        """Each placement and each memory that was left out, in words."""
        return [*(_placed(one, self.strategy) for one in self.placed), *map(_left_out, self.left_out)]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a plan is made from."""

    candidates: tuple[Candidate, ...]
    budgets: Budgets = Budgets()
    policy: SchedulePolicy = SchedulePolicy()
    calibration: Calibration
    prices: Prices = DEFAULT_PRICES


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A plan with what it was made from; as JSON it can be stored on the cubes that it is about."""

    asked: Asked
    plan: Plan

    def as_json(self) -> bytes:
        """The decision as JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, text: bytes) -> Decision:
        """The decision that ``as_json`` wrote."""
        return msgspec.json.decode(text, type=cls)


def schedule(asked: Asked) -> Decision:
    """Decide on a call."""
    return Decision(asked=asked, plan=plan(asked))


def replay(decision: Decision) -> Decision:
    """The same decision made again from what it was made from; it differs where the rules of planning changed."""
    return schedule(decision.asked)


def plan(asked: Asked) -> Plan:
    """Fill the budgets in the order of the strategy; trusted and current memories come before the others.

    A memory that does not fit is left out, and smaller ones after it still get their chance. Where the device has no
    room for the form that is read fastest, text is read.
    """
    reading = Reading(asked.calibration, asked.prices)
    left_out, open_ones = _open(asked.candidates)
    filling = _Filling(asked.budgets, reading)
    chosen: list[tuple[Placement, Candidate]] = []
    for rank, one in _ranked(open_ones, asked.policy, reading):
        fitted = filling.take(one, rank)
        if isinstance(fitted, Why):
            left_out.append(LeftOut(one.id, fitted))
        else:
            chosen.append((fitted, one))
    return Plan(
        strategy=asked.policy.strategy.value,
        placed=_in_order(chosen),
        left_out=tuple(left_out),
        tokens=filling.tokens,
        seconds=filling.seconds,
        device_bytes=filling.bytes,
    )


def _open(candidates: Sequence[Candidate]) -> tuple[list[LeftOut], list[Candidate]]:
    """Those that may not be used at all, and the others."""
    left_out: list[LeftOut] = []
    open_ones: list[Candidate] = []
    for one in candidates:
        if one.refused is not None:
            left_out.append(LeftOut(one.id, Why.REFUSED, one.refused))
        elif one.is_stale:
            left_out.append(LeftOut(one.id, Why.STALE))
        else:
            open_ones.append(one)
    return left_out, open_ones


def _ranked(
    candidates: Sequence[Candidate], policy: SchedulePolicy, reading: Reading
) -> Iterator[tuple[float, Candidate]]:
    """The stable block as it stands; then by the strategy, and by the score.

    Whoever is not trusted or not current comes after the others.
    """
    rank = STRATEGIES[policy.strategy](policy, reading)
    for one in sorted((one for one in candidates if one.position is not None), key=_position):
        yield rank(one), one
    preferred: list[tuple[float, float, str, Candidate]] = []
    others: list[tuple[float, float, str, Candidate]] = []
    for one in candidates:
        if one.position is not None:
            continue
        (preferred if one.is_trusted and one.is_current else others).append((-rank(one), -one.score, one.id, one))
    for group in (preferred, others):
        group.sort(key=_KEY)
        for less, _, _, one in group:
            yield -less, one


_KEY = itemgetter(0, 1, 2)


def _position(one: Candidate) -> int:
    return -1 if one.position is None else one.position


class _Filling:
    """What of the budgets is taken."""

    def __init__(self, budgets: Budgets, reading: Reading) -> None:
        self._reading = reading
        self._most_tokens = math.inf if budgets.tokens is None else budgets.tokens
        self._most_seconds = math.inf if budgets.seconds is None else budgets.seconds
        self._most_bytes = math.inf if budgets.device_bytes is None else budgets.device_bytes
        self._most = math.inf if budgets.memories is None else budgets.memories
        self.tokens, self.seconds, self.bytes, self.count = 0, 0.0, 0.0, 0

    def take(self, one: Candidate, rank: float) -> Placement | Why:
        """Take a memory in, in the fastest form for which the device has room; or why it does not fit."""
        if self.count >= self._most:
            return Why.MEMORIES
        if self.tokens + one.tokens > self._most_tokens and Form.ADAPTER not in one.forms:
            return Why.TOKENS
        reading = self._reading
        wanted, seconds = reading.fastest(one.forms, one.tokens)
        form, size, text = wanted, reading.bytes(wanted, one.tokens), reading.seconds(Form.TEXT, one.tokens)
        if self.bytes + size > self._most_bytes:
            form, seconds, size = Form.TEXT, text, 0.0
        tokens = 0 if form is Form.ADAPTER else one.tokens
        if self.tokens + tokens > self._most_tokens:
            return Why.TOKENS
        if self.seconds + seconds > self._most_seconds:
            return Why.SECONDS
        self.tokens += tokens
        self.seconds += seconds
        self.bytes += size
        self.count += 1
        place = Place.STABLE if one.position is not None and form is Form.TEXT else _PLACES[form]
        return Placement(one.id, one.version, form, place, rank, tokens, seconds, text, wanted)


_PLACES = {Form.TEXT: Place.VOLATILE, Form.KV: Place.STABLE, Form.ADAPTER: Place.WEIGHTS}


def _in_order(chosen: Sequence[tuple[Placement, Candidate]]) -> tuple[Placement, ...]:
    """Adapters; the stable block in its order, and behind it, the hottest first, what has no place in it; then text."""
    stable = sorted(
        (pair for pair in chosen if pair[0].place is Place.STABLE),
        key=lambda pair: (
            (0, _position(pair[1])) if pair[1].position is not None else (1, -pair[1].heat),
            pair[1].id,
        ),
    )
    of = {place: [placed for placed, _ in chosen if placed.place is place] for place in (Place.WEIGHTS, Place.VOLATILE)}
    return (*of[Place.WEIGHTS], *(placed for placed, _ in stable), *of[Place.VOLATILE])


# ── A change of task ────────────────────────────────────────────────────────────────────────────────────────────────


class Swap(msgspec.Struct, frozen=True):
    """What has to change on the device from one plan to the next: ids of memories, in the order of the new plan."""

    load: tuple[str, ...]
    keep: tuple[str, ...]
    drop: tuple[str, ...]


def swap(before: Plan, after: Plan) -> Swap:
    """The hot swap between two memory sets (7.1.2). A stable block is kept only as far as it begins alike."""
    old = [(one.id, one.version) for one in before.placed if one.form is Form.KV]
    new = [(one.id, one.version) for one in after.placed if one.form is Form.KV]
    same = next(
        (n for n, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), min(len(old), len(new))
    )
    had = {(one.id, one.version) for one in before.placed if one.form is Form.ADAPTER}
    has = [(one.id, one.version) for one in after.placed if one.form is Form.ADAPTER]
    kept = [*(one for one in has if one in had), *new[:same]]
    return Swap(
        tuple(id for id, _ in [*(one for one in has if one not in had), *new[same:]]),
        tuple(id for id, _ in kept),
        tuple(sorted({id for id, version in [*had, *old] if (id, version) not in kept})),
    )


# ── In words ────────────────────────────────────────────────────────────────────────────────────────────────────────

_FORMS = {Form.TEXT: "as text", Form.KV: "from its KV cache", Form.ADAPTER: "from an adapter"}


def _placed(one: Placement, strategy: str) -> str:
    told = f"{one.id}: {_FORMS[one.form]}, {one.seconds * 1e3:,.0f} ms"
    if one.form is not Form.TEXT:
        told += f" instead of {one.text_seconds * 1e3:,.0f} ms"
    if one.wanted is not one.form:
        told += f", for the device has no room for {_NAMES[one.wanted]}"
    return f"{told}; ranked {one.rank:.3g} by {strategy}"


_NAMES = {Form.KV: "its KV cache", Form.ADAPTER: "its adapter"}
_LEFT = {
    Why.STALE: "what it was made from has changed",
    Why.TOKENS: "the tokens of the prompt are taken",
    Why.SECONDS: "the time for reading is taken",
    Why.MEMORIES: "the caller may use no more memories now",
}


def why_left_out(one: LeftOut) -> str:
    """Why a memory is not in a plan, in words."""
    return one.detail or _LEFT.get(one.why, one.why.value)


def _left_out(one: LeftOut) -> str:
    return f"{one.id}: left out, {why_left_out(one)}"
