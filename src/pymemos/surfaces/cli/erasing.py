"""The commands that forget for good: erase, receipts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from pymemos.errors import EmptyScope
from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import (
    FAILED,
    Shell,
    filter_option,
    given,
    identity_options,
    limit_option,
    scope_options,
    verb,
)
from pymemos.surfaces.cli.show import Column

if TYPE_CHECKING:
    from pymemos import MemOS, Receipt


@verb()
@click.argument("id", required=False)
@scope_options
@filter_option
@click.option("--dry-run", is_flag=True, help="Erase nothing; say what would go, and which copies left before.")
@click.option("--backup", metavar="FILE", type=click.Path(dir_okay=False), help="Erase in this backup, not here.")
@click.option("--no-wait", is_flag=True, help="Leave the scrubbing of the files to a worker.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(
    shell: Shell, id: str | None, dry_run: bool, backup: str | None, no_wait: bool, yes: bool, **options: Any
) -> int:
    """Erase memory ID, or all that a scope or a filter selects, for good.

    A scope is --user, --agent or --session. Every version goes, and whatever was made from it, also of frozen memories
    and of other owners. It cannot be undone: 'pymemos delete' can. The receipt is signed once every byte of the store's
    files has been searched for what was erased. In a pipe a line holds receipt, phase and number of memories.
    """
    if id is None and not given(options):
        raise EmptyScope("nothing was named; give an id, or a scope: --user, --agent, --session or --filter")
    if backup is not None and (dry_run or no_wait):
        raise click.UsageError("--backup goes with neither --dry-run nor --no-wait")
    with shell.open() as mem:
        if not (dry_run or yes or shell.json) and sys.stdin.isatty() and not _confirmed(mem, id, backup, options):
            click.echo("Nothing was erased.", err=True)
            return FAILED
        if backup is not None:
            receipt = mem.erase_backup(backup, id, **given(options))
        else:
            receipt = mem.erase(id, dry_run=dry_run, wait=not no_wait, **given(options))
    _say(shell, receipt)
    return FAILED if receipt.reason else 0


@verb()
@click.argument("id", required=False)
@limit_option(100)
@identity_options
def receipts(shell: Shell, id: str | None, limit: int, **identity: Any) -> None:
    """Show the receipts of erasures, newest first, or receipt ID.

    In a pipe a line holds receipt, time, phase, namespace, who erased and number of memories, separated by tabs.
    """
    with shell.open() as mem:
        if id is not None:
            _say(shell, mem.receipt(id), genuine=mem.verify_receipt(mem.receipt(id)))
            return
        found = mem.receipts(limit=limit, **given(identity))
        genuine = {one.id: mem.verify_receipt(one) for one in found}
    if shell.json:
        shell.answer({"receipts": [show.fields_of(one) | {"genuine": genuine[one.id]} for one in found]})
        return
    rows = [
        (one.id, one.at, one.phase, one.namespace, one.by, one.removed.memories)
        if not one.signed or genuine[one.id]
        else (one.id, one.at, "ALTERED", one.namespace, one.by, one.removed.memories)
        for one in found
    ]
    columns = [Column("receipt", "dim"), Column("at"), Column("phase", "bold"), Column("of"), Column("by")]
    show.table([*columns, Column("memories", right=True)], rows, empty="Nothing was ever erased.")


def _confirmed(mem: MemOS, id: str | None, backup: str | None, options: dict[str, Any]) -> bool:
    """Ask, with what would go; of a backup that is not known before."""
    if backup is not None:
        return click.confirm(f"Erase in {backup}, for good?", err=True)
    plan = mem.erase(id, dry_run=True, **given(options))
    more = f", {len(plan.derived):,} of them made from the others" if plan.derived else ""
    return click.confirm(f"Erase {plan.removed.memories:,} memories{more}, for good?", err=True)


def _say(shell: Shell, receipt: Receipt, *, genuine: bool | None = None) -> None:
    if shell.json:
        shell.answer(show.fields_of(receipt) | ({} if genuine is None else {"genuine": genuine}))
        return
    if not show.on_terminal():
        show.tabbed(receipt.id, receipt.phase, receipt.removed.memories)
        return
    click.echo(f"{'Would erase' if receipt.phase == 'planned' else 'Erased'} {receipt.removed.memories:,} memories.")
    for one in receipt.derived:
        click.echo(f"  made from them: {one.id} of {one.namespace}")
    for copy in receipt.left:
        held = f", {copy.memories:,} of them" if copy.memories else ""
        click.echo(f"  left before: {copy.operation} by {copy.by} at {copy.at:%Y-%m-%d %H:%M} UTC{held}")
    if receipt.signed and receipt.verification is not None:
        seen = receipt.verification
        click.echo(f"Signed receipt {receipt.id}: {seen.bytes:,} bytes of {seen.files:,} files hold nothing of it.")
    elif receipt.phase == "pending":
        why = f" ({receipt.reason})" if receipt.reason else ""
        click.echo(f"Receipt {receipt.id} is pending{why}; 'pymemos worker --once' scrubs the files and signs it.")
    if genuine is False and receipt.signed:
        click.secho("This receipt is not as it was signed.", fg="red")
