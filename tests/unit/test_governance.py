"""The rules of the door, as pure decisions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pymemos.cube.call import Caller
from pymemos.cube.policy import STORE, Action, Effect, Policy, RuleChange, parse_when
from pymemos.infrastructure.governance import Circumstances, Target, decide
from pymemos.infrastructure.policies import NO_RULES
from pymemos.testing.builders import a_cube
from pymemos.testing.doubles import WHEN

HOUR = timedelta(hours=1)
ANN = Caller(user="ann")
STEWARD = Caller(steward=True)
SYSTEM = Caller(system=True, user="ann")


@pytest.mark.parametrize(
    ("caller", "target", "allowed", "rule"),
    [
        (ANN, Target(namespaces=("users/ann",)), True, "owner"),
        (ANN, Target(namespaces=("users/bo",)), False, "not-owner"),
        (ANN, Target(namespaces=("users/ann", "users/bo")), False, "not-owner"),
        (ANN, Target(namespaces=None), False, "steward-only"),
        (ANN, Target(namespaces=("users/ann",), stewardship=True), False, "steward-only"),
        (ANN, Target(memory="m"), False, "unknown"),
        (STEWARD, Target(namespaces=("users/bo",)), True, "steward"),
        (STEWARD, Target(namespaces=None, stewardship=True), True, "steward"),
        (STEWARD, Target(memory="m"), False, "unknown"),
        (SYSTEM, Target(namespaces=None, stewardship=True), True, "system"),
        (Caller(), Target(namespaces=("default",)), True, "owner"),
        (Caller(agent="ann"), Target(namespaces=("users/ann",)), False, "not-owner"),
    ],
)
def test_a_decision_names_its_rule_and_reason(caller: Caller, target: Target, allowed: bool, rule: str) -> None:
    decision = decide(Circumstances(caller=caller, now=WHEN), target)

    assert (decision.allowed, decision.rule) == (allowed, rule)
    assert decision.reason
    assert (decision.namespaces == target.namespaces) or not allowed


def test_a_steward_who_acts_for_somebody_is_no_steward_any_more() -> None:
    assert not STEWARD.narrow(user="ann").steward
    assert STEWARD.narrow(session="s").steward


@pytest.mark.parametrize(
    ("caller", "target", "reach"),
    [
        (ANN, Target(readable=True), ("users/ann", "global")),
        (ANN, Target(readable=True, among=("users/bo", "users/ann")), ("users/ann",)),
        (ANN, Target(readable=True, among=("users/bo",)), ()),
        (ANN, Target(readable=True, among=("users/bo", "global"), memory="v", namespaces=("global",)), ("global",)),
        (ANN, Target(readable=True, among=("users/ann",), memory="v", namespaces=("users/bo",)), None),
        (ANN, Target(readable=True, among=("users/ann",), memory="v"), None),
    ],
)
def test_what_is_closed_is_left_out_and_a_memory_that_is_closed_is_refused(
    caller: Caller, target: Target, reach: tuple[str, ...] | None
) -> None:
    decision = decide(Circumstances(caller=caller, now=WHEN), target)

    assert (decision.namespaces if decision.allowed else None) == reach


def test_a_decision_that_reaches_no_namespace_admits_nothing() -> None:
    """As of somebody from whom the steward took every right, and who asks for all that may be read."""
    nothing = Policy(name="out", effect=Effect.DENY)
    line = RuleChange(id="r", namespace=STORE, name="out", at=WHEN, author="steward(default)", rule=nothing, entry=1)

    decision = decide(Circumstances(caller=ANN, book=NO_RULES.after([line]), now=WHEN), Target(readable=True))

    assert (True, ()) == (decision.allowed, decision.namespaces)
    assert not decision.admits(a_cube(namespace="users/ann"))


@pytest.mark.parametrize("when", [{"expires": WHEN + HOUR}, {"when": parse_when({"at": {"lt": WHEN + HOUR}})}])
def test_what_was_concluded_is_not_believed_once_a_rule_has_ended(when: dict[str, Any]) -> None:
    opened = Policy(name="for an hour", who=("users/ann",), actions=(Action.READ,), **when)
    line = RuleChange(id="r", namespace="users/bo", name=opened.name, at=WHEN, author="bo", rule=opened, entry=1)
    book, target = NO_RULES.after([line]), Target(namespaces=("users/bo",))

    at_once = [decide(Circumstances(caller=ANN, book=book, now=WHEN), target).allowed for _ in range(2)]
    later = decide(Circumstances(caller=ANN, book=book, now=WHEN + 2 * HOUR), target).allowed

    assert (at_once, later) == ([True, True], False)


def test_what_was_concluded_goes_by_the_caller_and_by_the_context() -> None:
    physicians = Policy(name="p", actions=(Action.READ,), when=parse_when({"task": "rounds"}))
    line = RuleChange(id="r", namespace="users/bo", name="p", at=WHEN, author="bo", rule=physicians, entry=1)
    book, target = NO_RULES.after([line]), Target(namespaces=("users/bo",))
    callers = [ANN, ANN.narrow(task="rounds"), Caller(user="cy"), ANN.narrow(task="rounds"), ANN]

    allowed = [decide(Circumstances(caller=caller, book=book, now=WHEN), target).allowed for caller in callers]
    writing = Circumstances(caller=ANN.narrow(task="rounds"), action=Action.WRITE, book=book, now=WHEN)

    assert allowed == [False, True, False, True, False]
    assert not decide(writing, target).allowed
