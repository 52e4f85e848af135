"""pymemos: a memory operating system for LLM applications, after the MemOS paper (arXiv 2507.03724)."""

from typing import TYPE_CHECKING, Any

from pymemos.cube.call import Caller, Decision, Hit, MemoryCall
from pymemos.cube.cube import MemCube
from pymemos.cube.erasure import Receipt
from pymemos.cube.header import Origin, Priority, SemanticType, State
from pymemos.cube.payload import Activation, ModelRef, Parametric, Plaintext
from pymemos.cube.policy import Policy
from pymemos.errors import PymemosError
from pymemos.facade.chatting import ReplyStream
from pymemos.facade.what_if import World
from pymemos.interface.access import AccessReport, Explanation
from pymemos.interface.merging import Undone
from pymemos.interface.requests import Added, Deleted, Difference, Page
from pymemos.operation.context import Context
from pymemos.operation.hits import Hits
from pymemos.operation.lifecycle import LifecyclePolicy
from pymemos.operation.merging import Merged
from pymemos.operation.replies import Plan, Reply
from pymemos.operation.tracing import Lineage
from pymemos.operation.what_if import Imagined
from pymemos.ports import Job, Record
from pymemos.settings import Settings
from pymemos.system import MemOS

if TYPE_CHECKING:
    from pymemos.async_system import AsyncMemOS

__version__ = "0.1.0"
__all__ = [
    "AccessReport",
    "Activation",
    "Added",
    "AsyncMemOS",
    "Caller",
    "Context",
    "Decision",
    "Deleted",
    "Difference",
    "Explanation",
    "Hit",
    "Hits",
    "Imagined",
    "Job",
    "LifecyclePolicy",
    "Lineage",
    "MemCube",
    "MemOS",
    "MemoryCall",
    "Merged",
    "ModelRef",
    "Origin",
    "Page",
    "Parametric",
    "Plaintext",
    "Plan",
    "Policy",
    "Priority",
    "PymemosError",
    "Receipt",
    "Record",
    "Reply",
    "ReplyStream",
    "SemanticType",
    "Settings",
    "State",
    "Undone",
    "World",
]


def __getattr__(name: str) -> Any:
    """AsyncMemOS on first use: importing asyncio costs more than all the rest."""
    if name == "AsyncMemOS":
        from pymemos.async_system import AsyncMemOS

        return AsyncMemOS
    raise AttributeError(f"module 'pymemos' has no attribute {name!r}")
