"""The wire form: canonical bytes, salted hashes, and fields of newer writers that come through unchanged."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymemos.cube.cube import MemCube
from pymemos.cube.header import Access, Behaviour, Governance, Lifespan, Priority, Provenance, Transformed
from pymemos.cube.payload import Activation, ModelRef, Parametric, Payload, Plaintext
from pymemos.cube.wire import Document, Frame, digest, document, encode, hashes, parse_document, seal
from pymemos.errors import InvalidInput, MalformedRecord, NewerFormat
from pymemos.testing.builders import SALT, a_cube
from pymemos.testing.doubles import WHEN
from pymemos.testing.strategies import cubes

MODEL = ModelRef(name="qwen", weights="w", tokenizer="t")
WAY = Transformed(pathway="plaintext-activation", of=("m1",), key="k", measured={"kl": 0.5, "extra": 1.0}, left=("a",))
PAYLOADS: list[Payload] = [
    Plaintext(content="Ana lives in Lisbon."),
    Plaintext(content="{}", format="json"),
    Activation(form="kv", blob="0" * 64, size=9, model=MODEL, tokens=3, start=0, layers=(1, 2), scale=0.5),
    Parametric(blob="f" * 64, size=9, model=MODEL, rank=8, alpha=16.0, modules=("q", "v")),
]
PLACES: list[tuple[str | int, ...]] = [  # every group that a newer writer may extend
    (),
    ("descriptive",),
    ("descriptive", "provenance"),
    ("descriptive", "provenance", "transformed"),
    ("governance",),
    ("governance", "access"),
    ("governance", "lifespan"),
    ("payload",),
    ("payload", "model"),
    ("parents", 0),
]


def a_whole_cube() -> MemCube:
    """A cube that has every group that the wire form knows."""
    source = a_cube("the source")
    return a_cube(
        payload=PAYLOADS[2],
        parents=(source.pin(),),
        provenance=Provenance(trigger="chat", links=("a",), transformed=WAY),
        access=Access(read=("users/bo",)),
        lifespan=Lifespan(ttl_s=60.0),
        metadata={"extra": {"mine": 1}, "n": [1, None, True]},
    )


def read(raw: bytes, salt: bytes = SALT) -> MemCube:
    return parse_document(raw, salt=salt)


def canonical(fields: Any) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def at(fields: Any, place: tuple[str | int, ...]) -> Any:
    for step in place:
        fields = fields[step]
    return fields


# ── Round trips ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("payload", PAYLOADS, ids=["text", "json", "activation", "parametric"])
def test_a_cube_of_every_kind_comes_back_as_it_was(payload: Payload) -> None:
    cube = a_cube(payload=payload)

    assert read(document(cube)) == cube


@given(cubes())
def test_every_cube_comes_back_with_the_same_bytes_and_hashes(cube: MemCube) -> None:
    raw = document(cube)

    back = read(raw, cube.salt)

    assert back == cube.observed(Behaviour())  # what was observed is no part of the document
    assert document(back) == raw


def test_what_a_pathway_measured_comes_back_with_the_same_bytes() -> None:
    cube = a_whole_cube()
    back = read(document(cube))

    assert back == cube
    assert document(back) == document(cube)
    assert back.header.descriptive.provenance is not None
    assert back.header.descriptive.provenance.transformed == WAY


@pytest.mark.parametrize("measured", [{"kl": "low"}, {"kl": None}, [1.0], {"extra": {"kl": 1.0}}])
def test_figures_that_are_no_numbers_are_refused(measured: Any) -> None:
    fields = json.loads(document(a_whole_cube()))
    fields["descriptive"]["provenance"]["transformed"]["measured"] = measured

    for later in ({}, {"newer": 1}):
        with pytest.raises(MalformedRecord):
            read(json.dumps({**fields, **later}).encode())


@given(cubes())
def test_given_hashes_are_taken_as_they_are(cube: MemCube) -> None:
    back = parse_document(document(cube), salt=cube.salt, version="v", content_hash="c")

    assert (back.version, back.content_hash) == ("v", "c")


def test_the_bytes_are_sorted_and_bare() -> None:
    raw = document(a_whole_cube())

    assert raw == canonical(json.loads(raw))


def test_fields_at_their_default_are_left_out() -> None:
    cube = a_cube("x", id="i")

    assert json.loads(document(cube)) == {
        "id": "i",
        "descriptive": {"created": "2025-05-08T13:56:00Z", "updated": "2025-05-08T13:56:00Z"},
        "governance": {"owner": "users/ana", "namespace": "users/ana"},
        "payload": {"kind": "plaintext", "content": "x"},
    }


# ── Newer writers ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)) or "the top")
@pytest.mark.parametrize("value", [None, "text", 3, {"extra": {"deep": [1]}, "kind": "x"}], ids=repr)
def test_unknown_fields_survive_in_every_group(place: tuple[str | int, ...], value: Any) -> None:
    fields = json.loads(document(a_whole_cube()))
    at(fields, place)["later"] = value
    raw = canonical(fields)

    assert document(read(raw)) == raw


def test_unknown_fields_survive_in_all_groups_at_once_and_in_the_next_version() -> None:
    fields = json.loads(document(a_whole_cube()))
    for place in PLACES:
        at(fields, place)["a_later"] = {"place": list(place)}
    cube = read(canonical(fields))

    after = json.loads(document(cube.derive()))

    assert document(cube) == canonical(fields)
    assert [at(after, place)["a_later"] for place in PLACES] == [{"place": list(place)} for place in PLACES]


def test_unknown_fields_are_part_of_the_version() -> None:
    fields = json.loads(document(a_whole_cube()))
    plain = read(canonical(fields))
    fields["governance"]["later"] = 1

    assert read(canonical(fields)).version != plain.version


def test_an_unknown_field_of_the_payload_is_hashed_where_the_newer_writer_put_it() -> None:
    fields = json.loads(document(a_cube("x")))
    fields["payload"]["later"] = [1]

    expected = digest(canonical([fields["payload"], None, None]), key=SALT)

    assert expected == read(canonical(fields)).content_hash


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)) or "the top")
def test_a_field_of_the_name_extra_is_one_more_unknown_field(place: tuple[str | int, ...]) -> None:
    fields = json.loads(document(a_whole_cube()))
    at(fields, place)["extra"] = {"x": 1}
    raw = canonical(fields)

    assert document(read(raw)) == raw


def test_no_field_of_a_group_can_be_smuggled_in_through_its_extra_fields() -> None:
    fields = json.loads(document(a_cube(namespace="users/bo")))
    fields["governance"]["extra"] = {"namespace": "users/ana", "frozen": True}

    cube = read(canonical(fields))
    again = read(document(cube))

    assert (cube.namespace, again.namespace) == ("users/bo", "users/bo")
    assert again == cube
    assert not again.header.governance.frozen


@pytest.mark.parametrize(
    "wrong",
    [{"layers": (True,)}, {"layers": (object(),)}, {"size": "3"}, {"size": 1.5}, {"scale": math.nan},
     {"form": "\ud83d"}, {"model": "tiny"}, {"extra": {"size": "3"}}],
    ids=str,
)  # fmt: skip
def test_a_tensors_payload_that_could_not_be_read_back_is_not_sealed(wrong: dict[str, Any]) -> None:
    payload = Activation(**{"form": "steering", "blob": "0" * 64, "size": 3, "model": MODEL, **wrong})

    with pytest.raises(InvalidInput, match="payload"):
        a_cube(payload=payload)


def test_a_kind_that_is_not_known_asks_for_an_upgrade() -> None:
    fields = json.loads(document(a_cube()))
    fields["payload"]["kind"] = "holographic"

    with pytest.raises(NewerFormat, match="holographic"):
        read(canonical(fields))


# ── Malformed records ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"null", b"[]", b"3", b"{}", b'{"payload":3}', b'{"payload":{}}x'])
def test_what_is_no_record_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedRecord):
        read(raw)


@pytest.mark.parametrize("later", [False, True], ids=["as known", "with a field of a newer writer"])
@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        ((), "id", 5),
        ((), "id", None),
        ((), "revision", "x"),
        ((), "revision", None),
        ((), "previous", 5),
        ((), "parents", 5),
        ((), "parents", [5]),
        ((), "governance", None),
        (("descriptive",), "created", "yesterday"),
        (("descriptive",), "tags", "work"),
        (("descriptive",), "provenance", 5),
        (("governance",), "owner", None),
        (("governance",), "priority", "urgent"),
        (("governance",), "access", 5),
        (("payload",), "size", "9"),
        (("payload",), "model", None),
        (("payload", "model"), "weights", 5),
        (("parents", 0), "version", None),
    ],
)
def test_a_field_of_the_wrong_type_is_refused(place: tuple[str | int, ...], name: str, value: Any, later: bool) -> None:
    fields = json.loads(document(a_whole_cube()))
    at(fields, place)[name] = value
    if later:
        fields["later"] = 1

    with pytest.raises(MalformedRecord):
        read(canonical(fields))


@pytest.mark.parametrize("later", [False, True], ids=["as known", "with a field of a newer writer"])
@pytest.mark.parametrize(
    ("place", "name"),
    [
        ((), "id"),
        ((), "payload"),
        ((), "descriptive"),
        (("governance",), "namespace"),
        (("payload",), "kind"),
        (("payload",), "model"),
    ],
)
def test_a_record_without_a_required_field_is_refused(place: tuple[str | int, ...], name: str, later: bool) -> None:
    fields = json.loads(document(a_whole_cube()))
    del at(fields, place)[name]
    if later:
        fields["later"] = 1

    with pytest.raises((MalformedRecord, NewerFormat)):
        read(canonical(fields))


# ── Equal values, equal bytes ───────────────────────────────────────────────────────────────────────────────────────


@given(cubes(), st.randoms(use_true_random=False))
def test_equal_values_have_equal_bytes_whatever_the_order_of_their_making(cube: MemCube, random: Any) -> None:
    said = cube.header.descriptive
    items = list(said.metadata.items())
    random.shuffle(items)
    other = cube.derive(descriptive=msgspec.structs.replace(said, metadata=dict(items)))

    assert document(other) == document(cube.derive())


def test_a_default_that_is_written_out_has_the_bytes_of_one_that_is_not() -> None:
    def fresh(text: str) -> str:
        return "".join(list(text))  # equal to the literal, and another object

    spelled = Governance(
        owner="o", namespace="n", access=Access(share=fresh("private")), lifespan=Lifespan(), priority=Priority("mid")
    )
    pairs = [
        (spelled, Governance(owner="o", namespace="n")),
        (Plaintext(content="x", format=fresh("text")), Plaintext(content="x")),
        (
            Parametric(blob="b", size=1, model=MODEL, form=fresh("lora")),
            Parametric(blob="b", size=1, model=MODEL),
        ),
        (a_cube(id="i", cause=fresh("add")).header, a_cube(id="i").header),
    ]

    assert [encode(one) for one, _ in pairs] == [encode(other) for _, other in pairs]


def test_a_record_that_spells_out_a_default_reads_as_one_that_does_not() -> None:
    fields = json.loads(document(a_cube("x")))
    plain = read(canonical(fields))
    fields["descriptive"]["cause"] = "add"
    fields["payload"]["format"] = "text"
    fields["governance"]["access"] = {"share": "private"}

    spelled = read(canonical(fields))

    assert (spelled, spelled.version) == (plain, plain.version)


def test_bytes_do_not_depend_on_the_hash_seed() -> None:
    code = (
        "from pymemos.cube.wire import document; from pymemos.testing.builders import a_cube;"
        "print(document(a_cube(id='i', tags=('b', 'a'), metadata={k: 1 for k in {'x', 'y', 'z', 'w'}})).decode())"
    )

    def run(seed: str) -> str:
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
        ).stdout

    assert run("1") == run("2") == run("3")


# ── Hashes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "changed",
    [
        {"tags": ("x",)},
        {"metadata": {"k": 1}},
        {"frozen": True},
        {"access": Access(read=("users/bo",))},
        {"lifespan": Lifespan(ttl_s=1.0)},
        {"session": "s"},
        {"author": "users/ana"},
        {"namespace": "users/bo"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_is_said_about_the_content_changes_the_version_and_not_the_content_hash(changed: dict[str, Any]) -> None:
    plain, other = a_cube(id="i"), a_cube(id="i", **changed)

    assert other.version != plain.version
    assert other.content_hash == plain.content_hash


@pytest.mark.parametrize(
    "changed",
    [{"payload": Plaintext(content="y")}, {"speaker": "Ana"}, {"event_time": WHEN}],
    ids=lambda changed: next(iter(changed)),
)
def test_what_is_rendered_changes_both_hashes(changed: dict[str, Any]) -> None:
    plain, other = a_cube("x", id="i"), a_cube("x", id="i", **changed)

    assert other.version != plain.version
    assert other.content_hash != plain.content_hash


@given(cubes())
def test_what_is_observed_changes_neither_hash(cube: MemCube) -> None:
    assert hashes(cube.observed(Behaviour(uses=99, last_used=WHEN))) == (cube.version, cube.content_hash)


def test_the_salt_keeps_equal_contents_apart() -> None:
    one, other = a_cube("yes", id="i", salt=b"1" * 16), a_cube("yes", id="i", salt=b"2" * 16)

    assert document(one) == document(other)
    assert one.version != other.version
    assert one.content_hash != other.content_hash


def test_versions_form_a_chain() -> None:
    first = a_cube()
    second = first.derive(payload=Plaintext(content="other"))

    assert (first.revision, first.previous) == (1, None)
    assert (second.id, second.revision, second.previous) == (first.id, 2, first.version)
    assert second.salt == first.salt


def test_a_repeated_version_has_another_hash() -> None:
    first = a_cube()

    assert first.derive().version != first.version
    assert first.derive().content_hash == first.content_hash


def test_the_salt_stays_out_of_the_bytes_and_of_the_representation() -> None:
    cube = a_cube("secret", salt=b"pepperpepper")

    assert b"pepper" not in document(cube)
    assert "pepper" not in repr(cube)


@given(cubes(), st.lists(st.text(), min_size=1, max_size=3), st.binary(max_size=64))
def test_what_a_frame_seals_has_the_bytes_and_hashes_of_any_other_cube(
    like: MemCube, contents: list[str], salt: bytes
) -> None:
    said, rules = like.header.descriptive, like.header.governance
    frame = Frame(said, rules)
    for content in contents:
        payload = Plaintext(content=content, format="text" if len(content) % 2 else "markdown")

        expected = seal(Document(id=like.id, descriptive=said, governance=rules, payload=payload), salt)

        assert expected == frame.seal(like.id, payload, salt)


@pytest.mark.parametrize(
    "place", [place for place in PLACES if place and place[0] != "parents" and "model" not in place]
)
def test_a_frame_keeps_the_fields_of_a_newer_writer(place: tuple[str | int, ...]) -> None:
    fields = json.loads(document(a_whole_cube()))
    at(fields, place)["a_later"] = 1
    cube = read(canonical(fields))
    said, rules = cube.header.descriptive, cube.header.governance
    payload = Plaintext(content="Hi.", extra=cube.payload.extra)

    expected = seal(Document(id=cube.id, descriptive=said, governance=rules, payload=payload), SALT)

    assert expected == Frame(said, rules).seal(cube.id, payload, SALT)
