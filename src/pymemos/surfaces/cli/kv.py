"""The commands of KV memories: kv list, kv encode, kv verify, kv probe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import (
    FAILED,
    TEXT_FILE,
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
from pymemos.surfaces.cli.forms import of_form
from pymemos.surfaces.cli.show import Column

if TYPE_CHECKING:
    from pymemos import MemCube


@main.group(cls=Cli)
@common_options
def kv() -> None:
    """KV caches as memories: texts that a local model has read once, and need not read again."""


@verb(group=kv, name="list")
@scope_options
@limit_option(100)
@after_option
def list_(shell: Shell, **options: Any) -> None:
    """List the segments: where in a prompt they stand, their size, their model, and whether they still hold."""
    with shell.open() as mem:
        cubes, after = of_form(mem, "kv", **given(options))
    rows = [_fields(cube) for cube in cubes]
    if shell.json:
        shell.answer({"segments": rows, "after": after})
        return
    columns = [
        Column("id", "dim"), Column("tokens"), Column("bytes"), Column("form"), Column("model"), Column("memories"),
        Column("holds"),
    ]  # fmt: skip
    cells = [
        (row["id"], "apart" if row["apart"] else f"{row['start']}–{row['end']}", f"{row['bytes']:,}", row["form"],
         row["model"], str(len(row["sources"])), "no" if row["stale"] else "yes")
        for row in rows
    ]  # fmt: skip
    show.table(columns, cells, empty="No segment yet: 'pymemos kv encode ID …' makes some.")
    show.more(after)


@verb(group=kv)
@click.argument("ids", nargs=-1)
@click.option("--document", metavar="FILE", type=TEXT_FILE, help="Keep this text first, and encode it; - is stdin.")
@click.option("--system", metavar="TEXT", help="The text that stands before the memories in the prompt.")
@click.option("--form", type=click.Choice(["exact", "int8"]), help="exact, or int8: smaller, and lossy.")
@click.option("--mode", type=click.Choice(["exact", "blend"]), help="exact, or blend: each apart, approximate.")
@click.option("--priority", metavar="PRIORITY", help="low, mid or high.")
@scope_options
def encode(shell: Shell, ids: tuple[str, ...], document: Any, **options: Any) -> None:
    """Encode the memories IDS in the order of a prompt.

    What is stored already is not computed again. Needs a local model.
    """
    text = None if document is None else document.read()
    with shell.open() as mem:
        made = mem.encode(list(ids) if text is None or ids else None, document=text, **given(options))
    if shell.json:
        shell.answer(
            {
                "ids": made.ids,
                "sources": made.sources,
                "tokens": made.tokens,
                "reused": made.reused,
                "bytes": made.nbytes,
                "seconds": round(made.seconds, 3),
            }
        )
        return
    for id in made.ids:
        click.echo(id)
    if sys.stdout.isatty():
        rate = f"{made.tokens:,} tokens in {made.seconds:.2f} s, {made.nbytes:,} bytes"
        click.echo(f"{rate}; {made.reused:,} were stored already", err=True)


@verb(group=kv)
@click.argument("id")
@identity_options
def verify(shell: Shell, id: str, **options: Any) -> int:
    """Say whether segment ID may be used: its file to the last bit, its sources, and with a local model its tokens.

    The exit code is 1 when it may not.
    """
    with shell.open() as mem:
        found = mem.verify(id, **given(options))
    if shell.json:
        shell.answer({"id": found.id, "ok": found.ok, "checks": [show.fields_of(one) for one in found.checks]})
    else:
        rows = [("yes" if one.ok else "no", one.name, one.detail) for one in found.checks]
        show.table([Column("well"), Column("what", "bold"), Column("detail")], rows, empty="")
    return 0 if found.ok else FAILED


@verb(group=kv)
@click.option("--cases", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="Questions to ask.")
def probe(shell: Shell, cases: int) -> int:
    """Measure how near answers of notes that were encoded apart come to the local model's own.

    It takes some twenty minutes with the packaged model. Fewer than 100 questions never open --mode blend. The exit
    code is 1 when blending is refused.
    """

    def told(done: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{done} of {cases} questions", nl=done == cases, err=True)

    with shell.open(create=True) as mem:
        found = mem.probe_blending(cases=cases, on_case=told)
    quality = found.quality
    if shell.json:
        shell.answer({**show.fields_of(quality), "allowed": found.allowed, "refused": found.refused})
        return 0 if found.allowed else FAILED
    click.echo(
        f"KL {quality.kl:.4f} ± {quality.error:.4f} nats a token over {quality.cases} questions; "
        f"{quality.recomputed:.1%} of the tokens computed again, {quality.changed:.0%} of the answers differ"
    )
    for share, kl in quality.tried:
        click.echo(f"  {share:.0%} computed again: KL {kl:.4f}")
    click.echo("Blending is allowed with this model." if found.allowed else f"Blending is refused: {found.refused}")
    return 0 if found.allowed else FAILED


def _fields(cube: MemCube) -> dict[str, Any]:
    payload: Any = cube.payload
    start, tokens = getattr(payload, "start", None) or 0, getattr(payload, "tokens", None) or 0
    return {
        "id": cube.id,
        "start": start,
        "end": start + tokens,
        "bytes": payload.size,
        "apart": getattr(payload, "start", None) is None,
        "form": payload.encoding or "exact",
        "model": payload.model.name,
        "priority": cube.header.governance.priority,
        "sources": [pin.id for pin in cube.parents],
        "stale": [str(one) for one in cube.stale],
    }
