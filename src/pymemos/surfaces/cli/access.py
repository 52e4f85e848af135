"""The commands of access: list, share, set, remove, assign, withdraw, why, report."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import (
    Cli,
    F,
    Shell,
    common_options,
    filter_option,
    given,
    identity_options,
    json_object,
    main,
    verb,
)
from pymemos.surfaces.cli.show import Column

if TYPE_CHECKING:
    from pymemos.cube.policy import RuleChange


@main.group(cls=Cli)
@common_options
def access() -> None:
    """Say who may do what with which memories, and see why.

    A namespace belongs to its user or agent; nobody else reads it unless a policy permits it, and what a policy denies
    no other permits. Whoever opens the store is its steward, whom no policy binds.
    """


def place_options(function: F) -> F:
    """In whose name, and where."""
    text = "Where: users/NAME, agents/NAME, shared/NAME or global."
    return identity_options(click.option("--namespace", metavar="NAME", help=text)(function))


def _json_option(name: str, field: str, text: str) -> Callable[[F], F]:
    return click.option(name, field, callback=json_object, metavar="JSON", help=text)


@verb(group=access, name="list")
@place_options
def list_(shell: Shell, **options: Any) -> None:
    """List the rules that hold, with who set them."""
    with shell.open() as mem:
        held = mem.access_policies(**given(options))
    if shell.json:
        shell.answer([_values(change) for change in held])
    else:
        _rules_table(held)


@verb(group=access)
@click.argument("to", nargs=-1, required=True)
@click.option("--id", metavar="ID", help="One memory, instead of all.")
@click.option("--write", is_flag=True, help="Let them change it too.")
@click.option("--expires", metavar="TIME", help="Until then (ISO 8601 with a zone).")
@_json_option("--when", "when", """In which context, such as '{"task": "travel"}'.""")
@filter_option
@place_options
def share(shell: Shell, to: tuple[str, ...], **options: Any) -> None:
    """Let others read: one memory, those that a filter selects, or a whole namespace.

    TO names them: users/bo, agents/planner, roles/physician, everyone. 'pymemos access remove' takes it away again.
    """
    with shell.open() as mem:
        policy = mem.share(to=to, **given(options))
    if shell.json:
        from pymemos.cube.policy import rule_values

        shell.answer(rule_values(policy))
    else:
        click.echo(f"Shared by the policy {policy.name!r}")


@verb(group=access, name="set")
@click.argument("name")
@click.argument("policy", callback=json_object)
@place_options
def set_(shell: Shell, name: str, policy: dict[str, Any], **options: Any) -> None:
    """Set the policy NAME of a namespace, or with --namespace '*' of the whole store.

    POLICY is an object, such as '{"effect": "deny", "what": {"tags": "work"}, "when": {"role": "parent"}}'. Its fields:
    effect (permit, deny, limit, redact, record), who, actions (read, write, manage), what, when, starts, expires,
    rate (of a limit), kinds (of a redaction), note.
    """
    with shell.open() as mem:
        made = mem.set_access_policy(name, policy, **given(options))
    if shell.json:
        from pymemos.cube.policy import rule_values

        shell.answer(rule_values(made))
    else:
        click.echo(f"Set the policy {made.name!r}")


@verb(group=access)
@click.argument("name")
@place_options
def remove(shell: Shell, name: str, **options: Any) -> None:
    """Take the policy NAME away; the report keeps that it was there."""
    with shell.open() as mem:
        mem.remove_access_policy(name, **given(options))
    _done(shell, f"Removed the policy {name!r}")


@verb(group=access)
@click.argument("role")
@click.argument("to")
@click.option("--expires", metavar="TIME", help="Until then (ISO 8601 with a zone).")
def assign(shell: Shell, role: str, to: str, **options: Any) -> None:
    """Give ROLE to somebody, such as users/ana.

    From the first time that a role is given to anybody, only those who hold it can take it on.
    """
    with shell.open() as mem:
        mem.assign_role(role, to, **given(options))
    _done(shell, f"{to} holds the role {role!r}")


@verb(group=access)
@click.argument("role")
@click.argument("to")
def withdraw(shell: Shell, role: str, to: str) -> None:
    """Take ROLE from somebody."""
    with shell.open() as mem:
        mem.withdraw_role(role, to)
    _done(shell, f"{to} no longer holds the role {role!r}")


@verb(group=access)
@click.argument("id", required=False)
@click.option("--action", type=click.Choice(["read", "write", "manage"]), default="read", show_default=True)
@click.option("--role", metavar="ROLE", help="In this role.")
@click.option("--task", metavar="TASK", help="For this task.")
@click.option("--purpose", metavar="PURPOSE", help="For this purpose.")
@place_options
def why(shell: Shell, id: str | None, **options: Any) -> None:
    """Explain what --user may do with memory ID, or in a namespace, and by which rules."""
    with shell.open() as mem:
        explanation = mem.why(id, **given(options))
    if shell.json:
        shell.answer(show.fields_of(explanation))
    else:
        click.echo(str(explanation))


@verb(group=access)
@click.option("--since", metavar="TIME", help="Changes from this time on (ISO 8601 with a zone).")
@click.option("--until", metavar="TIME", help="Changes up to this time.")
@place_options
def report(shell: Shell, **options: Any) -> None:
    """Report the rules that hold, and every change of them with its author."""
    with shell.open() as mem:
        made = mem.access_report(**given(options))
    if shell.json:
        changes = [_values(change, before) for change, before in made.changes]
        shell.answer({"at": made.at, "holding": [_values(one) for one in made.holding], "changes": changes})
        return
    click.echo("What holds")
    _rules_table(made.holding)
    click.echo("\nWhat changed")
    columns = [Column("at"), Column("by"), Column("where"), Column("rule", "bold"), Column("change", ratio=1)]
    rows = [
        (change.at, change.author, change.namespace, change.name, _change_in_words(change, before))
        for change, before in made.changes
    ]
    show.table(columns, rows, empty="No rule was ever set.")


def _rules_table(held: Any) -> None:
    columns = [Column("where"), Column("rule", "bold"), Column("says", ratio=1), Column("set by", "dim"), Column("at")]
    rows = [(one.namespace, one.name, _in_words(one), one.author, one.at) for one in held]
    show.table(columns, rows, empty="No rules: everybody reads what is theirs, and nothing else.")


def _in_words(change: RuleChange) -> str:
    """A rule without its name, as one line of JSON."""
    from pymemos.cube.policy import rule_values
    from pymemos.cube.wire import encode

    if change.rule is None:
        return "taken away"
    return encode({name: value for name, value in rule_values(change.rule).items() if name != "name"}).decode()


def _change_in_words(change: RuleChange, before: Any) -> str:
    if change.rule is None:
        return "taken away"
    return ("set: " if before is None else "replaced by: ") + _in_words(change)


def _values(change: RuleChange, before: Any = None) -> dict[str, Any]:
    from pymemos.interface.access import change_values

    return change_values(change, before)


def _done(shell: Shell, words: str) -> None:
    if shell.json:
        shell.answer({"done": words})
    else:
        click.echo(words)
