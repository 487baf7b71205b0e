"""The layers of each package: which may import which, and the figure of docs/architecture.md.

``python tests/helpers/layers.py`` writes the figure from the imports.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from import_graph import ROOT, arrows, cycles, modules

PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- layers: {} -->", "<!-- /layers: {} -->"
GROUND = {
    *("bench", "bench.groups", "bench.labels", "bench.step_variants"),
    *("bench.format", "bench.paper", "bench.extras", "bench.boards", "bench.sizes"),
}

# Every layer imports itself and the ground files or the root. A layer that is not listed here,
# which is a new folder, may import nothing else.
ALLOWED: Mapping[str, Mapping[str, set[str]]] = {
    "bench": {
        "ground": set(),
        "records": set(),
        "models": set(),
        "workloads": {"records", "models"},
        "sweeps": {"records", "workloads"},
        "replication": {"records", "sweeps", "workloads"},
        "instruct": {"records", "sweeps"},
        "fit": {"records", "models", "workloads"},
        "plan": {"records", "models", "workloads"},
        "suite": {"records", "models", "replication", "workloads"},
        "cases": {"records", "models", "replication", "suite", "workloads"},
        "compare": {"records"},
        "audit": set(),
        "report": {"records"},
        "cli": {
            *("records", "models", "workloads", "replication", "instruct", "fit", "plan", "suite"),
            *("compare", "report", "audit"),
        },
        "entry": {"records", "suite", "report", "cli"},
    },
    "zo_core": {
        "root": {"kernels", "payloads", "first_order", "loss"},
        "kernels": set(),
        "payloads": set(),
        "compat": set(),
        "loss": set(),
        "first_order": {"loss", "payloads"},
        "edge": {"loss"},
        "data": {"compat", "loss"},
        "models": {"compat", "data", "loss"},
        "algorithms": {"kernels", "payloads", "first_order", "loss", "models"},
        "federation": {
            *("algorithms", "payloads", "edge", "data", "models", "loss", "first_order"),
        },
    },
}
BOTTOM = {"bench": "ground", "zo_core": "root"}  # every layer may import it


def layer_of(module: str) -> tuple[str, str]:
    """Return a module's package, and its layer in it: the folder, or what its files are for."""
    package, *parts = module.split(".")
    if module in GROUND:
        return package, "ground"
    is_folder = len(parts) > 1 or (parts and modules()[module].name == "__init__.py")
    if is_folder:
        return package, parts[0]
    return package, "entry" if package == "bench" else "root"


def imported_layers(package: str) -> dict[str, set[str]]:
    """Map each layer of a package to the layers below that it imports."""
    found: dict[str, set[str]] = {layer: set() for layer in ALLOWED[package]}
    for arrow in arrows():
        (of, source), (to, target) = layer_of(arrow.source), layer_of(arrow.target)
        if of == to == package and target in ALLOWED[package][source]:
            found[source].add(target)
    return found


def figure(package: str) -> str:
    """Draw a package's layers in Mermaid, without the arrows that follow from others."""
    layers = imported_layers(package)
    bottom = BOTTOM[package]
    above = {name: targets - {bottom} for name, targets in layers.items() if name != bottom}
    assert not cycles(above)
    lines = ["```mermaid", "flowchart TD"]
    for name, targets in sorted(above.items()):
        lines += [f"  {name} --> {target}" for target in sorted(_direct(above, name))]
        lines += [] if targets or any(name in t for t in above.values()) else [f"  {name}"]
    return "\n".join([*lines, "```"])


def _direct(layers: Mapping[str, set[str]], name: str) -> set[str]:
    """Return the layers that one imports and that none of its other imports reaches."""
    targets = layers[name]
    return {t for t in targets if not any(t in _reached(layers, o) for o in targets - {t})}


def _reached(layers: Mapping[str, set[str]], name: str) -> set[str]:
    found = set(layers[name])
    for target in layers[name]:
        found |= _reached(layers, target)
    return found


def with_figures(page: str) -> str:
    """Put the figures between their markers in a page's text."""
    for package in ALLOWED:
        begin, end = BEGIN.format(package), END.format(package)
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        assert pattern.search(page), f"{PAGE} has no place for the figure of {package}"
        page = pattern.sub(f"{begin}\n{figure(package)}\n{end}", page)
    return page


if __name__ == "__main__":
    PAGE.write_text(with_figures(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
