"""The benchmark of the scheduler: what its decisions cost beside the best possible ones, and how long a plan takes.

``--trace FILE`` replays a trace of one's own, ``--record`` writes the recorded ones anew, ``--draw`` their picture.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from random import Random
from statistics import fmean

import msgspec

from benchmarks import report
from benchmarks._courses import Panel, draw
from benchmarks.report import Row
from pymemos.errors import InvalidInput
from pymemos.evaluation.scheduling import traces
from pymemos.evaluation.scheduling.optimum import CostsOf, bound, optimum
from pymemos.evaluation.scheduling.policies import OURS, POLICIES
from pymemos.evaluation.scheduling.replay import Spent, replay
from pymemos.evaluation.scheduling.traces import SHAPES, Event
from pymemos.interface.calibrating import kept
from pymemos.operation.budgets import Budgets
from pymemos.operation.costs import Calibration, Form, costs
from pymemos.operation.scheduler import Asked, plan
from pymemos.operation.strategies import Candidate, SchedulePolicy, StrategyName

FOLDER = Path(__file__).parent / "traces"
CALIBRATION = FOLDER / "calibration.json"
PICTURE = Path(__file__).parent / "scheduler.svg"
RECORDED = ("steady", "bursts", "phases")  # each is what the generator makes of seed 1
FRESH = range(1_001, 1_011)  # nothing was chosen by looking at these
ROOM = 0.25  # of what KV caches of everything would take, where room has a limit


class Compared(msgspec.Struct, frozen=True):
    """One trace under every policy, without a limit of room and with one, and the least possible."""

    free: Mapping[str, Spent]
    limited: Mapping[str, Spent]
    least: float
    least_limited: float

    def vs_optimum(self, name: str = OURS) -> float:
        """Times the optimum, without a limit."""
        return self.free[name].total / self.least

    def vs_best(self, *, limited: bool = False) -> float:
        """Times the best of the other policies."""
        spent = self.limited if limited else self.free
        return spent[OURS].total / min(one.total for name, one in spent.items() if name != OURS)


def compare(events: list[Event], costs_of: CostsOf) -> Compared:
    """Replay a trace under every policy."""
    sizes = [max(costs_of(one.tokens).kv.bytes for one in its) for its in traces.by_cube(events).values()]
    room = ROOM * sum(sizes)
    return Compared(
        {name: replay(events, make(costs_of), costs_of) for name, make in POLICIES.items()},
        {name: replay(events, make(costs_of), costs_of, room=room) for name, make in POLICIES.items()},
        optimum(events, costs_of),
        bound(events, costs_of, room),
    )


@cache
def calibration() -> Calibration:
    """The calibration that is kept with the traces: SmolLM2 in float32 on one core, in seconds of that core."""
    found = kept(CALIBRATION)
    if found is None:
        raise report.Skip(f"{CALIBRATION.name} is missing")
    return found


@cache
def costs_here() -> CostsOf:
    """What memories take by it."""
    return lru_cache(None)(lambda tokens: costs(tokens, calibration()))


@cache
def recorded() -> dict[str, Compared]:
    """The recorded traces, compared."""
    return {name: compare(traces.read(FOLDER / f"{name}.jsonl"), costs_here()) for name in RECORDED}


@cache
def fresh() -> dict[str, Compared]:
    """Traces of seeds that nothing was chosen by, the shapes in turn."""
    shapes = list(SHAPES.items())
    chosen = {seed: shapes[place % len(shapes)] for place, seed in enumerate(FRESH)}
    return {
        f"{name} {seed}": compare(traces.generate(seed, shape), costs_here()) for seed, (name, shape) in chosen.items()
    }


def against_optimum() -> Iterable[Row]:
    """How far decisions are from those of who knows the trace to its end."""
    for name, one in recorded().items():
        yield Row.plain(f"cost_vs_optimum_{name}", one.vs_optimum(), "× optimum")
    ours = [one.vs_optimum() for one in recorded().values()]
    yield Row.at_most("cost_vs_optimum_recorded", max(ours), "× optimum", 1.15)
    ours = [one.vs_optimum() for one in fresh().values()]
    yield Row.at_most("cost_vs_optimum_fresh", max(ours), "× optimum", 1.3)
    yield Row.plain("cost_vs_optimum_fresh_mean", fmean(ours), "× optimum")
    everything = [*recorded().values(), *fresh().values()]
    for name in POLICIES:
        if name != OURS:
            mean = fmean(one.vs_optimum(name) for one in everything)
            yield Row.plain(f"{name}_vs_optimum_mean", mean, "× optimum")


def against_policies() -> Iterable[Row]:
    """How decisions compare with the best of the other policies on the same trace."""
    everything = [*recorded().values(), *fresh().values()]
    best = [one.vs_best() for one in everything]
    yield Row.at_most("cost_vs_best_policy", max(best), "× best policy", 1.02)
    yield Row.at_most("cost_vs_best_policy_mean", fmean(best), "× best policy", 0.9999)
    limited = [one.vs_best(limited=True) for one in everything]
    yield Row.plain("cost_vs_best_policy_in_a_quarter_worst", max(limited), "× best policy")
    yield Row.plain("cost_vs_best_policy_in_a_quarter_mean", fmean(limited), "× best policy")
    bounds = [one.limited[OURS].total / one.least_limited for one in everything]
    yield Row.plain("cost_vs_bound_in_a_quarter", max(bounds), "× bound")


def planning() -> Iterable[Row]:
    """A plan out of a thousand candidates, by the slowest strategy; the fastest of some runs, for others disturb it."""
    random = Random(1)
    forms = [(), (Form.KV,), (Form.KV, Form.ADAPTER)]
    candidates = tuple(
        Candidate(
            id=f"m{number}",
            version="1",
            tokens=random.randrange(8, 300),
            score=random.random(),
            heat=random.random() * 9,
            last_used=random.random(),
            labels=("topic",),
            forms=random.choice(forms),
        )
        for number in range(1_000)
    )
    slowest = 0.0
    for name in StrategyName:
        asked = Asked(
            candidates=candidates,
            budgets=Budgets(tokens=2_000, seconds=5.0, device_bytes=10**8),
            policy=SchedulePolicy(strategy=name, labels=("topic",)),
            calibration=calibration(),
        )
        slowest = max(slowest, min(_seconds(asked) for _ in range(30)))
    yield Row.at_most("plan_1000_ms", slowest * 1e3, "ms", 2)


def _seconds(asked: Asked) -> float:
    started = time.perf_counter()
    plan(asked)
    return time.perf_counter() - started


def one_trace(path: Path) -> Iterable[Row]:
    """The rows of one trace: every policy, without a limit of room and with one."""
    one = compare(traces.read(path), costs_here())
    yield Row.plain("optimum_s", one.least, "s")
    for name, spent in one.free.items():
        yield Row.plain(f"{name}_s", spent.total, "s")
        yield Row.plain(f"{name}_in_a_quarter_s", one.limited[name].total, "s")
    yield Row.plain("cost_vs_optimum", one.vs_optimum(), "× optimum")
    yield Row.plain("cost_vs_bound_in_a_quarter", one.limited[OURS].total / one.least_limited, "× bound")


def picture() -> str:
    """The recorded traces as they go on."""
    return draw(
        [
            Panel(name, {policy: spent.course for policy, spent in one.free.items()}, one.least)
            for name, one in recorded().items()
        ]
    )


MEASURES: Mapping[tuple[str, ...], report.Measure] = {
    ("cost_vs_optimum_recorded", "cost_vs_optimum_fresh"): against_optimum,
    ("cost_vs_best_policy", "cost_vs_best_policy_mean"): against_policies,
    ("plan_1000_ms",): planning,
}


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark, or do one of the other things that it can."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scheduler", add_help=False)
    parser.add_argument("--trace", type=Path, metavar="FILE")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--draw", action="store_true")
    options, others = parser.parse_known_args(arguments)
    if options.record:
        for name in RECORDED:
            traces.write(FOLDER / f"{name}.jsonl", traces.generate(1, SHAPES[name]))
    if options.draw:
        PICTURE.write_text(picture(), "utf-8")
    if options.record or options.draw:
        return
    measures: Mapping[tuple[str, ...], report.Measure] = MEASURES
    if options.trace is not None:
        try:
            rows = list(one_trace(options.trace))
        except (InvalidInput, OSError) as error:
            sys.exit(f"{error}")
        measures = {("optimum_s", "cost_vs_optimum", "cost_vs_bound_in_a_quarter"): lambda: rows}
    report.main("scheduler", measures, others)


if __name__ == "__main__":
    main()
