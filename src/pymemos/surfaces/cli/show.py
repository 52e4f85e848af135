"""What memories, versions and entries look like: as JSON for programs, in columns for people, as lines in a pipe.

On a terminal tables are drawn by rich, which is imported only then. Elsewhere a row is one line, its cells separated by
tabs, with times in ISO 8601, so that ``cut``, ``grep`` and ``sort`` can read it. An id is always whole.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pymemos import Hit, MemCube, Record

BESIDE_SCORE = 6  # columns that a score and the gap behind it take
NARROWEST = 20  # columns for a reason, however narrow the terminal
WRAPPED = 12  # columns that a cell which may wrap has at least; what has less is no table
BETWEEN = 3  # columns from one cell of a table to the next
EXCERPT = 400  # characters of a memory that a listing shows; get shows it whole
_STEERING = (*range(9), *range(11, 32), *range(127, 160))
_TURNING = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))  # the line that they stand in, from right to left or back
_CONTROL = dict.fromkeys((*_STEERING, *_TURNING), "\ufffd")  # what a text could do to a terminal


# ── For programs ────────────────────────────────────────────────────────────────────────────────────────────────────


def public_cube(cube: MemCube) -> dict[str, Any]:
    """A memory as plain JSON, under the names that filters use; its salt stays in the store."""
    said, rules, seen = cube.header.descriptive, cube.header.governance, cube.header.behaviour
    fields = {
        "id": cube.id,
        "revision": cube.revision,
        "version": cube.version,
        "content_hash": cube.content_hash,
        "previous": cube.previous,
        "namespace": cube.namespace,
        "kind": cube.payload.kind,
        "content": cube.text,
        "type": said.semantic_type,
        "origin": said.origin,
        "trust": cube.trust,
        "speaker": said.speaker,
        "speaker_role": said.speaker_role,
        "agent": said.agent,
        "session": said.session,
        "role": said.role,
        "task": said.task,
        "episode": said.episode,
        "source_ids": said.source_ids,
        "language": said.language,
        "tags": said.tags,
        "entities": said.entities,
        "metadata": said.metadata,
        "created": said.created,
        "updated": said.updated,
        "event_time": said.event_time,
        "valid_from": true_from(cube),
        "valid_to": said.valid_to,
        "cause": said.cause,
        "author": said.author,
        "priority": rules.priority,
        "sensitivity": rules.sensitivity,
        "frozen": rules.frozen,
        "state": seen.state,
        "uses": seen.uses,
        "last_used": seen.last_used,
        "heat": seen.heat,
        "expires": cube.expires,
        "provenance": said.provenance,
        "parents": cube.parents,
        "stale": cube.stale,
    }
    if not cube.text:
        fields["tensor"] = cube.payload
    found: dict[str, Any] = plain(fields)
    return found


def public_record(record: Record) -> dict[str, Any]:
    """A stored version as plain JSON: the memory, when it was known, and when it was true."""
    times = {
        "known_from": record.known_from,
        "known_to": record.known_to,
        "valid_from": record.valid_from,
        "valid_to": record.valid_to,
        "retired": record.retired,
    }
    return {**public_cube(record.cube), **plain(times)}


def public_hit(hit: Hit, rank: int) -> dict[str, Any]:
    """A hit as plain JSON: its place, its score, why it was found, and the memory."""
    why = [plain(signal) for signal in hit.why]
    return {
        "rank": rank,
        "score": hit.score,
        "why": why,
        "source_ids": list(hit.source_ids),
        "memory": public_cube(hit.cube),
    }


def plain(value: Any) -> Any:
    """``value`` as what JSON is made of."""
    return msgspec.json.decode(msgspec.json.encode(value))


def fields_of(struct: msgspec.Struct) -> dict[str, Any]:
    """Every field of ``struct`` as plain JSON, those at their defaults too."""
    found: dict[str, Any] = plain(msgspec.structs.asdict(struct))
    return found


def true_from(cube: MemCube) -> datetime:
    """Since when a memory holds, as filters read it."""
    said = cube.header.descriptive
    return said.valid_from or said.event_time or said.created


# ── For people ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Column(NamedTuple):
    """A column of a table: its heading, its look, and its share of the width where it may wrap."""

    heading: str
    style: str = ""
    ratio: int | None = None
    right: bool = False


def on_terminal() -> bool:
    """Whether a person reads along."""
    return sys.stdout.isatty()


def console() -> Console:
    """The terminal, without guesses about what a text means."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def moment(time: datetime | None, *, seconds: bool = False) -> str:
    """A time for people, in UTC; it can be given back to --valid-at as it stands."""
    return "" if time is None else f"{time:%Y-%m-%d %H:%M:%S}Z" if seconds else f"{time:%Y-%m-%d %H:%M}Z"


def printable(text: str) -> str:
    """``text`` without characters that could steer a terminal, or reorder what stands beside them."""
    return text.translate(_CONTROL)


def one_line(text: str) -> str:
    """``text`` on one line."""
    return printable(" ".join(text.split()))


def excerpt(text: str) -> str:
    """The beginning of ``text`` on one line."""
    line = one_line(text)
    return line if len(line) <= EXCERPT else f"{line[: EXCERPT - 1]}…"


def tabbed(*cells: Any) -> None:
    """Print one row for a pipe; a time is ISO 8601, nothing is an empty cell."""
    click.echo("\t".join(_cell(cell) for cell in cells))


def table(columns: Sequence[Column], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Print rows as a table on a terminal, as blocks on a narrow one, as lines elsewhere; ``empty`` stands for none."""
    kept = [list(row) for row in rows]
    if not on_terminal():
        for row in kept:
            tabbed(*row)
    elif not kept:
        click.secho(empty, dim=True)
    else:
        shown, terminal = [[_shown_cell(cell) for cell in row] for row in kept], console()
        terminal.print((_table if fits(columns, shown, terminal.width) else _blocks)(columns, shown))


def more(after: str | None) -> None:
    """Say where a list goes on, if it does."""
    if after:
        click.secho(f"There is more: --after {after}", dim=True, err=True)


def fits(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether a table shows every cell that may not wrap whole, and leaves the others some room."""
    from rich.cells import cell_len

    needed = BETWEEN * (len(columns) - 1)
    for column, cells in zip(columns, zip(*rows, strict=True), strict=True):
        widest = max(cell_len(line) for text in (column.heading, *cells) for line in text.splitlines() or [""])
        needed += min(widest, WRAPPED) if column.ratio else widest
    return needed <= width


def memories(cubes: Iterable[MemCube], *, empty: str) -> None:
    """Print memories: text, whose and when, and the id on a line of its own."""
    kept = list(cubes)
    if not on_terminal():
        for cube in kept:
            tabbed(cube.id, true_from(cube), speaker(cube), excerpt(marked_text(cube)))
    elif not kept:
        click.secho(empty, dim=True)
    else:
        console().print(_grid([(_block(cube),) for cube in kept]))


def hits(found: Sequence[Hit], *, explain: bool, empty: str) -> None:
    """Print hits as memories with their scores and, if asked, the reasons."""
    if not on_terminal():
        for hit in found:
            cube, why = hit.cube, [one_line(str(hit.why))] if explain else []
            tabbed(cube.id, f"{hit.score:.3f}", true_from(cube), speaker(cube), excerpt(marked_text(cube)), *why)
    elif not found:
        click.secho(empty, dim=True)
    else:
        console().print(hit_grid(found, explain=explain))


def hit_grid(found: Sequence[Hit], *, explain: bool, ids: bool = True) -> Table:
    """Hits as a grid: the score, and the memory beside it."""
    from rich.text import Text

    rows = []
    for hit in found:
        block = _block(hit.cube, ids=ids)
        if explain:
            block.append("\n" + why_table(hit, console().width - BESIDE_SCORE), style="dim")
        rows.append((Text(f"{hit.score:.2f}", style="bold cyan"), block))
    return _grid(rows)


def why_table(hit: Hit, width: int) -> str:
    """The signals of a hit, the strongest first: what each added, its value and weight, and its reason."""
    names = max((len(signal.name) for signal in hit.why), default=0)
    lines = []
    for one in hit.why:
        figures = f"{one.value * one.weight:+6.2f}  {one.name:<{names}}  {one.value:6.2f} × {one.weight:<5g} "
        detail = textwrap.wrap(one_line(one.detail), max(width - len(figures), NARROWEST)) or [""]
        lines += [figures + detail[0], *(" " * len(figures) + line for line in detail[1:])]
    return "\n".join(lines)


def versions(records: Sequence[Record]) -> None:
    """Print the versions of a memory: what each said, when it was true and when it was known."""
    if not on_terminal():
        for r in records:
            tabbed(r.cube.revision, r.cube.version, r.known_from, r.valid_from, r.valid_to, excerpt(shown_text(r.cube)))
        return
    from rich.text import Text

    rows = []
    for record in records:
        block = Text(excerpt(shown_text(record.cube)))
        block.append(f"\ntrue   {_span(record.valid_from, record.valid_to)}", style="dim green")
        block.append(f"\nknown  {_span(record.known_from, record.known_to)}", style="dim green")
        block.append(f"\n{record.cube.version}", style="dim")
        rows.append((Text(str(record.cube.revision), style="bold cyan"), block))
    console().print(_grid(rows))
    if records[-1].retired:
        click.secho(f"Deleted {moment(records[-1].retired, seconds=True)}.", fg="yellow")


def card(cube: MemCube) -> None:
    """Print one memory whole: what it says of itself, an empty line, its text."""
    for name, value in _facts(cube):
        label = click.style(f"{name:<12}", dim=True) if on_terminal() else f"{name}:"
        click.echo(f"{label} {one_line(value)}")
    text = cube.text
    click.echo(f"\n{printable(text) if on_terminal() else text}" if text else "")


def speaker(cube: MemCube) -> str:
    """Who said it."""
    return cube.header.descriptive.speaker or cube.header.descriptive.speaker_role or ""


def marked_text(cube: MemCube) -> str:
    """The text of a memory, marked where it is stale, for a line that has no room for more."""
    return f"[stale] {shown_text(cube)}" if cube.stale else shown_text(cube)


def stale_line(cube: MemCube) -> str:
    """Which sources no longer stand for a memory, at most three of them by name."""
    named = [str(source) for source in cube.stale[:3]]
    rest = len(cube.stale) - len(named)
    return one_line("stale: " + ", ".join([*named, f"and {rest} more"] if rest else named))


def shown_text(cube: MemCube) -> str:
    """The text of a memory, or what stands for it: the size of a tensor, the length of an episode."""
    if cube.is_episode:
        turns = msgspec.json.decode(cube.text).get("turns", []) if cube.text else []
        return f"episode of {len(turns)} messages"
    if cube.is_view:
        return f"view {cube.text}"
    return cube.text or f"{cube.payload.kind} memory, {getattr(cube.payload, 'size', 0):,} bytes"


def _facts(cube: MemCube) -> list[tuple[str, str]]:
    said, seen = cube.header.descriptive, cube.header.behaviour
    until = f" until {moment(said.valid_to)}" if said.valid_to else ""
    facts = [
        ("id", cube.id),
        ("revision", f"{cube.revision} ({cube.version})"),
        ("namespace", cube.namespace),
        ("speaker", speaker(cube)),
        ("session", said.session or ""),
        ("type", f"{cube.payload.kind}, {said.semantic_type}"),
        ("true", f"since {moment(true_from(cube), seconds=True)}{until}"),
        ("created", moment(said.created, seconds=True)),
        ("updated", moment(said.updated, seconds=True) if cube.revision > 1 else ""),
        ("messages", ", ".join(said.source_ids)),
        ("episode", said.episode or ""),
        ("tags", ", ".join(said.tags)),
        ("entities", ", ".join(said.entities)),
        ("trigger", (said.provenance and said.provenance.trigger) or ""),
        ("model", (said.provenance and said.provenance.model) or ""),
        ("note", (said.provenance and said.provenance.note) or ""),
        ("made from", ", ".join(parent.id for parent in cube.parents)),
        ("stale", stale_line(cube).removeprefix("stale: ") if cube.stale else ""),
        ("metadata", msgspec.json.encode(said.metadata).decode() if said.metadata else ""),
        ("used", f"{seen.uses} times" if seen.uses else ""),
    ]
    return [(name, value) for name, value in facts if value]


def _block(cube: MemCube, *, ids: bool = True) -> Text:
    """A memory as a paragraph: its text, a line about it, its id."""
    from rich.text import Text

    said = cube.header.descriptive
    about = [
        speaker(cube),
        moment(true_from(cube)),
        cube.namespace if ids and cube.namespace != "default" else "",
        (said.session or "") if ids else "",
        *(f"#{tag}" for tag in said.tags),
        f"revision {cube.revision}" if cube.revision > 1 else "",
    ]
    block = Text(excerpt(shown_text(cube)))
    block.append("\n" + one_line(" · ".join(filter(None, about))), style="dim green")
    if cube.stale:
        block.append("\n" + stale_line(cube), style="yellow")
    if ids:
        block.append(f"\n{cube.id}", style="dim")
    return block


def _span(start: datetime, end: datetime | None) -> str:
    return f"{moment(start, seconds=True)} → {moment(end, seconds=True) or 'now'}"


def _grid(rows: Sequence[Sequence[Any]]) -> Table:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for _ in rows[0][:-1]:
        grid.add_column(justify="right", no_wrap=True)
    grid.add_column(ratio=1, overflow="fold")
    for place, row in enumerate(rows):
        if place:
            grid.add_row("")
        grid.add_row(*row)
    return grid


def _blocks(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Table:
    """Rows below each other, each cell on lines of its own behind its heading; what is empty is left out."""
    from rich.table import Table
    from rich.text import Text

    blocks = Table.grid(padding=(0, 2, 0, 0), expand=True)
    blocks.add_column(style="dim", no_wrap=True)
    blocks.add_column(ratio=1, overflow="fold")
    for place, row in enumerate(rows):
        if place:
            blocks.add_row("")
        for column, cell in zip(columns, row, strict=True):
            if cell:
                blocks.add_row(column.heading, Text(cell, style=column.style))
    return blocks


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", expand=any(c.ratio for c in columns)
    )
    for heading, style, ratio, right in columns:
        drawn.add_column(
            heading, style=style, ratio=ratio, justify="right" if right else "left", no_wrap=not ratio, overflow="fold"
        )
    for row in rows:
        drawn.add_row(*map(Text, row))
    return drawn


def _shown_cell(cell: Any) -> str:
    return moment(cell, seconds=True) if isinstance(cell, datetime) else printable("" if cell is None else str(cell))


def _cell(cell: Any) -> str:
    if isinstance(cell, datetime):
        return cell.isoformat().replace("+00:00", "Z")
    return "" if cell is None else one_line(str(cell))
