"""The settings: read once at the edge, passed down as plain values."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from pymemos.errors import InvalidInput

CONFIG = "config.json"
MOVES = ("off", "propose", "on")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set.

    ``home`` is the folder of the store, ``config_dir`` the folder of the instance keys, which must lie outside every
    store; ``text_limit`` is the longest text of one memory, in characters;
    ``cache_bytes`` is what searches may keep in memory; ``embedder`` names what gives texts their meaning (None: MiniLM
    where it is prepared), ``embedder_key`` is the key of an endpoint; ``cache_dir`` holds prepared models.
    ``kv_device_bytes`` and ``kv_host_bytes`` are what KV segments may take where the model computes, and in the memory
    of the host; ``kv_low_form`` is the form of those of low priority ("exact", or "int8", which is lossy);
    ``kv_after_uses`` says how often chats read the same block of memories as text before it is encoded (0: never).
    ``moves`` says whether memories move between forms by themselves, where ``tick`` or a worker runs ("off", "propose",
    which only logs what would move, or "on"); ``block_tokens`` is how long the block of KV caches is that they keep for
    each owner.
    ``chat`` names the model that answers (None: none), ``chat_key`` is the key of its endpoint; ``device`` and
    ``dtype`` say where and in what numbers a model of this machine runs ("auto": its own numbers, on a GPU if there is
    one).
    """

    home: Path
    config_dir: Path
    text_limit: int = 1_000_000
    cache_bytes: int = 512_000_000
    cache_dir: Path = msgspec.field(default_factory=lambda: cache_folder(os.environ, Path.home()))
    embedder: str | None = None
    embedder_key: str | None = None
    kv_device_bytes: int = 1_000_000_000
    kv_host_bytes: int = 1_000_000_000
    kv_low_form: str = "exact"
    kv_after_uses: int = 3
    moves: str = MOVES[0]
    block_tokens: int = 400
    chat: str | None = None
    chat_key: str | None = None
    device: str = "auto"
    dtype: str = "auto"

    def __post_init__(self) -> None:
        """Raise InvalidInput for a word that would be taken for another."""
        if self.moves not in MOVES:
            raise InvalidInput(f"moves is {self.moves!r}; use one of {', '.join(MOVES)}")


def from_environment(environ: Mapping[str, str], user_home: Path) -> Settings:
    """Settings from the variables PYMEMOS_*, then from ``config.json``, with the usual folders as defaults."""
    data = Path(environ.get("XDG_DATA_HOME") or user_home / ".local" / "share")
    config = Path(environ.get("XDG_CONFIG_HOME") or user_home / ".config")
    config_dir = Path(environ.get("PYMEMOS_CONFIG_DIR") or config / "pymemos")
    kept = read_config(config_dir)
    return Settings(
        home=Path(environ.get("PYMEMOS_HOME") or data / "pymemos"),
        config_dir=config_dir,
        text_limit=_number(environ, "PYMEMOS_TEXT_LIMIT", 1_000_000, "characters"),
        cache_bytes=_number(environ, "PYMEMOS_CACHE_BYTES", 512_000_000, "bytes"),
        cache_dir=cache_folder(environ, user_home),
        embedder=environ.get("PYMEMOS_EMBEDDER") or kept.get("embedder"),
        embedder_key=environ.get("PYMEMOS_EMBEDDER_KEY"),
        kv_device_bytes=_number(environ, "PYMEMOS_KV_DEVICE_BYTES", 1_000_000_000, "bytes"),
        kv_host_bytes=_number(environ, "PYMEMOS_KV_HOST_BYTES", 1_000_000_000, "bytes"),
        kv_after_uses=_number(environ, "PYMEMOS_KV_AFTER_USES", 3, "uses", least=0),
        block_tokens=_number(environ, "PYMEMOS_BLOCK_TOKENS", 400, "tokens"),
        moves=_one_of(environ, "PYMEMOS_MOVES", MOVES),
        kv_low_form=_one_of(environ, "PYMEMOS_KV_LOW_FORM", ("exact", "int8")),
        chat=environ.get("PYMEMOS_CHAT") or kept.get("chat"),
        chat_key=environ.get("PYMEMOS_CHAT_KEY"),
        device=environ.get("PYMEMOS_DEVICE") or "auto",
        dtype=environ.get("PYMEMOS_DTYPE") or "auto",
    )


def cache_folder(environ: Mapping[str, str], user_home: Path) -> Path:
    """The folder of what can be made again, such as prepared models."""
    caches = Path(environ.get("XDG_CACHE_HOME") or user_home / ".cache")
    return Path(environ.get("PYMEMOS_CACHE_DIR") or caches / "pymemos")


def read_config(config_dir: Path) -> dict[str, str]:
    """What ``pymemos models use`` keeps, by name."""
    path = config_dir / CONFIG
    if not path.exists():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{path} cannot be read ({error}); mend it, or remove it") from error


def write_config(config_dir: Path, **values: str) -> None:
    """Keep settings; the file is whole at every moment."""
    config_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = config_dir / f"{CONFIG}.{secrets.token_hex(4)}"
    with partial.open("xb") as file:
        file.write(msgspec.json.format(msgspec.json.encode({**read_config(config_dir), **values})))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(config_dir / CONFIG)


def _one_of(environ: Mapping[str, str], name: str, values: tuple[str, ...]) -> str:
    given = environ.get(name) or values[0]
    if given not in values:
        raise InvalidInput(f"{name} is {given!r}; set it to one of {', '.join(values)}")
    return given


def _number(environ: Mapping[str, str], name: str, default: int, unit: str, *, least: int = 1) -> int:
    given = environ.get(name, str(default))
    if not given.isdecimal() or int(given) < least:
        raise InvalidInput(f"{name} is {given!r}; set it to a number of {unit}, such as {default}")
    return int(given)
