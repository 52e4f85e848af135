"""The commands on the audit log as evidence: audit verify, audit head, audit export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import (
    FAILED,
    Cli,
    Shell,
    common_options,
    given,
    identity_options,
    log_options,
    main,
    verb,
)
from pymemos.surfaces.cli.show import Column

if TYPE_CHECKING:
    from pymemos.interface.auditing import AuditReport


@main.group(cls=Cli)
@common_options
def audit() -> None:
    """The audit log as evidence: verify, head, export."""


@verb(group=audit)
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="The key of another place where the store was used; several times.",
)
@click.option(
    "--head", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help="A head that was kept elsewhere."
)
@identity_options
def verify(shell: Shell, keys: tuple[str, ...], head: str | None, **identity: Any) -> int:
    """Hold the audit log against its seals and its signed head.

    The exit code is 1 when an entry was changed, removed, added or moved, when the end of a chain or a whole chain is
    missing, and when that cannot be told: without the signed head, or with entries sealed with a key that is not here.

    In a pipe a line holds chain, entries, the last entry that is signed, "ok" or what is wrong, the first entry
    concerned, and the reason.
    """
    anchor = None if head is None else Path(head).read_bytes()
    with shell.open() as mem:
        report = mem.audit_verify(keys=keys, head=anchor, **given(identity))
    if shell.json:
        chains = [{**show.fields_of(chain), "ok": chain.ok, "reason": chain.reason} for chain in report.chains]
        shell.answer({"ok": report.ok, **show.fields_of(report), "head_age_s": report.head_age_s, "chains": chains})
    elif show.on_terminal():
        _tell(report)
    else:
        for chain in report.chains:
            state = chain.fault or ("ok" if chain.ok else "unverified")
            show.tabbed(chain.chain, chain.entries, chain.signed, state, chain.broken, chain.reason)
    if not shell.json and not report.ok:
        click.secho(_verdict(report), fg="red", err=True)
    return 0 if report.ok else FAILED


@verb(group=audit)
@click.option("--accept", is_flag=True, help="Sign the log as it is, as after restoring a backup.")
@identity_options
def head(shell: Shell, accept: bool, **identity: Any) -> None:
    """Print the signed head of the audit log: a line of JSON.

    Keep it where nobody who can change the store can change it. 'pymemos audit verify --head FILE' holds the log
    against it. A log that is not what was signed before is signed again only with --accept, which is recorded.
    """
    with shell.open() as mem:
        signed = mem.audit_head(accept=accept, **given(identity))
    click.echo(msgspec.json.encode(signed, order="sorted"))


@verb(group=audit)
@click.option(
    "--kind",
    "what",
    type=click.Choice(["access", "permissions"]),
    default="access",
    show_default=True,
    metavar="KIND",
    help="access or permissions.",
)
@click.option(
    "--format",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    metavar="FORMAT",
    help="jsonl or csv.",
)
@log_options
@identity_options
def export(shell: Shell, what: str, format: str, **options: Any) -> None:
    """Write a report for auditors to stdout.

    The access log tells who did what under which rule, chain by chain. The permissions tell who changed owner, access,
    sensitivity or frozenness of which memory; there --caller is the author of a change, --operation its cause.
    """
    with shell.open() as mem:
        for line in mem.audit_export(what, format=format, **given(options)):
            click.echo(line)


def _tell(report: AuditReport) -> None:
    entries, chains = sum(chain.entries for chain in report.chains), len(report.chains)
    age = "" if report.head_age_s is None else f", signed {report.head_age_s:,.0f} s ago"
    click.echo(f"{entries:,} entries in {chains:,} chains; the signed head {_head(report)}{age}.")
    columns = [Column("chain", "bold"), Column("entries", right=True), Column("what is wrong", "red", ratio=1)]
    wrong = [(chain.chain, chain.entries, chain.reason) for chain in report.chains if not chain.ok]
    show.table(columns, wrong, empty="Every one is what was written.")


def _head(report: AuditReport) -> str:
    return report.head if report.head in ("holds", "missing", "altered") else f"was {report.head}"


def _verdict(report: AuditReport) -> str:
    """What is to be done."""
    broken = [chain for chain in report.chains if chain.fault is not None]
    if broken or report.strays or report.head == "altered":
        rows = f" {report.strays} rows lie in the log that no chain can hold." if report.strays else ""
        said = "The signed head was altered." if report.head == "altered" else ""
        said = f"The audit log was tampered with: {broken[0].chain}: {broken[0].reason}." if broken else said
        return (
            f"{said}{rows} A backup shows what was there; 'pymemos audit head --accept' signs the log as it is.".strip()
        )
    if report.head != "holds":
        return (
            "Every entry is what was written, but the signed head is not here, so nobody can tell whether later ones "
            "were cut off: put it back beside the key, or sign the log as it is with 'pymemos audit head --accept'."
        )
    return "Some entries were sealed with a key that is not here: name its file with --key."
