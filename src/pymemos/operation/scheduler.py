"""MemScheduler: from a call's candidates, budgets and costs to a plan, purely (5.4.2).

Which memories, in which form, where in the prompt and in what order; each with a reason that is put into words only
when somebody asks. A decision keeps what it was made from, so that it can be stored and replayed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import StrEnum
from operator import itemgetter
from typing import Final

import msgspec

from pymemos.operation.budgets import Budgets, Why, in_words
from pymemos.operation.costs import DEFAULT_PRICES, Calibration, Form, Prices, Reading
from pymemos.operation.strategies import STRATEGIES, Candidate, SchedulePolicy


class Place(StrEnum):
    """Where a memory reaches the model: the prompt is system, stable block, volatile text, question (ADR 0038)."""

    STABLE = "stable"  # right behind the system's text, hottest first, so that prefixes are the same again
    VOLATILE = "volatile"  # behind it, best first
    WEIGHTS = "weights"  # an adapter, which takes no room in the prompt


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
    held_back: Why | None = None  # why it is read as text though it lies ready in a form that is read faster
    needs: float = 0.0  # what the plan would take of that budget with it


class LeftOut(msgspec.Struct, frozen=True, gc=False):
    """One memory that is not in a plan; ``detail`` is what rules said of it, ``needs`` what the plan would take."""

    id: str
    why: Why
    detail: str | None = None
    needs: float = 0.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What reaches the model, in the order of the prompt; adapters first."""

    strategy: str
    placed: tuple[Placement, ...]
    left_out: tuple[LeftOut, ...]
    tokens: int
    seconds: float
    device_bytes: float
    budgets: Budgets = Budgets()

    def reasons(self) -> list[str]:
        """Each placement and each memory that was left out, in words."""
        left = [f"{one.id}: left out, {self.why_left_out(one)}" for one in self.left_out]
        return [*(_placed(one, self.strategy, self.budgets) for one in self.placed), *left]

    def why_left_out(self, one: LeftOut) -> str:
        """Why a memory is not in it, in words."""
        return one.detail or in_words(one.why, one.needs, self.budgets)


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

    A memory that does not fit is left out, and smaller ones after it still get their chance. Where a budget has no
    room for the form that is read fastest, text is read.
    """
    reading = Reading(asked.calibration, asked.prices)
    left_out, open_ones = _open(asked.candidates)
    filling = _Filling(asked.budgets, reading)
    chosen: list[tuple[Placement, Candidate]] = []
    for rank, one in _ranked(open_ones, asked.policy, reading):
        fitted = filling.take(one, rank)
        if isinstance(fitted, LeftOut):
            left_out.append(fitted)
        else:
            chosen.append((fitted, one))
        if one.position is not None and (isinstance(fitted, LeftOut) or fitted.held_back is not None):
            filling.is_cut = True
    return Plan(
        strategy=asked.policy.strategy.value,
        placed=_in_order(chosen),
        left_out=tuple(left_out),
        tokens=filling.tokens,
        seconds=filling.seconds,
        device_bytes=filling.bytes,
        budgets=asked.budgets,
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
        self._most_calls = math.inf if budgets.calls is None else budgets.calls
        self._most = math.inf if budgets.memories is None else budgets.memories
        self.is_cut = False  # the stable block from here on cannot be injected
        self._used: set[Form] = set()
        self.tokens, self.seconds, self.bytes, self.count, self.calls = 0, 0.0, 0.0, 0, 0

    def take(self, one: Candidate, rank: float) -> Placement | LeftOut:
        """Take a memory in, in the fastest form for which there is room; or why it does not fit."""
        if self.count >= self._most:
            return LeftOut(one.id, Why.MEMORIES)
        if self.tokens + one.tokens > self._most_tokens and _ADAPTER not in one.forms:
            return LeftOut(one.id, _TOKENS, None, self.tokens + one.tokens)
        reading = self._reading
        form, seconds = reading.fastest(one.forms, one.tokens)
        text, held, needs = seconds, None, 0.0
        if form is not _TEXT:
            text = reading.seconds(Form.TEXT, one.tokens)
            held, needs = self._held_back(one, form)
            if held is not None:
                form, seconds = _TEXT, text
        tokens = 0 if form is _ADAPTER else one.tokens
        if self.tokens + tokens > self._most_tokens:
            return LeftOut(one.id, _TOKENS, None, self.tokens + tokens)
        if self.seconds + seconds > self._most_seconds:
            return LeftOut(one.id, Why.SECONDS, None, self.seconds + seconds)
        self.tokens += tokens
        self.seconds += seconds
        self.count += 1
        if form is not _TEXT:
            self.bytes += reading.bytes(form, one.tokens)
            self.calls += self._calls(form)
            self._used.add(form)
        place = Place.STABLE if one.position is not None and form is _TEXT else _PLACES[form]
        return Placement(one.id, one.version, form, place, rank, tokens, seconds, text, held, needs)

    def _held_back(self, one: Candidate, form: Form) -> tuple[Why | None, float]:
        """Why a memory cannot be read in another form than text, and what that would take; nothing where it can."""
        if self.is_cut and form is Form.KV and one.position is not None:
            return Why.BEHIND_TEXT, 0.0
        if (needs := self.bytes + self._reading.bytes(form, one.tokens)) > self._most_bytes:
            return Why.BYTES, needs
        if (needs := self.calls + self._calls(form)) > self._most_calls:
            return Why.CALLS, needs
        return None, 0.0

    def _calls(self, form: Form) -> int:
        """The calls that a form takes beside those of any answer: once for all memories that are read in it."""
        return 0 if form in self._used else CALLS[form]


CALLS: Final = {Form.KV: 2, Form.ADAPTER: 1}  # segments are found, and confirmed at their use; adapters confirmed
_TEXT, _ADAPTER, _TOKENS = Form.TEXT, Form.ADAPTER, Why.TOKENS  # to name a member of an enum takes its time
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


# ── In words ────────────────────────────────────────────────────────────────────────────────────────────────────────

_FORMS = {Form.TEXT: "as text", Form.KV: "from its KV cache", Form.ADAPTER: "from an adapter"}


def _placed(one: Placement, strategy: str, budgets: Budgets) -> str:
    told = f"{one.id}: {_FORMS[one.form]}, {one.seconds * 1e3:,.0f} ms"
    if one.form is not Form.TEXT:
        told += f" instead of {one.text_seconds * 1e3:,.0f} ms"
    if one.held_back is not None:
        told += f", left as text: {in_words(one.held_back, one.needs, budgets)}"
    return f"{told}; ranked {one.rank:.3g} by {strategy}"
