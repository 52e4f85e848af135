"""A selection as SQL: constant fragments with parameters, the second reading of the filter grammar (ADR 0015).

Every fragment below is a constant of this module; what the user gave travels in parameters only. The alias ``v`` is a
version (a row of ``memories`` or ``versions``), ``u`` its usage.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pymemos.cube.call import Selection
from pymemos.cube.filters import All, Any_, Compare, Filter, Not, microseconds
from pymemos.cube.header import Stage

# The SQL value of each field that has one value. A field at its default is not in the document (canonical form).
_SCALARS: dict[str, str] = {
    "id": "v.id",
    "kind": "(v.document ->> '$.payload.kind')",
    "type": "v.type",
    "origin": "coalesce(v.document ->> '$.descriptive.origin', 'user_input')",
    "speaker": "(v.document ->> '$.descriptive.speaker')",
    "speaker_role": "(v.document ->> '$.descriptive.speaker_role')",
    "agent": "v.agent",
    "session": "v.session",
    "role": "(v.document ->> '$.descriptive.role')",
    "task": "(v.document ->> '$.descriptive.task')",
    "episode": "(v.document ->> '$.descriptive.episode')",
    "language": "(v.document ->> '$.descriptive.language')",
    "priority": "coalesce(v.document ->> '$.governance.priority', 'mid')",
    "state": "coalesce(u.state, 'generated')",
    "content": "coalesce(v.document ->> '$.payload.content', '')",
    "frozen": "coalesce(v.document ->> '$.governance.frozen', 0)",
    "revision": "v.revision",
    "uses": "coalesce(u.uses, 0)",
    "created": "microseconds(v.document ->> '$.descriptive.created')",
    "updated": "microseconds(v.document ->> '$.descriptive.updated')",
    "event_time": "microseconds(v.document ->> '$.descriptive.event_time')",
    "valid_from": "v.valid_from",
    "valid_to": "microseconds(v.document ->> '$.descriptive.valid_to')",
    "last_used": "u.last_used",
}
_SETS: dict[str, str] = {
    "tags": "json_each(v.document, '$.descriptive.tags')",
    "entities": "json_each(v.document, '$.descriptive.entities')",
    "source_ids": "json_each(v.document, '$.descriptive.source_ids')",
    "sensitivity": "json_each(v.document, '$.governance.sensitivity')",
}
_METADATA = "json_each(v.document, '$.descriptive.metadata')"
_ITEMS = "json_each(CASE WHEN m.type = 'array' THEN m.value ELSE '[]' END)"
# Where nothing was current at a time the memory was deleted then, though it may have been restored since.
_KNOWN = """(v.known_to IS NULL OR v.known_to > {known} OR EXISTS (
    SELECT 1 FROM versions AS w
    WHERE w.mem = v.mem AND w.known_from <= {known} AND (w.known_to IS NULL OR w.known_to > {known})))"""
_STATE_THEN = """coalesce(
    (SELECT j.after FROM journal AS j WHERE j.mem = v.mem AND j.at <= {known} ORDER BY j.entry DESC LIMIT 1),
    (SELECT j.before FROM journal AS j WHERE j.mem = v.mem ORDER BY j.entry LIMIT 1),
    u.state, 'generated')"""
_LAST = """
SELECT v.mem FROM memories AS m CROSS JOIN versions AS v ON v.mem = m.mem AND v.revision = m.revision
LEFT JOIN usage AS u ON u.mem = v.mem
WHERE {spaces} AND {admitted}"""
_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class Parameters(dict[str, Any]):
    """Named parameters; ``add`` gives the placeholder of a value."""

    def add(self, value: Any) -> str:
        """Keep ``value`` and give the placeholder that stands for it."""
        name = f"p{len(self)}"
        self[name] = value
        return f":{name}"


def is_current(selection: Selection) -> bool:
    """Whether the selection asks for current versions only, the usual case."""
    return selection.known_at is None and selection.valid_at is None


def needs_version(look: Look) -> bool:
    """Whether a full-text candidate's version must be read to decide, beyond its narrow text row."""
    selection = look.selection
    narrowed = (selection.agent, selection.session, selection.where, selection.stages) != (None, None, None, None)
    return narrowed or look.is_closed or not is_current(selection)


class Look(NamedTuple):
    """A selection with what a unit found of it: the numbers of its namespaces, and what its reach hides."""

    selection: Selection
    spaces: list[int] | None  # the numbers of its namespaces; None: every namespace
    known: Mapping[str, int]  # by name the numbers of the namespaces that it speaks of
    hidden: list[int]

    @property
    def is_closed(self) -> bool:
        """Whether rules leave something out, so that nothing may be told of it, not even by a score."""
        return bool(self.selection.rules or self.hidden)


def eligible(look: Look, parameters: Parameters) -> str:
    """For a selection that looks back: the one version of each memory that was known and true then, as a query."""
    selection = look.selection
    known = None if selection.known_at is None else parameters.add(microseconds(selection.known_at))
    conditions = [_spaces(look.spaces, parameters)]
    if known:
        conditions.append(f"v.known_from <= {known}")
    if selection.valid_at is None:
        conditions.append(f"(v.known_to IS NULL OR v.known_to > {known})")
    else:
        # Where nothing was current then, the memory was deleted, though it may have been restored since.
        conditions.append(
            f"(v.known_to IS NULL OR v.known_to > {known} OR {_KNOWN.format(known=known)})"
            if known
            else "v.retired IS NULL"
        )
        valid = parameters.add(microseconds(selection.valid_at))
        superseded = f"v.known_to IS NOT NULL AND v.known_to <= {known}" if known else "v.known_to IS NOT NULL"
        end = f"CASE WHEN {superseded} THEN v.closed_to ELSE v.valid_to END"
        conditions.append(f"v.valid_from <= {valid} AND ({end} IS NULL OR {end} > {valid})")
    return (
        f"SELECT v.mem, max(v.revision) AS revision FROM versions AS v WHERE {' AND '.join(conditions)} GROUP BY v.mem"
    )


def conditions(look: Look, parameters: Parameters) -> str:
    """What a version ``v`` with usage ``u`` must satisfy, times apart."""
    selection = look.selection
    parts = [_spaces(look.spaces, parameters), *_rules(look, parameters)]
    if is_current(selection):
        parts.append("v.document IS NOT NULL")
    if selection.ended_before is not None and selection.valid_at is None:
        end = parameters.add(microseconds(selection.ended_before))
        parts.append(f"(v.valid_to IS NULL OR v.valid_to > {end})")
    if selection.agent is not None:
        parts.append(f"v.agent = {parameters.add(selection.agent)}")
    if selection.session is not None:
        parts.append(f"v.session = {parameters.add(selection.session)}")
    if not selection.episodes:
        parts.append("v.type NOT IN ('episode', 'view')")
    if selection.stages is not None and selection.as_of is not None:
        parts.append(_stands(selection.stages, selection.as_of, selection.known_at, parameters))
    if selection.where is not None:
        parts.append(where(selection.where, parameters))
    return " AND ".join(parts)


def _rules(look: Look, parameters: Parameters) -> Iterator[str]:
    """What access rules leave: of some namespaces a part, and nothing that was made from what is out of reach."""
    branches = [
        f"WHEN {parameters.add(look.known[name])} THEN {where(rule, parameters)}"
        for name, rule in look.selection.rules
        if name in look.known
    ]
    if branches:
        admitted = f"CASE v.ns {' '.join(branches)} ELSE 1 END"
        yield admitted
        if not is_current(look.selection):  # what was taken out of reach since is out of it then too
            yield f"v.mem IN ({_LAST.format(spaces=_spaces(look.spaces, parameters), admitted=admitted)})"
    if look.hidden:
        yield f"v.mem NOT IN (SELECT value FROM json_each({parameters.add(json.dumps(look.hidden))}))"


def _stands(stages: Sequence[Stage], as_of: datetime, known_at: datetime | None, parameters: Parameters) -> str:
    """Where a memory stood; what it was in the past is told by the journal."""
    state, moment = "ifnull(u.state, 'generated')", parameters.add(microseconds(as_of))
    if known_at is not None:
        state = _STATE_THEN.format(known=parameters.add(microseconds(known_at)))
    wanted = ", ".join(parameters.add(stage.value) for stage in stages)
    return f"CASE WHEN v.frozen THEN 'frozen' WHEN v.expires <= {moment} THEN 'expired' ELSE {state} END IN ({wanted})"


def where(tree: Filter, parameters: Parameters) -> str:
    """The filter ``tree`` as a condition that is true or false, never NULL."""
    match tree:
        case All(parts):
            return _first([f"NOT {where(part, parameters)}" for part in parts], found=0)
        case Any_(parts):
            return _first([where(part, parameters) for part in parts], found=1)
        case Not(part):
            return f"(NOT {where(part, parameters)})"
        case Compare(op="ne"):
            return f"(NOT {where(Compare(tree.field, 'eq', tree.value), parameters)})"
        case Compare(op="nin"):
            return f"(NOT {where(Compare(tree.field, 'in', tree.value), parameters)})"
        case Compare():
            return f"coalesce({_compare(tree, parameters)}, 0)"


def _first(conditions: Sequence[str], *, found: int) -> str:
    """``found`` where one of the conditions holds; flat, whereas a chain of ORs is for SQLite as deep as it is long."""
    branches = " ".join(f"WHEN {condition} THEN {found}" for condition in conditions)
    return f"CASE {branches} ELSE {1 - found} END" if conditions else f"{1 - found}"


def _spaces(spaces: Iterable[int] | None, parameters: Parameters) -> str:
    if spaces is None:
        return "1"
    spaces = list(spaces)
    if len(spaces) == 1:
        return f"v.ns = {parameters.add(spaces[0])}"
    placeholders = ", ".join(parameters.add(space) for space in spaces)
    return f"v.ns IN ({placeholders})"


def _compare(one: Compare, parameters: Parameters) -> str:
    if one.metadata_key is not None:
        key = parameters.add(one.metadata_key)
        return f"EXISTS (SELECT 1 FROM {_METADATA} AS m WHERE m.key = {key} AND {_metadata(one, parameters)})" + (
            " = 0" if one.op == "exists" and not one.value else ""
        )
    if one.field in _SETS:
        return _set(one, _SETS[one.field], parameters)
    value = _SCALARS[one.field]
    if one.op == "exists":
        return f"({value} IS NOT NULL) = {parameters.add(int(one.value))}"
    if one.op == "contains":
        return f"instr({value}, {parameters.add(one.value)}) > 0"
    if one.op == "in":
        return f"{value} IN {_listed(one.value, parameters)}"
    sign = _SIGNS.get(one.op, "=")
    return f"{value} {sign} {parameters.add(one.value)}"


def _listed(values: Sequence[Any], parameters: Parameters) -> str:
    """The values as one parameter, however many there are; NaN, which equals nothing, reads as NULL."""
    return f"(SELECT value FROM json_each({parameters.add(json.dumps(values))}))"


def _set(one: Compare, items: str, parameters: Parameters) -> str:
    if one.op == "exists":
        return f"EXISTS (SELECT 1 FROM {items}) = {parameters.add(int(one.value))}"
    wanted = f"IN {_listed(one.value, parameters)}" if one.op == "in" else f"= {parameters.add(one.value)}"
    return f"EXISTS (SELECT 1 FROM {items} AS i WHERE i.value {wanted})"


def _metadata(one: Compare, parameters: Parameters) -> str:
    """A condition on ``m``, the metadata entry with the right key."""
    if one.op == "exists":
        return "m.type <> 'null'"
    if one.op in _SIGNS:
        return f"{_same_class('m', one.value)} AND m.value {_SIGNS[one.op]} {parameters.add(one.value)}"
    if one.op == "in":
        tests = [(same[0], f"IN {_listed(same, parameters)}") for same in _by_class(one.value)]
    else:
        tests = [(one.value, f"= {parameters.add(one.value)}")]
    held = f"EXISTS (SELECT 1 FROM {_ITEMS} AS i WHERE {_any_of('i', tests)})"
    if one.op == "contains":
        inside = f"m.type = 'text' AND instr(m.value, {parameters.add(one.value)}) > 0"
        return f"(({inside}) OR {held})" if isinstance(one.value, str) else held
    return f"({_any_of('m', tests)} OR {held})"


def _any_of(alias: str, tests: Sequence[tuple[Any, str]]) -> str:
    """Whether the item passes one of the tests, each for values of the class of the one beside it."""
    parts = [f"({_same_class(alias, value)} AND {alias}.value {test})" for value, test in tests]
    return " OR ".join(parts) or "0"


def _by_class(values: Sequence[Any]) -> list[list[Any]]:
    """The values in lists of one class each."""
    classes: dict[str, list[Any]] = {}
    for value in values:
        classes.setdefault(_same_class("i", value), []).append(value)
    return list(classes.values())


def _same_class(alias: str, value: Any) -> str:
    """JSON's own type of an item must be that of the value: a flag is no number, a number no text."""
    if isinstance(value, bool):
        return f"{alias}.type IN ('true', 'false')"
    return f"{alias}.type IN ('integer', 'real')" if isinstance(value, int | float) else f"{alias}.type = 'text'"
