"""The command that tries changes out: what-if."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import click

from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import Shell, given, limit_option, scope_options, verb
from pymemos.surfaces.cli.show import Column

if TYPE_CHECKING:
    from pymemos import Hit, Hits, Imagined, World


def _of_memories(_: click.Context, option: click.Parameter, values: Sequence[str]) -> list[tuple[str, str]]:
    """ID=TEXT, each."""
    pairs = [value.partition("=") for value in values]
    if any(not (id and mark) for id, mark, _ in pairs):
        raise click.BadParameter("write ID=TEXT, the id of a memory and its text", param=option)
    return [(id, text) for id, _, text in pairs]


@verb()
@click.option("--add", "added", multiple=True, metavar="TEXT", help="Imagine this memory; several times.")
@click.option("--update", "updated", multiple=True, metavar="ID=TEXT", callback=_of_memories, help="Another text.")
@click.option("--append", "appended", multiple=True, metavar="ID=TEXT", callback=_of_memories, help="Text behind it.")
@click.option("--delete", "deleted", multiple=True, metavar="ID", help="Imagine that this memory is not there.")
@click.option(
    "--search", "questions", multiple=True, metavar="QUERY", help="Ask this, with and without; several times."
)
@click.option("--known-at", metavar="MOMENT", help="Begin at this time, or at the snapshot of this name.")
@limit_option(5)
@scope_options
def what_if(shell: Shell, questions: Sequence[str], limit: int, **options: Any) -> None:
    """Try changes out, and see what a search would answer.

    Nothing is written but entries in the log of access. Deletions come first, then updates, appended texts and
    additions. In a pipe a line holds the question, the rank, what is found
    as things are (score, id, text), and what would be found (score, id, text), separated by tabs; without --search it
    holds what became of a memory, its id, and its text before and after.
    """
    acts = {name: options.pop(name) for name in ("added", "updated", "appended", "deleted")}
    if not any(acts.values()):
        raise click.UsageError("nothing is imagined; pass --add, --update, --append or --delete")
    with shell.open() as mem, mem.what_if(**given(options)) as world:
        before = [world.search(question, limit=limit) for question in questions]
        _imagine(world, **acts)
        after = [world.search(question, limit=limit) for question in questions]
        changes, at = world.changes(), world.at
    answers = list(zip(questions, before, after, strict=True))
    if shell.json:
        shell.answer(
            {
                "at": at,
                "changes": [_public_change(one) for one in changes],
                "answers": [
                    {"query": question, "without": _public(without), "with": _public(imagined)}
                    for question, without, imagined in answers
                ],
            }
        )
        return
    if not answers or show.on_terminal():
        columns = [Column("what"), Column("memory", "dim"), Column("before", ratio=1), Column("after", "bold", ratio=1)]
        rows = [(one.what, one.id, *(cube and cube.text for cube in (one.before, one.after))) for one in changes]
        show.table(columns, rows, empty="Nothing would change.")
    for question, without, imagined in answers:
        _side_by_side(question, without, imagined)


def _imagine(
    world: World,
    *,
    added: Sequence[str],
    updated: Sequence[tuple[str, str]],
    appended: Sequence[tuple[str, str]],
    deleted: Sequence[str],
) -> None:
    for id in deleted:
        world.delete(id)
    for id, text in updated:
        world.update(id, text)
    for id, text in appended:
        world.append(id, text)
    for text in added:
        world.add(text)


def _side_by_side(question: str, without: Hits, imagined: Hits) -> None:
    pairs = enumerate(zip_longest(without, imagined), start=1)
    if not show.on_terminal():
        for rank, pair in pairs:
            show.tabbed(question, rank, *(cell for hit in pair for cell in _cells(hit)))
        return
    click.echo()
    click.secho(show.one_line(question), bold=True)
    score = Column("score", "dim")
    columns = [Column("", "dim"), score, Column("as it is", ratio=1), score, Column("what if", "bold", ratio=1)]
    rows = [(rank, *(cell for hit in pair for cell in _cells(hit)[::2])) for rank, pair in pairs]
    show.table(columns, rows, empty="Nothing found, either way.")


def _cells(hit: Hit | None) -> tuple[str, str, str]:
    return ("", "", "") if hit is None else (f"{hit.score:.3f}", hit.cube.id, show.one_line(hit.cube.text))


def _public(hits: Hits) -> list[dict[str, Any]]:
    return [show.public_hit(hit, rank) for rank, hit in enumerate(hits, start=1)]


def _public_change(change: Imagined) -> dict[str, Any]:
    """What became of a memory, and both versions under the names that filters use."""
    before, after = (None if cube is None else show.public_cube(cube) for cube in (change.before, change.after))
    return {"what": change.what, "id": change.id, "before": before, "after": after}
