"""The commands that keep a store in order: doctor, worker, jobs."""

from __future__ import annotations

import math
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from pymemos.errors import BrokenStore
from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import FAILED, Cli, Shell, common_options, limit_option, main, verb
from pymemos.surfaces.cli.show import Column

if TYPE_CHECKING:
    from pymemos.ports import Finding


@verb()
@click.option("--grep-erased", is_flag=True, help="Search every byte of its files for what was erased, too.")
def doctor(shell: Shell, grep_erased: bool) -> int:
    """Check the store, and say what is wrong with it.

    Integrity, agreement of its parts, counts, blobs, free space.
    The exit code is 1 when anything is wrong.
    """
    from pymemos.cube.wire import FORMAT

    findings = _examine(shell, grep_erased=grep_erased)
    healthy = all(finding.ok for finding in findings)
    if shell.json:
        checks = [show.fields_of(finding) for finding in findings]
        shell.answer({"ok": healthy, "home": str(shell.folder), "format": FORMAT, "findings": checks})
        return 0 if healthy else FAILED
    marks = {True: "✓", False: "✗"} if show.on_terminal() else {True: "ok", False: "FAILED"}
    rows = [
        (marks[True], "store", str(shell.folder)),
        (marks[True], "format", FORMAT),
        *((marks[finding.ok], finding.check, finding.detail) for finding in findings),
    ]
    show.table([Column("", "bold"), Column("check"), Column("found", "dim", ratio=1)], rows, empty="")
    if not healthy and show.on_terminal():
        click.secho("Something is wrong: make room where that is short, else restore the newest backup.", fg="red")
    return 0 if healthy else FAILED


def _examine(shell: Shell, *, grep_erased: bool) -> list[Finding]:
    """What is found; damage that lets nobody in is a finding too, and so is a log that takes no entry of this."""
    from pymemos.ports import Finding

    findings: list[Finding] = []
    try:
        with shell.open() as mem:
            findings += mem.doctor(grep_erased=grep_erased)
    except BrokenStore as error:
        cause = error.__cause__
        detail = f"{type(cause).__name__}: {cause}; restore the newest backup" if cause else str(error)
        findings.append(Finding(check="the store can be read", ok=False, detail=detail))
    if shell.unclosed is not None:
        detail, shell.unclosed = str(shell.unclosed), None
        findings.append(Finding(check="the examination is in the log", ok=False, detail=detail))
    return findings


def _finite(ctx: click.Context, param: click.Parameter, value: float) -> float:
    """A pause that ends; a range lets through what is no number."""
    if not math.isfinite(value):
        raise click.BadParameter(f"{value} is no length of time; pass seconds", ctx, param)
    return value


@verb()
@click.option("--once", is_flag=True, help="Do what is due and end.")
@click.option(
    "--poll",
    type=click.FloatRange(0.01),
    callback=_finite,
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Look so often.",
)
def worker(shell: Shell, once: bool, poll: float) -> None:
    """Work off jobs as they become due, a line for each.

    SIGTERM and Ctrl-C end it after the job that is running.
    """
    with shell.open(create=True) as mem, _stopping() as stop:
        while not stop.asked:
            due = mem.next_due()
            if due is None or due > datetime.now(UTC):  # an idle worker leaves no trace in the log
                if once:
                    return
                stop.wait(_pause(due, poll))
                continue
            report = mem.tick(limit=1)
            for how in ("done", "failed", "parked"):
                for id in getattr(report, how):
                    _say_job(shell, id, how)


@main.group(cls=Cli, invoke_without_command=True)
@common_options
@click.pass_context
def jobs(ctx: click.Context) -> None:
    """Show the queue, or control a job in it."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_jobs)


@verb(group=jobs, name="list")
@click.option("--state", metavar="STATE", help="Only those that are ready, running or dead.")
@limit_option(100)
def list_jobs(shell: Shell, state: str | None = None, limit: int = 100) -> None:
    """List unfinished jobs in the order in which they would run.

    In a pipe a line holds id, kind, state, time, attempt, owner, last error and what it said, separated by tabs.
    """
    with shell.open() as mem:
        found = mem.jobs(state=state, limit=limit)
    if shell.json:
        shell.answer({"jobs": [show.fields_of(job) for job in found]})
    elif not show.on_terminal():
        for job in found:
            show.tabbed(job.id, job.kind, job.state, job.run_at, job.attempt, job.namespace, job.error, job.said)
    else:
        columns = [
            Column("job", ratio=1),
            Column("state", ratio=1),
            Column("due", "dim"),
            Column("attempt", right=True),
        ]
        rows = [
            (
                f"{job.kind} · {job.namespace}\n{job.id}",
                ": ".join(filter(None, (job.error or job.state, job.said))),
                job.run_at,
                f"{job.attempt}/{job.max_attempts}",
            )
            for job in found
        ]
        show.table(columns, rows, empty="Nothing to do.")


@verb(group=jobs)
@click.argument("id")
def retry(shell: Shell, id: str) -> None:
    """Run job ID now, with all its attempts before it. One that a worker does at the moment is left to it."""
    _control(shell, id, "retry", "will run now")


@verb(group=jobs)
@click.argument("id")
def cancel(shell: Shell, id: str) -> None:
    """Take job ID out of the queue."""
    _control(shell, id, "cancel", "was cancelled")


def _control(shell: Shell, id: str, action: str, done: str) -> None:
    with shell.open() as mem:
        kind = mem.control_job(id, action).kind
    if shell.json:
        shell.answer({"id": id, "kind": kind, "action": action})
    else:
        click.echo(f"{kind} {id} {done}.")


def _say_job(shell: Shell, id: str, how: str) -> None:
    now = datetime.now(UTC)
    if shell.json:
        click.echo(msgspec.json.encode({"at": now, "job": id, "result": how}))
    else:
        click.echo(f"{show.moment(now, seconds=True)} {how:<6} {id}")


def _pause(due: datetime | None, poll: float) -> float:
    """Seconds until the next job is due, at most ``poll``; what is due already is work for another kind of worker."""
    left = (due - datetime.now(UTC)).total_seconds() if due else poll
    return min(left, poll) if left > 0 else poll


class _Stop:
    """Whether the worker was asked to end, and a sleep that ends when it is."""

    def __init__(self) -> None:
        self.asked = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        # The interpreter itself writes to the pipe: a signal may reach another thread, and then nothing else would
        # end the sleep of this one.
        self._before = signal.set_wakeup_fd(self._write)

    def ask(self, *_: Any) -> None:
        self.asked = True
        for number in (signal.SIGTERM, signal.SIGINT):  # who asks twice does not want to wait
            signal.signal(number, signal.SIG_DFL)

    def wait(self, seconds: float) -> None:
        select.select([self._read], [], [], seconds)

    def close(self) -> None:
        signal.set_wakeup_fd(self._before)
        os.close(self._read)
        os.close(self._write)


@contextmanager
def _stopping() -> Iterator[_Stop]:
    """Turn SIGTERM and SIGINT into a wish that the loop sees between two jobs."""
    stop = _Stop()
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.close()
