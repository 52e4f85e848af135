"""Random worlds of access rules: policies, roles, callers, and memories that are made from each other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pymemos.cube.call import Caller
from pymemos.cube.cube import MemCube, Parent
from pymemos.cube.filters import All, Filter
from pymemos.cube.header import SemanticType
from pymemos.cube.ids import format_id
from pymemos.cube.policy import (
    CONTEXT_FIELDS,
    GLOBAL,
    MEMORY_FIELDS,
    STORE,
    Action,
    Effect,
    Policy,
    Rate,
    RoleGrant,
    RuleChange,
    parse_what,
    parse_when,
)
from pymemos.cube.privacy import Kind
from pymemos.infrastructure.policies import role_rule
from pymemos.ports import Edge, Entry
from pymemos.testing import strategies as kit
from pymemos.testing.builders import a_cube, an_entry
from pymemos.testing.doubles import WHEN

DEEP = settings().max_examples > 100
BUSY = settings(suppress_health_check=[HealthCheck.too_slow])  # a world is much to draw where others use the machine
HOUR = timedelta(hours=1)
NOW = WHEN + HOUR
SPACES = ("users/ana", "users/bo", "agents/planner", "shared/team", GLOBAL)
ROLES = ("parent", "physician")
TAGS = ("food", "work")
PRINCIPALS = ("users/ana", "users/bo", "agents/planner", "roles/parent", "roles/physician", "everyone", "default")
AUTHORS = ("users/ana", "steward(default)")
IDS = tuple(format_id(7, n) for n in range(1, 9))
ABSENT = format_id(7, 99)  # the id of a memory that is nowhere

maybe_times = st.sampled_from([None, None, None, NOW - HOUR, NOW, NOW + HOUR])


def _pick(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


_always = (None, None)
_spans = _pick(
    *(_always, _always, _always, _always),
    *((NOW, None), (NOW + HOUR, None), (None, NOW), (None, NOW + HOUR), (NOW - HOUR, NOW + HOUR), (NOW - HOUR, NOW)),
)


# ── Rules ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_usual_what = _pick(
    {"tags": "food"},
    {"tags": {"ne": "work"}},
    {"sensitivity": "medical"},
    {"NOT": {"sensitivity": "medical"}},
    {"speaker": "ana"},
    {"speaker": {"exists": False}},
    {"metadata.size": 1},
    {"metadata.size": True},
    {"metadata.size": {"gt": 1}},
    {"frozen": True},
    {"type": {"in": ["fact", "message"]}},
    {"OR": [{"tags": "work"}, {"speaker": "bo"}]},
    {"id": IDS[0]},
    {"id": {"in": list(IDS[:3])}},
    {"valid_from": {"lte": WHEN.isoformat()}},
    {"AND": []},
    {"OR": []},
    {"NOT": {"OR": []}},
)
usual_whats: st.SearchStrategy[Filter] = _usual_what.map(parse_what)
whats: st.SearchStrategy[Filter] = st.one_of(
    st.just(All()),
    usual_whats,
    usual_whats,
    kit.filters(MEMORY_FIELDS).map(parse_what),
)
_usual_when = _pick(
    {"role": "parent"},
    {"NOT": {"role": "physician"}},
    {"task": "review"},
    {"purpose": {"exists": True}},
    {"agent": "planner"},
    {"operation": {"in": ["search", "get"]}},
    {"hour": {"gte": 9, "lt": 17}},
    {"weekday": {"lte": 5}},
    {"at": {"lt": NOW.isoformat()}},
    {"at": {"in": [NOW.isoformat()]}},
)
whens: st.SearchStrategy[Filter] = st.one_of(
    st.just(All()),
    st.just(All()),
    _usual_when.map(parse_when),
    kit.filters(CONTEXT_FIELDS, metadata=False).map(parse_when),
)


@st.composite
def policies(
    draw: Callable[..., Any], effects: tuple[Effect, ...] = (Effect.PERMIT, Effect.PERMIT, Effect.DENY)
) -> Policy:
    """A policy as ``parse_rule`` would let it be, with a name of few."""
    effect = draw(st.sampled_from(effects))
    actions = draw(st.lists(st.sampled_from(list(Action)), max_size=2, unique=True))
    if effect is Effect.PERMIT and not actions:
        actions = [Action.READ]
    if effect is Effect.REDACT:
        actions = [one for one in actions if one is Action.READ]
    span = draw(_spans)
    whole = Action.MANAGE in actions or effect in (Effect.LIMIT, Effect.RECORD)
    return Policy(
        name=draw(_pick("a", "b", "c", "d")),
        effect=effect,
        who=tuple(draw(st.lists(st.sampled_from(PRINCIPALS), max_size=2, unique=True))),
        actions=tuple(actions),
        what=All() if whole else draw(whats),
        when=draw(whens),
        starts=span[0],
        expires=span[1],
        rate=Rate(calls=3, per_s=60.0) if effect is Effect.LIMIT else None,
        kinds=draw(_pick((Kind.EMAIL,), (Kind.PHONE, Kind.CARD))) if effect is Effect.REDACT else (),
        note=draw(_pick("", "for the team")),
    )


grants = st.builds(
    lambda role, to, expires: RoleGrant(name=role_rule(role, to), role=role, to=to, expires=expires),
    st.sampled_from(ROLES),
    _pick("users/ana", "users/bo", "agents/planner"),
    maybe_times,
)


placed = st.one_of(
    st.tuples(st.sampled_from(SPACES), policies()),
    st.tuples(st.sampled_from(SPACES), policies()),
    st.tuples(st.sampled_from(SPACES), policies((Effect.LIMIT, Effect.DENY))),
    st.tuples(st.just(STORE), policies((Effect.DENY,))),  # a permission opens one namespace
    st.tuples(st.just(STORE), grants),
)


@st.composite
def logs(draw: Callable[..., Any], most: int = 8) -> list[RuleChange]:
    """A log of rules, numbered as a store does; some rules are replaced and some taken away again."""
    lines: list[RuleChange] = []
    for place, rule in draw(st.lists(placed, max_size=most)):
        author = draw(st.sampled_from(AUTHORS)) if place != STORE else AUTHORS[1]
        lines.append(a_line(lines, place, rule.name, rule, author))
        if draw(st.integers(0, 7)) == 0:
            lines.append(a_line(lines, place, rule.name, None, author))
    return lines


def a_line(
    log: list[RuleChange], place: str, name: str, rule: Policy | RoleGrant | None, author: str = AUTHORS[1]
) -> RuleChange:
    """The next line of a log."""
    n = len(log) + 1
    return RuleChange(id=f"r{n}", namespace=place, name=name, at=WHEN, author=author, rule=rule, entry=n)


callers = st.builds(
    Caller,
    user=_pick("ana", "bo", "bo", "eve", None),
    agent=_pick(None, None, "planner"),
    role=_pick(None, None, *ROLES),
    task=_pick(None, "review"),
    purpose=_pick(None, "catering"),
)


# ── Memories ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Written(NamedTuple):
    """A memory of a world: how it was written, and what became of it."""

    cube: MemCube
    fate: str  # "kept", "deleted" or "archived"


def declared() -> dict[str, st.SearchStrategy[Any]]:
    """What memories declare, of few values each, so that rules meet it."""
    return {
        "tags": _pick((), ("food",), ("work",), ("food", "work")),
        "sensitivity": _pick((), (), ("medical",)),
        "speaker": _pick(None, "ana", "bo"),
        "metadata": _pick({}, {"size": 1}, {"size": True}, {"size": [1, "x"]}, {"colour": "red"}),
        "semantic_type": _pick(SemanticType.FACT, SemanticType.MESSAGE, SemanticType.KNOWLEDGE, SemanticType.EPISODE),
        "frozen": _pick(False, False, False, True),
        "valid_from": _pick(None, WHEN, NOW),
        "agent": st.just("planner"),  # whoever calls as an agent looks at what was kept for it
    }


_declared = declared()


@st.composite
def cubes_of(draw: Callable[..., Any], id: str, sources: list[str]) -> MemCube:
    """A memory, made from some of the others half the time."""
    pins = draw(st.one_of(st.just([]), st.lists(st.sampled_from(sources), min_size=1, max_size=2, unique=True)))
    parents = tuple(Parent(id=pin, version="v", content_hash="h") for pin in pins if pin != id)
    given = {name: draw(strategy) for name, strategy in _declared.items()}
    return a_cube(f"tea {id[-1]}", draw(st.sampled_from(SPACES)), id=id, parents=parents, **given)


@st.composite
def worlds(draw: Callable[..., Any], least: int = 1) -> list[Written]:
    """Memories of several namespaces; a source may be deleted, unknown, or, in a ring, made from its own derivative."""
    ids = IDS[: draw(st.integers(least, len(IDS)))]
    sources = [*ids, ABSENT]
    fates = _pick("kept", "kept", "kept", "kept", "deleted", "archived")
    return [Written(draw(cubes_of(id, sources)), draw(fates)) for id in ids]


def entry_of(cube: MemCube) -> Entry:
    """A memory as the vault writes it, with the edges to its sources."""
    edges = [Edge(source=cube.id, kind="derived_from", target=pin.id) for pin in cube.parents]
    return an_entry(cube=cube, edges=edges)
