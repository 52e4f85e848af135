"""The swapper: a change of task carried out on what lies in memory, and kept through the door (7.1.2, ADR 0043).

The set of the last task is let go before the model is asked, which takes no time: its segments are the first to make
room. The set of the new one comes when the answer has been given.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pymemos.cube.call import MemoryCall, Request
from pymemos.errors import AdapterRefused, MissingBlob, NotAllowed, SegmentRefused, UnknownMemory
from pymemos.interface.encoding import best_tier
from pymemos.interface.tasks import NoteTask
from pymemos.operation.costs import Form
from pymemos.operation.proposing import days
from pymemos.operation.swapping import Part, SwapDecision, Swapped, Tasks, decided, grounds, noted
from pymemos.operation.tiers import RESIDENT
from pymemos.operation.turns import Left

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymemos.interface.api import MemoryAPI
    from pymemos.interface.attaching import Attacher
    from pymemos.interface.encoding import Encoder
    from pymemos.interface.injecting import Injector, Who

NO_MEMORY: Final = "there is no budget for segments in memory"
NO_ROOM: Final = "the adapters of others take the room"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A chat under a task, from before it is answered on: what was kept of tasks then, and what is decided."""

    who: Any
    tasks: Tasks
    at: float
    decision: SwapDecision | None = None


class _Brought(msgspec.Struct):
    """What came to memory so far, what did not and why, and what of that is no more."""

    loaded: list[str] = msgspec.field(default_factory=list)
    left: list[Left] = msgspec.field(default_factory=list)
    gone: list[str] = msgspec.field(default_factory=list)


class Swapper:
    """Swaps the sets of tasks; ``needed`` opens what injects and encodes, ``attacher`` holds adapters."""

    def __init__(self, api: MemoryAPI, needed: Callable[[], tuple[Injector, Encoder]], attacher: Attacher) -> None:
        self._api, self._needed, self._attacher = api, needed, attacher

    def begin(self, who: Who, tasks: Tasks, now: datetime, *, is_told: bool = False) -> Change | None:
        """Decide on the task that somebody names, and let go of the last one's set; None where no task is named."""
        caller, at = who[0], days(now)
        if caller.task is None:
            return None
        found = grounds(tasks, caller.session or "", caller.task, at, is_told=is_told)
        if found is None:
            return Change(who=who, tasks=tasks, at=at)
        decision = decided(found)
        left = decision.dropped
        pool = self._needed()[0].pool
        pool.spare([one.blob for one in left if one.form is Form.KV], caller.namespace)
        pool.spare([one.blob for one in decision.wanted if one.form is Form.KV], caller.namespace, spare=False)
        self._attacher.detach(one.blob for one in left if one.form is Form.ADAPTER)
        return Change(who=who, tasks=tasks, at=at, decision=decision)

    def end(self, change: Change, parts: Sequence[Part] = ()) -> Swapped | None:
        """Bring the new task's set in, and keep what the chat was read from; what was swapped, if anything was."""
        caller, decision = change.who[0], change.decision
        brought = _Brought()
        if decision is not None and not decision.waits:
            for one in dict.fromkeys((*decision.wanted, *parts)):
                self._bring(change.who, one, brought)
        session, task = caller.session or "", caller.task or ""
        given: dict[str, Any] = {"parts": tuple(parts), "decision": decision, "gone": tuple(brought.gone)}
        remark = ""
        if noted(change.tasks, session, task, change.at, **given) != change.tasks:
            try:
                self._dispatch(change.who, NoteTask(session=session, task=task, **given))
            except NotAllowed as refused:  # a rule closes the place, or a limit is reached: the next chat decides again
                remark = f"nothing is kept of the task: {refused}"
        if decision is None:
            return None
        return Swapped(
            decision=decision, loaded=tuple(dict.fromkeys(brought.loaded)), left=tuple(brought.left), remark=remark
        )

    def _bring(self, who: Who, one: Part, brought: _Brought) -> None:
        """Bring one part to memory, unless it lies there; only what was let go makes room for it."""
        try:
            if one.form is Form.ADAPTER:
                self._attach(who, one, brought)
            else:
                self._load(who, one, brought)
        except (UnknownMemory, SegmentRefused, AdapterRefused, MissingBlob) as gone:
            brought.left.append(Left(one.id, str(gone)))
            brought.gone.append(one.id)
        except NotAllowed as refused:
            brought.left.append(Left(one.id, str(refused)))

    def _attach(self, who: Who, one: Part, brought: _Brought) -> None:
        if self._attacher.holds(one.blob):
            return
        if self._attacher.bring(who, one.id):
            brought.loaded.append(one.id)
        else:
            brought.left.append(Left(one.id, NO_ROOM))

    def _load(self, who: Who, one: Part, brought: _Brought) -> None:
        injector, encoder = self._needed()
        tier = best_tier(injector.pool.budget)
        if tier not in RESIDENT:
            brought.left.append(Left(one.id, NO_MEMORY))
        elif injector.pool.tier_of(one.blob) not in RESIDENT:
            for moved in encoder.load(who, one.id, tier, only_if_free=True):
                if moved.tier not in RESIDENT:
                    brought.left.append(Left(moved.id, moved.why))
                elif moved.before not in RESIDENT:
                    brought.loaded.append(moved.id)

    def _dispatch(self, who: Who, request: Request) -> Any:
        caller, scope = who
        return self._api.dispatch(MemoryCall(caller=caller, scope=scope, request=request))
