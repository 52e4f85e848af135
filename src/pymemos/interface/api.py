"""The Memory API: the one door. ``dispatch`` alone obtains a unit of the store; it decides, acts and audits in it."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from pymemos.cube.call import Decision, MemoryCall, Reach, Request, Selection
from pymemos.cube.cube import MemCube
from pymemos.cube.filters import EVERYTHING
from pymemos.cube.header import Stage
from pymemos.cube.policy import Action
from pymemos.cube.wire import digest, encode
from pymemos.errors import InvalidInput, KeyReused, NotAllowed, UnknownMemory
from pymemos.infrastructure import audit, governance
from pymemos.infrastructure.governance import Circumstances, Target
from pymemos.infrastructure.heads import HeadKeeper
from pymemos.infrastructure.keyring import KeyRing
from pymemos.infrastructure.policies import Rulebook
from pymemos.infrastructure.rates import Meter
from pymemos.interface import lives, rights
from pymemos.interface.rights import DeniedError
from pymemos.interface.veil import Veil
from pymemos.operation.retrieval.searcher import Searcher
from pymemos.ports import (
    AuditRecord,
    BlobStore,
    Clock,
    Embedder,
    NewId,
    NewOverlay,
    ReadUnit,
    Replay,
    Store,
    WriteUnit,
)

AUDITED_IDS = 10_000  # ids that one audit entry names; beyond it only their number is kept
REPLAYS_KEPT = timedelta(days=7)  # how long an idempotency key is remembered
Span = Callable[[str, float], None]  # receives the name of a step and the seconds it took


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What handlers need of the outside, injected once."""

    store: Store
    blobs: BlobStore
    clock: Clock
    new_id: NewId
    key: bytes
    searcher: Searcher
    embedder: Embedder | None = None
    heads: HeadKeeper | None = None
    keys: KeyRing
    rules: Rulebook = msgspec.field(default_factory=Rulebook)
    meter: Meter = msgspec.field(default_factory=Meter)
    new_overlay: NewOverlay | None = None  # what a what-if keeps its changes in
    segments: Any = None  # a SegmentIndex: the KV segments that the local model can read
    tuner: Any = None  # a TunerSeat: what makes adapters for the local model, once it is opened
    chat: Callable[[], Any] | None = None  # opens the chat model when it is first needed; raises ModelError
    training: Path | None = None  # the folder where trainings keep how far they are
    new_salt: Callable[[], bytes] = partial(os.urandom, 16)


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One call being carried out: the unit, what was decided, and the time it is done at."""

    unit: Any  # ReadUnit, or WriteUnit for a handler that changes
    call: MemoryCall
    decision: Decision
    of: Circumstances  # what it was decided by
    now: datetime
    tools: Tools

    @property
    def reach(self) -> Reach | None:
        """Everything that the caller may read; None: all there is. What the system does for an owner stays there."""
        if self.call.caller.system and self.decision.namespaces is not None:
            return Reach(tuple((name, EVERYTHING) for name in self.decision.namespaces))
        return governance.reach(self.of)

    @property
    def veil(self) -> Veil:
        """What rules hide from the caller in the memories that it may read."""
        return Veil(self.of)

    def unveiled(self) -> Work:
        """The same call for memories that have nothing to hide from it, as a search has to be."""
        return msgspec.structs.replace(self, decision=self.veil.narrowed(self.decision))

    def reads_whole(self, namespace: str) -> bool:
        """Whether no rule leaves anything of a namespace out for the caller."""
        reach = self.reach
        return reach is None or reach.of(namespace) == EVERYTHING

    def serves(self, cube: MemCube) -> bool:
        """Whether the call may show a version of a memory: it is within the decision, and so are its sources."""
        return self.decision.admits(cube) and rights.is_open(self.unit, self.of, cube)

    def selection(
        self,
        where: Any = None,
        *,
        episodes: bool = False,
        ended: bool = True,
        stages: tuple[Stage, ...] | None = None,
    ) -> Selection:
        """What the call may see, as the store's own condition; ``ended`` includes what was over by its time.

        ``stages`` narrows it to memories that stand there at the time that the call asks about. What has something
        hidden answers to no filter, which would confirm a guess.
        """
        scope, window = self.call.scope, self.call.window
        decision = self.decision if where is None else self.veil.narrowed(self.decision)
        return Selection(
            namespaces=self.decision.namespaces,
            agent=scope.agent,
            session=scope.session,
            where=where,
            valid_at=window.valid_at,
            known_at=window.known_at,
            ended_before=None if ended else window.known_at or self.now,
            episodes=episodes,
            stages=stages,
            as_of=None if stages is None else window.known_at or self.now,
            rules=decision.narrowed,
            # Managing is of a namespace as a whole: what goes back goes back with what was made from others.
            reach=None if self.of.powerful or self.of.action is Action.MANAGE else self.reach,
        )


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler did: its result, the memories it touched, and what to remember for the idempotency key."""

    result: Any
    memories: tuple[str, ...] = ()
    used: bool = False  # the memories were served: it counts as a use of each
    beside: tuple[str, ...] = ()  # served with them, which counts as no use
    about: dict[str, Any] = {}  # what the log keeps of the call besides: figures and names, never content
    replay: tuple[str, ...] = ()
    elsewhere: tuple[tuple[str, tuple[str, ...]], ...] = ()  # of other owners too, by namespace: each learns of it


class Handler(ABC):
    """How one kind of request is carried out."""

    changes = False  # whether it needs a unit that can be changed
    action: Action | None = None  # what it takes to do it; None: to write for a change, else to read

    def prepare(self, call: MemoryCall, tools: Tools) -> Any:
        """Slow work, before the unit is opened; nothing, unless the handler has some."""
        return None

    def seen(self, call: MemoryCall, unit: ReadUnit) -> ReadUnit:
        """Where the memory that a call names is looked up: in the unit, unless the handler sees it otherwise."""
        return unit

    def target(self, call: MemoryCall, unit: ReadUnit) -> Target:
        """What the call wants to reach: its scope, unless the handler knows better."""
        scope = call.scope
        names = None if scope.namespace is None else (scope.namespace, *scope.others)
        return Target(namespaces=names, readable=scope.readable)

    @abstractmethod
    def run(self, work: Work, prepared: Any) -> Outcome:
        """Carry the call out within what was decided."""

    def replay(self, work: Work, ids: tuple[str, ...]) -> Any:
        """The result of a call whose idempotency key is known, from what was remembered."""
        raise TypeError(f"{operation(work.call.request)!r} carries no idempotency key, so it has no replay")


class MemoryAPI:
    """Carries out memory calls; every one is decided on and audited, in the snapshot that it acts in."""

    def __init__(self, tools: Tools, handlers: Mapping[type[Request], Handler], *, on_span: Span | None = None) -> None:
        self._tools = tools
        self._handlers = handlers
        self._on_span = on_span
        self.buffer = audit.AuditBuffer(self._write_buffered)

    def dispatch(self, call: MemoryCall) -> Any:
        """Carry out ``call``; raises UnknownMemory for what the caller may not know of, NotAllowed for what it may."""
        handler = self._handlers.get(type(call.request))
        if handler is None:
            raise InvalidInput(f"nothing carries out {type(call.request).__name__}; use a request of the Memory API")
        prepared = handler.prepare(call, self._tools)
        try:
            if handler.changes:
                result, tails = self._tools.store.write(lambda unit: self._change(unit, call, handler, prepared))
                self._note(tails)
                return result
            with self._tools.store.read() as unit:
                result, recorded = self._look(unit, call, handler, prepared)
            if recorded:
                self.buffer.flush()
            return result
        except DeniedError as denied:
            self._note_refusal(call, denied.decision.rule)
            raise denied.error from None  # no more than the caller may know: a foreign id is as good as none
        except (NotAllowed, UnknownMemory) as refused:  # it came out while the call was carried out, and is undone
            self._note_refusal(call, "unknown" if isinstance(refused, UnknownMemory) else "not-allowed")
            raise

    def _look(self, unit: ReadUnit, call: MemoryCall, handler: Handler, prepared: Any) -> tuple[Any, bool]:
        """The result, and whether its audit entry must be durable before the caller gets it."""
        work = self._decide(unit, call, handler)
        outcome = _veiled(work, handler.run(work, prepared))
        started = time.perf_counter()
        for record in self._records(work, outcome):
            self.buffer.add(record)
        self._span("audit", started)
        return outcome.result, governance.is_recorded(work.of, work.decision.namespaces or (call.caller.namespace,))

    def _change(
        self, unit: WriteUnit, call: MemoryCall, handler: Handler, prepared: Any
    ) -> tuple[Any, list[AuditRecord]]:
        work = self._decide(unit, call, handler)
        if call.completes is not None:
            unit.remove_job(unit.leased(call.completes).id)
        outcome = _veiled(work, self._carry_out(work, handler, prepared))
        started = time.perf_counter()
        tails = audit.append(unit, self._records(work, outcome), self._tools.key)
        self._span("audit", started)
        return outcome.result, tails

    def _carry_out(self, work: Work, handler: Handler, prepared: Any) -> Outcome:
        """Run the handler, or give what its idempotency key remembers; that touches no memory, but is audited too."""
        remembered = self._remembered(work)
        if remembered is not None:
            return Outcome(result=handler.replay(work, remembered.ids))
        outcome = handler.run(work, prepared)
        self._remember(work, outcome.replay)
        return outcome

    def _decide(self, unit: ReadUnit, call: MemoryCall, handler: Handler) -> Work:
        started = time.perf_counter()
        now = self._tools.clock()
        of = Circumstances(
            caller=call.caller,
            action=handler.action or (Action.WRITE if handler.changes else Action.READ),
            operation=operation(call.request),
            book=self._tools.rules.at(unit),
            now=now,
        )
        target = handler.target(call, unit)
        decision = governance.decide(of, target)
        rights.check(handler.seen(call, unit), of, decision, target, self._tools.meter)
        self._span("decide", started)
        return Work(unit=unit, call=call, decision=decision, of=of, now=now, tools=self._tools)

    def _note_refusal(self, call: MemoryCall, rule: str) -> None:
        """Record that a call was refused, in the log of whoever called."""
        self.buffer.add(
            AuditRecord(
                n=0,
                at=self._tools.clock(),
                namespace=call.caller.namespace,
                caller=call.caller,
                operation=operation(call.request),
                allowed=False,
                rule=rule,
            )
        )

    # Idempotency: decide, then the key, then what the request expects, so that a retry returns the first result.

    def _remembered(self, work: Work) -> Replay | None:
        key = getattr(work.call.request, "idempotency_key", None)
        if key is None:
            return None
        replay: Replay | None = work.unit.replayed(work.call.caller.name, key)
        if replay is None:
            return None
        by, _, asked = replay.digest.rpartition(":")  # of before it was kept: by this instance's
        if by not in ("", audit.key_id(self._tools.key)):
            return None  # void, as the warning about the lost instance key said: nothing can compare the requests
        if asked != self._digest(work.call):
            raise KeyReused(
                f"the idempotency key {key!r} was used for another request; use a new key for a new request"
            )
        return replay

    def _remember(self, work: Work, ids: tuple[str, ...]) -> None:
        key = getattr(work.call.request, "idempotency_key", None)
        if key is not None:
            asked = f"{audit.key_id(self._tools.key)}:{self._digest(work.call)}"
            replay = Replay(digest=asked, ids=ids, at=work.now)
            work.unit.remember(work.call.caller.name, key, replay)
            work.unit.forget_replays(work.now - REPLAYS_KEPT)

    def _digest(self, call: MemoryCall) -> str:
        """A keyed digest of what was asked: it confirms no guess of the content."""
        return digest(encode([call.request, call.scope]), key=self._tools.key)

    # Audit.

    def _records(self, work: Work, outcome: Outcome) -> list[AuditRecord]:
        """The entries of a call: one, or one for every owner whose memories it touched, each in the owner's chain."""
        own, *others = self._touched(work, outcome.memories, used=outcome.used)
        if outcome.about:
            own = msgspec.structs.replace(own, about=outcome.about)
        beside = self._touched(work, outcome.beside) if outcome.beside else []
        return [own, *others, *beside, *(self._record(work, ids, name) for name, ids in outcome.elsewhere)]

    def _touched(self, work: Work, memories: tuple[str, ...], *, used: bool = False) -> list[AuditRecord]:
        """An entry for each owner of some memories, the one of the call's own namespace first."""
        reach = work.decision.namespaces
        if reach is None or len(reach) < 2:
            return [self._record(work, memories, reach[0] if reach else None, used=used)]
        touched: dict[str, list[str]] = {reach[0]: []}
        for id in memories:
            touched.setdefault(work.unit.owner_of(id) or reach[0], []).append(id)
        return [  # each names its own rules: one owner's are no other's business
            msgspec.structs.replace(
                self._record(work, tuple(ids), name, used=used), rule=governance.verdict(work.of, name).rule
            )
            for name, ids in touched.items()
        ]

    def _record(
        self, work: Work, memories: tuple[str, ...], namespace: str | None, *, used: bool = False
    ) -> AuditRecord:
        call = work.call
        return AuditRecord(
            n=0,
            at=work.now,
            namespace=namespace or call.caller.namespace,
            caller=call.caller,
            operation=operation(call.request),
            allowed=True,
            rule=work.decision.rule,
            memories=memories if len(memories) <= AUDITED_IDS else (),
            count=len(memories),
            used=used,
        )

    def _write_buffered(self, records: list[AuditRecord]) -> None:
        def work(unit: WriteUnit) -> list[AuditRecord]:
            tails = audit.append(unit, records, self._tools.key)
            lives.note_uses(unit, [record for record in records if record.used])
            return tails

        self._note(self._tools.store.write(work))

    def _note(self, tails: list[AuditRecord]) -> None:
        """Tell whoever keeps the signed head of entries that are durable now."""
        if self._tools.heads is not None:
            self._tools.heads.note(tails)

    def _span(self, name: str, started: float) -> None:
        if self._on_span is not None:
            self._on_span(name, time.perf_counter() - started)


def _veiled(work: Work, outcome: Outcome) -> Outcome:
    """The outcome as the caller may see it."""
    if work.of.powerful or not work.of.book.redacts:
        return outcome
    return msgspec.structs.replace(outcome, result=work.veil.result(outcome.result))


def operation(request: Request) -> str:
    """The name of what a request asks for."""
    return str(type(request).__struct_config__.tag)
