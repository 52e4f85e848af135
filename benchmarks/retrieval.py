"""The benchmark of retrieval: LoCoMo, BEAM and PrefEval, by words alone and with MiniLM, beside the usual baselines."""

from __future__ import annotations

import os
import sys
from functools import cache, partial
from pathlib import Path

from benchmarks import report
from benchmarks.report import ROOT, Row, Skip
from pymemos.errors import InvalidInput, ModelError
from pymemos.evaluation.report import Report
from pymemos.evaluation.runner import Plan, evaluate
from pymemos.models import catalog
from pymemos.models.embed.onnx import OnnxEmbedder

BASELINES = ("BM25", "dense", "RRF", "chunks of 128")


def locomo_lexical() -> list[Row]:
    """LoCoMo, categories 1 to 4, without a model."""
    ours = _run("locomo", lexical=True, baselines=False).systems["pymemos"]
    return [
        Row.at_least("locomo_r10_lexical", 100 * ours.overall.metrics["recall@10"], "%", 79),
        Row.plain("locomo_b1000_lexical", 100 * ours.overall.metrics["recall≤1000"], "%"),
    ]


def locomo() -> list[Row]:
    """LoCoMo, categories 1 to 4, with MiniLM."""
    systems = _run("locomo").systems
    ours = systems["pymemos"].overall.metrics
    return [
        Row.at_least("locomo_r10", 100 * ours["recall@10"], "%", 83.5),
        Row.at_least("locomo_b1000", 100 * ours["recall≤1000"], "%", 87),
        Row.plain("locomo_r1", 100 * ours["recall@1"], "%"),
        Row.plain("locomo_ndcg10", 100 * ours["ndcg@10"], "%"),
        *(Row.plain(f"locomo_r10 {n}", 100 * systems[n].overall.metrics["recall@10"], "%") for n in BASELINES),
        *(Row.plain(f"locomo_b1000 {n}", 100 * systems[n].overall.metrics["recall≤1000"], "%") for n in BASELINES),
    ]


def beam() -> list[Row]:
    """BEAM: chats with an assistant; the questions whose evidence is the assistant's beside all."""
    systems = _run("beam").systems
    ours, dense = systems["pymemos"], systems["dense"]
    return [
        Row.at_least("beam_r10", 100 * ours.overall.metrics["recall@10"], "%", 67),
        Row.at_least(
            "beam_r10_assistant",
            100 * ours.evidence["assistant"].metrics["recall@10"],
            "%",
            round(100 * dense.evidence["assistant"].metrics["recall@10"], 1),
        ),
        *(Row.plain(f"beam_r10 {n}", 100 * systems[n].overall.metrics["recall@10"], "%") for n in BASELINES),
    ]


def prefeval() -> list[Row]:
    """PrefEval: one preference among unrelated messages."""
    systems = _run("prefeval").systems
    return [
        Row.at_least("prefeval_hit5", 100 * systems["pymemos"].overall.metrics["hit@5"], "%", 94),
        *(Row.plain(f"prefeval_hit5 {n}", 100 * systems[n].overall.metrics["hit@5"], "%") for n in BASELINES),
    ]


def _run(dataset: str, *, lexical: bool = False, baselines: bool = True) -> Report:
    data = os.environ.get("PYMEMOS_DATA")
    if not data:
        raise Skip("PYMEMOS_DATA names no folder with the data")
    embedder = _embedder()
    try:
        plan = Plan(dataset=dataset, data=Path(data), baselines=baselines)
        return evaluate(plan, embedder=None if lexical else embedder, count=embedder.count_tokens)
    except InvalidInput as error:
        raise Skip(str(error)) from error


@cache
def _embedder() -> OnnxEmbedder:
    cache_dir = Path(os.environ.get("PYMEMOS_CACHE_DIR") or ROOT / ".cache")
    try:
        catalog.prepare("minilm", cache_dir)
    except ModelError as error:
        raise Skip(str(error)) from error
    return OnnxEmbedder(catalog.folder_of(cache_dir, "minilm"), name="minilm")


MEASURES = {
    ("locomo_r10_lexical",): locomo_lexical,
    ("locomo_r10", "locomo_b1000"): locomo,
    ("beam_r10", "beam_r10_assistant"): beam,
    ("prefeval_hit5",): prefeval,
}


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    report.main("retrieval", {metrics: partial(run) for metrics, run in MEASURES.items()}, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
