"""Ids: UUIDv7 as RFC 9562 has them, ordered within a process."""

from __future__ import annotations

import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given

from pymemos.cube.filters import microseconds
from pymemos.cube.ids import format_id, is_id, new_id
from pymemos.testing.doubles import WHEN, FrozenClock, SequentialIds
from pymemos.testing.strategies import far_ids

LATER = datetime(2300, 1, 1, tzinfo=UTC)  # later than any other id of this process


def test_an_id_is_a_uuid_of_version_7_and_the_rfc_variant() -> None:
    made = uuid.UUID(new_id(WHEN))

    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_an_id_begins_with_its_time_in_milliseconds() -> None:
    at = LATER + timedelta(days=1)

    assert uuid.UUID(new_id(at)).int >> 80 == microseconds(at) // 1000


def test_the_example_of_the_rfc_comes_out() -> None:
    expected = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"  # RFC 9562, appendix A.6

    assert expected == format_id(0x017F22E279B0, 0xCC3 << 62 | 0x18C4DC0C0C07398F)


def test_ids_of_one_moment_are_in_the_order_of_making() -> None:
    made = [new_id(WHEN) for _ in range(2000)]

    assert made == sorted(set(made))


def test_an_id_made_when_the_clock_stepped_back_sorts_behind_the_last() -> None:
    assert new_id(WHEN) < new_id(WHEN - timedelta(days=1))


def test_a_time_before_1970_makes_an_id_all_the_same() -> None:
    assert is_id(new_id(datetime(1900, 1, 1, tzinfo=UTC)))


def test_ids_made_by_many_threads_differ_and_each_thread_sees_its_own_in_order() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: [new_id(WHEN) for _ in range(300)], range(8)))

    assert all(ids == sorted(ids) for ids in made)
    assert len({id for ids in made for id in ids}) == 8 * 300


@given(far_ids)
def test_every_formatted_id_is_one(id: str) -> None:
    assert is_id(id)
    assert str(uuid.UUID(id)) == id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice",
        str(uuid.UUID(int=0)),
        str(uuid.uuid4()),
        "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
        "017f22e279b07cc398c4dc0c0c07398f",
        "017f22e2-79b0-7cc3-c8c4-dc0c0c07398f",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398f\n",
    ],
)
def test_other_text_is_no_id(text: str) -> None:
    assert not is_id(text)


def test_sequential_ids_are_valid_ordered_and_the_same_each_time() -> None:
    one, other = SequentialIds(), SequentialIds()
    times = [WHEN, WHEN, WHEN - timedelta(days=1), WHEN + timedelta(days=1)]
    made = [one(at) for at in times]

    assert made == [other(at) for at in times] == sorted(made)
    assert all(is_id(id) for id in made)


def test_a_frozen_clock_moves_only_when_told() -> None:
    clock = FrozenClock()

    assert clock() == clock() == WHEN
    assert clock.advance(timedelta(hours=1)) == clock() == WHEN + timedelta(hours=1)
    clock.now = WHEN
    assert clock() == WHEN


def test_a_fork_makes_other_ids_than_the_process_that_it_came_from() -> None:
    program = """
import os
from datetime import UTC, datetime
from pymemos.cube.ids import new_id
at = datetime(2300, 1, 1, tzinfo=UTC)  # the same millisecond on both sides
new_id(at)
child = os.fork()
made = new_id(at)
if child:
    os.waitpid(child, 0)
print(made, flush=True)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    one, other = run.stdout.split()

    assert one != other
