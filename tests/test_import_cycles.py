"""No file and no folder imports itself by way of others, imports within functions included.

A file at the root of a package counts by itself: these files are layers that folders stand on.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("zo_core", "devices")
Graph = dict[str, set[str]]  # module or folder -> what it imports


def modules(package: str) -> dict[str, Path]:
    found = {}
    for path in (ROOT / package).rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    assert len(found) > 10, f"no files of {package}: this test proves nothing"
    return found


def names_in(tree: ast.AST) -> Iterator[tuple[str, str | None]]:
    """Modules that a file imports, and names from them; imports for type checking left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)
        yield from names_in(node)


def file_graph(package: str) -> Graph:
    known = modules(package)

    def imported(path: Path) -> Iterator[str]:
        for module, name in names_in(ast.parse(path.read_text())):
            submodule = f"{module}.{name}"
            yield submodule if submodule in known else module

    return {name: {*imported(path)} & known.keys() - {name} for name, path in known.items()}


def folder_graph(package: str) -> Graph:
    known, graph = modules(package), Graph()

    def folder(name: str) -> str:
        parent = known[name].parent
        return name if parent == ROOT / package else str(parent.relative_to(ROOT))

    for name, imported in file_graph(package).items():
        graph.setdefault(folder(name), set()).update(map(folder, imported))
    return {name: imported - {name} for name, imported in graph.items()}


def cycle_in(graph: Graph) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_imports_itself_by_way_of_others(package: str) -> None:
    assert cycle_in(file_graph(package)) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_imports_itself_by_way_of_others(package: str) -> None:
    assert cycle_in(folder_graph(package)) == []


def test_a_cycle_would_be_found() -> None:
    graph = folder_graph("zo_core")
    assert "zo_core/algorithms/steps" in graph["zo_core/algorithms/baselines"]
    graph["zo_core/algorithms/steps"].add("zo_core/algorithms/baselines")
    assert set(cycle_in(graph)) >= {"zo_core/algorithms/steps", "zo_core/algorithms/baselines"}
