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
from pymemos.cube.filters import EVERYTHING, NOTHING, Compare, Filter, both, either, holds, matches, negated
from pymemos.cube.header import SemanticType
from pymemos.cube.policy import AGENTS, EVERYONE, GLOBAL, ROLES, STORE, Action, Effect, Policy, context_of
from pymemos.infrastructure.policies import NO_RULES, Book

# A manifest names every turn of a conversation and who said it, so it is for those who may read the whole namespace.
NO_MANIFEST = Compare("type", "ne", SemanticType.EPISODE.value)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a call wants to reach: namespaces (None: all of them), or a memory that may not exist.

    ``memory`` is the id of the one that a call names; its namespaces are where that lives, none where it is unknown.
    ``stewardship`` marks calls on the store as a whole. ``readable`` asks for whatever the caller may read, of all
    namespaces or ``among`` some: what of these is closed to the caller is left out, and no refusal tells of it.
    """

    namespaces: tuple[str, ...] | None = ()
    memory: str | None = None
    stewardship: bool = False
    readable: bool = False
    among: tuple[str, ...] | None = None


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


class Standing:
    """What a caller is in one namespace: the names that rules may mean it by, and the context that they ask about."""

    def __init__(self, of: Circumstances, namespace: str) -> None:
        caller, book = of.caller, of.book
        self.of, self.namespace = of, namespace
        self.owns = namespace == caller.namespace
        self.role = self._role()
        self.permitted = frozenset({EVERYONE, caller.namespace, *([ROLES + self.role] if self.role else [])})
        # A denial is heard more readily than a permission: one for an agent reaches the user it acts for, a permission
        # for the agent does not.
        named = [] if caller.role is None else [ROLES + caller.role]
        self.denied = self.permitted.union(named, [] if caller.agent is None else [AGENTS + caller.agent])
        self.context = context_of(caller, self.role, of.operation, of.now)
        self.places = (book.of(namespace), book.of(STORE))

    def _role(self) -> str | None:
        """The role that the caller may take on there.

        In one's own place a role is a persona (7.2.3), free to choose; elsewhere, and wherever the store hands a role
        out, it has to be held.
        """
        of, role = self.of, self.of.caller.role
        if role is None or of.book.holds(of.caller.namespace, role, of.now):
            return role
        return role if self.owns and not of.book.hands_out(role) else None

    def permits(self, action: Action) -> list[tuple[str, Filter]]:
        """What permits the action: ownership, the openness of the global place, and policies."""
        if self.owns:
            return [("owner", EVERYTHING)]
        found = {policy.name: policy for name in self.permitted for policy in self.places[0].permits.get(name, ())}
        given = [(name, found[name].what) for name in sorted(found) if self._is_about(found[name], action)]
        if self.namespace == GLOBAL and action is Action.READ:
            return [("global", EVERYTHING), *given]
        return given

    def denials(self, action: Action) -> list[Policy]:
        """The policies of the namespace and of the store that deny some of it."""
        return [one for place in self.places for one in place.denials if self._concerns(one, action)]

    def redactions(self) -> list[Policy]:
        """The policies that put stand-ins into what it reads."""
        return [one for place in self.places for one in place.redactions if self._concerns(one, Action.READ)]

    def limits(self, action: Action) -> Iterator[tuple[str, Policy]]:
        """The limits that count it, each with the namespace that set it."""
        for home, place in zip((self.namespace, STORE), self.places, strict=True):
            for policy in place.limits:
                if self._concerns(policy, action):
                    yield home, policy

    def recorded(self, action: Action) -> bool:
        """Whether a rule demands that the audit entry is durable before there is an answer."""
        return any(self._concerns(one, action) for place in self.places for one in place.records)

    def why_not(self, policy: Policy, action: Action, cube: MemCube | None = None) -> str:
        """Why a policy does not apply; nothing where it does."""
        named = self.permitted if policy.effect is Effect.PERMIT else self.denied
        if policy.who and named.isdisjoint(policy.who):
            return f"it is for {_listed(policy.who)}"
        if not policy.in_force(self.of.now):
            return "its time has not come" if policy.starts and self.of.now < policy.starts else "its time is over"
        if policy.actions and action not in policy.actions:
            return f"it is about {_listed(one.value for one in policy.actions)}"
        if not holds(policy.when, self.context):
            return "the call is made in another context"
        if cube is not None and not matches(policy.what, cube):
            return "it is about other memories"
        return ""

    def _concerns(self, policy: Policy, action: Action) -> bool:
        named = self.permitted if policy.effect is Effect.PERMIT else self.denied
        return (not policy.who or not named.isdisjoint(policy.who)) and self._is_about(policy, action)

    def _is_about(self, policy: Policy, action: Action) -> bool:
        return (
            (not policy.actions or action in policy.actions)
            and policy.in_force(self.of.now)
            and holds(policy.when, self.context)
        )


def _standing(of: Circumstances, namespace: str) -> Standing:
    key = ("standing", of.caller, of.operation, namespace)
    return of.book.concluded(key, (namespace,), lambda: Standing(of, namespace))


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller may do in one namespace: with which memories, by which rules, and which rules narrow it."""

    where: Filter
    permits: tuple[str, ...] = ()
    denials: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """The rules in one word, for the audit log."""
        if self.where == NOTHING:
            return "+".join(self.denials) if self.permits and self.denials else "not-owner"
        return "+".join(self.permits)

    @property
    def reason(self) -> str:
        """The same in a sentence."""
        narrowed = f", less what {_listed(self.denials)} denies" if self.denials else ""
        return f"{_listed(self.permits)} permits it{narrowed}"


def verdict(of: Circumstances, namespace: str) -> Verdict:
    """What the rules say of one namespace, for the action and in the context of the call.

    Whoever changes a memory by its name sees it, so writing needs the right to read too. Managing is of a namespace as
    a whole, and never for somebody who is narrowed by a rule that managing could take away.
    """
    if of.powerful:
        return Verdict(where=EVERYTHING, permits=("steward" if of.caller.steward else "system",))
    return of.book.concluded(
        ("verdict", of.caller, of.action, of.operation, namespace), (namespace,), lambda: _judged(of, namespace)
    )


def _judged(of: Circumstances, namespace: str) -> Verdict:
    standing = Standing(of, namespace)
    if of.action is Action.MANAGE:
        return _managing(standing)
    found = _narrowed(standing, of.action)
    if of.action is Action.WRITE and found.where != NOTHING:
        read = _narrowed(standing, Action.READ)
        denials = tuple(dict.fromkeys((*found.denials, *read.denials)))
        found = msgspec.structs.replace(found, where=both(read.where, found.where), denials=denials)
    if found.where in (EVERYTHING, NOTHING):
        return found
    return msgspec.structs.replace(found, where=both(found.where, NO_MANIFEST))


def _narrowed(standing: Standing, action: Action) -> Verdict:
    """What permits the action, less what denies it."""
    permits = standing.permits(action)
    denials = standing.denials(action) if permits else []
    where = either(*(where for _, where in permits))
    if denials:
        where = both(where, negated(either(*(policy.what for policy in denials))))
    return Verdict(
        where=where, permits=tuple(name for name, _ in permits), denials=tuple(policy.name for policy in denials)
    )


def _managing(standing: Standing) -> Verdict:
    permits = tuple(name for name, _ in standing.permits(Action.MANAGE))
    barred = [policy.name for policy in standing.denials(Action.MANAGE) if policy.what == EVERYTHING]
    barred += [
        name
        for name, change in standing.places[0].changes.items()
        if isinstance(change.rule, Policy)
        and change.rule.effect in (Effect.DENY, Effect.REDACT)
        and not change.by_steward
        and not (standing.why_not(change.rule, Action.READ) and standing.why_not(change.rule, Action.WRITE))
    ]
    where = NOTHING if barred or not permits else EVERYTHING
    return Verdict(where=where, permits=permits, denials=tuple(dict.fromkeys(barred)))


class Considered(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that a decision looked at: whether it applies to the call, and why or why not."""

    namespace: str
    name: str
    effect: Effect
    applies: bool
    why: str


def considered(of: Circumstances, namespace: str, cube: MemCube | None = None) -> Iterator[Considered]:
    """Every rule of a namespace and of the store, with what it makes of the call, and of one memory if there is one."""
    standing = Standing(of, namespace)
    if standing.owns:
        yield Considered(
            namespace=namespace, name="owner", effect=Effect.PERMIT, applies=True, why="it is the caller's own"
        )
    for home, place in zip((namespace, STORE), standing.places, strict=True):
        for policy in place.policies:
            why = standing.why_not(policy, of.action, cube)
            yield Considered(
                namespace=home, name=policy.name, effect=policy.effect, applies=not why, why=why or "it applies"
            )


def reach(of: Circumstances) -> Reach | None:
    """Everything that the caller may read; None for all there is."""
    if of.powerful:
        return None
    own, reading = of.caller.namespace, of.doing(Action.READ)
    if of.book.is_empty:
        return Reach(tuple((name, EVERYTHING) for name in dict.fromkeys((own, GLOBAL))))
    named = dict.fromkeys((own, GLOBAL, *of.book.opened_to(_standing(reading, "").permitted)))

    def open_parts() -> Reach:
        parts = [(name, verdict(reading, name).where) for name in named]
        return Reach(tuple((name, where) for name, where in parts if where != NOTHING))

    return of.book.concluded(("reach", of.caller, of.operation), named, open_parts)


def decide(of: Circumstances, target: Target) -> Decision:
    """Whether the call may proceed, and how far; whatever no rule permits is denied (5.5.1: deny by default)."""
    if target.memory is not None and not target.namespaces:
        return Decision(allowed=False, rule="unknown", reason="no memory has this id")
    if of.powerful:
        rule = "steward" if of.caller.steward else "system"
        return Decision(allowed=True, rule=rule, reason=f"a {rule} may do everything", namespaces=target.namespaces)
    if target.readable:
        open_ = [name for name, _ in (reach(of) or Reach()).parts]
        if target.memory is None or set(target.namespaces or ()) <= set(open_):  # else the memory itself is refused
            return _decided(of, tuple(name for name in open_ if target.among is None or name in target.among))
    if target.stewardship or target.namespaces is None:
        return Decision(
            allowed=False, rule="steward-only", reason="this concerns the whole store; only its steward may do it"
        )
    return _decided(of, tuple(dict.fromkeys(target.namespaces)))


def redactions(of: Circumstances, namespace: str) -> list[Policy]:
    """The policies that put stand-ins into what the caller reads there (ADR 0030)."""
    return [] if of.powerful or of.book.is_empty else _standing(of, namespace).redactions()


def heard(of: Circumstances, decision: Decision) -> Decision:
    """A decision in the words that its caller may hear: of others' rules neither the names nor what they are about."""
    if of.powerful or all(_hears(of, name) for name in decision.namespaces or ()):
        return decision
    return msgspec.structs.replace(decision, rule="permitted", reason="a policy permits it", parts=())


def limits(of: Circumstances, namespaces: Iterable[str]) -> Iterator[tuple[str, Policy]]:
    """The limits that count this call, each with the namespace that set it, and each once."""
    if of.powerful or of.book.is_empty:
        return
    seen: set[tuple[str, str]] = set()
    for namespace in dict.fromkeys(namespaces):
        for home, policy in _standing(of, namespace).limits(of.action):
            if (home, policy.name) not in seen:
                seen.add((home, policy.name))
                yield home, policy


def is_recorded(of: Circumstances, namespaces: Iterable[str]) -> bool:
    """Whether a rule demands that the audit entry of the call is durable before there is an answer (12.11)."""
    return not of.book.is_empty and any(_standing(of, name).recorded(of.action) for name in dict.fromkeys(namespaces))


def _decided(of: Circumstances, namespaces: tuple[str, ...]) -> Decision:
    """Every namespace that the call names must be open to it, at least in part."""
    own = of.caller.namespace
    if of.book.is_empty and namespaces == (own,):  # the usual call, at once
        reason, parts = f"{own!r} is the caller's own", ((own, EVERYTHING),)
        return Decision(allowed=True, rule="owner", reason=reason, namespaces=namespaces, parts=parts)
    key = ("decision", of.caller, of.action, of.operation, namespaces)
    return of.book.concluded(key, (own, *namespaces), lambda: _weighed(of, namespaces))


def _weighed(of: Circumstances, namespaces: tuple[str, ...]) -> Decision:
    own = of.caller.namespace
    verdicts = {name: verdict(of, name) for name in namespaces}
    for name, found in verdicts.items():
        if found.where == NOTHING:
            reason = f"the caller may not {of.action.value} there; one's own is {own!r}"
            rule = found.rule if _hears(of, name) else "not-owner"
            return Decision(allowed=False, rule=rule, reason=reason)
    return Decision(
        allowed=True,
        rule="+".join(dict.fromkeys(one.rule for one in verdicts.values())) or "nothing-open",
        reason="; ".join(dict.fromkeys(one.reason for one in verdicts.values())),
        namespaces=namespaces,
        parts=tuple((name, one.where) for name, one in verdicts.items()),
    )


def _hears(of: Circumstances, namespace: str) -> bool:
    """Whether the caller may know the names of the rules of a namespace: it is its own, or it manages it."""
    return namespace == of.caller.namespace or verdict(of.doing(Action.MANAGE), namespace).where == EVERYTHING


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
