"""The commands of steering vectors: steering list, steering make, steering measure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from pymemos.errors import InvalidInput
from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import (
    TEXT_FILE,
    Cli,
    Shell,
    after_option,
    common_options,
    given,
    identity_options,
    limit_option,
    main,
    verb,
)
from pymemos.surfaces.cli.app import scope_options as scoped
from pymemos.surfaces.cli.forms import of_form
from pymemos.surfaces.cli.show import Column

if TYPE_CHECKING:
    from pymemos import MemCube


@main.group(cls=Cli)
@common_options
def steering() -> None:
    """Steering vectors as memories: what tells two kinds of text apart inside a local model."""


@verb(group=steering, name="list")
@scoped
@limit_option(100)
@after_option
def list_(shell: Shell, **options: Any) -> None:
    """List the vectors: layer, scale, model, what they did when they were made, and whether they still hold."""
    with shell.open() as mem:
        cubes, after = of_form(mem, "steering", **given(options))
    rows = [_fields(cube) for cube in cubes]
    if shell.json:
        shell.answer({"vectors": rows, "after": after})
        return
    columns = [
        Column("id", "dim"), Column("name", "bold"), Column("layers"), Column("scale"), Column("effect"),
        Column("model"), Column("holds"),
    ]  # fmt: skip
    cells = [
        (row["id"], row["name"], ",".join(map(str, row["layers"])), f"{row['scale']:g}", _change(row["effect"]),
         row["model"], "no" if row["stale"] else "yes")
        for row in rows
    ]  # fmt: skip
    show.table(columns, cells, empty="No vector yet: 'pymemos steering make FILE' makes one.")
    show.more(after)


@verb(group=steering)
@click.argument("pairs", type=TEXT_FILE)
@click.option("--name", metavar="NAME", help="What the vector is called.")
@scoped
def make(shell: Shell, pairs: Any, **options: Any) -> None:
    """Make a vector of the pairs in a file: a JSON list of two texts on each line, as wanted and its contrast.

    Needs a local model.
    """
    texts = [_line(line, 2) for line in pairs if line.strip()]
    with shell.open() as mem:
        made = mem.steer_from(texts, **given(options))
    if shell.json:
        shell.answer({**_fields(made.cube), "effect": show.fields_of(made.effect)})
        return
    click.echo(made.id)


@verb(group=steering)
@click.argument("items", type=TEXT_FILE)
@click.argument("ids", nargs=-1, required=True)
@identity_options
def measure(shell: Shell, items: Any, ids: tuple[str, ...], **options: Any) -> None:
    """Measure the vectors IDS together on the items in a file: a JSON list of three texts on each line.

    They are a question, the answer that is wanted, and one that is not. Needs a local model.
    """
    labelled = [_line(line, 3) for line in items if line.strip()]
    with shell.open() as mem:
        effect = mem.steering_effect(labelled, list(ids), **given(options))
    if shell.json:
        shell.answer(show.fields_of(effect))
        return
    click.echo(f"{effect.change:+.3f} nats a token ({effect.low:+.3f} to {effect.high:+.3f}), {effect.items} items")


def _line(line: str, count: int) -> tuple[Any, ...]:
    try:
        texts = json.loads(line)
    except ValueError as error:
        raise InvalidInput(f"a line is no JSON: {line.strip()[:60]!r}") from error
    if not isinstance(texts, list) or len(texts) != count:
        raise InvalidInput(f"a line is no list of {count} texts: {line.strip()[:60]!r}")
    return tuple(texts)


def _fields(cube: MemCube) -> dict[str, Any]:
    payload: Any = cube.payload
    said = cube.header.descriptive.metadata
    return {
        "id": cube.id,
        "name": str(said.get("name", "")),
        "layers": list(payload.layers),
        "scale": payload.scale or 0.0,
        "effect": said.get("effect"),
        "model": payload.model.name,
        "sources": [pin.id for pin in cube.parents],
        "stale": [str(one) for one in cube.stale],
    }


def _change(effect: Any) -> str:
    change = effect.get("change") if isinstance(effect, dict) else None
    return f"{change:+.3f}" if isinstance(change, int | float) else ""
