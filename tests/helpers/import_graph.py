"""What the project's files import, by their syntax trees, and what a fresh process loads.

Between the project's files imports for type checking are left out; those inside functions count.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("bench", "devices", "zo_core")


@dataclass(frozen=True, slots=True, order=True)
class Arrow:
    """One import of a file of the project by another."""

    source: str  # module names
    target: str
    in_function: bool


@cache
def modules() -> Mapping[str, Path]:
    """Map the name of every module of the project to its file."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def arrows() -> tuple[Arrow, ...]:
    """List all imports between files of the project."""
    return tuple(
        sorted(
            {
                Arrow(source, target, in_function)
                for source, path in modules().items()
                for target, in_function in _imports(path)
                if target != source
            }
        )
    )


def names_imported(path: Path) -> set[str]:
    """Name every module that a file imports, wherever in the file; relative ones whole."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            found.add(".".join([*above, *filter(None, [node.module])]))
    return found


def loaded_by(*modules: str) -> set[str]:
    """Name the modules loaded in a fresh process after importing some."""
    code = f"import sys, {', '.join(modules)}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def roots_of(names: Iterable[str]) -> set[str]:
    """Return the first parts of modules' names: the packages."""
    return {name.split(".")[0] for name in names}


def folder_of(module: str) -> str:
    """Return the folder that contains a module, as a dotted name; of a package, the package."""
    return module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]


def cycles(names: Mapping[str, set[str]]) -> list[set[str]]:
    """Find the groups of names that reach each other, by Tarjan's algorithm.

    Args:
        names: what each name imports.
    """
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in sorted(names.get(name, ())):
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            group = set(stack[stack.index(name) :])
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(group)

    for name in sorted(names):
        if name not in order:
            visit(name)
    return found


def entries(folder: str) -> dict[str, set[str]]:
    """Map each entry of a folder, file or sub-folder, to the entries that it imports."""
    found: dict[str, set[str]] = {}
    for arrow in arrows():
        source, target = (_entry(folder, module) for module in (arrow.source, arrow.target))
        if source and target and source != target:
            found.setdefault(source, set()).add(target)
    return found


def _entry(folder: str, module: str) -> str | None:
    """Return the entry of a folder that a module belongs to; None where it lies elsewhere."""
    if module == folder:
        return f"{folder}.__init__"
    if not module.startswith(f"{folder}."):
        return None
    return f"{folder}.{module.removeprefix(f'{folder}.').split('.')[0]}"


def _imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield the project's modules that a file imports, and whether that is inside a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = set(_inside(tree, _is_type_checking))
    in_functions = set(_inside(tree, lambda node: isinstance(node, ast.FunctionDef)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and node not in for_types:
            for target in _targets(node):
                yield target, node in in_functions


def _targets(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in modules())
    elif node.module in modules():
        for alias in node.names:
            name = f"{node.module}.{alias.name}"
            lazy = _lazy_names(node.module)
            yield (
                lazy[alias.name]
                if alias.name in lazy
                else name
                if name in modules()
                else (node.module)
            )


@cache
def _lazy_names(package: str) -> Mapping[str, str]:
    """Map the names that a package resolves on first use to the modules that define them."""
    path = modules()[package]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if "__getattr__" not in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}:
        return {}
    return {
        alias.name: node.module
        for node in _inside(tree, _is_type_checking)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def _inside(tree: ast.AST, chosen: object) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if chosen(node):  # type: ignore[operator]
            yield from ast.walk(node)
