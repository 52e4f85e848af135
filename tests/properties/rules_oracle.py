"""The oracle of access: what ADR 0026 says, read naively, for one caller, one action and one memory at a time.

It shares the meaning of one filter with the system (``matches`` and ``holds``, the definition of every reading) and
nothing else: no index of rules, no condition put together from several, no query.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pymemos.cube.call import Caller
from pymemos.cube.cube import MemCube
from pymemos.cube.filters import EVERYTHING, NOTHING, Not, holds, matches
from pymemos.cube.policy import Policy, RoleGrant, RuleChange

STORE = "*"


class Oracle(NamedTuple):
    """What somebody may do by the rules of a log, at a time, with memories of which the current ones are known."""

    log: Sequence[RuleChange]
    caller: Caller
    operation: str
    now: datetime

    # Rules.

    def holding(self) -> dict[tuple[str, str], RuleChange]:
        """The last change of every rule that was not taken away."""
        last = {(line.namespace, line.name): line for line in self.log}
        return {place: line for place, line in last.items() if line.rule is not None}

    def policies(self, effect: str, *places: str) -> Iterator[RuleChange]:
        """The changes that set the policies of an effect, of some places."""
        for line in self.holding().values():
            if line.namespace in places and isinstance(line.rule, Policy) and line.rule.effect.value == effect:
                yield line

    def role(self, namespace: str) -> str | None:
        """The role that the caller has there: one that was ever given has to be held, others are personas at home."""
        wanted, own = self.caller.role, self.own
        given = [line.rule for line in self.log if isinstance(line.rule, RoleGrant) and line.rule.role == wanted]
        if given:
            grants = [line.rule for line in self.holding().values() if isinstance(line.rule, RoleGrant)]
            is_held = any(
                grant.role == wanted and grant.to == own and (grant.expires is None or self.now < grant.expires)
                for grant in grants
            )
            return wanted if is_held else None
        return wanted if namespace == own else None

    @property
    def own(self) -> str:
        """The namespace that is the caller's."""
        if self.caller.user:
            return f"users/{self.caller.user}"
        return f"agents/{self.caller.agent}" if self.caller.agent else "default"

    def speaks(self, policy: Policy, action: str, namespace: str) -> bool:
        """Whether a policy is about such a call."""
        names = {"everyone", self.own}
        if self.role(namespace):
            names.add(f"roles/{self.role(namespace)}")
        if policy.effect.value != "permit":  # a denial hears every name
            names |= {f"roles/{self.caller.role}", f"agents/{self.caller.agent}"}
        if policy.who and not names & set(policy.who):
            return False
        if policy.actions and action not in [one.value for one in policy.actions]:
            return False
        if policy.starts is not None and self.now < policy.starts:
            return False
        if policy.expires is not None and self.now >= policy.expires:
            return False
        return holds(policy.when, self.context(namespace))

    def context(self, namespace: str) -> dict[str, Any]:
        """What a ``when`` may ask about."""
        now, caller = self.now, self.caller
        return {
            "agent": caller.agent,
            "session": caller.session,
            "role": self.role(namespace),
            "task": caller.task,
            "purpose": caller.purpose,
            "model": caller.model,
            "operation": self.operation,
            "at": now,
            "hour": now.hour + now.minute / 60 + now.second / 3600,
            "weekday": now.weekday() + 1,
        }

    # Memories.

    def may(self, action: str, cube: MemCube) -> bool:
        """Whether the caller may do it with a memory, what that was made from apart; changing takes reading.

        The manifest of a conversation is for those whom nothing narrows.
        """
        actions = ("write", "read") if action == "write" else (action,)
        if cube.is_episode and not all(self.is_whole(one, cube.namespace) for one in actions):
            return False
        return all(self._may(one, cube) for one in actions)

    def _may(self, action: str, cube: MemCube) -> bool:
        home = cube.namespace
        permitted = home == self.own or (home == "global" and action == "read")
        for line in self.policies("permit", home):
            permitted |= self.speaks(line.rule, action, home) and matches(line.rule.what, cube)
        for line in self.policies("deny", home, STORE):
            if self.speaks(line.rule, action, home) and matches(line.rule.what, cube):
                return False
        return permitted

    def may_manage(self, namespace: str) -> bool:
        """Whether the caller may set rules there."""
        permits = [line for line in self.policies("permit", namespace) if self.speaks(line.rule, "manage", namespace)]
        if namespace != self.own and not permits:
            return False
        for line in self.policies("deny", namespace, STORE):
            if line.rule.what == EVERYTHING and self.speaks(line.rule, "manage", namespace):
                return False
        return not any(
            self.speaks(line.rule, action, namespace)
            for line in self.policies("deny", namespace)
            if not line.author.startswith("steward(")
            for action in ("read", "write")
        )

    def is_whole(self, action: str, namespace: str) -> bool:
        """Whether the caller may do it with everything there, and no condition narrows that."""
        allows = namespace == self.own or (namespace == "global" and action == "read")
        allows = allows or any(
            line.rule.what == EVERYTHING and self.speaks(line.rule, action, namespace)
            for line in self.policies("permit", namespace)
        )
        denials = [
            line.rule
            for line in self.policies("deny", namespace, STORE)
            if self.speaks(line.rule, action, namespace) and not _says_nothing(line.rule)
        ]
        return allows and not denials

    def open(self, cube: MemCube, current: Mapping[str, MemCube], homes: Mapping[str, str]) -> bool:
        """Whether everything that a memory was made from may be read, through all generations.

        ``homes`` says where every memory lives or lived. A source that is not current is judged by its place, for what
        is gone satisfies no condition.
        """
        seen: set[tuple[str, str]] = set()

        def climb(one: MemCube) -> bool:
            for pin in one.parents:
                place = (one.namespace, pin.id)
                if place in seen:
                    continue
                seen.add(place)
                source = current.get(pin.id)
                if source is None:
                    if not self.is_whole("read", homes.get(pin.id, one.namespace)):
                        return False
                elif not self.may("read", source) or not climb(source):
                    return False
            return True

        return climb(cube)

    def reads(self, cube: MemCube, current: Mapping[str, MemCube], homes: Mapping[str, str]) -> bool:
        """Whether the caller may read a memory."""
        return self.may("read", cube) and self.open(cube, current, homes)


def _says_nothing(policy: Policy) -> bool:
    """A denial of what nothing satisfies, as it is written without a word."""
    return policy.what in (NOTHING, Not(EVERYTHING))
