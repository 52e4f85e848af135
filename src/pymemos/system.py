"""The system: MemOS opens a home, wires the adapters into the layers, and speaks to applications."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from pymemos import wiring
from pymemos.cube.call import Caller
from pymemos.cube.ids import new_id
from pymemos.facade.activation import ActivationMemory
from pymemos.facade.auditing import Auditing
from pymemos.facade.chatting import Chatting
from pymemos.facade.erasing import Erasing
from pymemos.facade.lifecycle import Lifecycle
from pymemos.facade.memories import Memories
from pymemos.facade.merging import Merging
from pymemos.facade.parametric import ParametricMemory
from pymemos.facade.privacy import Privacy
from pymemos.facade.scheduling import Scheduling
from pymemos.facade.signing import Signing
from pymemos.facade.steering import SteeringMemory
from pymemos.facade.talk import ChatSeat
from pymemos.facade.time_machine import TimeMachine
from pymemos.facade.tracing import Tracing
from pymemos.facade.transforming import Transformations
from pymemos.facade.upkeep import Upkeep
from pymemos.facade.what_if import WhatIf
from pymemos.infrastructure.keyring import KeyRing
from pymemos.interface import upkeep
from pymemos.interface.api import MemoryAPI, Span, Tools
from pymemos.interface.attaching import Attacher
from pymemos.interface.kv_in_chat import KvInChat
from pymemos.interface.registry import HANDLERS
from pymemos.interface.segments import SegmentIndex
from pymemos.interface.swapper import Swapper
from pymemos.interface.training import undone
from pymemos.interface.worker import JobHandler, Worker
from pymemos.operation.retrieval.searcher import Searcher
from pymemos.ports import BlobStore, ChatModel, Clock, Embedder, Engine, NewId, Store, Tuner
from pymemos.settings import MOVES, Settings, from_environment

TRAINING: Final = "training"  # the folder in a home where trainings keep how far they are


def utc_now() -> datetime:
    """The clock of the machine."""
    return datetime.now(UTC)


class MemOS(
    Memories,
    Chatting,
    Merging,
    Tracing,
    TimeMachine,
    WhatIf,
    ActivationMemory,
    SteeringMemory,
    ParametricMemory,
    Transformations,
    Lifecycle,
    Scheduling,
    Privacy,
    Erasing,
    Auditing,
    Signing,
    Upkeep,
):
    """A memory that keeps what it is told: durable, versioned, searchable, explained.

    ``home`` is the folder of the store, created when it is not there; without one, PYMEMOS_HOME or the user's data
    folder. Whoever opens a store is its steward; ``bind`` gives a handle that acts for one user or agent. A call
    without an identity acts in the namespace ``default``, never on everything.

    ``jobs`` maps kinds of jobs to handlers of the application. ``store``, ``blobs``, ``clock``, ``new_id``, ``key``
    replace what is wired in otherwise; the doubles of ``pymemos.testing`` are made for that. ``embedder`` is one,
    or the name of one ("none" for none); else the settings say. Only with ``reembedding`` may it be another than the
    one that made the store's vectors: ``reembed`` comes next. ``chat`` is a chat model or the name of one, else the
    settings say; it is opened when it is first needed. ``engine`` is the local model whose KV caches memory keeps, and
    for which it trains adapters; without one, it is the chat model where that runs here. ``tuner`` replaces what
    trains them.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        *,
        settings: Settings | None = None,
        jobs: Mapping[str, JobHandler] | None = None,
        store: Store | None = None,
        blobs: BlobStore | None = None,
        clock: Clock = utc_now,
        new_id: NewId = new_id,
        key: bytes | None = None,
        embedder: Embedder | str | None = None,
        reembedding: bool = False,
        engine: Engine | None = None,
        chat: ChatModel | str | None = None,
        tuner: Tuner | None = None,
        on_span: Span | None = None,
    ) -> None:
        settings = settings or from_environment(os.environ, Path.home())
        if home is not None:
            settings = msgspec.structs.replace(settings, home=wiring.folder(home))
        opened = store or wiring.open_store(settings.home)
        chosen = embedder is not None or settings.embedder is not None
        embedder = wiring.chosen_embedder(settings, embedder)
        heads = wiring.audit_heads(settings, opened, clock, key)
        self._settings = settings
        self._seat = seat = ChatSeat(wiring.chat_opener(settings, chat, engine))
        opener = wiring.engine_opener(settings, lambda: seat.model, chat, engine)
        self._tools = Tools(
            store=opened,
            blobs=blobs or wiring.open_blobs(settings.home),
            clock=clock,
            new_id=new_id,
            key=heads.key,
            heads=heads,
            keys=KeyRing(settings.config_dir / "keys"),
            new_overlay=wiring.new_overlay,
            embedder=embedder,
            searcher=Searcher(embedder, cache_bytes=settings.cache_bytes),
            segments=SegmentIndex(),
            tuner=wiring.tuner_seat(opener, tuner, learns=engine is not None or (chat or settings.chat) is not None),
            chat=lambda: seat.model,
            training=settings.home / TRAINING,
        )
        self._api = MemoryAPI(self._tools, HANDLERS, on_span=on_span)
        self._attacher = Attacher(self._api, self._tools)
        self._activations = wiring.Activations(self._api, self._tools, settings, opener)
        kv = KvInChat(self._activations.needed, self._activations.blending, after_uses=settings.kv_after_uses)
        seat.injector, seat.promote, seat.prepare = kv.injection, kv.promote, self._activations.needed
        seat.calibrated = wiring.calibrations(settings)
        seat.swapper = self._swapper = Swapper(self._api, self._activations.needed, self._attacher)
        self._caller, self._root = Caller(steward=True), True
        self._mover = wiring.make_mover(self._api, self._tools, self._activations, settings)
        moves = settings.moves != MOVES[0]
        opening = self._activations.needed if wiring.may_run_here(settings, chat, engine) else None
        own = upkeep.own_jobs(self._api, self._tools, opening, self._mover if moves else None)
        given, refused = {**own, **(jobs or {})}, partial(undone, self._tools)
        self._worker = Worker(self._api, given, name=wiring.worker_name(), clock=clock, undone=refused)
        upkeep.begin(self._api, self._tools, any_embedder=reembedding, by_words_meant=chosen, moves=moves)
