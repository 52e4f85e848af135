"""Nothing public is undocumented: commands, names and settings are all in the reference."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import click
import pytest

import pymemos
from pymemos.cube.filters import FIELDS, OPERATORS

ROOT = Path(__file__).parents[2]
REFERENCE = "\n".join(page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs" / "reference").glob("*.md")])


def test_every_public_name_is_documented():
    assert [] == [name for name in pymemos.__all__ if f"`{name}" not in REFERENCE]


def test_every_filter_field_and_operator_is_documented():
    assert [] == [name for name in (*FIELDS, *OPERATORS) if f"`{name}`" not in REFERENCE]


def test_every_command_is_documented_and_has_help():
    if not _exists("pymemos.surfaces.cli"):
        pytest.skip("the command line does not exist yet")
    group = importlib.import_module("pymemos.surfaces.cli").main

    commands = _commands(group)

    assert commands
    assert [] == [name for name in commands if f"`pymemos {name}" not in REFERENCE]
    assert [] == [name for name, command in commands.items() if not command.help]


def test_every_setting_is_documented():
    if not _exists("pymemos.settings"):
        pytest.skip("the settings do not exist yet")
    settings = importlib.import_module("pymemos.settings").Settings

    fields = getattr(settings, "__struct_fields__", None) or settings.__dataclass_fields__

    assert [] == [name for name in fields if f"`{name}`" not in REFERENCE]


def _exists(module: str) -> bool:
    package = module.rpartition(".")[0]
    return importlib.util.find_spec(package) is not None and importlib.util.find_spec(module) is not None


def _commands(group, prefix=""):
    """Every command by its full name; a group such as ``audit`` stands for its own commands."""
    context = click.Context(group)
    found = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = _commands(command, f"{prefix}{name} ") if isinstance(command, click.Group) else {}
        found |= inner or {f"{prefix}{name}": command}
    return found
