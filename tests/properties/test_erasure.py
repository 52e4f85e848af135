"""The proof of erasure: after any history, no byte of the store's folder tells of what was erased."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.properties.erasing import Place
from tests.properties.grep import Grep

DEEP = settings().max_examples > 100
ORDINARY = ("add", "talk", "tensor", "derive", "update", "append", "restore", "delete", "archive", "search")
RARE = ("snapshot", "queue", "later", "examine", "scrub", "full_disk")
LOSSES = ("erase", "erase", "erase_session", "erase_tag", "crash_erasing", "crash_scrubbing")
step = st.tuples(st.sampled_from(ORDINARY) | st.sampled_from(RARE), st.integers(0, 40))
loss = st.tuples(st.sampled_from(LOSSES), st.integers(0, 40))


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, int]]:
    """Things happen, with a few erasures and crashes among them."""
    begun = [("add", draw(st.integers(0, 3))), ("talk", draw(st.integers(0, 3)))]
    middle = draw(st.lists(step, min_size=2, max_size=14))
    for one in draw(st.lists(loss, min_size=1, max_size=3)):
        middle.insert(draw(st.integers(0, len(middle))), one)
    return [*begun, *middle, ("erase", draw(st.integers(0, 40)))]


@pytest.fixture(scope="module")
def grep() -> Iterator[Grep]:
    search = Grep()
    yield search
    search.close()


@settings(
    max_examples=600 if DEEP else 6,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(history=histories())
def test_nothing_of_what_was_erased_is_in_any_byte_of_the_folder(grep: Grep, history: list[tuple[str, int]]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="pymemos-erasure-"))
    place = Place(folder / "home")
    try:
        for name, n in history:
            getattr(place, name)(n)
        place.finish()
        assert_gone(place, grep)
    finally:
        place.close()
        shutil.rmtree(folder)


def test_the_search_finds_what_is_there(tmp_path: Path, grep: Grep) -> None:
    place = Place(tmp_path / "home")
    place.talk(0)
    first, behind = place.here
    place.update(0)
    before = place.needles()
    place.gone = {id: place.here[id] for id in (first,)}  # as if it had been erased
    kept, place.here = place.here, {behind: place.here[behind]}

    found = {needle for needle, _ in grep(place.home, place.needles())}

    assert before == set()
    for text in kept[first].texts:
        assert {text.encode(), place.embedder.embed([text])[0].tobytes()} <= found
    for rare in kept[first].rare:
        assert found.intersection({rare.encode(), f"1_{rare}".encode()})
    place.close()


def assert_gone(place: Place, grep: Grep) -> None:
    """Every receipt is signed and true, and what was not erased is as it was."""
    receipts = place.mem.receipts()
    assert [receipt for receipt in receipts if not receipt.signed] == []
    assert all(place.mem.verify_receipt(receipt) for receipt in receipts)
    assert grep(place.home, place.needles()) == []
    for id, one in place.here.items():
        assert [record.cube.text for record in place.mem.history(id)][: len(one.texts)] or one.blob
        if not one.deleted and not one.blob:
            assert place.mem.get(id).text in one.texts
        if one.blob:
            assert grep(place.home, [one.blob]) != []
    assert [finding for finding in place.mem.doctor(grep_erased=True) if not finding.ok] == []
    assert place.mem.audit_verify().ok
