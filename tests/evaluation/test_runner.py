"""A run: what is asked and counted, what is left out and why, and what the report says."""

from __future__ import annotations

import msgspec
import pytest
from tests.evaluation import small
from tests.evaluation.small import LetterEmbedder, a_case, a_question

from pymemos.errors import InvalidInput
from pymemos.evaluation import provenance
from pymemos.evaluation.datasets import DATASETS
from pymemos.evaluation.report import Outcome, Report, by_evidence, difference, latencies, row
from pymemos.evaluation.runner import Measured, Plan, evaluate, measure, summarise
from pymemos.evaluation.systems import Bm25, Passage


class Silent:
    """Finds nothing."""

    name = "silent"

    def take(self, case):
        pass

    def search(self, case, question, k):
        return []


class Knowing(Silent):
    """Finds the evidence, and says each piece in three words."""

    name = "knowing"

    def search(self, case, question, k):
        return [Passage(turns=(id,), text="as was said") for id in question.evidence[:k]]


def an_outcome(category="facts", roles=("user",), seconds=0.001, **scores):
    return Outcome(question="q", category=category, roles=frozenset(roles), scores=scores, seconds=seconds)


def plan_of(dataset, folder, **options):
    return Plan(dataset=dataset, data=folder, **options)


@pytest.fixture
def folder(tmp_path):
    """Every dataset, small."""
    for name in DATASETS:
        getattr(small, name)(tmp_path)
    return tmp_path


class TestMeasure:
    CASE = a_case("a", "b", questions=[a_question("one?", "t1"), a_question("none?"), a_question("both?", "t1", "t2")])

    def test_every_system_is_asked_every_question_that_has_evidence(self):
        measured = measure([self.CASE], [Silent(), Knowing()])

        for outcomes in measured.outcomes.values():
            assert ["one?", "both?"] == [outcome.question for outcome in outcomes]
        assert {"cases": 1, "sessions": 1, "turns": 2, "questions": 2} == measured.counts
        assert 1 == measured.left_out["questions without evidence"]

    def test_what_is_found_is_scored(self):
        measured = measure([self.CASE], [Silent(), Knowing()])

        assert [0, 0] == [outcome.scores["recall@10"] for outcome in measured.outcomes["silent"]]
        assert [1, 0.5] == [outcome.scores["recall@1"] for outcome in measured.outcomes["knowing"]]
        assert [1, 1] == [outcome.scores["ndcg@10"] for outcome in measured.outcomes["knowing"]]

    def test_the_budget_counts_the_tokens_of_what_is_found(self):
        measured = measure([self.CASE], [Knowing()], count=lambda text: 200 * len(text))

        assert [0, 0] == [outcome.scores["recall≤2000"] for outcome in measured.outcomes["knowing"]]

    @pytest.mark.parametrize(("limit", "asked", "cases"), [(1, 1, 1), (2, 2, 1), (3, 3, 2), (9, 4, 2)])
    def test_a_limit_asks_the_first_questions_and_takes_no_case_in_vain(self, limit, asked, cases):
        told = []

        measured = measure([self.CASE, self.CASE], [Knowing()], limit=limit, on_progress=told.append)

        assert (asked, cases) == (measured.counts["questions"], measured.counts["cases"])
        assert list(range(1, asked + 1)) == told


class TestReport:
    def test_questions_weigh_alike_and_a_metric_counts_where_a_question_has_it(self):
        made = row([an_outcome(hit=1.0, recall=0.5), an_outcome(hit=0.0, recall=1.0), an_outcome(hit=1.0)])

        assert (3, {"hit": 0.6667, "recall": 0.75}) == (made.questions, made.metrics)

    def test_categories_apart_are_not_in_the_totals(self):
        measured = Measured([Silent()])
        measured.outcomes["silent"] = [an_outcome(hit=1.0), an_outcome("adversarial", hit=0.0)]

        made = summarise(measured, DATASETS["locomo"], ours="silent", store_bytes=7, seed=0)["silent"]

        assert (1, 1.0) == (made.overall.questions, made.overall.metrics["hit"])
        assert ["facts"] == list(made.categories)
        assert 0.0 == made.apart["adversarial"].metrics["hit"]
        assert 7 == made.store_bytes

    def test_who_said_the_evidence_is_told_apart_where_there_are_several(self):
        outcomes = [
            an_outcome(hit=1.0),
            an_outcome(roles=("assistant",), hit=0.0),
            an_outcome(roles=("assistant", "user"), hit=1.0),
        ]

        assert {"assistant": (2, 0.5), "user": (2, 1.0), "assistant only": (1, 0.0)} == {
            role: (one.questions, one.metrics["hit"]) for role, one in by_evidence(outcomes).items()
        }
        assert {} == by_evidence(outcomes[:1])

    def test_differences_pair_the_questions_that_have_the_metric(self):
        ours = [an_outcome(hit=1.0, session=1.0), an_outcome(hit=1.0)]
        theirs = [an_outcome(hit=0.0, session=0.5), an_outcome(hit=1.0)]

        found = difference(ours, theirs, seed=0)

        assert (0.5, 0.5) == (found["hit"].mean, found["session"].mean)
        assert (0.5, 0.5) == (found["session"].low, found["session"].high)

    def test_latencies_are_in_milliseconds(self):
        outcomes = [an_outcome(seconds=n / 1000) for n in range(1, 22)]

        assert {"p50": 11.0, "p95": 20.0} == latencies(outcomes)


class TestEvaluate:
    @pytest.mark.parametrize("name", DATASETS)
    def test_every_dataset_runs_with_every_baseline(self, folder, name):
        report = evaluate(plan_of(name, folder), embedder=LetterEmbedder())

        assert ["pymemos", "BM25", "dense", "RRF", "chunks of 128"] == list(report.systems)
        assert {} == report.skipped
        assert 0 < report.counts["questions"]
        for system in report.systems.values():
            assert set(DATASETS[name].shown) <= set(system.overall.metrics)
            assert 0 < system.overall.metrics[DATASETS[name].headline]

    def test_without_an_embedder_what_needs_one_is_skipped_with_the_reason(self, folder):
        report = evaluate(plan_of("locomo", folder))

        assert ["pymemos", "BM25"] == list(report.systems)
        assert {"dense", "RRF", "chunks of 128"} == set(report.skipped)
        assert all("embedder" in reason for reason in report.skipped.values())

    def test_ours_is_compared_with_every_baseline(self, folder):
        report = evaluate(plan_of("locomo", folder))

        assert ["BM25"] == list(report.systems["pymemos"].differences)
        assert {} == report.systems["BM25"].differences
        assert {} == evaluate(plan_of("locomo", folder, baselines=False)).systems["pymemos"].differences

    def test_a_report_says_what_its_figures_depend_on_and_is_json(self, folder):
        report = evaluate(plan_of("locomo", folder, seed=3))

        assert (3, 100, None) == (report.settings["seed"], report.settings["depth"], report.settings["limit"])
        assert {"embedder": None, "tokens": "approximate_wordpieces"} == report.models
        assert {"questions without evidence": 1, "evidence that names no turn": 1} == report.left_out
        assert {"cases": 1, "sessions": 2, "turns": 4, "questions": 4} == report.counts
        assert 0 < report.systems["pymemos"].store_bytes < 10_000_000
        assert 1_000_000 < report.peak_memory_bytes
        again = msgspec.json.decode(msgspec.json.encode(report), type=Report)
        assert report.systems == again.systems

    def test_the_same_run_gives_the_same_figures(self, folder):
        def figures():
            report = evaluate(plan_of("prefeval", folder))
            return {name: (system.overall, system.differences) for name, system in report.systems.items()}

        assert figures() == figures()

    def test_sessions_are_scored_where_the_benchmark_names_them(self, folder):
        found = evaluate(plan_of("longmemeval", folder)).systems["BM25"].overall.metrics

        assert (1.0, 1.0, 1.0) == (found["sessions@1"], found["session hit@1"], found["recall@1"])

    def test_data_without_an_answerable_question_are_an_error(self, folder):
        (folder / "beam" / "10" / "chat.json").unlink()

        with pytest.raises(InvalidInput, match="no question with evidence"):
            evaluate(plan_of("beam", folder))


class TestProvenance:
    def test_the_commit_of_a_checkout_is_known_loose_or_packed_or_detached(self, tmp_path):
        package, git = tmp_path / "src" / "pymemos", tmp_path / ".git"
        (git / "refs" / "heads").mkdir(parents=True)
        (git / "HEAD").write_text("ref: refs/heads/main\n")
        (git / "packed-refs").write_text("# pack-refs\nabc123 refs/heads/main\ndef456 refs/heads/other\n")

        assert "abc123" == provenance.commit(package)

        (git / "refs" / "heads" / "main").write_text("fff999\n")
        assert "fff999" == provenance.commit(package)

        (git / "HEAD").write_text("0123abcd\n")
        assert "0123abcd" == provenance.commit(package)

    def test_an_installed_package_has_no_commit_nor_that_of_the_repository_around_it(self, tmp_path):
        (tmp_path / ".git").mkdir()

        assert provenance.commit(tmp_path / "lib" / "pymemos") is None
        assert provenance.commit(tmp_path / "elsewhere" / "src" / "pymemos") is None

    def test_a_branch_without_a_commit_has_none(self, tmp_path):
        (tmp_path / ".git").mkdir()
        (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/new\n")

        assert provenance.commit(tmp_path / "src" / "pymemos") is None

    def test_the_size_of_a_folder_is_that_of_its_files(self, tmp_path):
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "b").write_bytes(b"12345")

        assert 5 == provenance.size_of(tmp_path)

    def test_no_host_is_named(self):
        assert {"cpus", "python", "platform"} == set(provenance.machine())


def test_a_search_that_takes_time_is_timed():
    measured = measure([TestMeasure.CASE], [Bm25()])

    assert all(0 < outcome.seconds < 1 for outcome in measured.outcomes["BM25"])
    assert 0 < measured.taking["BM25"] < 1
