"""The commands that make one of several: merge, fuse, compose, undo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import F, Shell, filter_option, given, identity_options, verb
from pymemos.surfaces.cli.memories import parse_version, say_revision
from pymemos.surfaces.cli.show import Column

if TYPE_CHECKING:
    from pymemos import MemOS


def together_options(function: F) -> F:
    """How several memories become one."""
    options = [
        click.option("--content", metavar="TEXT", help="The text (default: every distinct line, in order of time)."),
        click.option("--conflict", metavar="POLICY", help="Who wins: newest (default), oldest, keep_all, or fail."),
        click.option("--dry-run", is_flag=True, help="Say what it would be and who wins, and change nothing."),
        click.option("--key", "idempotency_key", metavar="KEY", help="Repeating a call with the same key is harmless."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@verb()
@click.argument("id", metavar="TARGET")
@click.argument("others", nargs=-1, required=True, metavar="OTHER...")
@together_options
@click.option("--expected", metavar="VERSION", help="Refuse when TARGET is at another revision or version.")
@identity_options
def merge(shell: Shell, id: str, others: tuple[str, ...], dry_run: bool, expected: str | None, **options: Any) -> None:
    """Consolidate memories into TARGET.

    Its next version says what all of them say; lines that say the same are kept once. The others are archived, and
    'pymemos undo TARGET' takes it all back.
    """
    with shell.open() as mem:
        if dry_run:
            return _plan(shell, mem, (id, *others), options)
        cube = mem.merge(id, others, expected=parse_version(expected), **given(options))
    return say_revision(shell, cube)


@verb()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@together_options
@click.option("--archive-sources", is_flag=True, help="Put the sources into the archive.")
@identity_options
def fuse(shell: Shell, ids: tuple[str, ...], dry_run: bool, archive_sources: bool, **options: Any) -> None:
    """Make a new memory of several.

    All of them are its parents, so it is stale when one of them changes. They stay as they are.
    """
    with shell.open() as mem:
        if dry_run:
            return _plan(shell, mem, ids, options)
        cube = mem.fuse(ids, archive_sources=archive_sources, **given(options))
    return say_revision(shell, cube)


@verb()
@click.argument("name")
@click.option("--id", "ids", multiple=True, metavar="ID", help="A memory; may be given several times.")
@click.option("--namespace", "namespaces", multiple=True, metavar="NAME", help="As users/alice; several times.")
@filter_option
@click.option("--expected", metavar="VERSION", help="Refuse when the view is at another revision or version.")
@click.option("--key", "idempotency_key", metavar="KEY", help="Repeating a call with the same key is harmless.")
@identity_options
def compose(shell: Shell, name: str, expected: str | None, **options: Any) -> None:
    """Keep a view under NAME.

    It names memories to be read as one: those of the namespaces that match the filter, and single ones. 'pymemos search
    --view NAME' and 'pymemos list --view NAME' look through it, and show what their caller may see. Composed again, a
    name gets its next version.
    """
    with shell.open() as mem:
        say_revision(shell, mem.compose(name, expected=parse_version(expected), **given(options)))


@verb()
@click.argument("id")
@click.option("--expected", metavar="VERSION", help="Refuse when the memory is at another revision or version.")
@click.option("--key", "idempotency_key", metavar="KEY", help="Repeating a call with the same key is harmless.")
@identity_options
def undo(shell: Shell, id: str, expected: str | None, **options: Any) -> None:
    """Take back the merge, fuse or compose that memory ID was last changed by.

    It says again what it said, or is deleted where it was made by that; what was archived by it is at hand again. In a
    pipe a line holds the id and what was done: restored, deleted or brought back.
    """
    with shell.open() as mem:
        undone = mem.undo(id, expected=parse_version(expected), **given(options))
    if shell.json:
        cube = None if undone.cube is None else show.public_cube(undone.cube)
        shell.answer({"id": undone.id, "undone": undone.undone, "memory": cube, "brought_back": undone.brought_back})
        return
    rows = [(undone.id, "deleted" if undone.cube is None else "restored")]
    rows += [(source, "brought back") for source in undone.brought_back]
    show.table([Column("memory", "dim"), Column("is", "bold")], rows, empty="")


def _plan(shell: Shell, mem: MemOS, ids: tuple[str, ...], options: dict[str, Any]) -> None:
    """Say what a merge or a fusion would be."""
    asked = {name: options[name] for name in ("content", "conflict", "user_id", "agent_id")}
    plan = mem.plan_merge(ids, **given(asked))
    if shell.json:
        shell.answer(show.fields_of(plan))
        return
    click.echo(show.printable(plan.payload.content) if show.on_terminal() else plan.payload.content)
    for conflict in plan.conflicts:
        click.secho(show.one_line(str(conflict)), dim=True, err=True)
