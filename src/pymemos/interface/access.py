"""Access rules behind the door: set, taken away, read, reported and explained (5.5.1, ADR 0026)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from pymemos.cube.call import Caller, MemoryCall, Request
from pymemos.cube.filters import Compare
from pymemos.cube.policy import (
    STORE,
    Action,
    Effect,
    Policy,
    RoleGrant,
    Rule,
    RuleChange,
    check_kept,
    rule_values,
    with_before,
)
from pymemos.errors import InvalidInput, NotAllowed, UnknownMemory
from pymemos.infrastructure import governance
from pymemos.infrastructure.governance import Circumstances, Considered, Target
from pymemos.infrastructure.policies import role_rule
from pymemos.interface.api import Handler, Outcome, Work
from pymemos.interface.rights import is_open, last_version
from pymemos.interface.transfer import OnStore
from pymemos.interface.versions import memory_target
from pymemos.ports import ReadUnit


class SetPolicy(Request, frozen=True, kw_only=True, tag="set_access_policy"):
    """Set a policy of the namespace that the call is in; one of that name is replaced."""

    policy: Policy


class SetStorePolicy(SetPolicy, frozen=True, kw_only=True, tag="set_store_policy"):
    """Set a policy that holds in every namespace."""


class Share(Request, frozen=True, kw_only=True, tag="share"):
    """Set a permission for one memory, where that lives."""

    id: str
    policy: Policy


class Unset(Request, frozen=True, kw_only=True, tag="remove_access_policy"):
    """Take a policy away."""

    name: str


class UnsetStorePolicy(Unset, frozen=True, kw_only=True, tag="remove_store_policy"):
    """Take away a policy that holds in every namespace."""


class GiveRole(Request, frozen=True, kw_only=True, tag="assign_role"):
    """Give a role to somebody."""

    grant: RoleGrant


class TakeRole(Request, frozen=True, kw_only=True, tag="withdraw_role"):
    """Take a role from somebody."""

    role: str
    to: str


class ReadRules(Request, frozen=True, kw_only=True, tag="access_policies"):
    """Read the rules that hold."""


class Report(Request, frozen=True, kw_only=True, tag="access_report"):
    """Read every change of the rules in a time, and what holds now."""

    since: datetime | None = None
    until: datetime | None = None


class Why(Request, frozen=True, kw_only=True, tag="why"):
    """Explain what somebody may do with a memory, or in the namespace that the call is in."""

    subject: Caller
    action: Action
    id: str | None = None


class AccessReport(msgspec.Struct, frozen=True, kw_only=True):
    """Who may do what, and how that came about: the rules that hold, and every change, oldest first.

    A change names the rule as it is from then on, ``rule`` None where it was taken away, and ``before`` what it
    replaced.
    """

    at: datetime
    holding: tuple[RuleChange, ...]
    changes: tuple[tuple[RuleChange, Rule | None], ...]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why somebody may, or may not, do something: the decision, and each rule that was considered."""

    allowed: bool
    action: Action
    rule: str
    reason: str
    considered: tuple[Considered, ...] = ()

    def __str__(self) -> str:
        verb = "may" if self.allowed else "may not"
        lines = [f"{verb} {self.action.value}: {self.reason} (rule {self.rule!r})"]
        marks = {True: "✓", False: "·"}
        lines += [f"  {marks[one.applies]} {one.effect.value} {one.name!r}: {one.why}" for one in self.considered]
        return "\n".join(lines)


class SetPolicyHandler(Handler):
    """Whoever manages a namespace; a rule that the steward set there is the steward's to change."""

    changes = True
    action = Action.MANAGE

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: SetPolicy = work.call.request  # type: ignore[assignment]
        return _put(work, work.call.scope.namespace or STORE, request.policy.name, request.policy)


class SetStorePolicyHandler(OnStore):
    """The steward alone. A permission opens a namespace, so it is set there."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: SetStorePolicy = work.call.request  # type: ignore[assignment]
        if request.policy.effect is Effect.PERMIT:
            raise InvalidInput("a permission opens one namespace; name it instead of '*'")
        return _put(work, STORE, request.policy.name, request.policy)


class ShareHandler(Handler):
    """A permission for one memory is a policy of the namespace that it lives in."""

    changes = True
    action = Action.MANAGE

    def target(self, call: MemoryCall, unit: ReadUnit) -> Target:
        request: Share = call.request  # type: ignore[assignment]
        return memory_target(request.id, unit)

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Share = work.call.request  # type: ignore[assignment]
        [namespace] = work.decision.namespaces or ()
        policy = msgspec.structs.replace(request.policy, what=Compare("id", "eq", request.id))
        outcome = _put(work, namespace, policy.name, policy)
        return msgspec.structs.replace(outcome, memories=(request.id,))


class UnsetHandler(SetPolicyHandler):
    """What is taken away stays in the log."""

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Unset = work.call.request  # type: ignore[assignment]
        return _put(work, work.call.scope.namespace or STORE, request.name, None)


class UnsetStorePolicyHandler(OnStore):
    """The steward alone."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: UnsetStorePolicy = work.call.request  # type: ignore[assignment]
        return _put(work, STORE, request.name, None)


class GiveRoleHandler(OnStore):
    """The steward alone: from then on only those who hold the role can take it on."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: GiveRole = work.call.request  # type: ignore[assignment]
        return _put(work, STORE, request.grant.name, request.grant)


class TakeRoleHandler(OnStore):
    """The steward alone."""

    changes = True

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: TakeRole = work.call.request  # type: ignore[assignment]
        return _put(work, STORE, role_rule(request.role, request.to), None)


class ReadRulesHandler(Handler):
    """Those of the namespaces that the caller manages, and of the store for its steward."""

    action = Action.MANAGE

    def run(self, work: Work, prepared: Any) -> Outcome:
        return Outcome(result=work.of.book.within(work.decision.namespaces))


class ReportHandler(Handler):
    """Of the namespaces that the caller manages; the steward's is of the whole store."""

    action = Action.MANAGE

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Report = work.call.request  # type: ignore[assignment]
        changes = tuple(
            (change, before)
            for change, before in with_before(work.unit.rule_changes())
            if _is_within(work, change.namespace)
            and (request.since is None or request.since <= change.at)
            and (request.until is None or change.at < request.until)
        )
        holding = work.of.book.within(work.decision.namespaces)
        return Outcome(result=AccessReport(at=work.now, holding=holding, changes=changes))


class WhyHandler(Handler):
    """Everybody may ask for themselves; the rules are shown to those who manage the namespace, and to the steward."""

    def target(self, call: MemoryCall, unit: ReadUnit) -> Target:
        request: Why = call.request  # type: ignore[assignment]
        target = super().target(call, unit) if request.id is None else memory_target(request.id, unit)
        # Whether the caller may do it is what is asked, so asking takes no right; the answer says no more than it may.
        return target if call.caller.steward else Target(namespaces=(call.caller.namespace,))

    def run(self, work: Work, prepared: Any) -> Outcome:
        request: Why = work.call.request  # type: ignore[assignment]
        of = msgspec.structs.replace(work.of, caller=request.subject, action=request.action)
        asked = super().target(work.call, work.unit)
        if request.id is not None:
            asked = memory_target(request.id, work.unit)
        explanation = _explained(work, of, asked)
        homes = asked.namespaces or ()  # none where the id is unknown: then nobody but the steward learns even that
        may_know = work.call.caller.steward or (bool(homes) and all(_manages(work, name) for name in homes))
        if request.id is not None and not may_know and not _explained(work, of.doing(Action.READ), asked).allowed:
            raise UnknownMemory()
        if not may_know:
            explanation = _answer(explanation)
        return Outcome(result=explanation, memories=() if request.id is None else (request.id,))


def _explained(work: Work, of: Circumstances, target: Target) -> Explanation:
    decision = governance.decide(of, target)
    allowed, rule, reason = decision.allowed, decision.rule, decision.reason
    cube = last_version(work.unit, target.memory) if target.memory is not None and target.namespaces else None
    if allowed and cube is not None and not of.powerful:
        if not decision.admits(cube):
            allowed, reason = False, "a rule leaves this memory out"
        elif not is_open(work.unit, of, cube):
            allowed, rule, reason = False, "sources", "it was made from something that the caller may not read"
    considered = [one for name in target.namespaces or () for one in governance.considered(of, name, cube)]
    return Explanation(allowed=allowed, action=of.action, rule=rule, reason=reason, considered=tuple(considered))


def _answer(explained: Explanation) -> Explanation:
    """No more than the answer: the names of rules are for those who manage them."""
    rule, reason = explained.rule, explained.reason
    if explained.allowed and rule != "owner":
        rule, reason = "permitted", "a policy permits it"
    elif rule not in ("owner", "not-owner", "sources"):
        rule = "not-permitted"
    return msgspec.structs.replace(explained, rule=rule, reason=reason, considered=())


def _manages(work: Work, namespace: str) -> bool:
    return governance.decide(work.of.doing(Action.MANAGE), Target(namespaces=(namespace,))).allowed


def _put(work: Work, namespace: str, name: str, rule: Rule | None) -> Outcome:
    """Write one line of the log; what the steward set somebody else may not change."""
    if rule is not None:
        check_kept(rule)
    held = work.of.book.held(namespace, name)
    if rule is None and held is None:
        raise InvalidInput(f"there is no rule {name!r} in {namespace!r}; 'pymemos access list' shows which there are")
    if held is not None and held.by_steward and not work.of.powerful:
        raise NotAllowed(f"the rule {name!r} of {namespace!r} was set by the steward, who alone can change it")
    change = RuleChange(
        id=work.tools.new_id(work.now),
        namespace=namespace,
        name=name,
        at=work.now,
        author=work.call.caller.name,
        rule=rule,
    )
    return Outcome(result=work.unit.put_rule(change))


def _is_within(work: Work, namespace: str) -> bool:
    reach = work.decision.namespaces
    return reach is None or namespace in reach


def change_values(change: RuleChange, before: Rule | None = None) -> dict[str, Any]:
    """A change as JSON values, for reports."""
    return {
        "entry": change.entry,
        "at": change.at,
        "author": change.author,
        "namespace": change.namespace,
        "name": change.name,
        "before": None if before is None else rule_values(before),
        "rule": None if change.rule is None else rule_values(change.rule),
    }


HANDLERS: dict[type[Request], Handler] = {
    SetPolicy: SetPolicyHandler(),
    SetStorePolicy: SetStorePolicyHandler(),
    Share: ShareHandler(),
    Unset: UnsetHandler(),
    UnsetStorePolicy: UnsetStorePolicyHandler(),
    GiveRole: GiveRoleHandler(),
    TakeRole: TakeRoleHandler(),
    ReadRules: ReadRulesHandler(),
    Report: ReportHandler(),
    Why: WhyHandler(),
}
