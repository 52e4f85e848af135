"""Rules that keep memories from a model hold for everything that has the local model read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.adapter_kit import WHO, ask, distilled, opened, told

from pymemos import MemOS
from pymemos.errors import PymemosError


@pytest.fixture
def mem(tmp_path: Path) -> Iterator[MemOS]:
    with opened(tmp_path) as mem:
        yield mem


def keep_from_the_model(mem: MemOS) -> None:
    rule = {"effect": "deny", "what": {"tags": "private"}, "when": {"model": {"contains": "toy@"}}}
    mem.set_access_policy("not for models", rule, **WHO)


@pytest.mark.parametrize(
    "read",
    [
        lambda mem, id: mem.encode([id], **WHO),
        lambda mem, id: mem.inject([id], "Where?", **WHO).close(),
    ],
    ids=["encode", "inject"],
)
def test_the_local_model_reads_no_memory_that_is_kept_from_it(mem: MemOS, read: Callable[[MemOS, str], Any]) -> None:
    secret = mem.add("Tarn Velk lives in Ostrel.", tags=["private"], **WHO).ids[0]
    (plain,) = told(mem, "Mirrin was founded by Olda Prast.")
    keep_from_the_model(mem)

    read(mem, plain)
    with pytest.raises(PymemosError):
        read(mem, secret)
    assert mem.get(secret, **WHO).text == "Tarn Velk lives in Ostrel."  # the owner reads it


def test_an_adapter_that_learned_it_before_is_not_used_any_more(mem: MemOS) -> None:
    secret = mem.add("Tarn Velk lives in Ostrel.", tags=["private"], **WHO).ids[0]
    distilled(mem, secret)
    assert len(ask(mem, "Where does Tarn Velk live?").adapters) == 1

    keep_from_the_model(mem)

    assert ask(mem, "Where does Tarn Velk live?").adapters == ()


def test_a_vector_that_is_kept_from_it_steers_nothing(mem: MemOS) -> None:
    pairs = [(f"Splendid, dear friend {number}.", f"meh {number}") for number in range(6)]
    made = mem.steer_from(pairs, tags=["private"], **WHO)
    assert len(mem.steering([made.id], **WHO).uses) == 1

    keep_from_the_model(mem)

    with pytest.raises(PymemosError):
        mem.steering([made.id], **WHO)
