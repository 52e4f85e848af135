"""The commands on where memories come from: provenance, annotate, restore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import Shell, given, identity_options, verb
from pymemos.surfaces.cli.memories import parse_version, say_revision


@verb()
@click.argument("id")
@click.option("--svg", metavar="FILE", type=click.Path(allow_dash=True, dir_okay=False), help="Draw it into FILE.")
@click.option("--depth", type=click.IntRange(1, 100), metavar="N", default=10, show_default=True, help="Generations.")
@click.option("--limit", type=click.IntRange(1, 1000), metavar="N", default=100, show_default=True, help="Memories.")
@identity_options
def provenance(shell: Shell, id: str, svg: str | None, **options: Any) -> None:
    """Show where memory ID comes from.

    Its origin, what was said of it, who changed it when, what it was made from and what was made from it. --depth and
    --limit bound the graph each way; what they leave out is said.
    """
    with shell.open() as mem:
        lineage = mem.provenance(id, **given(options))
    if svg is not None and svg != "-":
        Path(svg).write_text(lineage.svg(), "utf-8")
    if shell.json:
        shell.answer(show.fields_of(lineage))
    elif svg == "-":
        click.echo(lineage.svg(), nl=False)
    elif svg is not None:
        count = len(lineage.nodes)
        click.echo(f"Drew {count} {'memory' if count == 1 else 'memories'} into {svg}", err=True)
    else:
        click.echo(lineage.text())


@verb()
@click.argument("id")
@click.option("--trigger", metavar="TEXT", help="What made somebody keep it.")
@click.option("--context", metavar="TEXT", help="The state that it was made in.")
@click.option("--model", metavar="NAME", help="The model that made it.")
@click.option("--link", "links", multiple=True, metavar="LINK", help="What it cites; may be given several times.")
@click.option("--note", metavar="TEXT", help="What is to be known of it.")
@click.option("--expected", metavar="VERSION", help="Refuse when the memory is at another revision or version.")
@click.option("--key", "idempotency_key", metavar="KEY", help="Repeating a call with the same key is harmless.")
@identity_options
def annotate(shell: Shell, id: str, expected: str | None, **options: Any) -> None:
    """Say more of why memory ID exists.

    That is its next version, with the same content: nothing that was made from it becomes stale.
    """
    with shell.open() as mem:
        cube = mem.annotate(id, expected=parse_version(expected), **given(options))
    say_revision(shell, cube)


@verb()
@click.argument("id")
@click.option("--version", metavar="VERSION", help="The revision or version hash to go back to.")
@click.option("--expected", metavar="VERSION", help="Refuse when the memory is at another revision or version.")
@click.option("--key", "idempotency_key", metavar="KEY", help="Repeating a call with the same key is harmless.")
@identity_options
def restore(shell: Shell, id: str, version: str | None, expected: str | None, **options: Any) -> None:
    """Go back to a version of memory ID, or bring it back when it was deleted.

    A deleted memory comes back as it was last, unless --version names another. It is a new version in either case.
    """
    with shell.open() as mem:
        cube = mem.restore(id, parse_version(version), expected=parse_version(expected), **given(options))
    say_revision(shell, cube)
