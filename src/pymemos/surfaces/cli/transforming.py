"""The commands of pathways: transform, transformation."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import Shell, given, identity_options, verb
from pymemos.surfaces.cli.show import Column

if TYPE_CHECKING:
    from pymemos.interface.transforming import Transforming

_FORMS = ("plaintext", "activation", "parametric", "steering")


@verb()
@click.argument("ids", nargs=-1, required=True)
@click.option("--to", required=True, type=click.Choice(_FORMS), help="The form that they are to have.")
@click.option("--against", multiple=True, metavar="ID", help="For steering: a contrasting text, one for each of IDS.")
@click.option("--form", type=click.Choice(["exact", "int8"]), help="Of segments: exact, or int8: smaller, and lossy.")
@click.option("--priority", metavar="PRIORITY", help="low, mid or high.")
@click.option("--dry-run", is_flag=True, help="Show the plan, and queue nothing.")
@identity_options
def transform(shell: Shell, ids: tuple[str, ...], dry_run: bool, **options: Any) -> None:
    """Queue bringing the memories IDS to another form.

    'pymemos worker' does it; 'pymemos transformation JOB' says how far it is. Needs a local model.
    """
    with shell.open() as mem:
        found = mem.transform(list(ids), dry_run=dry_run, **given(options))
    if shell.json:
        shell.answer({"job": found.job, "made": found.made, "plan": show.fields_of(found.plan)})
        return
    if dry_run or sys.stdout.isatty():
        _show(found)
    if found.job is not None:
        click.echo(found.job)
    for id in found.made:
        click.echo(id)


@verb()
@click.argument("job")
@click.option("--cancel", is_flag=True, help="Stop it before its next step; what it has kept by then stays.")
@identity_options
def transformation(shell: Shell, job: str, cancel: bool, **options: Any) -> None:
    """Say how far the transformation JOB is, and what it made, or stop it."""
    with shell.open() as mem:
        found = mem.transformation(job, **given(options))
        if cancel:
            mem.cancel_transformation(job, **given(options))
    if shell.json:
        shell.answer({**show.fields_of(found), "cancelled": cancel})
        return
    if found.done:
        for id in found.made:
            click.echo(id)
        return
    click.echo(f"{found.phase}: {found.step} of {found.steps}" + (" (cancelled)" if cancel else ""))
    if found.phase == "parked" and not cancel:
        click.echo("it failed too often: 'pymemos jobs' shows why; ask for the transformation again to retry", err=True)


def _show(found: Transforming) -> None:
    plan = found.plan
    rows = [
        *((step.name, step.does) for step in plan.steps),
        ("exact", plan.exact),
        ("may lose", plan.may_lose),
        ("measured", ", ".join(plan.measures)),
        ("back", plan.back),
    ]
    show.table([Column("what", "bold"), Column(plan.pathway)], rows, empty="")
    if found.made:
        click.echo("just this was made before:", err=True)
