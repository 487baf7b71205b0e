"""Every method on the digits: the search, equal item passes, and the tables made of cells."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_cells import result

from bench.records.record import Record
from bench.records.store import write_record
from bench.replication import method_record, method_study
from bench.replication.method_study import (
    AXES,
    ROUNDS,
    SEEDS,
    SPLITS,
    candidates,
    choose,
    equal_passes,
    equal_rounds,
    search_cell,
    todo,
)
from bench.report.method_results import method_results
from bench.report.paper_results import results_page
from bench.sweeps.cell import CellStore
from zo_core.algorithms import ALGORITHMS

FEW = ("high-res-only", "zowarmup", "fedavg", "scaffold", "high-res-only-fedadam")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = {name: ALGORITHMS[name] for name in FEW}
    for module in (method_study, method_record):
        monkeypatch.setattr(module, "ALGORITHMS", registry)
    memory = {name: {"high": 200, **({"low": 100} if "high" not in name else {})} for name in FEW}
    monkeypatch.setattr(method_record, "client_memory", lambda chosen: memory)


def fill(store: CellStore) -> int:
    """Finish every cell that is missing, ZOWarmUp's best, in their order; return their number."""
    done = 0
    for cell in todo(store):
        accuracy = 0.9 if cell.config.algorithm == "zowarmup" else 0.8
        store.write(result(cell, accuracy + 0.001 * (cell.config.run_seed % 7)))
        done += 1
    return done


def test_a_warm_ups_rate_is_the_one_that_high_res_only_chose(tmp_path: Path) -> None:
    store = CellStore.below(tmp_path)
    assert candidates("zowarmup", store) is None
    for fields, accuracy in zip(
        candidates("high-res-only", store) or (), (0.5, 0.7, 0.6), strict=True
    ):
        store.write(result(search_cell("high-res-only", fields), accuracy))
    best = AXES["client_lr"][1]
    assert choose("high-res-only", store) == {"client_lr": best}
    tried = candidates("zowarmup", store)
    assert tried is not None
    assert [fields["client_lr"] for fields in tried] == [best] * 3
    assert tuple(fields["zo_server_lr"] for fields in tried) == AXES["zo_server_lr"]


def test_a_method_that_diverges_at_all_rates_has_none(tmp_path: Path) -> None:
    store = CellStore.below(tmp_path)
    for fields in candidates("fedavg", store) or ():
        store.write(result(search_cell("fedavg", fields), 0.5, outcome="diverged"))
    assert choose("fedavg", store) is None


@pytest.mark.usefixtures("few")
def test_the_study_ends_and_its_cells_are_seed_by_seed(tmp_path: Path) -> None:
    store = CellStore.below(tmp_path)
    searched, compared = 3 * len(FEW), 2 * len(SPLITS) * SEEDS * len(FEW)
    # the tiny runs have equal item passes, so that both comparisons are the same cells
    assert fill(store) == searched + compared // 2 + len(list(method_study.table_4_cells()))


@pytest.mark.usefixtures("few")
def test_equal_passes_are_zowarmups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CellStore.below(tmp_path)
    fill(store)
    passes = {"zowarmup": 900, "fedavg": 300}
    monkeypatch.setattr(method_study, "_passes", lambda name, split, store: passes[name])
    fields = choose("fedavg", store)
    assert fields is not None
    cell = equal_passes("fedavg", fields, "50/50", 3, store)
    assert cell is not None
    assert (cell.config.rounds, cell.config.run_seed) == (3 * ROUNDS, 3)
    assert equal_rounds("fedavg", fields, "50/50", 3).config.rounds == ROUNDS


@pytest.mark.usefixtures("few")
def test_the_tables_have_every_method_with_its_n_bytes_and_memory(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "machine" / "methods"
    store = CellStore.below(folder)
    fill(store)
    records: dict[str, Record] = {}
    for record in method_record.table_records(store, folder):
        records[record.case] = record
        (folder / "records").mkdir(exist_ok=True)
        write_record(folder, record)
    text = "\n".join(method_results(records))
    rows = [line for line in text.splitlines() if line.startswith("| ") and "method" not in line]
    assert len(rows) == len(SPLITS) * len(FEW)
    (scaffold, _) = (row for row in rows if row.startswith("| SCAFFOLD"))
    assert f"80.2 ± 0.2, {SEEDS}" in scaffold
    assert "−10.0 (−10.0 to −10.0)" in scaffold  # to ZOWarmUp
    assert "100 B (1.00x) | 200 B (1.00x)" in scaffold
    assert "takes no part" in text
    assert text in results_page(tmp_path)


def test_without_its_records_the_page_has_no_such_part() -> None:
    assert list(method_results({})) == []
