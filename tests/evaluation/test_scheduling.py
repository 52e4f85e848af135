"""The simulator: traces, what policies spend on them, and the optimum that no policy goes below."""

from __future__ import annotations

import itertools
import json
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.unit.scheduling_kit import CALIBRATION

from pymemos.errors import InvalidInput
from pymemos.evaluation.scheduling import traces
from pymemos.evaluation.scheduling.optimum import bound, optimum
from pymemos.evaluation.scheduling.policies import OURS, POLICIES
from pymemos.evaluation.scheduling.replay import replay
from pymemos.evaluation.scheduling.traces import SHAPES, Event, Shape
from pymemos.operation.costs import DAY_S, FORMS, Costs, Form, FormCosts, costs
from pymemos.operation.moves import Standing

ROOT = Path(__file__).parents[2]
SMALL = Shape(days=20, cubes=20, uses=400)
ROUND = Costs(  # figures that can be added up by heart
    100, FormCosts(0, 10, 0, 0), FormCosts(25, 1, 1, 100), FormCosts(200, 0, 2, 10)
)


@lru_cache(None)
def costs_of(tokens: int) -> Costs:
    return costs(tokens, CALIBRATION)


def round_costs(_: int) -> Costs:
    return ROUND


def events(told: str, cube: str = "m") -> list[Event]:
    """One event a day: u a use, c a change, e an erasure, a dot for a day without any."""
    ops = {"u": "use", "c": "update", "e": "erase"}
    return [Event(day * DAY_S, cube, ops[op], 100) for day, op in enumerate(told) if op != "."]  # type: ignore[arg-type]


class Fixed:
    """A policy that was told beforehand."""

    def __init__(self, forms: tuple[Form, ...]) -> None:
        self._forms = iter(forms)

    def after(self, event: Event, form: Form) -> Standing:
        return Standing(next(self._forms))

    def worth(self, cube: str, t: float, *, kept: bool) -> float:
        return 0.0

    def evicted(self, cube: str) -> None:
        return


class TestReplay:
    def test_never_pays_for_every_use(self):
        assert 30 == replay(events("uuu"), POLICIES["never"](round_costs), round_costs).total

    def test_always_pays_once_for_the_cache_then_little_and_for_its_room(self):
        spent = replay(events("uuu"), POLICIES["always"](round_costs), round_costs)

        assert (10 + 1 + 1, 25, 2) == (spent.read, spent.write, spent.keep)

    def test_a_change_makes_the_cache_worthless(self):
        spent = replay(events("ucu"), POLICIES["lru"](round_costs), round_costs)

        assert (20, 50) == (spent.read, spent.write)

    def test_what_rests_too_long_is_given_up_and_no_longer_paid_for(self):
        class Short(Fixed):
            def after(self, event: Event, form: Form) -> Standing:
                return Standing(Form.KV, 2.0)

        spent = replay(events("u.........u"), Short(()), round_costs)

        assert (20, 50, 2) == (spent.read, spent.write, spent.keep)

    def test_no_more_is_kept_than_there_is_room_for(self):
        both = sorted([*events("u.u.u.", "a"), *events(".u.u.u", "b")], key=lambda one: one.t)

        spent = replay(both, POLICIES["lru"](round_costs), round_costs, room=150)

        assert 6 * 25 == spent.write  # each drives the other out
        assert 60 == spent.read

    def test_the_course_ends_with_the_total(self):
        spent = replay(events("uucu"), POLICIES["never"](round_costs), round_costs)

        assert spent.course[-1] == (3 * DAY_S, spent.total)


class TestOptimum:
    @pytest.mark.parametrize("told", ["u", "uu", "uuuuu", "ucu", "uuucuuu", "uuu......uuu", "uuuue", "ucucuuuuuc"])
    def test_it_is_the_least_of_all_ways(self, told):
        trace = events(told)

        ways = itertools.product(FORMS, repeat=len(trace))

        least = min(replay(trace, Fixed(way), round_costs).total for way in ways)
        assert least == pytest.approx(optimum(trace, round_costs))

    @pytest.mark.parametrize("shape", SHAPES)
    def test_no_policy_goes_below_it(self, shape):
        trace = traces.generate(5, SHAPES[shape])
        least = optimum(trace, costs_of)

        assert [] == [
            name for name, make in POLICIES.items() if replay(trace, make(costs_of), costs_of).total < least - 1e-6
        ]

    def test_with_little_room_the_bound_is_higher_and_still_below_every_policy(self):
        trace = traces.generate(6, SMALL)
        room = 0.15 * sum(costs_of(one[0].tokens).kv.bytes for one in traces.by_cube(trace).values())
        least = bound(trace, costs_of, room)

        assert least > optimum(trace, costs_of)
        for make in POLICIES.values():
            assert replay(trace, make(costs_of), costs_of, room=room).total > least

    def test_without_a_limit_the_bound_is_the_optimum(self):
        trace = traces.generate(6, SMALL)

        assert optimum(trace, costs_of) == pytest.approx(bound(trace, costs_of, 1e15))

    def test_a_trace_without_events_costs_nothing(self):
        assert 0 == optimum([], costs_of)


class TestCostModel:
    def test_it_is_near_the_optimum_on_the_recorded_traces(self):
        for path in sorted((ROOT / "benchmarks" / "traces").glob("*.jsonl")):
            trace = traces.read(path)
            ours = replay(trace, POLICIES[OURS](costs_of), costs_of).total

            assert ours < 1.25 * optimum(trace, costs_of), path.name

    def test_it_knows_nothing_of_what_is_to_come(self):
        trace = traces.generate(7, SMALL)
        half = trace[: len(trace) // 2]
        whole = replay(trace, POLICIES[OURS](costs_of), costs_of).course
        first = replay(half, POLICIES[OURS](costs_of), costs_of).course

        assert whole[: len(half)] == first


class TestTraces:
    def test_a_seed_gives_the_same_trace_again(self):
        assert traces.generate(3, SMALL) == traces.generate(3, SMALL)
        assert traces.generate(3, SMALL) != traces.generate(4, SMALL)

    @pytest.mark.parametrize("name", ["steady", "bursts", "phases"])
    def test_the_recorded_traces_are_what_the_generator_makes(self, name):
        assert traces.generate(1, SHAPES[name]) == traces.read(ROOT / "benchmarks" / "traces" / f"{name}.jsonl")

    @pytest.mark.parametrize("shape", SHAPES)
    def test_time_goes_on_and_nothing_happens_to_what_is_erased(self, shape):
        trace = traces.generate(2, SHAPES[shape])

        assert trace == sorted(trace, key=lambda one: one.t)
        for its in traces.by_cube(trace).values():
            assert "use" == its[0].op
            assert "erase" not in [one.op for one in its[:-1]]

    def test_popularity_is_unequal(self):
        counts = sorted(map(len, traces.by_cube(traces.generate(2, SHAPES["steady"])).values()), reverse=True)

        assert counts[0] > 10 * counts[len(counts) // 2]

    def test_a_trace_survives_its_file(self, tmp_path):
        trace = traces.generate(3, SMALL)
        traces.write(tmp_path / "trace.jsonl", trace)

        assert trace == traces.read(tmp_path / "trace.jsonl")

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            (b"", "has no events"),
            (b'{"t": 1}', "line 1"),
            (b'{"t": 1, "cube": "m", "op": "fly", "tokens": 1}', "line 1.*op"),
            (b'{"t": 1, "cube": "m", "op": "use", "tokens": 0}', "line 1.*has tokens"),
            (
                b'{"t": 2, "cube": "m", "op": "use", "tokens": 1}\n{"t": 1, "cube": "m", "op": "use", "tokens": 1}',
                "line 2.*may not go back",
            ),
        ],
    )
    def test_a_file_that_is_no_trace_is_refused_with_the_line(self, tmp_path, line, told):
        file = tmp_path / "trace.jsonl"
        file.write_bytes(line)

        with pytest.raises(InvalidInput, match=told):
            traces.read(file)


class TestBenchmark:
    def test_a_trace_of_ones_own_is_replayed(self, tmp_path, capsys):
        from benchmarks.scheduler import main

        traces.write(tmp_path / "own.jsonl", traces.generate(8, SMALL))

        main(["--trace", str(tmp_path / "own.jsonl"), "--json"])

        rows = {row["metric"]: row["value"] for row in json.loads(capsys.readouterr().out)["rows"]}
        assert rows["cost_vs_optimum"] == pytest.approx(rows["cost model_s"] / rows["optimum_s"], rel=0.01)
        assert rows["optimum_s"] <= min(rows[f"{name}_s"] for name in POLICIES)

    def test_what_is_no_trace_ends_with_the_reason(self, tmp_path):
        from benchmarks.scheduler import main

        (tmp_path / "own.jsonl").write_text("{}")

        with pytest.raises(SystemExit, match="line 1"):
            main(["--trace", str(tmp_path / "own.jsonl")])

    def test_a_picture_has_a_line_for_every_policy(self):
        from benchmarks._courses import COLOURS, Panel, draw

        trace = traces.generate(8, SMALL)
        spent = {name: replay(trace, make(costs_of), costs_of).course for name, make in POLICIES.items()}

        picture = ElementTree.fromstring(draw([Panel("steady & small", spent, optimum(trace, costs_of))]))  # noqa: S314 (it is ours)

        colours = [line.get("stroke") for line in picture.iter("{http://www.w3.org/2000/svg}path")]
        assert set(POLICIES) == set(COLOURS)
        assert set(COLOURS.values()) <= set(colours)
