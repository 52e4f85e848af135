"""The commands of the scheduler: calibrate, schedule."""

from __future__ import annotations

from typing import Any

import click

from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import Shell, given, identity_options, verb
from pymemos.surfaces.cli.show import Column


@verb()
def calibrate(shell: Shell) -> None:
    """Measure what this machine takes to read, load, write, answer and train.

    The scheduler goes by these figures. It takes a minute or two on a CPU; run it when nothing else runs, and again
    when the machine or the model is another. Needs a local model.
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
    show.table([Column("what", "dim"), Column(found.model)], [*rows, *_of_adapters(found)], empty="")
    if not found.adapter_measured:
        click.echo("The figures of adapters are assumed: this model cannot learn here.", err=True)


def _of_adapters(found: Any) -> list[tuple[str, str]]:
    whole = [("training ten facts, with the test", f"{found.training_s:,.0f} s")] if found.adapter_measured else []
    return [
        *whole,
        ("training, a memory", f"{found.train_s:,.2f} s and {found.train_token_s:,.2f} s a token"),
        ("an adapter, a memory", f"{found.adapter_bytes:,.0f} bytes"),
        ("reading with an adapter", f"{found.attach_s * 1e3:,.1f} ms more"),
    ]


@verb()
@click.option("--now", metavar="TIME", help="As if it were then (ISO 8601 with a zone).")
@click.option("--apply", is_flag=True, help="Carry it out: encode, queue trainings, give up what rests.")
@click.option("--why", metavar="ID", help="Show the decisions that are kept of this memory, instead.")
@click.option("--swaps", is_flag=True, help="Show the last swaps of memory sets, instead.")
@identity_options
def schedule(shell: Shell, apply: bool, why: str | None, swaps: bool, **options: Any) -> None:
    """Show which memories should be kept in another form, and why.

    A memory that is used often and stays as it is should become a KV cache, later an adapter, and text again when it
    rests. Nothing is changed without --apply. In a pipe a line holds id, from, to and reason, separated by tabs.
    """
    if why is not None:
        _tell_why(shell, why, options)
    elif swaps:
        _tell_swaps(shell, options)
    elif apply:
        _apply(shell, options)
    else:
        _propose(shell, options)


def _propose(shell: Shell, options: dict[str, Any]) -> None:
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
    rows = [(one.id, one.before, one.after, one.reason) for one in found.moves]
    show.table(_MOVES, rows, empty="Everything is kept in the form that costs least.")
    if show.on_terminal():
        click.echo(f"{len(rows):,} of {found.examined:,} memories would move, by the figures of {found.model}.")


def _apply(shell: Shell, options: dict[str, Any]) -> None:
    with shell.open() as mem:
        turn = mem.move(**given(options))
    if shell.json:
        moves = [{**show.fields_of(one.move), "reason": one.reason} for one in turn.decisions]
        shell.answer({**show.fields_of(turn), "decisions": moves})
        return
    if turn.remark:
        click.echo(turn.remark, err=True)
        return
    rows = [(one.id, one.before, one.after, one.reason) for one in turn.decisions]
    show.table(_MOVES, rows, empty="Everything is kept in the form that costs least.")
    for one in turn.left:
        click.echo(f"{one.id} was left as it is: {one.why}", err=True)
    if show.on_terminal():
        click.echo(
            f"{len(turn.made):,} KV segments made, {len(turn.given_up):,} caches given up, "
            f"{len(turn.queued):,} trainings queued; 'pymemos worker' does what is queued."
        )


def _tell_why(shell: Shell, id: str, options: dict[str, Any]) -> None:
    with shell.open() as mem:
        found = mem.decisions(id, **{name: value for name, value in given(options).items() if name != "now"})
    if shell.json:
        shell.answer([{**show.fields_of(one), "same_again": one == one.again()} for one in found])
        return
    rows = [(one.id, one.before, one.after, one.reason, "yes" if one == one.again() else "no") for one in found]
    show.table([*_MOVES, Column("same again")], rows, empty="No decision of the scheduler is kept of this memory.")


def _tell_swaps(shell: Shell, options: dict[str, Any]) -> None:
    with shell.open() as mem:
        found = mem.swaps(**{name: value for name, value in given(options).items() if name != "now"})
    if shell.json:
        shell.answer([{**show.fields_of(one), "same_again": one == one.again()} for one in found])
        return
    rows = [
        (one.grounds.before or "", one.grounds.after, one.reason, "yes" if one == one.again() else "no")
        for one in found
    ]
    columns = [Column("from"), Column("to", "bold"), Column("why", ratio=1), Column("same again")]
    show.table(columns, rows, empty="No memory set was swapped.")


_MOVES = [Column("memory", "dim"), Column("from"), Column("to", "bold"), Column("why", ratio=1)]
