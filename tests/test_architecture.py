"""Which package may import which, what a light client must not load, and how long files get."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from import_graph import ROOT, loaded_by, names_imported, roots_of

from zo_core.algorithms import ALGORITHMS

ALLOWED = {  # package -> packages of this repository that it may import
    "zo_core": {"zo_core"},
    "devices": {"devices"},
    "bench": {"bench", "devices", "zo_core"},
}
MAX_LINES = 300
HEAVY = {"torch", "torchvision", "torchinfo", "matplotlib", "sklearn", "scipy", "pandas", "jinja2"}
HEAVY |= {"onnxruntime", "triton"}


def files(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"no file of {package}: this test proves nothing"
    return found


@pytest.mark.parametrize("package", ALLOWED)
def test_packages_import_in_one_direction_and_never_the_tests(package: str) -> None:
    others = {*ALLOWED, "tests"} - ALLOWED[package]
    for path in files(package):
        assert roots_of(names_imported(path)) & others == set(), path


@pytest.mark.parametrize("package", [*ALLOWED, "tests"])
def test_files_can_be_read_in_one_sitting(package: str) -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in files(package)}
    limit = MAX_LINES if package in ALLOWED else 2 * MAX_LINES
    assert {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > limit} == {}


def test_the_cost_model_imports_nothing_that_it_predicts() -> None:
    names = names_imported(ROOT / "zo_core" / "cost_model.py")
    assert roots_of(names) & {*ALLOWED, "torch", "numpy"} == set()


LIGHT = [
    "zo_core.directions",
    "zo_core.kernels",
    "zo_core.perturbation",
    "zo_core.spsa",
    "zo_core.optimizer",
    "zo_core.zosgd",
    "zo_core.replay",
    "zo_core.update_log",
    "zo_core.payloads.core",
    "zo_core.digest",
    "zo_core.replica",
    "zo_core.federation.log",
    "zo_core.federation.rounds",
    "zo_core.algorithms",
    "zo_core.method",
    "zo_core.algorithms.steps.zeroth_order",
    "zo_core.edge.load",
    "zo_core.edge.onnx_loss",
    "zo_core.edge.manifest",
    "zo_core.edge.weights_file",
    "zo_core.cost_model",
    "zo_core.config",
    "zo_core.data",
    "zo_core.federation.protocol.server",
    "zo_core.federation.protocol.client",
]


@pytest.mark.process
def test_the_engine_needs_numpy_alone() -> None:
    """All of them in one process; the next test finds which it was."""
    loaded = roots_of(loaded_by("zo_core", *LIGHT))
    assert loaded & HEAVY == set()
    assert "numpy" in loaded


@pytest.mark.process
def test_a_client_loads_no_method_before_it_knows_its_runs() -> None:
    loaded = loaded_by("zo_core.algorithms.configs", "zo_core.federation.protocol.trainers")
    kinds = ("zo_core.algorithms.methods.", "zo_core.algorithms.baselines.")
    assert [name for name in loaded if name.startswith(kinds)] == []


@pytest.mark.process
def test_every_method_needs_numpy_alone() -> None:
    modules = {row.build.__module__ for row in ALGORITHMS.values()}
    assert roots_of(loaded_by(*modules)) & HEAVY == set()


@pytest.mark.parametrize("module", ["zo_core", *LIGHT])
def test_no_engine_module_names_torch_where_it_is_imported(module: str) -> None:
    """At the top level of the file, type checking aside."""
    path = ROOT.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            roots = {alias.name.split(".")[0] for alias in node.names}
            roots |= {(getattr(node, "module", None) or "").split(".")[0]}
            assert not roots & HEAVY, module


@pytest.mark.process
def test_devices_load_nothing_heavy() -> None:
    assert roots_of(loaded_by("devices")) & (HEAVY | {"numpy"}) == set()


@pytest.mark.process
def test_the_plug_in_that_every_pytest_loads_loads_nothing_heavy() -> None:
    loaded = roots_of(loaded_by("bench.plugin"))
    assert loaded & (HEAVY | {"numpy", "zo_core", "devices", "rich"}) == set()


@pytest.mark.process
def test_the_command_of_a_client_needs_no_test_framework() -> None:
    assert roots_of(loaded_by("bench.__main__")) & (HEAVY | {"pytest"}) == set()


@pytest.mark.process
def test_a_measured_client_loads_nothing_that_it_does_not_use() -> None:
    """OpenSSL alone takes 3 MiB of it."""
    loaded = loaded_by("bench.workloads.edge", "zo_core.edge.load")
    assert loaded & {"_hashlib", "ssl", "psutil", "statistics", "bench.records.record"} == set()


@pytest.mark.process
def test_this_test_would_see_a_heavy_import() -> None:
    assert "torch" in loaded_by("zo_core.models")
