"""Wiring: which adapter and which model stand behind a port; loaded when they are first needed."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from pymemos.errors import BlendRefused, InvalidInput, ModelError
from pymemos.infrastructure import audit
from pymemos.infrastructure.heads import HeadKeeper
from pymemos.interface.activation import NO_ENGINE
from pymemos.interface.api import MemoryAPI, Tools
from pymemos.interface.arguments import check_path
from pymemos.interface.blending import Blending
from pymemos.interface.calibrating import calibration_file
from pymemos.interface.calibrating import kept as kept_calibration
from pymemos.interface.encoding import Encoder
from pymemos.interface.injecting import Injector
from pymemos.interface.kv_pool import KvPool
from pymemos.interface.mover import Mover
from pymemos.interface.transfer import BLOBS_SUFFIX
from pymemos.interface.tuner_seat import TunerSeat
from pymemos.operation.costs import Calibration
from pymemos.operation.prompting import dated, head
from pymemos.operation.replies import is_engine
from pymemos.operation.tiers import Budget
from pymemos.ports import (
    Blender,
    BlendingEngine,
    BlendQuality,
    BlobStore,
    ChatModel,
    ChatOptions,
    Clock,
    Embedder,
    Engine,
    Overlay,
    Store,
    Tuner,
    Utterance,
    WriteUnit,
)
from pymemos.settings import MOVES, Settings

if TYPE_CHECKING:
    from pymemos.models.catalog import Entry


def folder(home: str | os.PathLike[str]) -> Path:
    """The folder of a store from what a caller named."""
    text = check_path(home, "home")
    if "://" in text:
        raise InvalidInput(f"{text.partition('://')[0]} stores are not supported yet; name a folder")
    return Path(text).expanduser()


def open_store(home: Path) -> Store:
    """The embedded store of a folder."""
    from pymemos.adapters.sqlite import SqliteStore

    return SqliteStore(home)


def chosen_embedder(settings: Settings, given: Embedder | str | None) -> Embedder | None:
    """The embedder that was given, else the one that is named, else that of the settings."""
    if given is None or isinstance(given, str):
        return open_embedder(settings, given)
    if not hasattr(given, "embed"):
        raise InvalidInput(f"embedder is {given!r}; pass an embedder, or how a setting names one")
    return given


def open_embedder(settings: Settings, named: str | None) -> Embedder | None:
    """The embedder that is named, else that of the settings."""
    from pymemos.models.embed.catalog import open_embedder

    return open_embedder(named or settings.embedder, cache=settings.cache_dir, key=settings.embedder_key)


def open_chat(settings: Settings, named: str | None = None) -> ChatModel | None:
    """The chat model that is named, else that of the settings; None where there is none."""
    from pymemos.models.chat.catalog import open_chat

    setting = named or settings.chat
    return open_chat(
        setting, cache=settings.cache_dir, key=settings.chat_key, device=settings.device, dtype=settings.dtype
    )


def check_chat(settings: Settings, name: str) -> ChatModel | None:
    """The chat model that the setting ``name`` gives, after it said something; raises ModelError where it cannot."""
    model = open_chat(settings, name)
    if model is not None:
        for _ in model.stream([Utterance("user", "Say yes.")], ChatOptions(max_tokens=8)):
            pass
    return model


def catalogue(settings: Settings) -> list[Entry]:
    """The models that can be prepared, and which are ready."""
    from pymemos.models import catalog

    return catalog.entries(settings.cache_dir)


def used_embedder(settings: Settings) -> str:
    """The setting of the embedder that holds, ``none`` where there is none."""
    from pymemos.models.embed import catalog

    return catalog.used(settings.embedder, settings.cache_dir)


def prepare_model(settings: Settings, name: str, on_step: Callable[[str], object]) -> Entry:
    """Fetch a model and make it ready; ``on_step`` is told what is being done."""
    from pymemos.models import catalog

    return catalog.prepare(name, settings.cache_dir, on_step)


def check_embedder(settings: Settings, name: str) -> Embedder | None:
    """The embedder that the setting ``name`` gives, after it embedded a text; raises ModelError where it cannot."""
    embedder = open_embedder(settings, name)
    if embedder is not None:
        embedder.embed(["Can you read this?"], queries=True)
    return embedder


def open_blobs(home: Path) -> BlobStore:
    """The files of a store."""
    from pymemos.adapters.blobs import FileBlobs

    return FileBlobs(home / "blobs")


def chat_opener(
    settings: Settings, chat: ChatModel | str | None, engine: Engine | None
) -> Callable[[], ChatModel | None]:
    """How the chat model is opened: the given one, else a local model that was given, else that of the settings."""
    if chat is None and engine is not None:
        return lambda: engine
    return lambda: open_chat(settings, chat) if isinstance(chat, str | None) else chat


def engine_opener(
    settings: Settings, chat_model: Callable[[], ChatModel], chat: ChatModel | str | None, engine: Engine | None
) -> Callable[[], Engine | None]:
    """How the local model is opened: the given one, else the chat model where that is one."""
    if engine is not None:
        return lambda: engine
    if chat is None and settings.chat is None:
        return lambda: None
    return lambda: model if is_engine(model := chat_model()) else None


def may_run_here(settings: Settings, chat: ChatModel | str | None, engine: Engine | None) -> bool:
    """Whether there can be a local model in this process, without opening it."""
    if engine is not None:
        return True
    if chat is not None and not isinstance(chat, str):
        return is_engine(chat)
    from pymemos.models.chat.catalog import runs_here

    return runs_here(chat or settings.chat)


def open_blender(engine: Engine, cache: Path) -> Blender:
    """What blends with a model; raises BlendRefused where that was not measured, or is too far off."""
    from pymemos.models.measured import kept

    if not _can_blend(engine):
        raise BlendRefused(f"{engine.identity} cannot blend notes; use one of the local models of pymemos")
    return engine.open_blender(kept(engine.ref, cache))


def probe_blending(engine: Engine, cache: Path, cases: int, on_case: Callable[[int], object]) -> BlendQuality:
    """Measure blending with a model, and keep what was found beside it."""
    from pymemos.models.measured import keep

    if not _can_blend(engine):
        raise BlendRefused(f"{engine.identity} cannot blend notes; use one of the local models of pymemos")
    quality = engine.probe_blending(cases=cases, on_case=on_case)
    keep(quality, cache)
    return quality


def _can_blend(engine: Engine) -> TypeGuard[BlendingEngine]:
    return all(hasattr(engine, name) for name in ("probe_blending", "open_blender"))


class Activations:
    """What injects and encodes KV memories, made when it is first needed: a local model takes its time to load."""

    def __init__(
        self, api: MemoryAPI, tools: Tools, settings: Settings, open_engine: Callable[[], Engine | None]
    ) -> None:
        self._api, self._tools, self._settings, self._open = api, tools, settings, open_engine
        self._lock = threading.Lock()
        self.made: tuple[Injector, Encoder] | None = None  # what is there already
        self._blending: Blending | None = None
        self._blender: Blender | None = None

    def needed(self) -> tuple[Injector, Encoder]:
        """Both of them; raises ModelError where there is no local model."""
        with self._lock:
            if self.made is None:
                engine = self._open()
                if engine is None:
                    raise ModelError(NO_ENGINE)
                self.made = self._make(engine)
            return self.made

    def blending(self) -> Blending:
        """What blends; raises ModelError where there is no local model. Whether it may is asked at each use."""
        self.needed()
        assert self._blending is not None  # noqa: S101 (it is made with them)
        return self._blending

    def probe_blending(self, cases: int, on_case: Callable[[int], object]) -> tuple[BlendQuality, str]:
        """Measure it, keep that beside the model, and say why it is not allowed, or nothing."""
        engine = self.needed()[0].engine
        quality = probe_blending(engine, self._settings.cache_dir, cases, on_case)
        self._blender = None  # what was opened by an earlier measurement
        try:
            self._open_blender()
        except BlendRefused as refused:
            return quality, str(refused)
        return quality, ""

    def _open_blender(self) -> Blender:
        if self._blender is None:
            self._blender = open_blender(self.needed()[0].engine, self._settings.cache_dir)
        return self._blender

    def _make(self, engine: Engine) -> tuple[Injector, Encoder]:
        settings, segments = self._settings, self._tools.segments
        pool = KvPool(engine, Budget(device=settings.kv_device_bytes, host=settings.kv_host_bytes))
        segments.use(engine.ref)
        segments.on_left, segments.on_changed = pool.keep_only, pool.follow
        injector = Injector(self._api, self._tools, engine, pool)
        encoder = Encoder(  # a memory has the same words, and so the same tokens, in a segment as in a chat
            injector, self._tools, render=dated, head=head, low_form=settings.kv_low_form
        )
        self._blending = Blending(injector, encoder, self._tools, self._open_blender)
        return injector, encoder


def make_mover(api: MemoryAPI, tools: Tools, activations: Activations, settings: Settings) -> Mover:
    """What carries turns of the scheduler out, by the figures that were measured of the local model."""

    dry = settings.moves != MOVES[-1]
    return Mover(api, tools, activations.needed, calibrations(settings), block=settings.block_tokens, dry=dry)


def calibrations(settings: Settings) -> Callable[[str], Calibration | None]:
    """What was measured of a model on this machine, by its identity."""
    return lambda model: kept_calibration(calibration_file(settings.cache_dir, model))


def tuner_seat(open_engine: Callable[[], Engine | None], given: Tuner | None, *, learns: bool) -> TunerSeat:
    """The local model and what trains adapters for it; there is one for the engine of this package."""

    def opened() -> tuple[Engine, Tuner] | None:
        engine = open_engine()
        made = given or (None if engine is None else _tuner(engine))
        return None if engine is None or made is None else (engine, made)

    return TunerSeat(opened, learns=learns)


def _tuner(engine: Engine) -> Tuner | None:
    if not hasattr(engine, "model"):  # no model of torch: so torch is not loaded to look
        return None
    from pymemos.models.local.engine import LocalEngine
    from pymemos.models.local.tuning import LocalTuner

    return LocalTuner(engine) if isinstance(engine, LocalEngine) else None


def new_overlay(at: datetime) -> Overlay:
    """Where a what-if keeps its changes: in memory."""
    from pymemos.adapters.overlay import MemoryOverlay

    return MemoryOverlay(at)


def opened_backup(file: Path) -> AbstractContextManager[tuple[Store, BlobStore]]:
    """A backup as a store, to be changed in place."""
    from pymemos.adapters.sqlite.backups import opened_backup

    whole = os.path.realpath(file)  # a link is not what is to be moved
    return opened_backup(Path(whole), Path(f"{whole}{BLOBS_SUFFIX}"))


def audit_heads(settings: Settings, store: Store, clock: Clock, key: bytes | None = None) -> HeadKeeper:
    """Who keeps the signed head of the store, with the key that seals its log: the given one, or that of the store.

    Both are found by the name that the store was given when it was first opened.
    """
    if key is None and settings.config_dir.resolve().is_relative_to(settings.home.resolve()):
        raise InvalidInput(
            f"the keys' folder {settings.config_dir} lies in the store, where they protect nothing; "
            "set PYMEMOS_CONFIG_DIR to a folder outside it"
        )
    _check_key(key)
    with store.read() as unit:
        known = unit.setting("store_id")
    name = known or store.write(_name_store)
    if key is None:
        key = audit.instance_key(settings.config_dir, name, new=known is None)
    keeper = HeadKeeper(settings.config_dir, name, key, store, clock)
    keeper.begin()
    return keeper


def _check_key(key: Any) -> None:
    """Refuse what seals a log less well than a key that is made."""
    if key is not None and (not isinstance(key, bytes) or len(key) != audit.KEY_BYTES):
        raise InvalidInput(f"key is no instance key; pass {audit.KEY_BYTES} random bytes, or leave it out")


def _name_store(unit: WriteUnit) -> str:
    name = unit.setting("store_id") or secrets.token_hex(16)
    unit.set_setting("store_id", name)
    return name


def worker_name() -> str:
    """A name that no other worker has."""
    return f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(3)}"
