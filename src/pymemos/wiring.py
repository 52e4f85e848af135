"""Wiring: which adapter and which model stand behind a port; loaded when they are first needed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pymemos.errors import InvalidInput
from pymemos.infrastructure import audit
from pymemos.infrastructure.heads import HeadKeeper
from pymemos.interface.api import MemoryAPI, Tools
from pymemos.interface.attaching import Attacher
from pymemos.interface.encoding import Encoder
from pymemos.interface.injecting import Injector
from pymemos.interface.kv_pool import KvPool
from pymemos.interface.transfer import BLOBS_SUFFIX
from pymemos.operation.tiers import Budget
from pymemos.ports import BlobStore, Clock, Embedder, Engine, Overlay, Store, Tuner, WriteUnit
from pymemos.settings import Settings

if TYPE_CHECKING:
    from pymemos.models.catalog import Entry


def folder(home: str | os.PathLike[str]) -> Path:
    """The folder of a store from what a caller named."""
    text = os.fspath(home)
    if "://" in text:
        raise InvalidInput(f"{text.partition('://')[0]} stores are not supported yet; name a folder")
    return Path(text).expanduser()


def open_store(home: Path) -> Store:
    """The embedded store of a folder."""
    from pymemos.adapters.sqlite import SqliteStore

    return SqliteStore(home)


def open_embedder(settings: Settings, named: str | None) -> Embedder | None:
    """The embedder that is named, else that of the settings."""
    from pymemos.models.embed.catalog import open_embedder

    return open_embedder(named or settings.embedder, cache=settings.cache_dir, key=settings.embedder_key)


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


def activation(api: MemoryAPI, tools: Tools, settings: Settings) -> tuple[Injector, Encoder] | tuple[None, None]:
    """What injects and encodes KV memories, over the pool of those that lie in memory; nothing without an engine."""
    if tools.engine is None:
        return None, None
    pool = KvPool(tools.engine, Budget(device=settings.kv_device_bytes, host=settings.kv_host_bytes))
    tools.segments.on_left, tools.segments.on_changed = pool.keep_only, pool.follow
    injector = Injector(api, tools, tools.engine, pool)
    return injector, Encoder(injector, tools, low_form=settings.kv_low_form)


def tuner(engine: Engine | None) -> Tuner | None:
    """What trains adapters for an engine: there is one for local models."""
    if engine is None or not hasattr(engine, "model"):
        return None
    from pymemos.models.local.engine import LocalEngine
    from pymemos.models.local.tuning import LocalTuner

    return LocalTuner(engine) if isinstance(engine, LocalEngine) else None


def attacher(api: MemoryAPI, tools: Tools) -> Attacher | None:
    """What finds and gates adapters; nothing without a model for them."""
    if tools.engine is None or tools.tuner is None:
        return None
    return Attacher(api, tools, tools.engine, tools.tuner)


def new_overlay(at: datetime) -> Overlay:
    """Where a what-if keeps its changes: in memory."""
    from pymemos.adapters.overlay import MemoryOverlay

    return MemoryOverlay(at)


def opened_backup(file: Path) -> AbstractContextManager[tuple[Store, BlobStore]]:
    """A backup as a store, to be changed in place."""
    from pymemos.adapters.sqlite.backups import opened_backup

    return opened_backup(file, file.with_name(file.name + BLOBS_SUFFIX))


def audit_heads(settings: Settings, store: Store, clock: Clock, key: bytes | None = None) -> HeadKeeper:
    """Who keeps the signed head of the store, with the key that seals its log: the given one, or that of the store.

    Both are found by the name that the store was given when it was first opened.
    """
    if key is None and settings.config_dir.resolve().is_relative_to(settings.home.resolve()):
        raise InvalidInput(
            f"the keys' folder {settings.config_dir} lies in the store, where they protect nothing; "
            "set PYMEMOS_CONFIG_DIR to a folder outside it"
        )
    with store.read() as unit:
        known = unit.setting("store_id")
    name = known or store.write(_name_store)
    key = key or audit.instance_key(settings.config_dir, name, new=known is None)
    keeper = HeadKeeper(settings.config_dir, name, key, store, clock)
    keeper.begin()
    return keeper


def _name_store(unit: WriteUnit) -> str:
    name = unit.setting("store_id") or secrets.token_hex(16)
    unit.set_setting("store_id", name)
    return name


def worker_name() -> str:
    """A name that no other worker has."""
    return f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(3)}"
