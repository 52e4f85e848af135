"""The book of rules: what holds now, from the log of every rule that was set or taken away (5.5.1, ADR 0026)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from pymemos.cube.policy import EVERYONE, STORE, Effect, Policy, RoleGrant, RuleChange
from pymemos.ports import ReadUnit

Held = Mapping[str, RuleChange]  # by the name of the rule, the change that set it


class Book(msgspec.Struct, frozen=True):
    """The rules that hold after some changes; ``last`` names the last of these."""

    last: str = ""
    entry: int = 0
    rules: Mapping[str, Held] = {}  # by namespace
    opened: Mapping[str, frozenset[str]] = {}  # by principal, the namespaces with a permission that names it
    given: frozenset[str] = frozenset()  # roles that anybody was ever given: they stay the store's to give

    @property
    def is_empty(self) -> bool:
        """Whether there was never any rule."""
        return not self.entry

    def of(self, namespace: str) -> tuple[Policy, ...]:
        """The policies of a namespace, by name."""
        held = self.rules.get(namespace)
        return () if held is None else tuple(one.rule for one in held.values() if isinstance(one.rule, Policy))

    def held(self, namespace: str, name: str) -> RuleChange | None:
        """The change that set a rule, if it still holds."""
        return self.rules.get(namespace, {}).get(name)

    def within(self, namespaces: Iterable[str] | None) -> tuple[RuleChange, ...]:
        """What set the rules that hold in some namespaces, or (None) everywhere, by namespace and name."""
        names = sorted(self.rules if namespaces is None else set(namespaces))
        return tuple(change for name in names for change in self.rules.get(name, {}).values())

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
        if not isinstance(grant, RoleGrant) or (grant.role, grant.to) != (role, principal):
            return False  # another grant can have the same name: "a to users/b" to "users/c"
        return grant.in_force(now)

    def after(self, changes: Sequence[RuleChange]) -> Book:
        """The book with further changes, in their order."""
        rules, opened, given = dict(self.rules), dict(self.opened), set(self.given)
        for change in changes:
            before = rules.get(change.namespace, {})
            held = {name: one for name, one in before.items() if name != change.name}
            if change.rule is not None:
                held[change.name] = change
            if isinstance(change.rule, RoleGrant):
                given.add(change.rule.role)
            rules[change.namespace] = dict(sorted(held.items()))
            _reopen(opened, change.namespace, _named(before), _named(held))
        last = changes[-1] if changes else None
        return Book(
            self.last if last is None else last.id,
            self.entry if last is None else last.entry,
            {namespace: held for namespace, held in rules.items() if held},
            opened,
            frozenset(given),
        )


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


def _named(held: Held) -> frozenset[str]:
    """Whom the permissions of a namespace name."""
    policies = [one.rule for one in held.values() if isinstance(one.rule, Policy)]
    permits = [policy for policy in policies if policy.effect is Effect.PERMIT]
    return frozenset(name for policy in permits for name in policy.who or (EVERYONE,))


def _reopen(opened: dict[str, frozenset[str]], namespace: str, before: frozenset[str], after: frozenset[str]) -> None:
    for principal in before - after:
        opened[principal] = opened[principal] - {namespace}
    for principal in after - before:
        opened[principal] = opened.get(principal, frozenset()) | {namespace}
