"""Access: who may do what with which memories: sharing, policies, roles, reports and explanations (5.5.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymemos.cube.call import Caller, Scope
from pymemos.cube.policy import (
    PRIVACY,
    STORE,
    Action,
    Policy,
    PrivacyRule,
    RoleGrant,
    RuleChange,
    check_holder,
    check_namespace,
    check_principal,
    parse_rule,
)
from pymemos.cube.wire import digest
from pymemos.errors import EmptyScope, InvalidInput
from pymemos.facade.handle import Handle
from pymemos.infrastructure.policies import role_rule
from pymemos.interface import access
from pymemos.interface.access import AccessReport, Explanation
from pymemos.interface.arguments import (
    When,
    check_id,
    check_member,
    check_name,
    check_names,
    optional_id,
    optional_time,
)

TITLE_LIMIT = 200  # characters of a name that is made of what is shared with whom


class Access(Handle):
    """The methods that set, read and explain access rules."""

    def share(
        self,
        id: str | None = None,
        *,
        to: str | Sequence[str],
        write: bool = False,
        filters: Mapping[str, Any] | None = None,
        when: Mapping[str, Any] | None = None,
        expires: When | None = None,
        note: str = "",
        name: str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        namespace: str | None = None,
    ) -> Policy:
        """Let others read (with ``write`` also change) one memory, those that ``filters`` select, or a whole namespace.

        ``to`` names principals: ``users/bo``, ``agents/planner``, ``roles/physician``, ``everyone``. ``when`` bounds it
        to a context, such as ``{"task": "travel"}``. The same sharing again replaces the first; ``unshare`` takes it
        away by the name of the policy that comes back.
        """
        named = _principals(to)
        actions = ["read", "write"] if write else ["read"]
        wanted = {
            "who": named,
            "actions": actions,
            "what": filters,
            "when": when,
            "expires": expires,
            "note": note,
        }
        title = name or _title(named, actions, id, filters, when)
        policy = _policy({field: value for field, value in wanted.items() if value}, title)
        if id is None:
            return self._set(self._place(user_id, agent_id, namespace), policy)
        if filters is not None or namespace is not None:
            raise InvalidInput("share one memory by its id, or several by filters; an id says already where it lives")
        change: RuleChange = self._dispatch(self._bind(user_id, agent_id), access.Share(id=check_id(id), policy=policy))
        return _of(change)

    def unshare(
        self, name: str, *, user_id: str | None = None, agent_id: str | None = None, namespace: str | None = None
    ) -> None:
        """Take a sharing or another policy away; from the next call on nobody reads anything by it."""
        self.remove_access_policy(name, user_id=user_id, agent_id=agent_id, namespace=namespace)

    def set_access_policy(
        self,
        name: str,
        policy: Mapping[str, Any],
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        namespace: str | None = None,
    ) -> Policy:
        """Set a policy of a namespace, or of the whole store (``namespace="*"``, the steward alone).

        A policy is an object such as ``{"effect": "deny", "actions": ["read"], "what": {"tags": "work"}, "when":
        {"NOT": {"role": "manager"}}}``; docs/how-to/share-and-protect.md has them all. One of that name is replaced.
        """
        return self._set(self._place(user_id, agent_id, namespace), _policy(policy, check_name(name, "name")))

    def remove_access_policy(
        self, name: str, *, user_id: str | None = None, agent_id: str | None = None, namespace: str | None = None
    ) -> None:
        """Take a policy away; the log keeps that it was there."""
        who, scope = self._place(user_id, agent_id, namespace)
        wanted = check_name(name, "name")
        if scope.namespace == STORE:
            self._dispatch((who, scope), access.UnsetStorePolicy(name=wanted))
        else:
            self._dispatch((who, scope), access.Unset(name=wanted))

    def access_policies(
        self, *, user_id: str | None = None, agent_id: str | None = None, namespace: str | None = None
    ) -> Sequence[RuleChange]:
        """The rules that hold in a namespace, each with who set it when; for a steward who names none, all rules."""
        found: Sequence[RuleChange] = self._dispatch(self._managed(user_id, agent_id, namespace), access.ReadRules())
        return found

    def assign_role(self, role: str, to: str, *, expires: When | None = None, note: str = "") -> RoleGrant:
        """Give a role to somebody (``users/ana``); the steward alone.

        From the first time that a role is given to anybody, only those who hold it can take it on with ``role=``.
        """
        given = {"role": check_name(role, "role"), "to": check_holder(to), "expires": expires, "note": note}
        grant = parse_rule({name: value for name, value in given.items() if value}, role_rule(role, to))
        assert isinstance(grant, RoleGrant)  # noqa: S101 (it names a role)
        self._dispatch((self._caller, Scope(namespace=None)), access.GiveRole(grant=grant))
        return grant

    def withdraw_role(self, role: str, to: str) -> None:
        """Take a role from somebody; the steward alone."""
        request = access.TakeRole(role=check_name(role, "role"), to=check_principal(to))
        self._dispatch((self._caller, Scope(namespace=None)), request)

    def access_report(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        namespace: str | None = None,
        since: When | None = None,
        until: When | None = None,
    ) -> AccessReport:
        """The rules that hold, and every change of them with its author: of a namespace, or for a steward of all."""
        request = access.Report(since=optional_time(since, "since"), until=optional_time(until, "until"))
        report: AccessReport = self._dispatch(self._managed(user_id, agent_id, namespace), request)
        return report

    def why(
        self,
        id: str | None = None,
        *,
        action: Action | str = Action.READ,
        user_id: str | None = None,
        agent_id: str | None = None,
        role: str | None = None,
        task: str | None = None,
        purpose: str | None = None,
        namespace: str | None = None,
    ) -> Explanation:
        """Why somebody may, or may not, do something with a memory or in a namespace; asking changes nothing.

        The steward learns it of everybody, an owner of each rule in what is theirs, and anybody else no more than the
        answer itself.
        """
        if id is None and namespace is None:
            raise EmptyScope("why asks about a memory or a namespace; name an id, or a namespace such as users/bo")
        subject, _ = self._bind(user_id, agent_id, None, None, role, task, None, purpose)
        request = access.Why(subject=subject, action=check_member(Action, action, "action"), id=optional_id(id, "id"))
        asking = self._caller if self._caller.steward else subject
        scope = Scope(namespace=subject.namespace if namespace is None else check_namespace(check_id(namespace)))
        explanation: Explanation = self._dispatch((asking, scope), request)
        return explanation

    def _set(self, place: tuple[Caller, Scope], policy: Policy) -> Policy:
        request = access.SetStorePolicy if place[1].namespace == STORE else access.SetPolicy
        change: RuleChange = self._dispatch(place, request(policy=policy))
        return _of(change)

    def _place(self, user_id: str | None, agent_id: str | None, namespace: str | None) -> tuple[Caller, Scope]:
        """Who sets a rule, and where: in one's own namespace unless another is named."""
        caller, scope = self._bind(user_id, agent_id)
        if namespace is None:
            return caller, Scope(namespace=scope.namespace)
        return caller, Scope(namespace=STORE if namespace == STORE else check_namespace(check_id(namespace)))

    def _managed(self, user_id: str | None, agent_id: str | None, namespace: str | None) -> tuple[Caller, Scope]:
        if namespace is not None:
            return self._place(user_id, agent_id, namespace)
        return self._everywhere(user_id, agent_id)


def _principals(to: str | Sequence[str]) -> list[str]:
    """Whom a sharing is for; nobody named would be everybody, which has to be said."""
    named = [to] if isinstance(to, str) else list(check_names(to, "to"))
    if not named:
        raise InvalidInput("to names nobody; pass users/NAME, agents/NAME or roles/NAME, or everyone")
    return named


def _policy(raw: Mapping[str, Any], name: str) -> Policy:
    if not isinstance(raw, Mapping):
        raise InvalidInput(f"a policy is an object such as {{'effect': 'deny', 'actions': ['read']}}, not {raw!r}")
    if name == PRIVACY:
        raise InvalidInput(f"{PRIVACY!r} is the name of another rule, which set_privacy_policy sets; take another name")
    rule = parse_rule({field: value for field, value in raw.items() if field != "name"}, name)
    if isinstance(rule, RoleGrant):
        raise InvalidInput("a role is given with assign_role, not with a policy")
    if isinstance(rule, PrivacyRule):
        raise InvalidInput("how personal data are handled is set with set_privacy_policy, not with an access policy")
    return rule


def _of(change: RuleChange) -> Policy:
    assert isinstance(change.rule, Policy)  # noqa: S101 (a policy was set)
    return change.rule


def _title(to: list[str], actions: list[str], id: str | None, filters: Any, when: Any) -> str:
    """A name for a sharing that is the same for the same sharing."""
    what = id or ("some memories" if filters else "everything")
    ends = [str(one) for one in (filters, when) if one]
    title = " ".join([*actions, what, "for", ", ".join(to), *ends])
    if len(title) <= TITLE_LIMIT:
        return title
    return f"{title[: TITLE_LIMIT - 20]}… {digest(title.encode())[:16]}"
