"""Which folder may import which: no cycle, one direction, and a report without the engine."""

from __future__ import annotations

import subprocess
import sys

import pytest
from import_graph import (
    PACKAGES,
    Arrow,
    arrows,
    cycles,
    entries,
    folder_of,
    loaded_by,
    modules,
    roots_of,
)
from layers import ALLOWED, BOTTOM, PAGE, layer_of, with_figures

MOST_MODULES = 45  # of the project with code in them, for the tables of a report


def is_allowed(arrow: Arrow) -> bool:
    (package, source), (other, target) = layer_of(arrow.source), layer_of(arrow.target)
    if package != other or source == target or target == BOTTOM.get(package):
        return True
    return package not in ALLOWED or target in ALLOWED[package].get(source, ())


def test_every_import_follows_the_direction_of_its_folders() -> None:
    assert [arrow for arrow in arrows() if not is_allowed(arrow)] == []


def test_every_folder_has_its_row() -> None:
    for package, rows in ALLOWED.items():
        layers = {layer_of(m)[1] for m in modules() if m.startswith(package)}
        assert layers == set(rows)


def test_no_files_or_folders_import_each_other() -> None:
    folders = sorted({folder_of(module) for module in modules()})
    assert [group for folder in folders for group in cycles(entries(folder))] == []


def test_a_cycle_would_be_found() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [{"b", "c"}]
    assert cycles({"a": {"b"}, "b": set(), "c": {"a", "b"}}) == []


def test_the_report_takes_records_and_of_the_engine_the_cost_model() -> None:
    targets = {a.target for a in arrows() if a.source.startswith("bench.report")}
    assert {t for t in targets if not t.startswith("bench")} == {"zo_core.cost_model"}


def test_only_commands_and_the_plug_in_import_the_report() -> None:
    sources = {a.source for a in arrows() if a.target.startswith("bench.report")}
    outside = {source for source in sources if not source.startswith("bench.report")}
    assert {layer_of(source)[1] for source in outside} <= {"cli", "entry"}


def test_the_tables_of_a_report_load_few_files() -> None:
    loaded = {m for m in loaded_by("bench.report.sections") if roots_of([m]) <= {*PACKAGES}}
    assert len(loaded) <= MOST_MODULES, sorted(loaded)


def test_a_report_loads_of_the_engine_the_cost_model() -> None:
    loaded = loaded_by("bench.report.page")
    engine = {name for name in loaded if name.startswith(("zo_core", "devices"))}
    assert engine == {"zo_core", "zo_core.cost_model"}


@pytest.mark.parametrize("name", ["digest", "parameters", "snap_"])
def test_a_public_name_stays_what_it_is_whatever_is_imported_first(name: str) -> None:
    code = (
        f"import zo_core.{'weight_grid' if name == 'snap_' else name}\nfrom zo_core import {name}"
    )
    code += f"\nassert callable({name})"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_names_are_those_that_can_be_imported() -> None:
    import zo_core

    assert {name for name in zo_core.__all__ if getattr(zo_core, name, None) is None} == set()
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = zo_core.no_such_name


def test_the_figure_of_the_layers_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_figures(page), "run `make docs`"
