"""The filter grammar: AND, OR and NOT over comparisons of named fields, and its first reading, the predicate.

A filter is JSON: ``{"tags": {"contains": "work"}, "created": {"gte": "2025-01-01T00:00:00Z"}}`` holds when both do;
``{"OR": [{"speaker": "Ann"}, {"NOT": {"session": "s1"}}]}`` nests. A bare value means ``eq``. Every store reads the
same tree in its own way, and a property test holds the readings equal.

A field that a memory lacks satisfies only ``ne``, ``nin`` and ``exists: false``. Values of different types are never
equal and never ordered; a boolean is not a number.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sized
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from pymemos.cube.cube import MemCube
from pymemos.errors import InvalidInput, NaiveDatetime, UnknownField, UnknownOperator

OPERATORS = ("eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "contains", "exists")

# How a field is compared: "text", "number", "flag", "time", "set" of texts, or "any" JSON value of the metadata.
FIELDS: dict[str, str] = {
    "id": "text",
    "kind": "text",
    "type": "text",
    "origin": "text",
    "speaker": "text",
    "speaker_role": "text",
    "agent": "text",
    "session": "text",
    "role": "text",
    "task": "text",
    "episode": "text",
    "language": "text",
    "priority": "text",
    "state": "text",
    "content": "text",
    "frozen": "flag",
    "revision": "number",
    "uses": "number",
    "tags": "set",
    "entities": "set",
    "source_ids": "set",
    "sensitivity": "set",
    "created": "time",
    "updated": "time",
    "event_time": "time",
    "valid_from": "time",
    "valid_to": "time",
    "last_used": "time",
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
METADATA = "metadata."
ARGUMENTS = ("user_id", "agent_id", "run_id", "session_id")  # which filters elsewhere name as fields
DEPTH_LIMIT = 100  # of filters inside filters
WIDTH_LIMIT = 500  # clauses of one list or object
SIZE_LIMIT = 2_000  # comparisons and connectives of a whole filter; SQLite takes a second for as many


class Compare(msgspec.Struct, frozen=True, tag=True):
    """One comparison; a time is compared as whole microseconds since 1970, in UTC."""

    field: str
    op: str
    value: Any

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Compare) and self._told == other._told)

    def __hash__(self) -> int:
        return hash((self.field, self.op, self.value))

    @property
    def _told(self) -> tuple[Any, ...]:
        """What it says: Python holds True equal to 1, but the grammar does not, and filters are told apart by it."""
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        return self.field, self.op, tuple((_class(value), value) for value in values)

    @property
    def field_type(self) -> str:
        """How the field is compared, one of the words in ``FIELDS``; of a field of the metadata, or of a call: any."""
        return FIELDS.get(self.field, "any")

    @property
    def metadata_key(self) -> str | None:
        """The metadata key that the field names, or None for a field of the header."""
        return self.field.removeprefix(METADATA) if self.field.startswith(METADATA) else None


class All(msgspec.Struct, frozen=True, tag=True):
    """Holds when every part holds; without parts it always does."""

    parts: tuple[Filter, ...] = ()


class Any_(msgspec.Struct, frozen=True, tag=True):
    """Holds when at least one part holds; without parts it never does."""

    parts: tuple[Filter, ...] = ()


class Not(msgspec.Struct, frozen=True, tag=True):
    """Holds when its part does not."""

    part: Filter


Filter = Compare | All | Any_ | Not
EVERYTHING, NOTHING = All(), Any_()


class _Grammar(NamedTuple):
    """What a filter may name, and how many clauses it may still have."""

    fields: Mapping[str, str]
    metadata: bool
    left: Iterator[int]  # runs out when the whole filter has as many clauses as it may have


def parse(raw: Any, fields: Mapping[str, str] = FIELDS, *, metadata: bool = True) -> Filter:
    """The filter that the JSON value ``raw`` writes; unknown fields and operators are errors, never ignored."""
    return _parse(raw, 0, _Grammar(fields, metadata, iter(range(SIZE_LIMIT))))


def written(where: Filter) -> dict[str, Any]:
    """The JSON value that ``where`` is parsed from."""
    match where:
        case All(parts):
            return {"AND": [written(part) for part in parts]}
        case Any_(parts):
            return {"OR": [written(part) for part in parts]}
        case Not(part):
            return {"NOT": written(part)}
        case Compare():
            return {where.field: {where.op: _written_value(where)}}


def matches(where: Filter, cube: MemCube) -> bool:
    """Whether ``cube`` satisfies ``where``: the reading that every store's own is held against."""
    match where:
        case All(parts):
            return all(matches(part, cube) for part in parts)
        case Any_(parts):
            return any(matches(part, cube) for part in parts)
        case Not(part):
            return not matches(part, cube)
        case Compare():
            return _compare(where, field_value(cube, where))


def holds(where: Filter, values: Mapping[str, Any]) -> bool:
    """Whether values that are named like fields, as those of a call, satisfy ``where``."""
    match where:
        case All(parts):
            return all(holds(part, values) for part in parts)
        case Any_(parts):
            return any(holds(part, values) for part in parts)
        case Not(part):
            return not holds(part, values)
        case Compare():
            return _compare(where, _plain(values.get(where.field)))


def fields(where: Filter) -> frozenset[str]:
    """The names of all fields that ``where`` asks about."""
    match where:
        case Compare():
            return frozenset({where.field})
        case Not(part):
            return fields(part)
        case All(parts) | Any_(parts):
            return frozenset[str]().union(*map(fields, parts))


def both(*parts: Filter) -> Filter:
    """The filter that holds where all of these do, in its simplest form."""
    kept = [part for part in dict.fromkeys(parts) if part != EVERYTHING]
    if NOTHING in kept:
        return NOTHING
    return kept[0] if len(kept) == 1 else All(tuple(kept))


def either(*parts: Filter) -> Filter:
    """The filter that holds where any of these does, in its simplest form."""
    kept = [part for part in dict.fromkeys(parts) if part != NOTHING]
    if EVERYTHING in kept:
        return EVERYTHING
    return kept[0] if len(kept) == 1 else Any_(tuple(kept))


def negated(part: Filter) -> Filter:
    """The filter that holds where ``part`` does not, in its simplest form."""
    if part in (EVERYTHING, NOTHING):
        return NOTHING if part == EVERYTHING else EVERYTHING
    return part.part if isinstance(part, Not) else Not(part)


def simplified(where: Filter) -> Filter:
    """The same filter without the parts that always hold, or never do."""
    match where:
        case All(parts):
            return both(*map(simplified, parts))
        case Any_(parts):
            return either(*map(simplified, parts))
        case Not(part):
            return negated(simplified(part))
        case Compare():
            return where


def microseconds(moment: datetime) -> int:
    """``moment`` as whole microseconds since 1970 in UTC; exact, unlike ``timestamp()``."""
    delta = moment - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_microseconds(value: int) -> datetime:
    """The time that is ``value`` microseconds after 1970, in UTC."""
    return EPOCH + timedelta(microseconds=value)


def aware(moment: Any, name: str) -> datetime:
    """``moment`` as an aware UTC datetime; text in ISO 8601 and datetimes are read, a naive one is an error."""
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError as error:
            raise InvalidInput(f"{name} is {moment!r}; write a time like '2025-05-08T13:56:00Z'") from error
    if not isinstance(moment, datetime):
        raise InvalidInput(f"{name} is {moment!r}; pass an aware datetime or its ISO 8601 text")
    if moment.tzinfo is None:
        raise NaiveDatetime(f"{name} {moment.isoformat()} has no time zone; add one, for example '+00:00' for UTC")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise InvalidInput(f"{name} {moment.isoformat()} is outside the years 1 to 9999 in UTC") from error


def field_value(cube: MemCube, where: Compare) -> Any:
    """The value of the field that ``where`` compares, None where the memory lacks it; times in microseconds."""
    said, rules, seen = cube.header.descriptive, cube.header.governance, cube.header.behaviour
    if (key := where.metadata_key) is not None:
        return said.metadata.get(key)
    match where.field:
        case "id" | "revision":
            return getattr(cube, where.field)
        case "kind":
            return cube.payload.kind
        case "type":
            return said.semantic_type.value
        case "content":
            return cube.text
        case "priority" | "frozen" | "sensitivity":
            return getattr(rules, where.field)
        case "state" | "uses" | "last_used":
            return _plain(getattr(seen, where.field))
        case "valid_from":
            return _plain(said.valid_from or said.event_time or said.created)
        case name:
            return _plain(getattr(said, name))


_INT64 = 1 << 63
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def _plain(value: Any) -> Any:
    return microseconds(value) if isinstance(value, datetime) else value


def _parse(raw: Any, depth: int, grammar: _Grammar) -> Filter:
    if depth > DEPTH_LIMIT:
        raise InvalidInput(f"the filter is nested more than {DEPTH_LIMIT} deep; write it flatter")
    if not isinstance(raw, Mapping):
        raise InvalidInput(f"a filter is an object such as {{'tags': {{'contains': 'work'}}}}, not {raw!r}")
    _check_width(raw)
    parts = tuple(_clause(name, value, depth + 1, grammar) for name, value in raw.items())
    return parts[0] if len(parts) == 1 else All(parts)


def _clause(name: Any, value: Any, depth: int, grammar: _Grammar) -> Filter:
    if next(grammar.left, None) is None:
        raise InvalidInput(f"the filter has more than {SIZE_LIMIT} clauses; use in or nin for many values of one field")
    match name:
        case "AND" | "OR":
            if not isinstance(value, list):
                raise InvalidInput(f"{name} takes a list of filters, not {value!r}")
            parts = _parse_list(value, depth, grammar)
            return All(parts) if name == "AND" else Any_(parts)
        case "NOT":
            return Not(
                All(_parse_list(value, depth, grammar)) if isinstance(value, list) else _parse(value, depth, grammar)
            )
    if not isinstance(name, str) or _has_half_pair(name):
        raise InvalidInput(f"a filter names fields by texts of valid Unicode, not by {name!r}")
    if name not in grammar.fields and not (
        grammar.metadata and name.startswith(METADATA) and len(name) > len(METADATA)
    ):
        if grammar.metadata and name in ARGUMENTS:
            raise UnknownField(f"{name!r} is no field but an argument of the call; pass {name}=… beside the filter")
        other = f", or 'metadata.{name}'" if grammar.metadata else ""
        raise UnknownField(f"no field is named {name!r}; use one of {', '.join(grammar.fields)}{other}")
    field_type = grammar.fields.get(name, "any")
    if not isinstance(value, Mapping):
        return _comparison(name, field_type, "eq", value)
    parts = tuple(_comparison(name, field_type, op, operand) for op, operand in value.items())
    return parts[0] if len(parts) == 1 else All(parts)


def _parse_list(raw: list[Any], depth: int, grammar: _Grammar) -> tuple[Filter, ...]:
    _check_width(raw)
    return tuple(_parse(part, depth, grammar) for part in raw)


def _check_width(raw: Sized) -> None:
    if len(raw) > WIDTH_LIMIT:
        raise InvalidInput(
            f"the filter has {len(raw)} clauses side by side, more than {WIDTH_LIMIT}; use in or nin for many values "
            "of one field, or ask in several calls"
        )


def _comparison(field: str, field_type: str, op: str, value: Any) -> Compare:
    if op not in OPERATORS:
        raise UnknownOperator(f"no operator is named {op!r} (field {field!r}); use one of {', '.join(OPERATORS)}")
    if op == "exists":
        if not isinstance(value, bool):
            raise InvalidInput(f"exists takes true or false, not {value!r} (field {field!r})")
    elif op in ("in", "nin"):
        if not isinstance(value, list | tuple):
            raise InvalidInput(f"{op} takes a list, not {value!r} (field {field!r})")
        value = tuple(_operand(field, field_type, item) for item in value)
    elif op in _ORDER and field_type in ("set", "flag"):
        raise InvalidInput(f"{field!r} has no order; use eq, in, contains or exists")
    elif op == "contains" and field_type not in ("set", "text", "any"):
        raise InvalidInput(f"{field!r} holds one value; use eq or in")
    else:
        value = _operand(field, field_type, value)
    return Compare(field, op, value)


def _operand(field: str, field_type: str, value: Any) -> Any:
    if field_type == "time":
        return microseconds(aware(value, field))
    wanted = {"text": str, "set": str, "flag": bool, "number": int | float, "any": str | int | float | bool}[field_type]
    if not isinstance(value, wanted) or (field_type == "number" and isinstance(value, bool)):
        raise InvalidInput(f"{field!r} is compared with a {field_type} value, not {value!r}")
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        raise InvalidInput(f"{field!r} is compared with {value}, which has more than 64 bits")
    if isinstance(value, str) and _has_half_pair(value):
        raise InvalidInput(f"{field!r} is compared with half of a surrogate pair; pass valid Unicode")
    return value


def _written_value(one: Compare) -> Any:
    times = one.op != "exists" and (one.field_type == "time" or one.field == "at")
    if isinstance(one.value, tuple):
        return [from_microseconds(value).isoformat() if times else value for value in one.value]
    return from_microseconds(one.value).isoformat() if times else one.value


def _has_half_pair(text: str) -> bool:
    return any("\ud800" <= sign <= "\udfff" for sign in text)


def _compare(where: Compare, found: Any) -> bool:
    match where.op:
        case "exists":
            present = found is not None and not (where.field_type == "set" and not found)
            return bool(present == where.value)
        case "eq":
            return _equals(found, where.value)
        case "ne":
            return not _equals(found, where.value)
        case "in":
            return _among(found, where.value)
        case "nin":
            return not _among(found, where.value)
        case "contains":
            return _contains(found, where.value)
        case op:
            return _class(found) == _class(where.value) != "other" and _ORDER[op](found, where.value)


def _equals(found: Any, value: Any) -> bool:
    if isinstance(found, list | tuple):  # a set equals a value that it holds, itself and not in a list of lists
        return any(_same(item, value) for item in found)
    return _same(found, value)


def _among(found: Any, values: tuple[Any, ...]) -> bool:
    """Whether one of many values equals it: Python's own search is fast but lenient, so what it finds is checked."""
    held = found if isinstance(found, list | tuple) else (found,)
    return any(item in values and any(_same(item, value) for value in values) for item in held)


def _same(found: Any, value: Any) -> bool:
    return _class(found) == _class(value) and bool(found == value)


def _contains(found: Any, value: Any) -> bool:
    if isinstance(found, list | tuple):
        return any(_same(item, value) for item in found)
    return isinstance(found, str) and isinstance(value, str) and value in found


def _class(value: Any) -> str:
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "other"
