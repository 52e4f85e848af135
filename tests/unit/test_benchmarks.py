"""The benchmarks' own rules: the shape of a report, what counts as met, and the drawing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from benchmarks import report
from benchmarks.__main__ import names
from benchmarks._svg import draw
from benchmarks._texts import Texts, zipf_sizes
from benchmarks.core import Workshop
from benchmarks.report import Report, Row, Skip

ROOT = Path(__file__).parents[2]


def _report(*rows: Row) -> Report:
    return Report("core", "abc1234", {"cpus": 2, "python": "3.11", "platform": "Linux x86_64"}, rows, [])


@pytest.mark.parametrize(
    ("row", "met", "goal", "score"),
    [
        (Row.at_most("wait", 1.0, "s", 2.0), True, "≤ 2", 0.5),
        (Row.at_most("wait", 2.0, "s", 2.0), True, "≤ 2", 1.0),
        (Row.at_most("wait", 4.0, "s", 2.0), False, "≤ 2", 2.0),
        (Row.at_least("rate", 0.8, "×", 0.4), True, "≥ 0.4", 0.5),
        (Row.at_least("rate", 0.2, "×", 0.4), False, "≥ 0.4", 2.0),
        (Row.plain("size", 3.0, "MB"), True, "", None),
    ],
)
def test_a_row_knows_whether_its_figure_is_reached(row, met, goal, score):
    assert (met, goal, score) == (row.met, row.goal, row.score)


def test_what_is_judged_is_what_is_shown():
    row = Row.at_most("wait", 2.00004, "s", 2.0)

    assert (2.0, True) == (row.value, row.met)


def test_a_report_is_one_line_of_json_and_comes_back():
    made = _report(Row.at_most("wait", 1.0, "s", 2.0), Row.plain("size", 3.0, "MB"))

    fields = json.loads(made.as_json())

    assert {"name", "commit", "machine", "rows", "skipped"} == set(fields)
    assert {"metric": "size", "value": 3.0, "unit": "MB", "reach": None, "met": True} == fields["rows"][1]
    assert "\n" not in made.as_json()
    assert made.as_json() == Report.from_json(made.as_json()).as_json()


def test_what_cannot_be_measured_is_named_with_the_reason():
    def unable():
        raise Skip("there is no index")

    rows = [Row.plain("c", 1, "s"), Row.plain("d", 2, "s")]

    made = report.measure("core", {("a", "b"): unable, ("c",): lambda: rows})

    assert [{"metric": metric, "reason": "there is no index"} for metric in "ab"] == made.skipped
    assert ["c", "d"] == [row.metric for row in made.rows]


def test_what_was_measured_before_an_interrupt_is_kept():
    def interrupted():
        raise KeyboardInterrupt

    made = report.measure(
        "toy", {("a",): lambda: [Row.plain("a", 1, "")], ("b",): interrupted, ("c",): lambda: [Row.plain("c", 1, "")]}
    )

    assert ["a"] == [row.metric for row in made.rows]
    assert [("b", "it was interrupted"), ("c", "the run was interrupted before")] == [
        (one["metric"], one["reason"]) for one in made.skipped
    ]


def test_one_metric_can_be_asked_for_alone():
    measures = {("a", "b"): lambda: [Row.plain("a", 1, "s"), Row.plain("b", 2, "s")], ("c",): lambda: 1 / 0}

    made = report.measure("core", measures, only="b")

    assert ["b"] == [row.metric for row in made.rows]


def test_the_machine_is_described_without_names():
    assert {"cpus", "python", "platform"} == set(report.machine())


def test_every_benchmark_is_found_and_nothing_else():
    found = names()

    assert "core" in found
    assert "report" not in found
    assert [] == [name for name in found if name.startswith("_")]


def test_a_benchmark_prints_one_json_object():
    command = [sys.executable, "-m", "benchmarks.core", "--only", "import_cpu_s", "--json"]

    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}

    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)

    printed = json.loads(run.stdout)
    assert ["import_cpu_s"] == [row["metric"] for row in printed["rows"]]
    assert ("core", 0.2, []) == (printed["name"], printed["rows"][0]["reach"], printed["skipped"])


def test_the_drawing_is_well_formed_and_shows_every_figure_to_reach():
    older = _report(Row.at_most("wait <s>", 8.0, "s", 2.0))
    newer = _report(
        Row.at_most("wait <s>", 1.0, "s", 2.0), Row.at_least("rate", 0.0, "×", 0.4), Row.plain("size", 3.0, "MB")
    )

    root = ElementTree.fromstring(draw([older, newer]))  # noqa: S314 (our own)

    texts = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"wait <s>", "rate", "✓", "✗", "≤ 2", "≥ 0.4"} <= set(texts)
    assert "size" not in texts
    assert 3 == len(list(root.iter("{http://www.w3.org/2000/svg}circle")))  # two runs of the one, one of the other


def test_nothing_measured_yet_draws_an_empty_picture():
    assert ElementTree.fromstring(draw([])).tag.endswith("svg")  # noqa: S314 (our own)


def test_the_same_seed_makes_the_same_texts():
    assert Texts(seed=3).messages(5) == Texts(seed=3).messages(5)
    assert Texts(seed=3).messages(5) != Texts(seed=4).messages(5)


def test_a_question_is_about_what_was_said():
    texts = Texts()
    message = texts.message()

    question, words = texts.question(message)

    assert words
    assert all(word in message.lower() and word in question for word in words)


def test_sizes_add_up_and_fall():
    sizes = zipf_sizes(100, 5_000)

    assert 5_000 == sum(sizes)
    assert sorted(sizes, reverse=True) == sizes


def test_the_processes_of_the_benchmark_keep_bytecode_of_their_own(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    for changed in ("PYMEMOS_CONFIG_DIR", "PYMEMOS_EMBEDDER"):  # by the workshop; so they are put back
        monkeypatch.setenv(changed, "")
    shop = Workshop()
    try:
        command = [sys.executable, "-c", "import sys, benchmarks._adding as it; print(it.__cached__)"]
        for _ in range(2):
            run = subprocess.run(command, env=shop.environment(), capture_output=True, text=True, check=True)
        cached = Path(run.stdout.strip())

        assert (True, True) == (cached.is_file(), shop.folder in cached.parents)
    finally:
        shop.close()
