"""The benchmark of activation memory: time to the first token from a stored KV cache, and how exact it is.

Every cell of the paper's table goes both ways through the same engine: the memory injected from a warm file, and the
whole prompt read again; beside it the best that injection can be, a query on a cache that is in memory already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from statistics import median
from typing import Any, NamedTuple

from benchmarks import _blend, _gpu, _prefix_reuse, _steering, _ttft, report
from benchmarks._texts import Texts
from benchmarks.core import Workshop
from benchmarks.report import ROOT, Row, Skip
from pymemos.adapters.blobs import FileBlobs
from pymemos.cube.segment import SegmentAbout
from pymemos.errors import ModelError
from pymemos.ports import ChatOptions
from pymemos.settings import cache_folder

CONTEXTS, QUERIES = (583, 2_773, 6_064), (167, 303, 953)  # tokens, as in the paper's table
LONG = CONTEXTS[-1]
ROUNDS = dict(zip(CONTEXTS, (12, 6, 5), strict=True))  # of each cell; the first is not counted
WHOLE = dict(zip(CONTEXTS, (12, 6, 2), strict=True))  # how many of them read the whole prompt: it takes its time
PICTURE = ROOT / "benchmarks" / "ttft.svg"
ABOUT = SegmentAbout(namespace="benchmarks")
PROMPTS, ANSWER = 20, 24  # that are answered both ways, and the tokens of each answer


class Cell(NamedTuple):
    """One cell: seconds to the first token in every way, the bytes of the file, and how far the logits are apart."""

    context: int
    query: int
    injected: float
    ram: float
    full: float
    nbytes: int
    apart: float
    equal: bool


class Bench(Workshop):
    """The workshop with a model, a folder of blobs, and tokens enough for every cell."""

    @cached_property
    def engine(self) -> Any:
        """SmolLM2, as it was prepared."""
        import os
        from pathlib import Path

        try:
            from pymemos.models.local.loading import open_local

            return open_local("smollm2", cache_folder(os.environ, Path.home()), "cpu")
        except (ImportError, ModelError) as error:
            raise Skip(f"{error} (pip install 'pymemos[local]', pymemos models prepare smollm2)") from error

    @cached_property
    def blobs(self) -> FileBlobs:
        """On the disk of the checkout."""
        return FileBlobs(self.path("blobs"))

    @cached_property
    def tokens(self) -> tuple[int, ...]:
        """More than the longest cell."""
        text = " ".join(Texts().messages(1_000))
        tokens = self.engine.prompt("", (text,), ()).notes[0]
        assert len(tokens) >= LONG + QUERIES[-1]
        return tuple(tokens)

    @cached_property
    def cells(self) -> list[Cell]:
        """All nine."""
        return [cell for context in CONTEXTS for cell in self._cells(context)]

    def _cells(self, context: int) -> Iterable[Cell]:
        held = self.engine.prefill(self.tokens[:context])
        blob, size = self.blobs.put(self.engine.dump(held, ABOUT))
        for query in QUERIES:
            yield self._cell(held, blob, size, query)

    def _cell(self, held: Any, blob: str, size: int, query: int) -> Cell:
        engine, head, context = self.engine, held.tokens, len(held.tokens)
        tokens = (*head, *self.tokens[LONG : LONG + query])
        injected: list[float] = []
        ram: list[float] = []
        full: list[float] = []
        for number in range(ROUNDS[context]):  # in turns, so that a slower minute of the machine is every way's
            _timed(ram, partial(engine.logits, tokens, prefix=[held]))
            row = _timed(injected, partial(self.injected, blob, head, tokens))
            if number < WHOLE[context]:
                whole = _timed(full, partial(engine.logits, tokens))
        apart, equal = float(abs(whole - row).max()), bool((whole == row).all())
        return Cell(context, query, median(injected[1:]), median(ram[1:]), median(full[1:] or full), size, apart, equal)

    def injected(self, blob: str, head: Sequence[int], tokens: Sequence[int]) -> Any:
        """The logits of the first token, the memory taken from its file."""
        held = self.engine.load(self.blobs.open(blob), ABOUT, head, 0)
        return self.engine.logits(tokens, prefix=[held])


def _timed(times: list[float], act: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    result = act()
    times.append(time.perf_counter() - started)
    return result


def flops(model: Any, new: int, before: int) -> float:
    """The floating-point operations of a forward pass over ``new`` tokens behind ``before``.

    Twice the weights of every layer for each token, four times the width of attention for each pair of tokens, and the
    output layer once.
    """
    config = model.config
    layers = sum(weight.numel() for name, weight in model.get_decoder().named_parameters() if "embed" not in name)
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    pairs = new * before + new * (new + 1) / 2
    attention = 4.0 * config.num_hidden_layers * config.num_attention_heads * size * pairs
    return 2.0 * layers * new + attention + 2.0 * config.vocab_size * config.hidden_size


def ttft(bench: Bench) -> Iterable[Row]:
    """The nine cells, and a picture of them."""
    rows = list(_ttft_rows(bench))
    PICTURE.write_text(picture(rows), "utf-8")
    return rows


def _ttft_rows(bench: Bench) -> Iterable[Row]:
    shares: dict[bool, list[float]] = {True: [], False: []}
    for cell in bench.cells:
        model, query = bench.engine.model, cell.query
        saving = 1 - cell.injected / cell.full
        best = 1 - flops(model, query, cell.context) / flops(model, cell.context + query, 0)
        shares[cell.context == LONG].append(saving / best)
        name = f"{cell.context}_{query}"
        yield Row.plain(f"ttft_injected_{name}_ms", cell.injected * 1e3, "ms")
        yield Row.plain(f"ttft_ram_{name}_ms", cell.ram * 1e3, "ms")
        yield Row.plain(f"ttft_full_{name}_ms", cell.full * 1e3, "ms")
        yield Row.plain(f"ttft_saving_{name}", saving, f"of {best:.4f} at best")
        yield Row.plain(f"logits_equal_{name}", float(cell.equal), f"largest difference {cell.apart:.2g}")
    yield Row.at_most("ttft_vs_ram", max(cell.injected / cell.ram for cell in bench.cells), "× a cache in memory", 1.10)
    yield Row.at_least("ttft_saving_of_best_long", min(shares[True]), "of the best saving", 0.97)
    yield Row.at_least("ttft_saving_of_best", min(shares[False]), "of the best saving", 0.92)
    yield Row.at_most("logit_max_diff", max(cell.apart for cell in bench.cells), "", 1e-4)


def picture(rows: Iterable[Row]) -> str:
    """The cells as a picture, from the rows of ``ttft``."""
    values = {row.metric: row.value for row in rows}
    ways = {
        way: {(c, q): values[f"ttft_{way}_{c}_{q}_ms"] / 1e3 for c in CONTEXTS for q in QUERIES}
        for way in ("full", "injected", "ram")
    }
    return _ttft.draw(ways, CONTEXTS, QUERIES, "SmolLM2-135M, float32, two cores")


def greedy(bench: Bench) -> Iterable[Row]:
    """Twenty prompts, each answered greedily with its memory injected and with everything read."""
    engine, texts, same = bench.engine, Texts(11), 0
    for number in range(PROMPTS):
        notes = [f"[2025-05-{day + 1:02}] {text}\n" for day, text in enumerate(texts.messages(8))]
        question = texts.question(notes[number % len(notes)])[0]
        prompt = engine.prompt("Answer from these notes.", notes, [_user(question)])
        head = (*prompt.head, *(token for note in prompt.notes for token in note))
        blob, _ = bench.blobs.put(engine.dump(engine.prefill(head), ABOUT))
        held = engine.load(bench.blobs.open(blob), ABOUT, head, 0)
        options = ChatOptions(max_tokens=ANSWER)
        answers = [
            "".join(piece.text for piece in engine.run(prompt.tokens, options, prefix=prefix))
            for prefix in ((), (held,))
        ]
        same += answers[0] == answers[1]
    yield Row.at_least("greedy_equal", same, f"of {PROMPTS}", PROMPTS)


def _user(text: str) -> Any:
    from pymemos.ports import Utterance

    return Utterance("user", text)


def encoding(bench: Bench) -> Iterable[Row]:
    """Computing a segment and storing it durably, in turns with computing it alone."""
    engine = bench.engine
    for context in CONTEXTS:
        bare: list[float] = []
        kept: list[float] = []
        for number in range(4 if context < LONG else 1):
            tokens = bench.tokens[number : context + number]
            _timed(bare, partial(engine.prefill, tokens))
            _timed(kept, partial(_encoded, bench, tokens))
        name = "encode_vs_prefill" if context > CONTEXTS[0] else "encode_vs_prefill_short"
        ratio = min(kept) / min(bare)
        if context == CONTEXTS[0]:
            yield Row.at_most(name, ratio, "× prefill at 583 tokens", 1.3)
        else:
            suffix = "" if context == CONTEXTS[1] else "_long"
            yield Row.at_most(name + suffix, ratio, f"× prefill at {context:,} tokens", 1.15)


def _encoded(bench: Bench, tokens: Sequence[int]) -> None:
    bench.blobs.put(bench.engine.dump(bench.engine.prefill(tokens), ABOUT))


MEASURES = {
    ("ttft_vs_ram", "ttft_saving_of_best_long", "ttft_saving_of_best", "logit_max_diff"): ttft,
    ("greedy_equal",): greedy,
    ("prefix_reuse",): lambda _: _prefix_reuse.prefix_reuse(),
    _blend.METRICS: lambda bench: _blend.blend(bench.engine),
    _steering.METRICS: lambda bench: _steering.steering(bench.engine),
    ("encode_vs_prefill_short", "encode_vs_prefill", "encode_vs_prefill_long"): encoding,
}


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    bench = Bench()
    try:
        ours = {metrics: partial(run, bench) for metrics, run in MEASURES.items()}
        report.main("activation", {**ours, **_gpu.MEASURES}, arguments)
    finally:
        bench.close()


if __name__ == "__main__":
    main()
