"""The import contracts, as tests: the tree is the paper's figure, and imports point down only."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"


def test_every_import_contract_holds():
    linter = Path(sys.executable).parent / "lint-imports"

    run = subprocess.run([linter, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout + run.stderr


def test_no_module_takes_part_in_an_import_cycle():
    modules = {_module(path): path for path in SOURCE.rglob("*.py")}
    graph = {name: set(_imports(name, path, modules)) - {name} for name, path in modules.items()}

    order = graphlib.TopologicalSorter(graph)

    order.prepare()  # raises CycleError, which names the cycle


def _module(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(name: str, path: Path, modules: dict[str, Path]) -> Iterator[str]:
    """The modules of ours that the interpreter runs while it imports this one."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in _executed(ast.parse(path.read_text()).body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            base = ".".join(part for part in (parent, node.module) if part)
            for alias in node.names:
                target = f"{base}.{alias.name}"
                if target in modules or base in modules:
                    yield target if target in modules else base


def _executed(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements at module level, those under TYPE_CHECKING left out."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.If | ast.Try | ast.With):
            yield from _executed(node.body)
        else:
            yield node
