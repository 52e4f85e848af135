"""Access policies: who may do what with which memories, and in which context, as values (5.5.1, ADR 0026).

``what`` is a filter over what memories declare, ``when`` one over the context of the call: one language, that of
``cube.filters``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from pymemos.cube.call import Caller
from pymemos.cube.filters import EVERYTHING, FIELDS, All, Filter, aware, parse, written
from pymemos.cube.privacy import LABELS, Handling, Kind
from pymemos.cube.wire import encode
from pymemos.errors import InvalidInput

Member = TypeVar("Member", bound=StrEnum)

EVERYONE = "everyone"
STORE = "*"  # in place of a namespace: what holds in all of them, and the roles that people hold
USERS, AGENTS, ROLES, SHARED = "users/", "agents/", "roles/", "shared/"
GLOBAL = "global"  # the namespace that everybody may read
NAME_LIMIT = 300  # characters of the name of a namespace or principal

# What a system observes changes without a version, and rights must not change with it.
OBSERVED = frozenset({"state", "uses", "last_used"})
MEMORY_FIELDS = {name: kind for name, kind in FIELDS.items() if name not in OBSERVED}
CONTEXT_FIELDS = {
    "agent": "text", "session": "text", "role": "text", "task": "text", "purpose": "text", "model": "text",
    "operation": "text", "at": "time", "hour": "number", "weekday": "number",
}  # fmt: skip
TIMES = frozenset({"at", "hour", "weekday"})  # those of them that change by themselves


class Effect(StrEnum):
    """What a policy does to a call that it is about."""

    PERMIT = "permit"
    DENY = "deny"
    LIMIT = "limit"  # lets only so many through
    REDACT = "redact"  # gives the text with stand-ins for some kinds of what is personal or secret
    RECORD = "record"  # answers only once the audit entry is durable, which that of a read otherwise is a second later


class Action(StrEnum):
    """What somebody does with memories; ``manage`` is setting policies, reading the log and rolling back."""

    READ = "read"
    WRITE = "write"
    MANAGE = "manage"


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many calls in so many seconds."""

    calls: int
    per_s: float


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of a namespace, or of the whole store.

    ``who`` names principals: ``users/ana``, ``agents/planner``, ``roles/physician``; nobody named is everybody.
    ``actions`` without any is all of them. ``starts`` and ``expires`` bound the time in which it holds.
    """

    name: str
    effect: Effect = Effect.PERMIT
    who: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()
    what: Filter = All()
    when: Filter = All()
    starts: datetime | None = None
    expires: datetime | None = None
    rate: Rate | None = None  # of a limit
    kinds: tuple[Kind, ...] = ()  # of a redaction
    note: str = ""

    def in_force(self, now: datetime) -> bool:
        """Whether it holds at that time."""
        return (self.starts is None or self.starts <= now) and (self.expires is None or now < self.expires)


class RoleGrant(msgspec.Struct, frozen=True, kw_only=True):
    """A role that somebody holds. A role that anybody was ever given can only be taken on by those who hold it."""

    name: str
    role: str
    to: str  # the principal
    expires: datetime | None = None
    note: str = ""

    def in_force(self, now: datetime) -> bool:
        """Whether it holds at that time."""
        return self.expires is None or now < self.expires


class PrivacyRule(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to personal data and secrets when they are written (5.5.1, ADR 0030), by kind."""

    name: str = "privacy policy"  # one for each place
    handling: Mapping[Kind, Handling]
    note: str = ""


PRIVACY = "privacy policy"
Rule = Policy | RoleGrant | PrivacyRule


class RuleChange(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log of rules: who set or took away (``rule`` is None) which rule, and when.

    ``entry`` numbers the changes of a store from 1; the last change of a name in a namespace is what holds.
    """

    id: str
    namespace: str
    name: str
    at: datetime
    author: str
    rule: Rule | None = None
    entry: int = 0

    @property
    def by_steward(self) -> bool:
        """Whether the steward set it: then nobody else may change it."""
        return self.author.startswith("steward(")


def with_before(changes: Iterable[RuleChange]) -> Iterator[tuple[RuleChange, Rule | None]]:
    """Every change of a log with the rule that it replaced."""
    held: dict[tuple[str, str], Rule | None] = {}
    for change in changes:
        place = (change.namespace, change.name)
        yield change, held.get(place)
        held[place] = change.rule


def context_of(caller: Caller, role: str | None, operation: str, now: datetime) -> dict[str, Any]:
    """The context of a call, as ``when`` asks about it; ``role`` is the one that the caller may take on."""
    named = {name: getattr(caller, name) for name in ("agent", "session", "task", "purpose", "model")}
    return {
        **named,
        "role": role,
        "operation": operation,
        "at": now,
        "hour": now.hour + now.minute / 60 + now.second / 3600,
        "weekday": now.isoweekday(),
    }


def rule_values(rule: Rule) -> dict[str, Any]:
    """A rule as JSON values, as people write and the store keeps it; what says nothing is left out."""
    if isinstance(rule, PrivacyRule):
        handled = {kind.value: how.value for kind, how in sorted(rule.handling.items())}
        return {"handling": handled, **({"note": rule.note} if rule.note else {})}
    if isinstance(rule, RoleGrant):
        given = {"role": rule.role, "to": rule.to, "expires": rule.expires, "note": rule.note}
        return {name: value for name, value in given.items() if value}
    given = msgspec.to_builtins(msgspec.structs.asdict(rule) | {"what": None, "when": None})
    given |= {name: written(where) for name in ("what", "when") if (where := getattr(rule, name)) != EVERYTHING}
    return {name: value for name, value in given.items() if value}


def parse_rule(raw: Mapping[str, Any], name: str) -> Rule:
    """The rule that JSON values write; every mistake is an error that says what to write instead."""
    if "handling" in raw:
        return PrivacyRule(handling=parse_handling(raw["handling"]), note=raw.get("note") or "")
    if "role" in raw:
        _check_fields(raw, RoleGrant)
        return RoleGrant(
            name=name,
            role=_text(raw, "role"),
            to=check_principal(_text(raw, "to")),
            expires=_time(raw, "expires"),
            note=raw.get("note") or "",
        )
    _check_fields(raw, Policy)
    policy = Policy(
        name=name,
        effect=_member(Effect, raw.get("effect", Effect.PERMIT), "effect"),
        who=tuple(check_principal(one) for one in _texts(raw, "who")),
        actions=tuple(_member(Action, one, "actions") for one in _texts(raw, "actions")),
        what=parse_what(raw.get("what") or {}),
        when=parse_when(raw.get("when") or {}),
        starts=_time(raw, "starts"),
        expires=_time(raw, "expires"),
        rate=_rate(raw.get("rate")),
        kinds=parse_kinds(_texts(raw, "kinds")),
        note=raw.get("note") or "",
    )
    _check_sense(policy)
    return policy


def check_kept(rule: Rule) -> None:
    """Refuse a rule that would not be read back as it is: the whole log is read with every call, by everybody."""
    if not isinstance(rule.note, str):
        raise InvalidInput(f"note is {rule.note!r}; pass text")
    try:
        is_kept = parse_rule(msgspec.json.decode(encode(rule_values(rule))), rule.name) == rule
    except InvalidInput as error:
        raise InvalidInput(f"the rule {rule.name!r} could not be read again once it is kept: {error}") from error
    if not is_kept:
        raise InvalidInput(f"the rule {rule.name!r} says what JSON cannot write; use texts and finite numbers")


def _check_sense(policy: Policy) -> None:
    """Refuse what would not do what it seems to."""
    if (policy.effect is Effect.LIMIT) != (policy.rate is not None):
        raise InvalidInput(
            "a limit, and nothing else, has a rate: {'effect': 'limit', 'rate': {'calls': 60, 'per_s': 60}}"
        )
    if (policy.effect is Effect.REDACT) != bool(policy.kinds):
        raise InvalidInput("a redaction, and nothing else, names kinds: {'effect': 'redact', 'kinds': ['email']}")
    if policy.effect is Effect.REDACT and not set(policy.actions) <= {Action.READ}:
        raise InvalidInput("a redaction is about reading; leave 'actions' out")
    if policy.effect in (Effect.LIMIT, Effect.RECORD) and policy.what != EVERYTHING:
        raise InvalidInput(f"a {policy.effect} is about calls, not memories; say 'when' it holds, not 'what'")
    if policy.effect is Effect.PERMIT and not policy.actions:
        raise InvalidInput("a permission names its actions: 'read', 'write' or 'manage'")
    if Action.MANAGE in policy.actions and policy.what != EVERYTHING:
        raise InvalidInput("'manage' is for a whole namespace; give it in a policy of its own, without 'what'")
    if policy.starts is not None and policy.expires is not None and policy.expires <= policy.starts:
        raise InvalidInput("the policy would hold at no time: it expires before it starts")


def _check_fields(raw: Mapping[str, Any], kind: type[Policy] | type[RoleGrant]) -> None:
    odd = raw.keys() - set(kind.__struct_fields__)
    if odd:
        names = ", ".join(kind.__struct_fields__)
        raise InvalidInput(f"a {kind.__name__} has no field {min(map(str, odd))!r}; it has {names}")


def _member(kind: type[Member], value: Any, name: str) -> Member:
    try:
        return kind(value)
    except ValueError as error:
        raise InvalidInput(f"{name}: there is no {value!r}; use one of {', '.join(kind)}") from error


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(f"{name} is {value!r}; pass text")
    return value


def _texts(raw: Mapping[str, Any], name: str) -> list[str]:
    value = raw.get(name) or []
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise InvalidInput(f"{name} is {value!r}; pass a list of texts")
    return list(value)


def _time(raw: Mapping[str, Any], name: str) -> datetime | None:
    return None if raw.get(name) is None else aware(raw[name], name)


def _rate(raw: Any) -> Rate | None:
    if raw is None:
        return None
    try:
        rate = msgspec.convert(raw, Rate)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"rate: {error}; write {{'calls': 60, 'per_s': 60}}") from error
    if rate.calls < 1 or not 0 < rate.per_s <= 86_400:
        raise InvalidInput("a rate lets at least one call through in at most a day: {'calls': 60, 'per_s': 60}")
    return rate


def parse_kinds(raw: Any) -> tuple[Kind, ...]:
    """Kinds of what is personal or secret, by name or by label (``pii:email``), in their order."""
    if isinstance(raw, str) or not isinstance(raw, Iterable):
        raise InvalidInput(f"kinds is {raw!r}; pass a list, such as ['email', 'phone']")
    named = {LABELS.get(one) or _member(Kind, one, "kinds") for one in raw}
    return tuple(kind for kind in Kind if kind in named)


def parse_handling(raw: Any) -> dict[Kind, Handling]:
    """What is to happen to each kind: ``{"email": "tag", "api_key": "refuse"}``."""
    if not isinstance(raw, Mapping) or not raw:
        raise InvalidInput(f"the policy is {raw!r}; pass a mapping such as {{'email': 'tag', 'api_key': 'refuse'}}")
    return {parse_kinds([kind])[0]: _member(Handling, how, "handling") for kind, how in raw.items()}


def parse_what(raw: Any) -> Filter:
    """A filter over what memories declare."""
    return parse(raw, MEMORY_FIELDS)


def parse_when(raw: Any) -> Filter:
    """A filter over the context of a call."""
    return parse(raw, CONTEXT_FIELDS, metadata=False)


def check_principal(name: str) -> str:
    """``name`` if it can stand for somebody."""
    kind, slash, rest = _parts(name)
    if name == EVERYONE or (slash and rest.strip() and f"{kind}/" in (USERS, AGENTS, ROLES)) or name == "default":
        return name
    raise InvalidInput(f"{name!r} is nobody; write users/NAME, agents/NAME, roles/NAME, or everyone")


def check_holder(name: str) -> str:
    """``name`` if it can hold a role: somebody who calls."""
    if check_principal(name) == EVERYONE or name.startswith(ROLES):
        raise InvalidInput(f"{name!r} can hold no role; give it to users/NAME, agents/NAME or 'default'")
    return name


def check_namespace(name: str) -> str:
    """``name`` if memories can live there: somebody's own, a shared place, or the global one."""
    kind, slash, rest = _parts(name)
    if name in ("default", GLOBAL) or (slash and rest.strip() and f"{kind}/" in (USERS, AGENTS, SHARED)):
        return name
    raise InvalidInput(
        f"no memories can live in {name!r}; write users/NAME, agents/NAME, shared/NAME, 'global' or 'default'"
    )


def _parts(name: Any) -> tuple[str, str, str]:
    """A name with its kind; one that no store could hold, or nobody write, is refused."""
    if not isinstance(name, str) or "\0" in name or len(name) > NAME_LIMIT or not name.isprintable():
        raise InvalidInput(f"{name!r} is no name; write users/NAME of at most {NAME_LIMIT} printable characters")
    return name.partition("/")
