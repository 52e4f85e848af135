"""MemGovernance: whether a call may proceed, decided by pure rules over identity, object and context (5.5.1, ADR 0026).

Nothing is allowed that no rule permits, and what one rule denies no other permits. A decision says not only whether
but how far: for each namespace a condition that its memories must satisfy, which the store takes into its queries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from pymemos.cube.call import Caller, Decision, Reach
from pymemos.cube.cube import MemCube
from pymemos.cube.filters import EVERYTHING, NOTHING, Compare, Filter, both, either, matches, negated
from pymemos.cube.header import SemanticType
from pymemos.cube.policy import AGENTS, EVERYONE, GLOBAL, ROLES, STORE, Action, Effect, Policy, context_of
from pymemos.infrastructure.policies import NO_RULES, Book

# A manifest names every turn of a conversation and who said it, so it is for those who may read the whole namespace.
NO_MANIFEST = Compare("type", "ne", SemanticType.EPISODE.value)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a call wants to reach: namespaces (None: all of them), or a memory that may not exist.

    ``memory`` is the id of the one that a call names; its namespaces are where that lives, none where it is unknown.
    ``stewardship`` marks calls on the store as a whole. ``readable`` asks for whatever the caller may read.
    """

    namespaces: tuple[str, ...] | None = ()
    memory: str | None = None
    stewardship: bool = False
    readable: bool = False


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules judge by: who calls, doing what, by which rules, and when."""

    caller: Caller
    action: Action = Action.READ
    operation: str = ""
    book: Book = NO_RULES
    now: datetime

    @property
    def powerful(self) -> bool:
        """Whether the caller may do everything: whoever opened the store, and the system itself."""
        return self.caller.steward or self.caller.system

    def doing(self, action: Action) -> Circumstances:
        """The same for another action."""
        return msgspec.structs.replace(self, action=action)

    def role_in(self, namespace: str) -> str | None:
        """The role that the caller may take on there.

        In one's own place a role is a persona (7.2.3), free to choose; elsewhere, and wherever the store hands a role
        out, it has to be held.
        """
        role = self.caller.role
        if role is None or self.book.holds(self.caller.namespace, role, self.now):
            return role
        return role if namespace == self.caller.namespace and not self.book.hands_out(role) else None

    def principals(self, namespace: str, *, denied: bool = False) -> frozenset[str]:
        """Whom a rule may name to mean this caller; a denial is heard more readily than a permission.

        So a permission for an agent is not for the user on whose behalf it acts, but a denial is.
        """
        role = self.caller.role if denied else self.role_in(namespace)
        named = {EVERYONE, self.caller.namespace, *([ROLES + role] if role else [])}
        if denied and self.caller.agent is not None:
            named.add(AGENTS + self.caller.agent)
        return frozenset(named)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller may do in one namespace: with which memories, by which rules, and which rules narrow it."""

    where: Filter
    permits: tuple[str, ...] = ()
    denials: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """The rules in one word, for the audit log."""
        return "+".join(self.permits) if self.where != NOTHING else "+".join(self.denials) or "not-permitted"

    @property
    def reason(self) -> str:
        """The same in a sentence."""
        if not self.permits:
            return "no rule permits it"
        narrowed = f", less what {_listed(self.denials)} denies" if self.denials else ""
        return f"{_listed(self.permits)} permits it{narrowed}"


def verdict(of: Circumstances, namespace: str) -> Verdict:
    """What the rules say of one namespace, for the action and in the context of the call."""
    if of.powerful:
        return Verdict(where=EVERYTHING, permits=("steward" if of.caller.steward else "system",))
    permits, denials = _permits(of, namespace), list(_applying(of, namespace, Effect.DENY))
    where = both(
        either(*(where for _, where in permits)),
        negated(either(*(policy.what for policy in denials))),
    )
    return Verdict(
        where=where, permits=tuple(name for name, _ in permits), denials=tuple(policy.name for policy in denials)
    )


def condition(of: Circumstances, namespace: str) -> Filter:
    """Which memories of a namespace the action may reach.

    Whoever changes a memory by its name sees it, so writing needs both. Managing is of a namespace as a whole.
    """
    if of.action is Action.MANAGE:
        return EVERYTHING if _may_manage(of, namespace) else NOTHING
    read = verdict(of.doing(Action.READ), namespace).where
    where = read if of.action is Action.READ else both(read, verdict(of, namespace).where)
    return where if where in (EVERYTHING, NOTHING) else both(where, NO_MANIFEST)


class Considered(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that a decision looked at: whether it applies to the call, and why or why not."""

    namespace: str
    name: str
    effect: Effect
    applies: bool
    why: str


def considered(of: Circumstances, namespace: str, cube: MemCube | None = None) -> Iterator[Considered]:
    """Every rule of a namespace and of the store, with what it makes of the call, and of one memory if there is one."""
    if namespace == of.caller.namespace:
        yield Considered(
            namespace=namespace, name="owner", effect=Effect.PERMIT, applies=True, why="it is the caller's own"
        )
    for home in (namespace, STORE):
        for policy in of.book.of(home):
            why = _why_not(policy, of, namespace, cube)
            yield Considered(
                namespace=home, name=policy.name, effect=policy.effect, applies=not why, why=why or "it applies"
            )


def _why_not(policy: Policy, of: Circumstances, namespace: str, cube: MemCube | None) -> str:
    """Why a policy does not apply; nothing where it does."""
    named = of.principals(namespace, denied=policy.effect is not Effect.PERMIT)
    if policy.who and named.isdisjoint(policy.who):
        return f"it is for {_listed(policy.who)}"
    if not policy.in_force(of.now):
        return "its time has not come" if policy.starts is not None and of.now < policy.starts else "its time is over"
    if policy.actions and of.action not in policy.actions:
        return f"it is about {_listed(action.value for action in policy.actions)}"
    if not policy.about(of.action, context_of(of.caller, of.role_in(namespace), of.operation, of.now), of.now):
        return "the call is made in another context"
    if cube is not None and not matches(policy.what, cube):
        return "it is about other memories"
    return ""


def reach(of: Circumstances) -> Reach | None:
    """Everything that the caller may read; None for all there is."""
    if of.powerful:
        return None
    reading = of.doing(Action.READ)
    own = of.caller.namespace
    named = [own, GLOBAL, *of.book.opened_to(of.principals(""))]
    parts = [(name, condition(reading, name)) for name in dict.fromkeys(named)]
    return Reach(tuple((name, where) for name, where in parts if where != NOTHING))


def decide(of: Circumstances, target: Target) -> Decision:
    """Whether the call may proceed, and how far; whatever no rule permits is denied (5.5.1: deny by default)."""
    if target.memory is not None and not target.namespaces:
        return Decision(allowed=False, rule="unknown", reason="no memory has this id")
    if of.powerful:
        rule = "steward" if of.caller.steward else "system"
        return Decision(allowed=True, rule=rule, reason=f"a {rule} may do everything", namespaces=target.namespaces)
    if target.readable:
        return _decided(of, tuple(name for name, _ in (reach(of) or Reach()).parts))
    if target.stewardship or target.namespaces is None:
        return Decision(
            allowed=False, rule="steward-only", reason="this concerns the whole store; only its steward may do it"
        )
    return _decided(of, tuple(dict.fromkeys(target.namespaces)))


def heard(of: Circumstances, decision: Decision) -> Decision:
    """A decision in the words that its caller may hear: of others' rules neither the names nor what they are about."""
    if of.powerful or all(_hears(of, name) for name in decision.namespaces or ()):
        return decision
    return msgspec.structs.replace(decision, rule="permitted", reason="a policy permits it", parts=())


def limits(of: Circumstances, namespaces: Iterable[str]) -> Iterator[tuple[str, Policy]]:
    """The limits that count this call, each with the namespace that set it."""
    if of.powerful:
        return
    for namespace in dict.fromkeys(namespaces):
        for policy in of.book.of(namespace):
            if policy.effect is Effect.LIMIT and _concerns(policy, of, namespace):
                yield namespace, policy
    for policy in of.book.of(STORE):
        if policy.effect is Effect.LIMIT and _concerns(policy, of, of.caller.namespace):
            yield STORE, policy


def _decided(of: Circumstances, namespaces: tuple[str, ...]) -> Decision:
    """Every namespace that the call names must be open to it, at least in part."""
    if of.book.is_empty and namespaces == (of.caller.namespace,):  # the usual call, in an eighth of the time
        return Decision(
            allowed=True,
            rule="owner",
            reason=f"{of.caller.namespace!r} is the caller's own",
            namespaces=namespaces,
            parts=((of.caller.namespace, EVERYTHING),),
        )
    parts = tuple((name, condition(of, name)) for name in namespaces)
    for name, where in parts:
        if where == NOTHING:
            return Decision(
                allowed=False,
                rule=_rule_of_refusal(of, name),
                reason=f"the caller may not {of.action.value} there; one's own is {of.caller.namespace!r}",
            )
    verdicts = [verdict(of, name) for name in namespaces]
    return Decision(
        allowed=True,
        rule="+".join(dict.fromkeys(one.rule for one in verdicts)) or "nothing-open",
        reason="; ".join(dict.fromkeys(one.reason for one in verdicts)),
        namespaces=namespaces,
        parts=parts,
    )


def _may_manage(of: Circumstances, namespace: str) -> bool:
    """Whether the caller may set rules there: never while it is narrowed by one that it could take away."""
    if of.powerful:
        return True
    denied = any(policy.what == EVERYTHING for policy in _applying(of, namespace, Effect.DENY))
    if denied or not _permits(of, namespace):
        return False
    return not any(
        change.rule.effect is Effect.DENY and _concerns(change.rule, of.doing(action), namespace)
        for change in of.book.within((namespace,))
        if isinstance(change.rule, Policy) and not change.by_steward
        for action in (Action.READ, Action.WRITE)
    )


def _rule_of_refusal(of: Circumstances, namespace: str) -> str:
    """The rule that the audit log names for a refusal."""
    if not _hears(of, namespace):
        return "not-owner"
    found = verdict(of, namespace)
    return "+".join(found.denials) if found.permits and found.denials else "not-owner"


def _hears(of: Circumstances, namespace: str) -> bool:
    """Whether the caller may know the names of the rules of a namespace: it is its own, or it manages it."""
    return namespace == of.caller.namespace or _may_manage(of, namespace)


def _permits(of: Circumstances, namespace: str) -> list[tuple[str, Filter]]:
    """What permits the action there: ownership, the openness of the global place, and policies."""
    given = [(policy.name, policy.what) for policy in _applying(of, namespace, Effect.PERMIT)]
    if namespace == of.caller.namespace:
        return [("owner", EVERYTHING), *given]
    if namespace == GLOBAL and of.action is Action.READ:
        return [("global", EVERYTHING), *given]
    return given


def _applying(of: Circumstances, namespace: str, effect: Effect) -> Iterator[Policy]:
    """The policies of a namespace and of the store with that effect on the call."""
    for policy in (*of.book.of(namespace), *of.book.of(STORE)):
        if policy.effect is effect and _concerns(policy, of, namespace):
            yield policy


def _concerns(policy: Policy, of: Circumstances, namespace: str) -> bool:
    return not _why_not(policy, of, namespace, None)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
