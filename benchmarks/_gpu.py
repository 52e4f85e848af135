"""The cells on a GPU, with the shapes of the models of the paper's table and random weights: time knows no values."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import Row, Skip

RESULTS = Path(__file__).parent / "results"
CONTEXTS, QUERIES = (583, 2_773, 6_064), (167, 303, 953)
# The paper's savings (its table 5), in percent: by context, then by query.
PAPER = {
    "Qwen3-8B": ((71.3, 55.6, 23.0), (89.7, 85.1, 64.6), (94.2, 91.1, 79.1)),
    "Qwen3-32B": ((53.5, 39.6, 18.6), (81.2, 75.1, 56.9), (88.8, 84.3, 71.4)),
}
SHAPES = {
    "Qwen3-8B": {"hidden_size": 4_096, "intermediate_size": 12_288, "num_hidden_layers": 36, "num_attention_heads": 32},
    "Qwen3-32B": {
        "hidden_size": 5_120,
        "intermediate_size": 25_600,
        "num_hidden_layers": 64,
        "num_attention_heads": 64,
    },
}
COMMON = {"num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936, "max_position_embeddings": 40_960}
REPEATS = 5


def cells(name: str, shape: dict[str, int] | None = None, device: str = "cuda") -> Iterator[Row]:
    """The nine cells of one model: memory on the device, against the whole prompt read again."""
    torch = _torch(device)
    engine = random_engine(name, shape or {**SHAPES[name], **COMMON}, device)
    rate, bandwidth = _limits(torch, device)
    short = name.removeprefix("Qwen3-").lower()
    rows: list[Row] = []
    for context, expected in zip(CONTEXTS, PAPER.get(name, PAPER["Qwen3-8B"]), strict=True):
        tokens = [number * 7_919 % engine.model.config.vocab_size for number in range(context + QUERIES[-1])]
        held = engine.prefill(tokens[:context])
        for query, paper in zip(QUERIES, expected, strict=True):
            asked = tokens[: context + query]
            injected = _median(lambda asked=asked, held=held: engine.logits(asked, prefix=[held]))
            full = _median(lambda asked=asked: engine.logits(asked))
            floor = _floor(engine.model, query, context, rate, bandwidth)
            saving = 100 * (1 - injected / full)
            cell = f"{short}_{context}_{query}"
            rows.append(Row.at_least(f"gpu_saving_{cell}", saving, "% of the time to the first token", paper))
            rows.append(Row.plain(f"gpu_injected_{cell}_ms", injected * 1e3, f"ms, at least {floor * 1e3:.3g}"))
            rows.append(Row.plain(f"gpu_full_{cell}_ms", full * 1e3, "ms"))
        del held
    _keep(name, rows, rate, bandwidth)
    yield from rows


def random_engine(name: str, shape: dict[str, int], device: str) -> Any:
    """An engine over a model of this shape whose weights nobody trained."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    from pymemos.cube.payload import ModelRef
    from pymemos.models.local import attention
    from pymemos.models.local.engine import LocalEngine

    ALL_ATTENTION_FUNCTIONS.register(attention.NAME, attention.attend)
    config = Qwen3Config(**shape, tie_word_embeddings=False, attn_implementation=attention.NAME)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            model = Qwen3ForCausalLM(config).eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(before)
    end = {"unk_token": "<end>"}
    words = Tokenizer(models.WordLevel({"<end>": 0}, **end))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, **end, **{"eos_token": "<end>"})
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    return LocalEngine(model, tokenizer, ModelRef(name=name, weights="random", dtype="bfloat16"))


def _median(act: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        act()  # its result is copied to the host, which waits for the device
        times.append(time.perf_counter() - started)
    return median(times[1:])


@cache
def _limits(torch: Any, device: str) -> tuple[float, float]:
    """What this device does in a second: floating-point operations in bfloat16, and bytes read and written."""
    size = 8_192 if device == "cuda" else 512
    a = torch.randn(size, size, dtype=torch.bfloat16, device=device)
    big = torch.empty(size * size * 4, dtype=torch.bfloat16, device=device)
    product = _seconds(torch, device, lambda: a @ a)
    copy = _seconds(torch, device, lambda: big.clone())
    return 2 * size**3 / product, 2 * big.nbytes / copy


def _seconds(torch: Any, device: str, act: Callable[[], object], repeats: int = 10) -> float:
    act()
    _wait(torch, device)
    started = time.perf_counter()
    for _ in range(repeats):
        act()
    _wait(torch, device)
    return (time.perf_counter() - started) / repeats


def _wait(torch: Any, device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _floor(model: Any, new: int, before: int, rate: float, bandwidth: float) -> float:
    """The least seconds that the query can take: its operations, or reading weights and memory once."""
    from benchmarks.activation import flops

    weights = sum(weight.nbytes for weight in model.parameters()) - model.get_input_embeddings().weight.nbytes
    config = model.config
    kv = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * before * 2
    return max(flops(model, new, before) / rate, (weights + kv) / bandwidth)


def _keep(name: str, rows: list[Row], rate: float, bandwidth: float) -> None:
    RESULTS.mkdir(exist_ok=True)
    said = {
        "model": name,
        "tflop_per_s": rate / 1e12,
        "gb_per_s": bandwidth / 1e9,
        "rows": [[row.metric, row.value, row.unit] for row in rows],
    }
    (RESULTS / f"gpu-{name.lower()}.json").write_text(json.dumps(said, indent=1) + "\n", "utf-8")


def _torch(device: str) -> Any:
    try:
        import torch
    except ImportError as error:
        raise Skip("torch is not installed: pip install 'pymemos[local]'") from error
    if device == "cuda" and not torch.cuda.is_available():
        raise Skip("there is no GPU here")
    return torch


def _of(name: str) -> Callable[[], Iterable[Row]]:
    return lambda: cells(name)


def _metrics(name: str) -> tuple[str, ...]:
    short = name.removeprefix("Qwen3-").lower()
    return tuple(f"gpu_saving_{short}_{context}_{query}" for context in CONTEXTS for query in QUERIES)


MEASURES = {_metrics(name): _of(name) for name in SHAPES}
