"""What every test stands on: Hypothesis profiles, no network, and a configuration folder of its own."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Continuous integration says the same of the same commit twice; every other run, and the deep one, explores.
GATE = os.environ.get("CI") == "true"
settings.register_profile("default", max_examples=50, deadline=None, print_blob=True, derandomize=GATE)
settings.register_profile("deep", parent=settings.get_profile("default"), max_examples=1000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

SLOW_FOLDERS = ("reliability",)
LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")  # noqa: S104 - compared with, never bound
_config = pytest.StashKey[Path]()


class NetworkRefused(RuntimeError):
    """A test tried to leave this machine; give it a double from pymemos.testing, or a server on 127.0.0.1."""


def pytest_configure(config: pytest.Config) -> None:
    """Keep the run to itself: a fresh configuration folder (it holds the instance keys), and no network."""
    folder = Path(tempfile.mkdtemp(prefix="pymemos-config-"))
    config.stash[_config] = folder
    os.environ["PYMEMOS_CONFIG_DIR"] = str(folder)  # inherited by every process that a test starts
    os.environ["PYMEMOS_CACHE_DIR"] = str(folder / "cache")  # no model is prepared there
    sys.addaudithook(_refuse_network)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the configuration folder of this run."""
    shutil.rmtree(config.stash[_config], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark whole folders as slow, so that 'make check' stays under a minute."""
    for item in items:
        if any(f"/tests/{folder}/" in item.path.as_posix() for folder in SLOW_FOLDERS):
            item.add_marker(pytest.mark.slow)


def _refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # a Unix socket's address is a path
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    name = host.decode(errors="replace") if isinstance(host, bytes) else host
    if name and not name.startswith(LOOPBACK):
        raise NetworkRefused(f"a test tried to reach {name!r}; {NetworkRefused.__doc__}")
