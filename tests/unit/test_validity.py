"""When a memory holds: an interval that has a beginning before its end, whichever call gave which bound."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from pymemos import Activation, MemOS, ModelRef, errors
from pymemos.testing.doubles import WHEN, FrozenClock

DAY = timedelta(days=1)
LATER = {"timestamp": (WHEN + DAY).isoformat()}
ADDS: dict[str, Callable[[MemOS], Any]] = {
    "both bounds": lambda m: m.add("Sale.", valid_from=WHEN, valid_to=WHEN),
    "an end before now": lambda m: m.add("Sale.", valid_to=WHEN - DAY),
    "an end now": lambda m: m.add("Sale.", valid_to=WHEN),
    "an end before the timestamp": lambda m: m.add("Sale.", timestamp=WHEN + 2 * DAY, valid_to=WHEN + DAY),
    "an end before one message": lambda m: m.add(
        [{"content": "Sale."}, {"content": "Soon.", **LATER}], valid_to=WHEN + DAY
    ),
    "a tensor that ended": lambda m: m.add(
        Activation(form="kv", blob="0" * 64, size=1, model=ModelRef(name="m", weights="w")), valid_to=WHEN - DAY
    ),
}
UPDATES: dict[str, dict[str, Any]] = {
    "an end before the stored beginning": {"valid_to": WHEN - DAY},
    "a beginning behind the stored end": {"valid_from": WHEN + 2 * DAY},
    "a beginning at the stored end": {"valid_from": WHEN + DAY},
    "a text from a timestamp behind the stored end": {"content": "Sale!", "timestamp": WHEN + 2 * DAY},
}


@pytest.mark.parametrize("what", ADDS)
def test_what_would_hold_at_no_time_is_not_added(mem: MemOS, what: str) -> None:
    with pytest.raises(errors.InvalidInput, match=r"valid_to .* is not after"):
        ADDS[what](mem)

    assert len(mem.list(episodes=True)) == 0


@pytest.mark.parametrize("what", UPDATES)
def test_an_update_leaves_no_empty_interval(mem: MemOS, what: str) -> None:
    id = mem.add("Sale.", valid_from=WHEN, valid_to=WHEN + DAY).ids[0]

    with pytest.raises(errors.InvalidInput, match="hold at no time"):
        mem.update(id, **UPDATES[what])
    assert mem.get(id).revision == 1


def test_the_timestamp_is_moved_behind_no_end(mem: MemOS) -> None:
    id = mem.add("Sale.", valid_to=WHEN + DAY).ids[0]

    with pytest.raises(errors.InvalidInput, match="hold at no time"):
        mem.update(id, timestamp=WHEN + DAY)


def test_a_new_text_of_what_is_over_says_when_it_held(mem: MemOS, clock: FrozenClock) -> None:
    id = mem.add("Sale.", valid_to=WHEN + DAY).ids[0]
    clock.advance(2 * DAY)

    for act in (lambda: mem.update(id, "Sale!"), lambda: mem.append(id, "Cheap.")):
        with pytest.raises(errors.InvalidInput, match="pass a later valid_to, or the valid_from"):
            act()
    assert mem.update(id, "Sale!", valid_from=WHEN).text == "Sale!"


def test_labels_of_what_is_over_can_change(mem: MemOS, clock: FrozenClock) -> None:
    id = mem.add("Sale.", valid_to=WHEN + DAY).ids[0]
    clock.advance(2 * DAY)

    assert mem.update(id, tags=["shop"]).revision == 2


def test_a_beginning_before_an_end_that_is_over_is_history(mem: MemOS) -> None:
    mem.add("The wall stands.", valid_from="1961-08-13T00:00:00Z", valid_to="1989-11-09T00:00:00Z")

    found = mem.search("wall", valid_at="1970-01-01T00:00:00Z")
    assert [hit.cube.text for hit in found] == ["The wall stands."]


def test_a_retry_after_the_end_returns_the_first_result(mem: MemOS, clock: FrozenClock) -> None:
    first = mem.add("Sale.", valid_to=WHEN + DAY, idempotency_key="k")
    clock.advance(2 * DAY)

    assert mem.add("Sale.", valid_to=WHEN + DAY, idempotency_key="k").ids == first.ids


def test_a_message_that_is_known_is_not_refused_after_its_end(mem: MemOS, clock: FrozenClock) -> None:
    message = {"content": "Sale.", "id": "m1"}
    first = mem.add([message], valid_to=WHEN + DAY)
    clock.advance(2 * DAY)

    assert mem.add([message], valid_to=WHEN + DAY).deduplicated == first.ids
