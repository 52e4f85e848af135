"""MemGovernance: whether a call may proceed, decided by pure rules over identity, object and context (5.5.1)."""

from __future__ import annotations

import msgspec

from pymemos.cube.call import Caller, Decision


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a call wants to reach: namespaces (None: all of them), or a memory that may not exist.

    ``memory`` tells that the namespaces are those of one memory that was named by its id; without any, the id is
    unknown. ``stewardship`` marks calls on the store as a whole.
    """

    namespaces: tuple[str, ...] | None = ()
    memory: bool = False
    stewardship: bool = False


def decide(caller: Caller, target: Target) -> Decision:
    """The rules so far, first match wins; whatever no rule allows is denied (5.5.1: deny by default)."""
    if target.memory and not target.namespaces:
        return Decision(allowed=False, rule="unknown", reason="no memory has this id")
    if caller.steward or caller.system:
        rule = "steward" if caller.steward else "system"
        return Decision(allowed=True, rule=rule, reason=f"a {rule} may do everything", namespaces=target.namespaces)
    if target.stewardship or target.namespaces is None:
        return Decision(
            allowed=False, rule="steward-only", reason="this concerns the whole store; only its steward may do it"
        )
    if all(name == caller.namespace for name in target.namespaces):
        return Decision(
            allowed=True, rule="owner", reason=f"{caller.namespace!r} is the caller's own", namespaces=target.namespaces
        )
    return Decision(allowed=False, rule="not-owner", reason=f"the caller owns {caller.namespace!r} alone")
