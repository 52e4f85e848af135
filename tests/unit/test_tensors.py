"""Activation and parametric memories: stored, found, versioned and read back like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from pymemos import Activation, MemOS, ModelRef, Parametric, errors

MODEL = ModelRef(name="tiny", weights="w" * 64, tokenizer="t" * 64, dtype="float32")


def tensors(*names: str) -> dict[str, np.ndarray]:
    noise = np.random.default_rng(7)
    return {name: noise.standard_normal((2, 5, 4), dtype=np.float32) for name in names}


def a_kv(mem: MemOS, **labels: object) -> tuple[str, dict[str, np.ndarray]]:
    """A KV memory of two layers with random content; gives its id and its tensors."""
    cache = tensors("layers.0.k", "layers.0.v", "layers.1.k", "layers.1.v")
    blob, size = mem.put_blob(save(cache))
    payload = Activation(form="kv", blob=blob, size=size, model=MODEL, tokens=5, start=0)
    return mem.add(payload, **labels).ids[0], cache  # type: ignore[arg-type]


def test_a_kv_cache_comes_back_bit_for_bit(mem: MemOS) -> None:
    id, cache = a_kv(mem, user_id="ann")
    back = load(bytes(mem.open_blob(id)))

    assert back.keys() == cache.keys()
    assert all(np.array_equal(back[name], cache[name]) for name in cache)
    assert mem.get(id).payload.model == MODEL


def test_an_adapter_comes_back_with_what_it_was_made_from(mem: MemOS) -> None:
    fact = mem.add("Ann lives in Lisbon.", user_id="ann")
    blob, size = mem.put_blob(save(tensors("lora_A", "lora_B")))
    payload = Parametric(blob=blob, size=size, model=MODEL, rank=8, alpha=16.0, modules=("q_proj", "down_proj"))
    cube = mem.bind(user_id="ann").add(payload, parents=fact.ids).cubes[0]

    assert mem.get(cube.id).payload == payload
    assert [parent.id for parent in mem.get(cube.id).parents] == list(fact.ids)
    assert cube.parents[0].content_hash == fact.cubes[0].content_hash


def test_the_pin_of_a_source_tells_when_the_source_changed(mem: MemOS) -> None:
    fact = mem.add("Ann lives in Lisbon.", user_id="ann").ids[0]
    id, _ = a_kv(mem, user_id="ann", parents=[fact])
    pinned = mem.get(id).parents[0].content_hash

    mem.update(fact, tags=["home"])
    assert mem.get(fact).content_hash == pinned
    mem.update(fact, "Ann lives in Porto.")
    assert mem.get(fact).content_hash != pinned


def test_somebody_elses_memory_is_no_parent(mem: MemOS) -> None:
    secret = mem.add("Bo's secret.", user_id="bo").ids

    with pytest.raises(errors.UnknownMemory):
        a_kv(mem, user_id="ann", parents=secret)


def test_a_tensor_is_no_message(mem: MemOS) -> None:
    with pytest.raises(errors.InvalidInput, match="use one of fact"):
        a_kv(mem, type="message")
    id, _ = a_kv(mem, type="procedure")
    with pytest.raises(errors.InvalidInput, match="use one of fact"):
        mem.update(id, type="message")


def test_tensors_are_listed_by_kind_and_never_found_by_words(mem: MemOS) -> None:
    id, _ = a_kv(mem, user_id="ann")

    assert [cube.id for cube in mem.list(user_id="ann", filters={"kind": "activation"})] == [id]
    assert len(mem.search("kv", user_id="ann")) == 0


def test_the_doctor_misses_a_blob_that_is_gone(mem: MemOS) -> None:
    id, _ = a_kv(mem)
    assert all(finding.ok for finding in mem.doctor())
    mem._tools.blobs.remove(mem.get(id).payload.blob)

    assert [finding.check for finding in mem.doctor() if not finding.ok] == ["blobs are there"]
    with pytest.raises(errors.MissingBlob, match="backup"):
        mem.open_blob(id)


def test_a_backup_takes_the_blobs_along(tmp_path: Path) -> None:
    with MemOS(tmp_path / "home") as mem:
        id, cache = a_kv(mem)
        mem.backup(tmp_path / "copy.db")
    restored = tmp_path / "restored"
    restored.mkdir()
    (tmp_path / "copy.db").rename(restored / "store.db")
    (tmp_path / "copy.db.blobs").rename(restored / "blobs")

    with MemOS(restored) as mem:
        assert np.array_equal(load(bytes(mem.open_blob(id)))["layers.0.k"], cache["layers.0.k"])
