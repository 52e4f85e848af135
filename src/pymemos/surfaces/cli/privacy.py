"""The commands of privacy: test, policy, set, scan."""

from __future__ import annotations

from typing import Any

import click

from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.access import place_options
from pymemos.surfaces.cli.app import Cli, Shell, common_options, given, identity_options, main, verb
from pymemos.surfaces.cli.show import Column


@main.group(cls=Cli)
@common_options
def privacy() -> None:
    """Find personal data and secrets, and say what happens to them when they are written."""


@verb(group=privacy)
@click.argument("text")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only this kind; may be given several times.")
def test(shell: Shell, text: str, kinds: tuple[str, ...]) -> None:
    """Show what TEXT holds that is personal or secret; no store is needed, and nothing is kept."""
    from pymemos.cube.policy import parse_kinds
    from pymemos.cube.privacy import redact
    from pymemos.facade.privacy import detect

    found = detect(text, parse_kinds(kinds) if kinds else None)
    if shell.json:
        shell.answer([show.fields_of(one) for one in found])
        return
    columns = [Column("kind", "bold"), Column("from"), Column("to"), Column("label", "dim")]
    show.table(columns, [(one.kind, one.start, one.end, one.kind.label) for one in found], empty="Nothing was found.")
    if found:
        click.echo(redact(text, found))


@verb(group=privacy)
@place_options
def policy(shell: Shell, **options: Any) -> None:
    """Show what happens to each kind when it is written."""
    with shell.open() as mem:
        held = mem.privacy_policy(**given(options))
    if shell.json:
        shell.answer({kind.value: how.value for kind, how in held.items()})
    else:
        show.table(
            [Column("kind", "bold"), Column("is"), Column("label", "dim")],
            [(k, h, k.label) for k, h in held.items()],
            empty="",
        )


@verb(group=privacy, name="set")
@click.argument("handling", nargs=-1, required=True, metavar="KIND=HANDLING...")
@click.option("--note", default="", metavar="TEXT", help="Why.")
@place_options
def set_(shell: Shell, handling: tuple[str, ...], note: str, **options: Any) -> None:
    """Say what happens to each kind that is written: tag, redact, refuse or ignore, such as email=tag card=redact.

    It replaces the policy of a namespace, or with --namespace '*' of the whole store; of both the stricter holds.
    """
    pairs = dict(pair.partition("=")[::2] for pair in handling)
    with shell.open(create=True) as mem:
        held = mem.set_privacy_policy(pairs, note=note, **given(options))
    if shell.json:
        shell.answer({kind.value: how.value for kind, how in held.items()})
    else:
        click.echo("Set: " + ", ".join(f"{kind} {how}" for kind, how in held.items()))


@verb(group=privacy)
@click.option("--dry-run", is_flag=True, help="Only say what would be labelled.")
@identity_options
def scan(shell: Shell, dry_run: bool, **identity: Any) -> None:
    """Look through the memories that are there, and label those that lack their labels.

    Without --user or --agent it is the whole store. A scan that was interrupted goes on when it is repeated.
    """
    with shell.open() as mem:
        done = mem.scan_privacy(dry_run=dry_run, **given(identity))
    if shell.json:
        shell.answer(show.fields_of(done))
        return
    would = "would get" if dry_run else "got"
    click.echo(f"Looked at {done.examined:,} memories; {len(done.tagged):,} {would} labels.")
    if done.frozen:
        click.echo(f"{len(done.frozen):,} lack labels, but are frozen and take no edits.")
    show.table([Column("kind", "bold"), Column("memories")], sorted(done.kinds.items()), empty="Nothing was found.")
