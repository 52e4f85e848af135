"""How a setting becomes a chat model."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pymemos.errors import ModelError
from pymemos.models.chat.endpoint import EndpointChat

if TYPE_CHECKING:
    from pymemos.ports import ChatModel

NONE: Final = "none"


def open_chat(
    setting: str | None, *, cache: Path, key: str | None = None, device: str = "auto", dtype: str = "auto"
) -> ChatModel | None:
    """The chat model that a setting names, None for ``none`` and where nothing is set.

    A setting is ``none``, ``https://host/v1#model``, a name of the catalogue such as ``smollm2``, a folder, or the id
    of a model of the hub; the last three run here, on ``device`` and in ``dtype``, and need the extra ``local``.
    """
    if setting is None or setting == NONE:
        return None
    if setting.startswith(("http://", "https://")):
        return EndpointChat.from_setting(setting, key=key)
    return _local(setting, cache, device, dtype)


def runs_here(setting: str | None) -> bool:
    """Whether the model that a setting names is run in this process, and what that takes is installed."""
    if setting is None or setting == NONE or setting.startswith(("http://", "https://")):
        return False
    return all(find_spec(needed) is not None for needed in ("torch", "transformers"))


def _local(setting: str, cache: Path, device: str, dtype: str) -> ChatModel:
    try:
        from pymemos.models.local import open_local
    except ImportError as error:
        raise ModelError(
            f"the chat model {setting!r} runs here, and needs torch and transformers ({error}): "
            "pip install 'pymemos[local]', or set an endpoint such as https://host/v1#model"
        ) from error
    return open_local(setting, cache, device, dtype)
