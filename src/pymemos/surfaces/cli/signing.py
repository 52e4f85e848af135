"""The commands of signatures: sign, signatures, keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from pymemos.surfaces.cli import show
from pymemos.surfaces.cli.app import FAILED, Cli, Shell, common_options, given, identity_options, main, verb
from pymemos.surfaces.cli.show import Column

if TYPE_CHECKING:
    from pymemos.cube.signature import Key
    from pymemos.interface.signatures import Signed


@verb()
@click.argument("id")
@identity_options
def sign(shell: Shell, id: str, **options: Any) -> int:
    """Sign every version of memory ID with the key of this instance.

    The signatures go with it through exports and imports. The first one makes a key in the configuration folder.
    """
    with shell.open() as mem:
        return _say(shell, mem.sign(id, **given(options)))


@verb()
@click.argument("id")
@identity_options
def signatures(shell: Shell, id: str, **options: Any) -> int:
    """Say who signed memory ID, and whether it is what was signed.

    The exit code is 1 when a version is not what was signed.
    """
    with shell.open() as mem:
        return _say(shell, mem.signatures(id, **given(options)))


@main.group(cls=Cli)
@common_options
def keys() -> None:
    """The keys that this instance signs with, and those of others that it trusts."""


@verb(group=keys, name="list")
def list_(shell: Shell) -> None:
    """List the keys with their public parts, which others pass to 'pymemos keys trust'."""
    with shell.open() as mem:
        held = mem.keys()
    if shell.json:
        shell.answer([_fields(key) for key in held])
        return
    columns = [Column("key", "bold"), Column("is"), Column("name"), Column("public part", "dim")]
    rows = [(key.fingerprint, key.role.value, key.name, key.public) for key in held]
    show.table(columns, rows, empty="No key yet: the first signature makes one.")


@verb(group=keys)
def rotate(shell: Shell) -> None:
    """Make a new key to sign with.

    What the one before signed stays this instance's; its private part is removed.
    """
    with shell.open() as mem:
        _done(shell, mem.rotate_key(), "Signs from now on")


@verb(group=keys)
@click.argument("public")
@click.argument("name")
def trust(shell: Shell, public: str, name: str) -> None:
    """Know the instance with the key PUBLIC by NAME."""
    with shell.open() as mem:
        _done(shell, mem.trust_key(public, name), "Trusted")


@verb(group=keys)
@click.argument("name")
def distrust(shell: Shell, name: str) -> None:
    """Know the instance NAME no more; a fingerprint will do."""
    with shell.open() as mem:
        _done(shell, mem.distrust_key(name), "No longer trusted")


def _say(shell: Shell, found: Sequence[Signed]) -> int:
    if shell.json:
        shell.answer([show.fields_of(one) for one in found])
    else:
        click.echo("\n".join(map(str, found)) or "Nobody signed it.")
    return 0 if all(one.holds for one in found) else FAILED


def _fields(key: Key) -> dict[str, str]:
    return {"key": key.fingerprint, "role": key.role.value, "name": key.name, "public": key.public}


def _done(shell: Shell, key: Key, words: str) -> None:
    if shell.json:
        shell.answer(_fields(key))
    else:
        click.echo(f"{words}: {key.fingerprint} {key.name}".rstrip())
