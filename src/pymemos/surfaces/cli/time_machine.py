"""The commands that go back in time: snapshot, snapshots, restore-to."""

from __future__ import annotations

from typing import Any

import click

from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import Shell, given, identity_options, verb
from pymemos.surfaces.cli.show import Column


@verb()
@click.argument("name")
@identity_options
def snapshot(shell: Shell, name: str, **options: Any) -> None:
    """Give the present moment a NAME to return to.

    Of the whole store, unless --user or --agent names one. It copies nothing: every version is kept anyway.
    """
    with shell.open() as mem:
        taken = mem.snapshot(name, **given(options))
    if shell.json:
        shell.answer(show.fields_of(taken))
    else:
        click.echo(f"{taken.name} is {taken.at.isoformat()}")


@verb()
@identity_options
def snapshots(shell: Shell, **options: Any) -> None:
    """List the moments that have names."""
    with shell.open() as mem:
        found = mem.snapshots(**given(options))
    if shell.json:
        shell.answer([show.fields_of(one) for one in found])
        return
    columns = [Column("name", "bold"), Column("moment"), Column("of"), Column("taken by", "dim")]
    rows = [(one.name, one.at, one.namespace or "the whole store", one.author) for one in found]
    show.table(columns, rows, empty="No moment has a name yet.")


@verb()
@click.argument("moment")
@click.option("--all", "everything", is_flag=True, help="The whole store, which no user or agent names.")
@click.option("--dry-run", is_flag=True, help="Say what would happen and why, and change nothing.")
@identity_options
def restore_to(shell: Shell, moment: str, everything: bool, dry_run: bool, **options: Any) -> None:
    """Go back to a MOMENT: a time, or the name of a snapshot.

    What was changed or deleted since comes back as a new version, what was added since is deleted recoverably. Who may
    see a memory stays as it is now, and frozen memories are left alone.
    """
    if everything == bool(given(options)):
        raise click.UsageError("name whose memories go back with --user or --agent, or the whole store with --all")
    with shell.open() as mem:
        returned = mem.restore_to(moment, everything=everything, dry_run=dry_run, **given(options))
    if shell.json:
        shell.answer(show.fields_of(returned))
        return
    if dry_run:
        columns = [Column("would"), Column("memory"), Column("revision"), Column("because", "dim", ratio=1)]
        rows = [(step.act.value, step.id, step.revision, step.reason) for step in returned.steps]
        show.table(columns, rows, empty="Nothing would change.")
    if not dry_run or show.on_terminal():
        click.echo(str(returned))
