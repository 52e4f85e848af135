"""The reference of the command line is complete: every command, every option, every field of a memory."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from pymemos import MemOS
from pymemos.surfaces.cli import main
from pymemos.surfaces.cli.show import public_cube

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text()
SECTIONS = {
    re.sub(r" \[?[A-Z].*", "", head): text
    for head, text in re.findall(r"^## `pymemos ([^`]+)`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
COMMON = {"--home", "--json"}


def _commands(group, prefix=""):
    for name, command in group.commands.items():
        yield f"{prefix}{name}", command
        if isinstance(command, click.Group):
            yield from _commands(command, f"{prefix}{name} ")


COMMANDS = dict(_commands(main))


def test_every_command_has_a_section_and_no_other():
    assert set(COMMANDS) == set(SECTIONS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_described_as_in_the_help(name):
    context = click.Context(COMMANDS[name])
    for option in COMMANDS[name].params:
        if isinstance(option, click.Option) and not COMMON & set(option.opts):
            text = option.get_help_record(context)[1]
            assert f"`{option.opts[0]}" in SECTIONS[name]
            assert text.replace("|", "\\|") in SECTIONS[name], f"{option.opts[0]}: {text}"


def test_every_field_of_a_memory_is_named(tmp_path):
    with MemOS(tmp_path) as mem:
        fields = public_cube(mem.add("x").cubes[0])

    assert [] == [name for name in fields if f"`{name}`" not in PAGE]
