"""The settings: read once at the edge, passed down as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from pymemos.errors import InvalidInput


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set.

    ``home`` is the folder of the store, ``config_dir`` the folder of the instance keys, which must lie outside every
    store; ``text_limit`` is the longest text of one memory, in characters;
    ``cache_bytes`` is what searches may keep in memory.
    """

    home: Path
    config_dir: Path
    text_limit: int = 1_000_000
    cache_bytes: int = 512_000_000


def from_environment(environ: Mapping[str, str], user_home: Path) -> Settings:
    """Settings from PYMEMOS_HOME, PYMEMOS_CONFIG_DIR and PYMEMOS_TEXT_LIMIT, with the usual folders as defaults."""
    data = Path(environ.get("XDG_DATA_HOME") or user_home / ".local" / "share")
    config = Path(environ.get("XDG_CONFIG_HOME") or user_home / ".config")
    limit = environ.get("PYMEMOS_TEXT_LIMIT", "1000000")
    if not limit.isdecimal() or int(limit) < 1:
        raise InvalidInput(f"PYMEMOS_TEXT_LIMIT is {limit!r}; set it to a number of characters, such as 1000000")
    return Settings(
        home=Path(environ.get("PYMEMOS_HOME") or data / "pymemos"),
        config_dir=Path(environ.get("PYMEMOS_CONFIG_DIR") or config / "pymemos"),
        text_limit=int(limit),
    )
