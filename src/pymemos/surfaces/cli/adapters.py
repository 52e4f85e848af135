"""The commands of adapters: distil, adapter list, adapter show, adapter write, adapter training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import (
    FAILED,
    Cli,
    Shell,
    after_option,
    common_options,
    given,
    identity_options,
    limit_option,
    main,
    scope_options,
    verb,
)
from pymemos.surfaces.cli.show import Column

if TYPE_CHECKING:
    from pymemos import MemCube
    from pymemos.cube.adapter import Reverse

_PARAMETRIC = {"kind": "parametric"}
_STATES = ("generated", "activated", "merged", "archived", "frozen")


@verb()
@click.argument("ids", nargs=-1)
@click.option("--adapter", "adapters", multiple=True, metavar="ID", help="Fuse: learn what this adapter learned too.")
@click.option("--into", metavar="ID", help="Make the next version of this adapter.")
@click.option("--by-chat", is_flag=True, default=None, help="Let the chat model make further questions to learn from.")
@identity_options
def distil(shell: Shell, ids: tuple[str, ...], adapters: tuple[str, ...], into: str | None, **options: Any) -> None:
    """Queue the training of an adapter on the memories IDS.

    'pymemos worker' does it; 'pymemos adapter training JOB' says how far it is. Needs a local model.
    """
    with shell.open() as mem:
        job = mem.distil(list(ids) or None, adapters=adapters, into=into, **given(options))
    shell.answer({"job": job}) if shell.json else click.echo(job)


@main.group(cls=Cli)
@common_options
def adapter() -> None:
    """Adapters: memories in the weights of a local model, which act where a question names whom they know."""


@verb(group=adapter, name="list")
@scope_options
@limit_option(100)
@after_option
def list_(shell: Shell, **options: Any) -> None:
    """List the adapters: their size, their model, whether they were admitted, and whether they still hold."""
    with shell.open() as mem:
        page = mem.list(filters=_PARAMETRIC, states=_STATES, **given(options))
    rows = [_fields(cube) for cube in page]
    if shell.json:
        shell.answer({"adapters": rows, "after": page.after})
        return
    columns = [
        Column("id", "dim"),
        Column("bytes"),
        Column("model"),
        Column("memories"),
        Column("admitted"),
        Column("holds"),
    ]
    cells = [
        (
            row["id"],
            f"{row['bytes']:,}",
            row["model"],
            str(len(row["sources"])),
            _yes(row["admitted"]),
            _yes(not row["stale"]),
        )
        for row in rows
    ]
    show.table(columns, cells, empty="No adapter yet: 'pymemos distil ID …' makes one.")
    show.more(page.after)


@verb(group=adapter, name="show")
@click.argument("id")
@identity_options
def show_(shell: Shell, id: str, **options: Any) -> int:
    """Show what adapter ID was taught, and how it did in its admission test.

    The exit code is 1 when it may not be used.
    """
    with shell.open() as mem:
        card = mem.adapter(id, **given(options))
    manifest, scores = card.manifest, card.manifest.scores
    if shell.json:
        said = {"id": card.id, "serves": card.serves, "reason": card.reason, "subjects": manifest.subjects}
        said |= {"reasons": manifest.reasons, "scores": show.fields_of(scores)}
        shell.answer({**said, "reverse": _reverse_fields(manifest.backward)})
        return 0 if card.serves else FAILED
    learned = (*manifest.facts, *manifest.backward.facts)
    rows = [(fact.subject, fact.relation, fact.object, f"{fact.right}/{fact.asked}") for fact in learned]
    show.table([Column("subject", "bold"), Column("relation"), Column("answer"), Column("right")], rows, empty="")
    click.echo(f"unseen phrasings {scores.recall:.0%}, similar names {scores.leak:.1%}", nl=False)
    click.echo(f", other questions {scores.leak_same_subject:.1%}, changed {scores.changed} of {scores.controls}")
    for line in _reverse_lines(manifest.backward):
        click.echo(line)
    for reason in (*manifest.reasons, *([card.reason] if card.reason else [])):
        click.echo(reason)
    return 0 if card.serves else FAILED


@verb(group=adapter)
@click.argument("id")
@click.argument("folder", type=click.Path(path_type=Path))
@identity_options
def write(shell: Shell, id: str, folder: Path, **options: Any) -> None:
    """Write adapter ID as the new FOLDER, which PEFT reads."""
    with shell.open() as mem:
        made = mem.write_adapter(id, folder, **given(options))
    shell.answer({"folder": str(made)}) if shell.json else click.echo(str(made))


@verb(group=adapter)
@click.argument("job")
@click.option("--cancel", is_flag=True, help="Stop it; nothing is left of it.")
@identity_options
def training(shell: Shell, job: str, cancel: bool, **options: Any) -> None:
    """Say how far the training JOB is, or stop it."""
    with shell.open() as mem:
        found = mem.training(job, **given(options))
        if cancel:
            mem.cancel_training(job, **given(options))
    if shell.json:
        shell.answer({**show.fields_of(found), "cancelled": cancel})
        return
    click.echo(f"{found.phase}: {found.step} of {found.steps} steps" + (" (cancelled)" if cancel else ""))
    if sys.stdout.isatty() and found.phase == "queued":
        click.echo("'pymemos worker' does what is queued", err=True)
    if found.phase == "parked" and not cancel:
        click.echo(
            f"it failed too often: 'pymemos jobs' shows why, and 'pymemos jobs retry {job}' tries again", err=True
        )


def _reverse_fields(back: Reverse) -> dict[str, Any]:
    scores = None if back.scores is None else show.fields_of(back.scores)
    return {"admitted": back.admitted, "reasons": back.reasons, "scores": scores, "left": back.left}


def _reverse_lines(back: Reverse) -> list[str]:
    """How it did the other way round, and which facts are not asked for so."""
    if back.scores is None:
        return []
    how = "asked the other way round it serves" if back.admitted else "asked the other way round it stays closed"
    found = f"{how}: unseen phrasings {back.scores.recall:.0%}, other names {back.scores.leak:.1%}"
    lines = [f"{found}, other questions {back.scores.leak_same_subject:.1%}", *(f"  {why}" for why in back.reasons)]
    return [*lines, *(f"not the other way round: {one}" for one in back.left)]


def _yes(is_so: bool | None) -> str:
    return "yes" if is_so else "no"


def _fields(cube: MemCube) -> dict[str, Any]:
    payload: Any = cube.payload
    return {
        "id": cube.id,
        "revision": cube.revision,
        "bytes": payload.size,
        "model": payload.model.name,
        "admitted": bool(payload.admitted),
        "sources": [pin.id for pin in cube.parents],
        "stale": [str(one) for one in cube.stale],
    }
