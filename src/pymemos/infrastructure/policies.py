"""The book of rules: what holds now, from the log of every rule that was set or taken away (5.5.1, ADR 0026)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from pymemos.cube.filters import fields
from pymemos.cube.policy import EVERYONE, STORE, TIMES, Effect, Policy, RoleGrant, Rule, RuleChange
from pymemos.ports import ReadUnit

T = TypeVar("T")
CONCLUSIONS: Final = 10_000  # that a book keeps


class Place(msgspec.Struct, frozen=True):
    """The rules of one namespace, or of the store, sorted by how a decision asks for them."""

    changes: Mapping[str, RuleChange]  # by the name of the rule, the change that set it
    permits: Mapping[str, tuple[Policy, ...]]  # by principal
    denials: tuple[Policy, ...]
    limits: tuple[Policy, ...]
    records: tuple[Policy, ...]
    redactions: tuple[Policy, ...] = ()
    lasting: bool = True  # no rule comes or goes by itself, so that the time of a call plays no part

    @property
    def policies(self) -> tuple[Policy, ...]:
        """All of them, by name."""
        return tuple(one.rule for one in self.changes.values() if isinstance(one.rule, Policy))

    @staticmethod
    def of(changes: Mapping[str, RuleChange]) -> Place:
        """The place where these changes hold."""
        policies = [one.rule for one in changes.values() if isinstance(one.rule, Policy)]
        permits: dict[str, tuple[Policy, ...]] = {}
        for policy in policies:
            if policy.effect is Effect.PERMIT:
                for principal in dict.fromkeys(policy.who or (EVERYONE,)):
                    permits[principal] = (*permits.get(principal, ()), policy)
        denials, limits, records, redactions = (
            tuple(one for one in policies if one.effect is effect)
            for effect in (Effect.DENY, Effect.LIMIT, Effect.RECORD, Effect.REDACT)
        )
        lasting = all(_is_lasting(one.rule) for one in changes.values())
        return Place(changes, permits, denials, limits, records, redactions, lasting)


def _is_lasting(rule: Rule | None) -> bool:
    match rule:
        case Policy():
            return rule.starts is None and rule.expires is None and TIMES.isdisjoint(fields(rule.when))
        case RoleGrant():
            return rule.expires is None
    return True


NOWHERE = Place.of({})


class Book(msgspec.Struct, frozen=True, eq=False):
    """The rules that hold after some changes; ``last`` names the last of these.

    ``memo`` keeps what was concluded from them, for as long as they hold; the conclusions themselves are pure.
    """

    last: str = ""
    entry: int = 0
    places: Mapping[str, Place] = {}  # by namespace
    opened: Mapping[str, frozenset[str]] = {}  # by principal, the namespaces with a permission that names it
    given: frozenset[str] = frozenset()  # roles that anybody was ever given: they stay the store's to give
    redacts: bool = False  # whether any rule hides what is personal or secret
    memo: dict[Hashable, Any] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there was never any rule."""
        return not self.entry

    def concluded(self, key: Hashable, namespaces: Iterable[str], conclude: Callable[[], T]) -> T:
        """What ``conclude`` gives, kept under ``key`` where no rule of these namespaces goes by the time."""
        if not (self.of(STORE).lasting and all(self.of(name).lasting for name in namespaces)):
            return conclude()
        if key not in self.memo:
            if len(self.memo) >= CONCLUSIONS:
                self.memo.clear()
            self.memo[key] = conclude()
        found: T = self.memo[key]
        return found

    def of(self, namespace: str) -> Place:
        """The rules of a namespace."""
        return self.places.get(namespace, NOWHERE)

    def held(self, namespace: str, name: str) -> RuleChange | None:
        """The change that set a rule, if it still holds."""
        return self.of(namespace).changes.get(name)

    def within(self, namespaces: Iterable[str] | None) -> tuple[RuleChange, ...]:
        """What set the rules that hold in some namespaces, or (None) everywhere, by namespace and name."""
        names = sorted(self.places if namespaces is None else set(namespaces))
        return tuple(change for name in names for change in self.of(name).changes.values())

    def opened_to(self, principals: Iterable[str]) -> list[str]:
        """The namespaces that have a permission for any of these."""
        return sorted(frozenset[str]().union(*(self.opened.get(one, frozenset()) for one in principals)))

    def hands_out(self, role: str) -> bool:
        """Whether the store gives this role to people, so that it cannot just be taken on."""
        return role in self.given

    def holds(self, principal: str, role: str, now: datetime) -> bool:
        """Whether somebody was given a role, and still has it."""
        change = self.held(STORE, role_rule(role, principal))
        grant = None if change is None else change.rule
        # Names may hold " to " themselves, so that the rule of one grant can be called like that of another.
        return isinstance(grant, RoleGrant) and (grant.role, grant.to) == (role, principal) and grant.in_force(now)

    def after(self, changes: Sequence[RuleChange]) -> Book:
        """The book with further changes, in their order."""
        if not changes:
            return self
        held: dict[str, dict[str, RuleChange]] = {}
        for change in changes:
            here = held.setdefault(change.namespace, dict(self.of(change.namespace).changes))
            here.pop(change.name, None)
            if change.rule is not None:
                here[change.name] = change
        places, opened = dict(self.places), dict(self.opened)
        for namespace, here in held.items():
            place = Place.of(dict(sorted(here.items())))
            _reopen(opened, namespace, self.of(namespace).permits.keys(), place.permits.keys())
            places[namespace] = place
        given = {change.rule.role for change in changes if isinstance(change.rule, RoleGrant)}
        kept = {namespace: place for namespace, place in places.items() if place.changes}
        redacts = any(place.redactions for place in kept.values())
        return Book(changes[-1].id, changes[-1].entry, kept, opened, self.given | given, redacts)


NO_RULES = Book()


class Rulebook:
    """The book of a store, brought forward by what changed; for any number of threads.

    A change that was rolled back is known by its name, which no other has, and never believed again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._book = NO_RULES

    def at(self, unit: ReadUnit) -> Book:
        """The rules as the unit sees them."""
        last = unit.last_rule_change()
        if last is None:
            return NO_RULES
        book = self._book
        if (last.entry, last.id) == (book.entry, book.last):
            return book
        book = self._forward(unit, book, last)
        with self._lock:
            self._book = book
        return book

    def _forward(self, unit: ReadUnit, book: Book, last: RuleChange) -> Book:
        if 0 < book.entry < last.entry:
            held = unit.rule_changes(since=book.entry - 1)
            if held and held[0].id == book.last:
                return book.after(held[1:])
        return NO_RULES.after(unit.rule_changes())


def role_rule(role: str, principal: str) -> str:
    """The name of the rule that gives a role to somebody."""
    return f"{role} to {principal}"


def _reopen(opened: dict[str, frozenset[str]], namespace: str, before: Set[str], after: Set[str]) -> None:
    for principal in before - after:
        opened[principal] = opened[principal] - {namespace}
    for principal in after - before:
        opened[principal] = opened.get(principal, frozenset()) | {namespace}
