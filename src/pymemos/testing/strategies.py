"""Hypothesis strategies: cubes, filters that sometimes hit them, and full-text rows over a small vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from hypothesis import strategies as st

from pymemos.cube.cube import MemCube, Parent
from pymemos.cube.filters import FIELDS
from pymemos.cube.header import (
    Behaviour,
    Lifespan,
    Origin,
    Priority,
    Provenance,
    SemanticType,
    State,
    Transformed,
    Trust,
)
from pymemos.cube.ids import format_id
from pymemos.cube.payload import Activation, ModelRef, Parametric, Payload, Plaintext
from pymemos.ports import TextRow
from pymemos.testing.builders import a_cube
from pymemos.testing.doubles import WHEN

# Small pools, so that a filter drawn on its own meets a cube drawn on its own. The odd ones break naive SQL and JSON.
NAMES: Final = ("ana", "bo", "Ana", "", "o'hara", 'a "b"', "50%", "a_b", "çà", "𝄞", "back\\slash")
WORDS: Final = ("lisbon", "porto", "moved", "may", "coffee", "ana", "2025-05-08")
NAMESPACES: Final = ("users/ana", "users/bo", "default")
KEYS: Final = ("colour", "size", "a.b", 'it"s', "$x", "0", "çà")
_CHOICES: Final[dict[str, list[str]]] = {
    "kind": ["plaintext", "activation", "parametric"],
    "type": [type.value for type in SemanticType],
    "origin": [origin.value for origin in Origin],
    "priority": [priority.value for priority in Priority],
    "state": [state.value for state in State],
}

names: Final = st.sampled_from(NAMES)
ids: Final = st.builds(format_id, st.integers(1, 4), st.integers(1, 9))
far_ids: Final = st.builds(format_id, st.integers(0, (1 << 48) - 1), st.integers(0, (1 << 74) - 1))
numbers: Final = st.one_of(st.integers(-2, 3), st.sampled_from([0.0, 0.5, 1.0, -1.5, 1e300, 2**53 + 1, -(2**62)]))
times: Final = st.one_of(
    st.builds(lambda days: WHEN + timedelta(days=days), st.integers(-3, 3)),
    st.sampled_from(
        [WHEN + timedelta(microseconds=1), datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)]
    ),
)
moments: Final = st.one_of(  # as a filter may write them
    times,
    times.map(lambda time: time.astimezone(timezone(timedelta(hours=5, minutes=30)))),
    times.map(lambda time: time.isoformat()),
)
scalars: Final = st.one_of(names, numbers, st.booleans())
metadata: Final = st.dictionaries(
    st.sampled_from(KEYS),
    st.one_of(
        scalars, st.none(), st.lists(scalars, max_size=3), st.dictionaries(st.sampled_from(KEYS), scalars, max_size=2)
    ),
    max_size=3,
)
names_tuple: Final = st.lists(names, max_size=3).map(tuple)
words_tuple: Final = st.lists(st.sampled_from(WORDS), max_size=6).map(tuple)


def text_rows(context_of: st.SearchStrategy[str | None] | None = None) -> st.SearchStrategy[TextRow]:
    """Full-text rows, empty ones too; ``context_of`` draws the id of the turn before."""
    return st.builds(
        TextRow,
        terms=words_tuple,
        context=words_tuple,
        facets=words_tuple,
        context_of=context_of if context_of is not None else st.none(),
    )


def _models() -> st.SearchStrategy[ModelRef]:
    return st.builds(ModelRef, name=names, weights=names, tokenizer=st.none() | names)


def payloads() -> st.SearchStrategy[Payload]:
    """Payloads of all three kinds."""
    blobs = st.sampled_from(["0" * 64, "f" * 64])
    plain = st.builds(
        Plaintext,
        content=st.lists(st.sampled_from(WORDS) | names, max_size=4).map(" ".join),
        format=st.sampled_from(["text", "markdown"]),
    )
    activation = st.builds(
        Activation,
        form=st.sampled_from(["kv", "steering"]),
        blob=blobs,
        size=st.integers(0, 9),
        model=_models(),
        layers=st.lists(st.integers(0, 3), max_size=2).map(tuple),
        scale=st.none() | st.floats(-2, 2),
    )
    parametric = st.builds(Parametric, blob=blobs, size=st.integers(0, 9), model=_models(), modules=names_tuple)
    return st.one_of(plain, activation, parametric)


def behaviours() -> st.SearchStrategy[Behaviour]:
    """What may have been observed of a memory."""
    return st.builds(Behaviour, state=st.sampled_from(list(State)), uses=st.integers(0, 3), last_used=st.none() | times)


def lifespans() -> st.SearchStrategy[Lifespan]:
    """How long a memory may be kept: until, for so long, or fading."""
    seconds = st.none() | st.sampled_from([0.5, 3600.0, 86400.0, 1e18])
    return st.builds(Lifespan, expires=st.none() | times, ttl_s=seconds, half_life_s=seconds)


def _descriptive() -> dict[str, st.SearchStrategy[Any]]:
    maybe = st.none() | names
    return {
        "created": times,
        "updated": times,
        "origin": st.sampled_from(list(Origin)),
        "semantic_type": st.sampled_from(list(SemanticType)),
        "cause": st.sampled_from(["add", "update"]),
        "speaker": maybe,
        "speaker_role": st.none() | st.sampled_from(["user", "assistant"]),
        "trust": st.none() | st.sampled_from(list(Trust)),
        "source_ids": names_tuple,
        "episode": st.none() | ids,
        "agent": maybe,
        "session": maybe,
        "role": maybe,
        "task": maybe,
        "language": st.none() | st.sampled_from(["en", "pt"]),
        "tags": names_tuple,
        "entities": names_tuple,
        "event_time": st.none() | times,
        "valid_from": st.none() | times,
        "valid_to": st.none() | times,
        "provenance": st.none() | st.builds(Provenance, trigger=maybe, links=names_tuple, transformed=_ways()),
        "metadata": metadata,
    }


def _ways() -> st.SearchStrategy[Transformed | None]:
    figures = st.dictionaries(names, st.floats(allow_nan=False, allow_infinity=False), max_size=2)
    return st.none() | st.builds(Transformed, pathway=names, of=names_tuple, measured=figures, left=names_tuple)


def _governance() -> dict[str, st.SearchStrategy[Any]]:
    return {
        "priority": st.sampled_from(list(Priority)),
        "sensitivity": names_tuple,
        "frozen": st.booleans(),
        "lifespan": lifespans(),
    }


def _some(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def cubes(
    draw: Callable[[st.SearchStrategy[Any]], Any],
    *,
    id: st.SearchStrategy[str] = far_ids,
    namespace: st.SearchStrategy[str] | None = None,
) -> MemCube:
    """First versions of every kind, most of their fields unset."""
    parents = st.lists(st.builds(Parent, id=ids, version=names, content_hash=names), max_size=2).map(tuple)
    return a_cube(
        namespace=draw(namespace if namespace is not None else st.sampled_from(NAMESPACES)),
        id=draw(id),
        payload=draw(payloads()),
        parents=draw(parents),
        behaviour=draw(behaviours()),
        salt=draw(st.sampled_from([bytes(16), bytes(range(16))])),
        **draw(_some(_descriptive())),
        **draw(_some(_governance())),
    )


def filters(fields: Mapping[str, str] = FIELDS, *, metadata: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    """Valid filters as the JSON that people write, nested a little; of memories unless other ``fields`` are given."""
    named = [*fields, *(f"metadata.{key}" for key in KEYS if metadata)]
    comparisons = st.sampled_from(named).flatmap(
        lambda name: _clauses(name, fields.get(name, "any")).map(lambda clause: {name: clause})
    )
    return st.recursive(comparisons, lambda parts: _nested(parts, comparisons), max_leaves=5)


def _nested(
    parts: st.SearchStrategy[dict[str, Any]], comparisons: st.SearchStrategy[dict[str, Any]]
) -> st.SearchStrategy[dict[str, Any]]:
    lists = st.lists(parts, max_size=3)
    return st.one_of(
        lists.map(lambda found: {"AND": found}),
        lists.map(lambda found: {"OR": found}),
        parts.map(lambda found: {"NOT": found}),
        lists.map(lambda found: {"NOT": found}),
        st.tuples(comparisons, parts).map(lambda pair: pair[0] | pair[1]),
    )


def _clauses(name: str, field_type: str) -> st.SearchStrategy[Any]:
    values = operands(name, field_type)
    by_operator: dict[str, st.SearchStrategy[Any]] = {
        "eq": values,
        "ne": values,
        "in": st.lists(values, max_size=3),
        "nin": st.lists(values, max_size=3),
        "exists": st.booleans(),
    }
    if field_type not in ("set", "flag"):
        by_operator |= dict.fromkeys(("gt", "gte", "lt", "lte"), values)
    if field_type in ("set", "text", "any"):
        by_operator["contains"] = values
    one = st.sampled_from(sorted(by_operator)).flatmap(lambda op: by_operator[op].map(lambda value: {op: value}))
    return st.one_of(one, st.tuples(one, one).map(lambda pair: pair[0] | pair[1]), values)


def operands(name: str, field_type: str) -> st.SearchStrategy[Any]:
    """Values that the field may be compared with, from the pools that cubes draw theirs from."""
    match field_type:
        case "time":
            return moments
        case "number":
            return numbers
        case "flag":
            return st.booleans()
        case "any":
            return scalars
    if name in _CHOICES:
        return st.sampled_from(_CHOICES[name]) | names
    return ids if name in ("id", "episode") else names | st.sampled_from(WORDS)
