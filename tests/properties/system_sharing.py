"""What others may see: rules of access set, replaced and taken away, and roles given, while memories live."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from tests.properties.rules_kit import a_line
from tests.properties.system_machine import HOUR, NOWHERE, STEWARD, TEAM, System, users, which
from tests.properties.system_model import Memory

from pymemos.cube.call import Caller
from pymemos.cube.filters import Compare
from pymemos.cube.policy import STORE, Policy, RoleGrant, parse_rule
from pymemos.errors import InvalidInput, NotAllowed
from pymemos.infrastructure.policies import role_rule

setters = st.sampled_from([STEWARD, Caller(user="ana"), Caller(user="ana", role="parent"), Caller(user="bo")])
places = st.sampled_from(["users/ana", "users/ana", "users/bo", TEAM])
names = st.sampled_from(["one", "two", "three"])
FOOD, NOT_WORK = {"tags": "food"}, {"NOT": {"tags": "work"}}
POLICIES: list[dict[str, Any]] = [
    {"who": ["users/bo"], "actions": ["read"]},
    {"who": ["users/bo"], "actions": ["read", "write"]},
    {"who": ["users/ana", "users/bo"], "actions": ["read", "write"]},
    {"who": ["users/bo", "users/eve"], "actions": ["read"], "what": FOOD},
    {"who": ["everyone"], "actions": ["read", "write"], "what": NOT_WORK},
    {"who": ["roles/cook"], "actions": ["read"], "what": FOOD},
    {"actions": ["read"], "when": {"task": "review"}},
    {"who": ["users/bo"], "actions": ["manage"]},
    {"effect": "deny", "what": {"tags": "work"}, "when": {"role": "parent"}},
    {"effect": "deny", "who": ["users/bo"], "what": {"tags": "work"}},
    {"effect": "deny", "actions": ["write"], "what": {"frozen": True}},
    {"effect": "deny", "who": ["users/eve"], "actions": ["read"]},
]
DENIALS: list[dict[str, Any]] = [
    {"effect": "deny", "what": {"tags": "work"}, "when": {"NOT": {"role": "cook"}}},
    {"effect": "deny", "actions": ["write"], "who": ["users/bo"], "what": FOOD},
    {"effect": "deny", "who": ["users/eve"]},
]


class Sharing(System):
    """The rules of access."""

    @rule(caller=setters, place=places, name=names, raw=st.sampled_from(POLICIES), ends=st.sampled_from([None, HOUR]))
    def set_policy(self, caller: Caller, place: str, name: str, raw: dict[str, Any], ends: Any) -> None:
        handle, oracle = self.begin(caller, "set_access_policy")
        given = raw if ends is None else raw | {"expires": (self.now + ends).isoformat()}
        refusals = self._may_set(oracle, place, name)
        if self.attempt(lambda: handle.set_access_policy(name, given, namespace=place), refusals) is not None:
            self._note(place, name, parse_rule(given, name), caller)

    @rule(caller=setters, place=places, name=names)
    def remove_policy(self, caller: Caller, place: str, name: str) -> None:
        handle, oracle = self.begin(caller, "remove_access_policy")
        refusals = self._may_set(oracle, place, name)
        is_held = (place, name) in oracle.holding()
        if not is_held:
            refusals |= {InvalidInput}
        self.attempt(lambda: handle.remove_access_policy(name, namespace=place), refusals)
        if not refusals:
            self._note(place, name, None, caller)

    @rule(caller=users, pick=which, write=st.booleans())
    def share(self, caller: Caller, pick: int, write: bool) -> None:
        handle, oracle = self.begin(caller, "share")
        id, name = self.id_of(pick), "one"
        one = self.model.memories.get(id)
        refusals = self._may_share(oracle, one)
        if one is not None:
            refusals |= self._held_by_steward(oracle, one.home, name)
        policy = self.attempt(lambda: handle.share(id, to="users/bo", write=write, name=name), refusals)
        if policy is not None and one is not None:
            assert policy.what == Compare("id", "eq", id)
            self._note(one.home, name, policy, caller)

    @rule(name=names, raw=st.sampled_from(DENIALS), gone=st.sampled_from([False, False, True]))
    def set_store_policy(self, name: str, raw: dict[str, Any], gone: bool) -> None:
        handle, oracle = self.begin(STEWARD, "set_store_policy")
        if not gone:
            handle.set_access_policy(name, raw, namespace=STORE)
        elif (STORE, name) in oracle.holding():
            handle.unshare(name, namespace=STORE)
        else:
            return
        self._note(STORE, name, None if gone else parse_rule(raw, name), STEWARD)

    @rule(to=st.sampled_from(["users/bo", "users/eve"]), gone=st.booleans())
    def give_role(self, to: str, gone: bool) -> None:
        handle, oracle = self.begin(STEWARD, "assign_role")
        name = role_rule("cook", to)
        if not gone:
            self._note(STORE, name, handle.assign_role("cook", to), STEWARD)
        elif (STORE, name) in oracle.holding():
            handle.withdraw_role("cook", to)
            self._note(STORE, name, None, STEWARD)

    def _may_share(self, oracle: Any, one: Memory | None) -> frozenset[type[Exception]]:
        """Whoever shares a memory by its id manages the place and reads the memory."""
        refusals = self.model.refusals(oracle, "read", NOWHERE if one is None else one.id)
        return refusals or (frozenset() if one and oracle.may_manage(one.home) else frozenset({NotAllowed}))

    def _may_set(self, oracle: Any, place: str, name: str) -> frozenset[type[Exception]]:
        if oracle.caller.steward:
            return frozenset()
        manages = oracle.may_manage(place)
        return (frozenset() if manages else frozenset({NotAllowed})) | self._held_by_steward(oracle, place, name)

    def _held_by_steward(self, oracle: Any, place: str, name: str) -> frozenset[type[Exception]]:
        held = oracle.holding().get((place, name))
        theirs = held is not None and held.author.startswith("steward(") and not oracle.caller.steward
        return frozenset({NotAllowed}) if theirs else frozenset()

    def _note(self, place: str, name: str, rule: Policy | RoleGrant | None, caller: Caller) -> None:
        self.model.log.append(a_line(self.model.log, place, name, rule, caller.name))
