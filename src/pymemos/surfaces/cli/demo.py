"""The demonstration: a guided tour through a memory, on a story that comes with the package, offline."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pymemos.settings import from_environment
from pymemos.surfaces.cli.app import Shell, verb

if TYPE_CHECKING:
    from pymemos.surfaces.cli.demo_tour import Place, Tour


@verb()
@click.option("--fast", is_flag=True, help="Without pauses, as in a pipe.")
def demo(shell: Shell, fast: bool) -> None:
    """Take a guided tour of a memory.

    A story is remembered, questioned, corrected and checked, offline, in under half a minute. Its store is a new
    folder, kept so that you can go on; --home names one. The end says how to remove it.
    """
    place = _new_place(shell)
    if shell.json:
        from pymemos.surfaces.cli.demo_report import report

        with _opened(place) as tour:
            told = report(tour)
        shell.answer({**told, "bytes": place.size()})
        return
    from pymemos.surfaces.cli.demo_guide import farewell, guide

    with _opened(place) as tour:
        stage = guide(tour, fast=fast)
    farewell(stage, tour, size=place.size())  # the size on the disk is that of a closed store


def _new_place(shell: Shell) -> Place:
    """A folder for the store: the one that was named, if it is new, or one of its own among temporary files."""
    from pymemos.surfaces.cli.demo_tour import Place

    if shell.home is None:
        return Place(Path(tempfile.mkdtemp(prefix="pymemos-demo-")), temporary=True)
    if shell.folder.exists() and any(shell.folder.iterdir()):
        raise click.UsageError(f"{shell.folder} is not empty; name a new folder, or none: the tour plays in its own")
    return Place(shell.folder, temporary=False)


@contextmanager
def _opened(place: Place) -> Iterator[Tour]:
    """The tour on a new store; who breaks it off leaves nothing behind."""
    from pymemos.surfaces.cli.demo_story import StoryClock, load
    from pymemos.surfaces.cli.demo_tour import Tour
    from pymemos.system import MemOS
    from pymemos.wiring import used_embedder

    clock = StoryClock()
    with ExitStack() as broken_off:
        broken_off.callback(place.remove)
        used = used_embedder(from_environment(os.environ, Path.home()))  # named, for the tour tells of it itself
        with MemOS(place.home, clock=clock, embedder=used) as mem:
            yield Tour(mem, place, load(), clock)
        broken_off.pop_all()
