"""Probes: how an attacker calls every public method, known by reflection.

``PROBES`` has for each method the arguments of a call that is in order. Whatever a parameter can be aimed at is in
``AIMS``, and what it cannot in ``HARMLESS``; so a new method, or a new parameter, fails a test until it is looked at.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from tests.adversarial.world import MODEL, Place

from pymemos import MemOS
from pymemos.cube.payload import Activation

Arguments = Callable[[Place], dict[str, Any]]
PAIRS = [(f"Splendid, dear friend {number}.", f"meh {number}") for number in range(6)]
PERMIT = {"actions": ["read"], "who": ["users/bo"]}

METHODS = {name: method for name, method in inspect.getmembers(MemOS, inspect.isfunction) if not name.startswith("_")}

# The arguments of a call by Eve that is in order, or would be if she were the steward.
PROBES: dict[str, Arguments] = {
    "access_policies": lambda at: {},
    "access_report": lambda at: {},
    "activate": lambda at: {"id": at.own},
    "add": lambda at: {"content": "Eve likes tea."},
    "annotate": lambda at: {"id": at.own, "note": "heard"},
    "append": lambda at: {"id": at.own, "content": "And coffee."},
    "archive": lambda at: {"id": at.own},
    "assign_role": lambda at: {"role": "physician", "to": "users/eve"},
    "audit_export": lambda at: {"what": "access"},
    "audit_head": lambda at: {},
    "audit_verify": lambda at: {},
    "backup": lambda at: {"target": at.folder / "copy.db"},
    "bind": lambda at: {},
    "chat": lambda at: {"messages": "What is there of passwords, illness and tea?"},
    "close": lambda at: {},
    "control_job": lambda at: {"id": at.job, "action": "cancel"},
    "delete": lambda at: {"filters": {"tags": "nothing has this"}},
    "diff": lambda at: {"id": at.own, "a": 1, "b": 2},
    "detect": lambda at: {"text": "Write to eve@example.org."},
    "doctor": lambda at: {},
    "enqueue": lambda at: {"kind": "note"},
    "erase": lambda at: {"filters": {"tags": "nothing has this"}},
    "erase_backup": lambda at: {"file": at.folder / "copy.db", "id": at.own},
    "export_lines": lambda at: {},
    "freeze": lambda at: {"id": at.own},
    "get": lambda at: {"id": at.own},
    "history": lambda at: {"id": at.own},
    "import_from": lambda at: {"path": _notes(at), "kind": "markdown"},
    "import_records": lambda at: {"memories": []},
    "jobs": lambda at: {},
    "lifecycle_policy": lambda at: {},
    "list": lambda at: {},
    "log": lambda at: {},
    "next_due": lambda at: {},
    "open_blob": lambda at: {"id": at.own},
    "passages": lambda at: {"id": at.own},
    "privacy_policy": lambda at: {},
    "provenance": lambda at: {"id": at.own},
    "put_blob": lambda at: {"source": b"of Eve"},
    "receipt": lambda at: {"id": at.eve.erase(filters={"tags": "nothing has this"}).id},
    "receipts": lambda at: {},
    "reembed": lambda at: {},
    "remove_access_policy": lambda at: {"name": "none"},
    "restore": lambda at: {"id": at.own, "version": 1},
    "restore_to": lambda at: {"moment": at.clock(), "dry_run": True},
    "scan_privacy": lambda at: {},
    "search": lambda at: {"query": "Swordfish Krankheit tea"},
    "set_access_policy": lambda at: {"name": "p", "policy": PERMIT},
    "set_lifecycle_policy": lambda at: {"policy": None},
    "set_privacy_policy": lambda at: {"policy": {"email": "tag"}},
    "share": lambda at: {"to": "users/bo"},
    "sign": lambda at: {"id": at.own},
    "signatures": lambda at: {"id": at.own},
    "keys": lambda at: {},
    "rotate_key": lambda at: {},
    "trust_key": lambda at: {"public": "00" * 32, "name": "somebody"},
    "distrust_key": lambda at: {"name": "somebody"},
    "snapshot": lambda at: {"name": f"eve's {at.clock().isoformat()}"},
    "snapshots": lambda at: {},
    "sweep": lambda at: {"dry_run": True},
    "calibrate": lambda at: {},
    "schedule": lambda at: {},
    "move": lambda at: {},
    "decisions": lambda at: {"id": at.own},
    "schedule_policy": lambda at: {},
    "set_schedule_policy": lambda at: {"policy": "recency"},
    "switch_task": lambda at: {"task": "travel"},
    "swaps": lambda at: {},
    "tick": lambda at: {},
    "unfreeze": lambda at: {"id": at.own},
    "unshare": lambda at: {"name": "none"},
    "update": lambda at: {"id": at.own, "content": "Eve likes milk."},
    "verify_receipt": lambda at: {"receipt": at.eve.erase(filters={"tags": "nothing has this"})},
    "why": lambda at: {"namespace": "users/eve"},
    "withdraw_role": lambda at: {"role": "physician", "to": "users/eve"},
    # Those of merging and of views, which ask for the same as the others.
    "merge": lambda at: {"id": at.own, "others": [at.also]},
    "fuse": lambda at: {"ids": [at.own, at.also]},
    "plan_merge": lambda at: {"ids": [at.own, at.also]},
    "compose": lambda at: {"name": "eve's view", "filters": {"tags": "tea"}},
    "what_if": lambda at: {},
    # Those of KV memories.
    "encode": lambda at: {"ids": [at.also]},
    "inject": lambda at: {"ids": [at.own], "messages": "Swordfish Krankheit tea"},
    "load": lambda at: {"id": at.segment},
    "verify": lambda at: {"id": at.segment},
    "evict": lambda at: {"id": at.segment},
    "placements": lambda at: {},
    "probe_blending": lambda at: {"cases": 1},
    # Those of adapters.
    "distil": lambda at: {"ids": [at.also]},
    "training": lambda at: {"job": at.training},
    "cancel_training": lambda at: {"job": at.training},
    "attach": lambda at: {"question": "Swordfish Krankheit tea"},
    "adapter": lambda at: {"id": at.lora},
    "write_adapter": lambda at: {"id": at.lora, "target": at.folder / "lora"},
    # Those of pathways.
    "transform": lambda at: {"ids": [at.also], "to": "activation"},
    "transformation": lambda at: {"job": at.transforming},
    "cancel_transformation": lambda at: {"job": at.transforming},
    # Those of steering.
    "steer_from": lambda at: {"pairs": PAIRS},
    "steering": lambda at: {"ids": [at.vector]},
    "steering_effect": lambda at: {"items": [("How?", "Well.", "meh")], "ids": [at.vector]},
    "undo": lambda at: {"id": at.own},
}
OTHER_IDS = ("receipt",)  # what it takes is the id of no memory
STEWARDS = (  # they concern the store as a whole
    "assign_role", "backup", "calibrate", "control_job", "distrust_key", "doctor", "erase_backup",
    "import_records", "jobs", "keys", "next_due", "probe_blending", "reembed", "rotate_key", "set_lifecycle_policy",
    "tick", "trust_key", "withdraw_role",
)  # fmt: skip
AIMS: dict[str, frozenset[str]] = {
    "id": frozenset({"id", "memory"}),
    "ids": frozenset({"parents", "ids", "others", "adapters", "against"}),
    "identity": frozenset({"user_id", "agent_id"}),
    "place": frozenset({"namespace", "namespaces"}),
    "principal": frozenset({"to", "caller"}),
    "filter": frozenset({"filters", "when", "policy"}),
    "name": frozenset(
        {"name", "role", "task", "purpose", "run_id", "session_id", "dedup_key", "model", "view", "moment", "job"}
    ),
    "into": frozenset({"into"}),  # an id that is asked for where there is one to go into
    "key": frozenset({"idempotency_key"}),
    "text": frozenset({"content", "query", "note", "trigger", "context", "text", "messages", "system", "question"}),
}
HARMLESS = frozenset(
    # Labels of what the caller writes, which are data and no more.
    "timestamp metadata tags entities type origin language priority sensitivity valid_from valid_to lifespan "
    "provenance links expires arguments source trust kinds redact "
    # Bounds, times and choices, which narrow what the call may reach anyway.
    "since until before operation memory_kind memory_type what format version a b expected limit after episodes "
    "valid_at known_at states even_stale depth everything dry_run explain write action state kind run_at max_attempts "
    "mode steering cases on_case "  # what steering names is aimed at through the method of that name
    "use_adapters schedule "  # one of a few names: no memory, and no place
    "by_chat recipe tokens hits document form tier exact_only prune accept conflict archive_sources now sign public "
    "wait receipt pairs layers scales strengths items "
    "limit memory_tokens history_tokens max_tokens temperature stop seed schema remember stream "
    "prune accept conflict archive_sources now sign public wait receipt grep_erased "
    # Of the steward's machine: files, programs and what reads them.
    "target file path keys head memories on_progress".split()
)


def parameters(method: str) -> list[str]:
    """The names of what a method takes."""
    return [name for name in inspect.signature(METHODS[method]).parameters if name != "self"]


def aimed_at(aim: str, *, stewards: bool = False) -> list[str]:
    """The methods that have a parameter of that kind; those of the steward alone only if they are asked for."""
    named = [name for name in METHODS if targets(name, aim)]
    return sorted(name for name in named if stewards or name not in STEWARDS)


def targets(method: str, aim: str) -> list[str]:
    """The parameters of a method that can be aimed at this."""
    if aim == "id" and method in OTHER_IDS:
        return []
    return [name for name in parameters(method) if name in AIMS[aim]]


def arguments(method: str, at: Place, **aim: Any) -> dict[str, Any]:
    """A call that is in order but for what is aimed; an id stands in place of a filter."""
    spared = "filters" if aim.get("id") is not None else None
    return {name: value for name, value in PROBES[method](at).items() if name != spared} | aim


def aims(method: str, aim: str, values: Iterable[Any]) -> list[dict[str, Any]]:
    """Each value in each parameter of a method that takes such a thing; lists where it takes lists."""
    return [
        {
            name: [value]
            if name in ("parents", "others", "namespaces", "adapters", "against")
            else [value, value + "-"]
            if name == "ids"
            else value
        }
        for name in targets(method, aim)
        for value in values
    ]


def forged(at: Place) -> Activation:
    """A tensor memory that names Ana's blob."""
    return Activation(form="kv", blob=at.blob, size=17, model=MODEL)


def later(at: Place) -> Any:
    """A time behind all that was written."""
    return at.clock() + timedelta(minutes=1)


def _notes(at: Place) -> Any:
    folder = at.folder / "notes"
    folder.mkdir(exist_ok=True)
    (folder / "tea.md").write_text("# Tea\n\nMint is best.\n", "utf-8")
    return folder
