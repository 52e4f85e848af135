"""The commands of the life cycle: freeze, unfreeze, archive, activate, sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import Shell, given, identity_options, verb
from pymemos.surfaces.cli.show import Column

if TYPE_CHECKING:
    from pymemos import MemCube


@verb()
@click.argument("id")
@identity_options
def freeze(shell: Shell, id: str, **identity: Any) -> None:
    """Let memory ID take no more edits.

    Its text and history stay, and nothing moves or expires it. It leaves the default search; --state frozen finds it.
    Only the steward can unfreeze it.
    """
    with shell.open() as mem:
        _say(shell, mem.freeze(id, **given(identity)), "Frozen")


@verb()
@click.argument("id")
def unfreeze(shell: Shell, id: str) -> None:
    """Let a frozen memory take edits again.

    It stands where it stood before. Whoever opens the store is its steward, and may do this.
    """
    with shell.open() as mem:
        _say(shell, mem.unfreeze(id), "No longer frozen")


@verb()
@click.argument("id")
@identity_options
def archive(shell: Shell, id: str, **identity: Any) -> None:
    """Put memory ID out of the default search.

    Search and list find it with --state archived; 'pymemos activate' brings it back.
    """
    with shell.open() as mem:
        _say(shell, mem.archive(id, **given(identity)), "Archived")


@verb()
@click.argument("id")
@identity_options
def activate(shell: Shell, id: str, **identity: Any) -> None:
    """Bring memory ID back to hand, from the archive too."""
    with shell.open() as mem:
        _say(shell, mem.activate(id, **given(identity)), "Activated")


@verb()
@click.option("--dry-run", is_flag=True, help="Move nothing; say what would move, and why.")
@click.option("--now", metavar="TIME", help="As if it were then (ISO 8601 with a zone).")
@identity_options
def sweep(shell: Shell, dry_run: bool, **options: Any) -> None:
    """Archive and expire what is due.

    Due is what its lifespan ends, what nobody used for long, and what a quota has no room for. A worker sweeps by
    itself once a day. In a pipe a line holds id, from, to, cause and reason, separated by tabs.
    """
    with shell.open() as mem:
        swept = mem.sweep(dry_run=dry_run, **given(options))
    if shell.json:
        moves = [show.fields_of(move) for move in swept.moves]
        totals = {"examined": swept.examined, "causes": swept.causes}
        shell.answer({"at": swept.at, "dry_run": dry_run, **totals, "moves": moves})
        return
    rows = [(move.id, move.before, move.after, move.cause, move.reason) for move in swept.moves]
    columns = [Column("memory", "dim"), Column("from"), Column("to", "bold"), Column("cause"), Column("why", ratio=1)]
    show.table(columns, rows, empty="Nothing is due.")
    if show.on_terminal():
        verb = "would move" if dry_run else "moved"
        click.echo(f"{len(rows):,} of {swept.examined:,} memories {verb}.")


def _say(shell: Shell, cube: MemCube, what: str) -> None:
    if shell.json:
        shell.answer(show.public_cube(cube))
    elif show.on_terminal():
        click.echo(f"{what}: {cube.id}")
    else:
        show.tabbed(cube.id, cube.header.behaviour.state)
