"""Memories in and out as files: import, export, backup."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import click

from pymemos.errors import PymemosError
from pymemos.surfaces.cli import importers
from pymemos.surfaces.cli.app import FAILED, Shell, given, identity_options, scope_options, verb

if TYPE_CHECKING:
    from pymemos.surfaces.cli.intake import Report

Advance = Callable[[int], object]
JSON_LINES = "jsonl"
PROGRESS_STEP = 1 << 14  # bytes between two steps of the bar


@verb()
@click.argument("file", default="-", type=click.Path(allow_dash=True, dir_okay=False))
@click.option(
    "--redact", multiple=True, metavar="KIND", help="Leave it out, such as email,phone; may be given several times."
)
@click.option("--sign", is_flag=True, help="Sign each version, so that changes show and it is known who vouches.")
@identity_options
def export(shell: Shell, file: str, redact: tuple[str, ...], sign: bool, **identity: Any) -> None:
    """Write whole memories as JSON Lines to FILE or stdout.

    Every version is written, and deleted memories too.
    Importing them elsewhere and exporting again gives the same bytes. A file appears when it is complete.
    What is redacted is gone from the bytes, and such a line says so: no import takes it for the memory.
    """
    with shell.open() as mem:
        kinds = [kind for given_once in redact for kind in given_once.split(",")]
        lines = mem.export_lines(redact=kinds, sign=sign, **given(identity))
        if file == "-":
            for line in lines:
                sys.stdout.buffer.write(line + b"\n")
            sys.stdout.buffer.flush()
            return
        with _replacing(Path(file)) as target, _bar("Exporting", None) as advance:
            count = _write_lines(lines, target, advance)
    size = Path(file).stat().st_size
    if shell.json:
        shell.answer({"file": file, "memories": count, "bytes": size})
    else:
        click.echo(f"Exported {count:,} memories to {file}, {size:,} bytes.")


@verb(name="import")
@click.argument("path", type=click.Path(exists=True, allow_dash=True))
@click.option(
    "--from",
    "kind",
    type=click.Choice([JSON_LINES, *importers.KINDS]),
    default=JSON_LINES,
    show_default=True,
    metavar="KIND",
    help="jsonl, chatgpt, markdown or locomo.",
)
@click.option("--prune", is_flag=True, help="Delete the passages that a folder of notes no longer holds.")
@click.option(
    "--rejects", type=click.Path(dir_okay=False, writable=True), metavar="FILE", help="Write malformed lines here."
)
@scope_options
def import_(shell: Shell, path: str, kind: str, rejects: str | None, prune: bool, **identity: str | None) -> int:
    """Take in the JSON Lines of PATH, or of stdin (-), or with --from what another program keeps.

    A line is an exported memory, or a message: {"content": …} with optional role, name, id, timestamp, user_id,
    agent_id, session_id, tags and metadata. --user, --agent and --session are for messages that name nobody.

    --from chatgpt takes an export (its zip file, or conversations.json), markdown a folder of notes, locomo a file of
    that benchmark. There --session is for notes alone, and names the folder (default: its path).

    What is malformed is reported with its place, the rest continues, and the exit code is 1.
    After an interruption import the same again: nothing is lost and nothing doubled.
    """
    if kind == JSON_LINES:
        if prune or Path(path).is_dir():
            raise click.UsageError("JSON Lines come in a file, which --prune does not go with; name a kind with --from")
        return _import_lines(shell, path, rejects, identity)
    if rejects is not None or path == "-" or (prune and kind != "markdown"):
        raise click.UsageError("--rejects and - are for JSON Lines, and --prune is for --from markdown")
    return importers.take_in(shell, path, kind, prune=prune, **identity)


def _import_lines(shell: Shell, file: str, rejects: str | None, identity: dict[str, str | None]) -> int:
    from pymemos.surfaces.cli.intake import Intake

    if rejects is not None and file != "-" and Path(rejects).exists() and Path(rejects).samefile(file):
        raise click.UsageError("--rejects names the file that is read, and would take its place; name another one")
    with ExitStack() as open_files:
        lines = sys.stdin.buffer if file == "-" else open_files.enter_context(Path(file).open("rb"))
        bad = None if rejects is None else open_files.enter_context(_replacing(Path(rejects)))
        mem = open_files.enter_context(shell.open(create=True))
        intake = Intake(mem, identity, on_malformed=_reporter(shell, bad))
        try:
            with _bar("Importing", _size(lines)) as advance:
                intake.take(_counted(lines, advance))
        except KeyboardInterrupt:
            click.echo(f"Interrupted; import {file} again and it goes on where it was.", err=True)
            raise
        except PymemosError:
            _say_imported(shell, intake.report)
            click.echo(f"Not all of it; import {file} again and it goes on where it was.", err=True)
            raise
    _say_imported(shell, intake.report)
    return FAILED if intake.report.malformed or intake.report.conflicting else 0


@verb()
@click.argument("file", type=click.Path(dir_okay=False))
def backup(shell: Shell, file: str) -> None:
    """Copy the store to the new file FILE, while it is in use.

    The copy is the store as one moment saw it.
    To restore it, put it into an empty folder under the name store.db. Where there are tensors,
    they are copied to the folder FILE.blobs, which becomes blobs/.
    """
    with shell.open() as mem:
        target = mem.backup(file)
    if shell.json:
        shell.answer({"file": str(target), "bytes": target.stat().st_size})
    else:
        click.echo(f"Backed up to {target}, {target.stat().st_size:,} bytes.")


def _write_lines(lines: Iterator[bytes], target: IO[bytes], advance: Advance) -> int:
    count = 0
    for count, line in enumerate(lines, start=1):  # noqa: B007 (the count is what is wanted)
        target.write(line + b"\n")
        advance(1)
    return count


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of ``path`` when it is complete and on the disk; of one that failed nothing is left.

    A terminal, a pipe and the like cannot be replaced: they are written to.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _counted(lines: BinaryIO, advance: Advance) -> Iterator[bytes]:
    """The lines, with the progress told every now and then."""
    behind = 0
    for line in lines:
        yield line
        behind += len(line)
        if behind >= PROGRESS_STEP:
            advance(behind)
            behind = 0
    advance(behind)


def _size(file: BinaryIO) -> int | None:
    """The bytes of a file, None for a pipe."""
    status = os.fstat(file.fileno()) if file is not sys.stdin.buffer else None
    return status.st_size if status else None


@contextmanager
def _bar(title: str, total: int | None) -> Iterator[Advance]:
    """A progress bar on stderr while a person watches; gives the function that moves it on."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    ends = [MofNCompleteColumn()] if total is None else [DownloadColumn(), TimeRemainingColumn()]
    columns = [TextColumn("{task.description}"), BarColumn(), *ends]
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda step: progress.advance(task, step)


def _reporter(shell: Shell, rejects: BinaryIO | None) -> Callable[[int, int, bytes, str], None]:
    """What to do about a malformed line: say where it is and what is wrong, and keep it if that was asked."""

    def report(line: int, offset: int, raw: bytes, reason: str) -> None:
        if not shell.json:
            click.echo(f"line {line} (byte {offset}): {reason}", err=True)
        if rejects is not None:
            rejects.write(raw if raw.endswith(b"\n") else raw + b"\n")

    return report


def _say_imported(shell: Shell, report: Report) -> None:
    if shell.json:
        shell.answer(report.public())
        return
    click.echo(f"Imported {report.written:,}, known already {report.known:,}, malformed {len(report.malformed):,}.")
    for id in report.conflicting:
        click.echo(f"memory {id} is here with other versions, which were kept", err=True)
    for id in report.erased:
        click.echo(f"memory {id} was erased here, or made from what was, and is not taken back", err=True)
    if report.malformed:
        click.echo("Mend the malformed lines in a file of their own (--rejects writes it) and import that.", err=True)
