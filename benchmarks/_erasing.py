"""Erasing a user with 10,000 memories from a store of 100,000, with vectors: sealed, scrubbed, searched for, signed."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks._texts import Texts, conversation
from benchmarks.report import ROOT, Row
from pymemos import MemOS

OTHERS, EACH, OWN = 90, 1_000, 10_000
BATCH = 1_000
DIMENSIONS = 384  # as those of MiniLM


class Dense:
    """Vectors with as many different bytes as those of a model; the same text always gives the same."""

    identity, dimensions = "dense", DIMENSIONS

    def embed(self, texts: Sequence[str], *, queries: bool = False) -> np.ndarray:
        rows = [np.random.default_rng(zlib.crc32(text.encode())).standard_normal(DIMENSIONS) for text in texts]
        made = np.array(rows, np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True)


def erase_10k() -> list[Row]:
    """One erasure of everything that a user has."""
    (ROOT / ".cache").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-erasing-", dir=ROOT / ".cache"))
    os.environ["PYMEMOS_CONFIG_DIR"] = str(folder / "config")
    try:
        with MemOS(folder / "home", embedder=Dense()) as mem:
            _fill(mem)
            return _measured(mem)
    finally:
        shutil.rmtree(folder)


def _fill(mem: MemOS) -> None:
    texts = Texts()
    for user, count in [*((f"user{n}", EACH) for n in range(OTHERS)), ("leaver", OWN)]:
        for _ in range(0, count, BATCH):
            mem.add(conversation(texts.messages(min(BATCH, count))), user_id=user)


def _measured(mem: MemOS) -> list[Row]:
    started, worked = time.perf_counter(), time.process_time()
    receipt = mem.erase(user_id="leaver")
    sealed = time.perf_counter() - started
    sealing = time.process_time() - worked
    mem.tick()
    done = time.perf_counter() - started
    receipt = mem.receipt(receipt.id)
    assert receipt.signed, receipt.reason
    assert receipt.verification is not None
    assert receipt.removed.memories > OWN
    assert len(mem.list(user_id="leaver", episodes=True)) == 0
    return [
        Row.at_most("erase_10k_sealed_s", sealed, "s", 1.0),
        Row.at_most("erase_10k_s", done, "s", 15.0),
        Row.at_most("erase_10k_found", receipt.verification.remnants, "pieces", 0),
        Row.plain("erase_10k_sealed_cpu_s", sealing, "s"),
        Row.plain("erase_10k_cpu_s", time.process_time() - worked, "s"),
        Row.plain("erase_10k_searched_mb", receipt.verification.bytes / 1e6, "MB"),
    ]
