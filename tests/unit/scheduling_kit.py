"""What the tests of the scheduler stand on: a calibration with round figures, and usage that is told in a line."""

from __future__ import annotations

from pymemos.operation.budgets import Budgets
from pymemos.operation.costs import Calibration
from pymemos.operation.scheduler import Asked, Plan, plan
from pymemos.operation.strategies import Candidate, SchedulePolicy
from pymemos.operation.usage import Usage

CALIBRATION = Calibration(
    model="toy",
    measured="2026-01-01T00:00:00+00:00",
    begin_s=0.1,
    token_s=0.001,
    square_s=1e-6,
    decode_s=0.05,
    kv_token_bytes=40_000.0,
    load_s=0.001,
    load_bytes_s=4e9,
    write_s=0.01,
    write_bytes_s=4e8,
)
BY_FIT = SchedulePolicy()


def candidate(id: str, **fields: object) -> Candidate:
    """A memory of a hundred tokens that fits half, unless it is said otherwise."""
    return Candidate(**{"id": id, "version": "1", "tokens": 100, "score": 0.5, **fields})  # type: ignore[arg-type]


def planned(*candidates: Candidate, policy: SchedulePolicy = BY_FIT, **budgets: float) -> Plan:
    """The plan of some candidates."""
    return plan(
        Asked(
            candidates=candidates,
            budgets=Budgets(**budgets),  # type: ignore[arg-type]
            policy=policy,
            calibration=CALIBRATION,
        )
    )


def used(days: list[float], changed: list[float] | None = None) -> Usage:
    """What was seen of a memory that was used and changed on these days."""
    events = sorted([*((day, True) for day in days), *((day, False) for day in changed or [])])
    usage = Usage(since=events[0][0], at=events[0][0])
    for day, use in events:
        usage = usage.happened(day, use=use)
    return usage


def steadily(a_day: float, days: float) -> Usage:
    """What was seen of a memory that is used so often a day, evenly."""
    return used([number / a_day for number in range(1, int(a_day * days) + 1)])
