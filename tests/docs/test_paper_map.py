"""The paper map is true: every module and test that it names exists, and what is not built yet says so."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
NOTHING = "–"


class Row(NamedTuple):
    section: str
    what: str
    module: str
    test: str
    status: str


def _rows() -> list[Row]:
    lines = (ROOT / "docs" / "paper-map.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [Row(*row) for row in cells if row[0] != "Section" and set(row[0]) - set("-: ")]


ROWS = _rows()
BUILT = [row for row in ROWS if row.status == "built"]
built = pytest.mark.parametrize("row", BUILT, ids=lambda row: f"{row.section} {row.what}")


def test_the_map_covers_the_paper():
    assert len(ROWS) > 50


def test_a_row_is_either_built_or_planned():
    assert [] == [row for row in ROWS if row.status not in ("built", "planned")]


def test_a_planned_row_names_no_module_and_no_test():
    assert [] == [row for row in ROWS if row.status == "planned" and (row.module, row.test) != (NOTHING, NOTHING)]


@built
def test_the_module_of_a_built_row_exists(row):
    for name in _names(row.module):
        assert _module_exists(name), f"{name} does not exist"


@built
def test_the_test_of_a_built_row_exists(row):
    for name in _names(row.test):
        assert _test_exists(name), f"{name} does not exist"


def _names(cell: str) -> list[str]:
    names = [name.strip(" `") for name in cell.split(",")]
    assert all(name and name != NOTHING for name in names), "a built row names its module and its test"
    return names


def _module_exists(name: str) -> bool:
    return (ROOT / name).exists() if "/" in name else importlib.util.find_spec(name) is not None


def _test_exists(name: str) -> bool:
    """``tests/unit/test_x.py`` exists; ``…::test_y`` or ``…::TestY::test_z`` is defined in it."""
    file, _, path = name.partition("::")
    if not (ROOT / file).is_file():
        return False
    scope: ast.AST = ast.parse((ROOT / file).read_text())
    for part in filter(None, path.split("::")):
        inner = [node for node in getattr(scope, "body", []) if getattr(node, "name", None) == part]
        if not inner:
            return False
        scope = inner[0]
    return True
