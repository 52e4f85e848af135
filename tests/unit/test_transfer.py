"""The lines of an export: what was exported comes back, and whatever else a line holds is malformed, with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.cube.wire import digest, encode
from pymemos.errors import InvalidInput, MalformedRecord, PymemosError
from pymemos.interface.transfer import from_line, to_line
from pymemos.ports import Record
from pymemos.testing.builders import a_cube
from pymemos.testing.doubles import WHEN

EARLY = "0001-01-01T00:00:00+05:00"  # before the calendar begins, in UTC
Damage = Callable[[Any], Any]


@pytest.fixture
def exported(tmp_path: Path) -> dict[str, Any]:
    """The fields of a line: a memory with two versions."""
    with MemOS(tmp_path, store=MemoryStore(), blobs=MemoryBlobs()) as mem:
        id = mem.add("Ana lives in Lisbon.", user_id="ana").ids[0]
        mem.update(id, "Ana lives in Porto.")
        (line,) = mem.export_lines()
    return json.loads(line)  # type: ignore[no-any-return]


def sealed(fields: dict[str, Any]) -> bytes:
    """The line with the hashes that its documents have now: what a program got wrong, and not a disk."""
    new: dict[str, str] = {}
    for one in fields["versions"]:
        if isinstance(one["document"], dict):
            previous = one["document"].get("previous")
            declared = one["document"] | {"previous": new.get(previous, previous)}
            one["document"] = {name: value for name, value in declared.items() if value is not None}
        salted = digest(encode(one["document"]), key=bytes.fromhex(fields["salt"]))
        new[one["version"]], one["version"] = salted, salted
    return encode(fields)


def said(**given: Any) -> Damage:
    return lambda fields: [one["document"]["descriptive"].update(given) for one in fields["versions"]]


def declared(place: int, **given: Any) -> Damage:
    return lambda fields: fields["versions"][place]["document"].update(given)


def known(place: int, **given: Any) -> Damage:
    return lambda fields: fields["versions"][place].update(given)


def test_what_was_exported_comes_back(exported: dict[str, Any]) -> None:
    assert to_line(list(from_line(encode(exported)))) == encode(exported)


def test_the_tests_own_seal_is_that_of_the_system(exported: dict[str, Any]) -> None:
    line = encode(exported)

    assert from_line(sealed(exported)) == from_line(line)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "nothing observed": (lambda fields: fields.update(behaviour=None), "AttributeError"),
    "observed is a list": (lambda fields: fields.update(behaviour=[1]), "not an exported memory"),
    "no versions": (lambda fields: fields.update(versions=[]), "at least one"),
    "a version that is a number": (lambda fields: fields["versions"][1].update(document=5), "malformed|record"),
    "uses that are a word": (lambda fields: fields["behaviour"].update(uses="often"), "ValidationError"),
    "uses beyond 64 bits": (lambda fields: fields["behaviour"].update(uses=1 << 63), "64 bits"),
    "a time outside the calendar": (known(0, known_from=EARLY), "years 1 to 9999"),
    "no time when it was known": (known(0, known_from=None), "known_from"),
    "created without a zone": (said(created="2025-01-01T00:00:00"), "has no time zone"),
    "said without a zone": (said(event_time="2025-01-01T00:00:00"), "has no time zone"),
    "ends without a zone": (said(valid_to="2025-01-01T00:00:00"), "has no time zone"),
    "said outside the calendar": (said(event_time=EARLY), "years 1 to 9999"),
    "an unknown language": (said(language="xx"), "xx"),
    "the same revision twice": (declared(1, revision=None), "does not follow"),
    "revisions that go down": (declared(0, revision=5), "does not follow"),
    "a revision below 1": (declared(0, revision=0), "revision 0"),
    "a revision beyond 64 bits": (declared(1, revision=1 << 63), "64 bits"),
    "another version before": (declared(1, previous="0" * 32), "does not follow"),
    "another memory before": (declared(0, id="somebody"), "one memory"),
    "another namespace before": (declared(0, governance={"owner": "x", "namespace": "x"}), "one namespace"),
    "an empty id": (lambda fields: [one["document"].update(id="") for one in fields["versions"]], "id ''"),
    "an empty salt": (lambda fields: fields.update(salt=""), "salt is empty"),
    "NUL in the id": (lambda fields: [one["document"].update(id="a\0") for one in fields["versions"]], "NUL"),
    "NUL in the namespace": (
        lambda fields: [one["document"]["governance"].update(namespace="a\0") for one in fields["versions"]],
        "NUL",
    ),
    "NUL for a session": (said(session="\0"), "NUL"),
    "NUL in a tag": (said(tags=["a\0"]), "NUL"),
    "superseded and still known": (known(0, known_to=None), "does not follow"),
    "known until after it was superseded": (known(0, known_to="2099-01-01T00:00:00Z"), "does not follow"),
    "the last one superseded": (known(1, known_to="2099-01-01T00:00:00Z"), "was known until 2099"),
    "deleted and still known": (lambda fields: fields.update(retired="2099-01-01T00:00:00Z"), "deleted at 2099"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_record_is_malformed_with_the_reason(exported: dict[str, Any], what: str) -> None:
    damage, reason = DAMAGES[what]
    damage(exported)

    with pytest.raises(MalformedRecord, match=reason):
        from_line(sealed(exported))


@pytest.mark.parametrize("line", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"pymemos":1,"x":' + b'{"a":' * 9_000, b"{}"])
def test_a_line_that_is_no_record_is_malformed(line: bytes) -> None:
    with pytest.raises(InvalidInput):
        from_line(line)


def test_a_document_that_was_damaged_on_the_way_has_another_hash(exported: dict[str, Any]) -> None:
    exported["versions"][0]["document"]["payload"]["content"] = "Ana lives in Rome."

    with pytest.raises(MalformedRecord, match="hash differs"):
        from_line(encode(exported))


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3) | st.just(EARLY),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a tree of JSON: the keys and numbers that lead to it."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*at, step)
        yield from places(inner, (*at, step))


@given(st.data())
def test_whatever_stands_anywhere_in_a_record_it_is_read_or_refused(data: st.DataObject) -> None:
    fields = json.loads(to_line([Record(cube=a_cube(metadata={"n": 1}), seq_from=1, known_from=WHEN, valid_from=WHEN)]))
    *way, last = data.draw(st.sampled_from(list(places(fields))))
    reduce(lambda inner, step: inner[step], way, fields)[last] = data.draw(ANY_JSON)
    with suppress(KeyError, TypeError, ValueError, AttributeError):
        sealed(fields)

    with suppress(PymemosError):
        from_line(encode(fields))
