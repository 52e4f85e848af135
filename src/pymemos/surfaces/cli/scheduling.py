"""The commands of the scheduler: calibrate, schedule."""

from __future__ import annotations

from typing import Any

import click

from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import Shell, given, identity_options, verb
from pymemos.surfaces.cli.show import Column


@verb()
def calibrate(shell: Shell) -> None:
    """Measure what this machine takes to read, load, write and answer.

    The scheduler goes by these figures. It takes about a minute on a CPU; run it when nothing else runs, and again when
    the machine or the model is another. Needs a local model.
    """
    with shell.open() as mem:
        found = mem.calibrate()
    if shell.json:
        shell.answer(show.fields_of(found))
        return
    rows = [
        ("reading, at the beginning", f"{found.begin_s * 1e3:,.1f} ms"),
        ("reading, a token", f"{found.token_s * 1e3:,.3f} ms"),
        ("reading, a token squared", f"{found.square_s * 1e6:,.3f} µs"),
        ("answering, a token", f"{found.decode_s * 1e3:,.1f} ms"),
        ("a KV cache, a token", f"{found.kv_token_bytes:,.0f} bytes"),
        ("loading a KV cache", f"{found.load_s * 1e3:,.1f} ms and {found.load_bytes_s / 1e6:,.0f} MB/s"),
        ("writing a KV cache", f"{found.write_s * 1e3:,.1f} ms and {found.write_bytes_s / 1e6:,.0f} MB/s"),
    ]
    show.table([Column("what", "dim"), Column(found.model)], rows, empty="")


@verb()
@click.option("--now", metavar="TIME", help="As if it were then (ISO 8601 with a zone).")
@identity_options
def schedule(shell: Shell, **options: Any) -> None:
    """Show which memories should be kept in another form, and why.

    A memory that is used often and stays as it is should become a KV cache, later an adapter, and text again when it
    rests. Nothing is changed; 'pymemos kv encode' makes KV caches. In a pipe a line holds id, from, to and reason,
    separated by tabs.
    """
    with shell.open() as mem:
        found = mem.schedule(**given(options))
    if shell.json:
        moves = [{**show.fields_of(one), "reason": one.reason} for one in found.moves]
        of = {"at": found.at, "examined": found.examined, "model": found.model, "measured": found.measured}
        shell.answer({**of, "moves": moves})
        return
    if found.model is None:
        click.echo("Nothing is known of this machine yet: run 'pymemos calibrate' once.", err=True)
        return
    columns = [Column("memory", "dim"), Column("from"), Column("to", "bold"), Column("why", ratio=1)]
    rows = [(one.id, one.before, one.after, one.reason) for one in found.moves]
    show.table(columns, rows, empty="Everything is kept in the form that costs least.")
    if show.on_terminal():
        click.echo(f"{len(rows):,} of {found.examined:,} memories would move, by the figures of {found.model}.")
