"""The records of every method on the digits: two tables and the paper's Table 4, from their cells.

``python -m bench.replication.method_record FOLDER`` measures each method's clients, and writes the
records next to the folder's cells, as far as those are done.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import devices
from bench.records.case_name import CaseName
from bench.records.details.tables import SearchDetails, TableDetails
from bench.records.record import Record, provenance
from bench.records.store import open_store, write_record
from bench.records.typed_json import to_json
from bench.replication import method_study as study
from bench.replication.run_options import Options
from bench.replication.spec import Row
from bench.replication.summary import Place, details_of, metrics_of
from bench.replication.table_run import TableRun
from bench.step_variants import PLAIN
from bench.sweeps.cell import Cell, CellStore
from bench.workloads.client_costs import Costs, VariantCosts, measure_variants
from zo_core.algorithms import ALGORITHMS
from zo_core.kernels import default_kernel

SCALE: Final = "methods"
EQUAL_ROUNDS, EQUAL_PASSES = "methods", "methods-passes"
_ORIGIN: Final = "of every method, the best of three on hold-outs, one seed at 10/90"

CellOf = Callable[[str, study.Fields, str, int], Cell | None]


def table_records(store: CellStore, folder: Path) -> Iterator[Record]:
    """Make the records of both tables and of Table 4."""
    chosen = {
        name: fields for name in ALGORITHMS if (fields := study.choose(name, store)) is not None
    }
    memory = client_memory(chosen)

    def passes(name: str, fields: study.Fields, split: str, seed: int) -> Cell | None:
        return study.equal_passes(name, fields, split, seed, store)

    tables: dict[str, tuple[str, CellOf]] = {
        EQUAL_ROUNDS: ("Every method, equal rounds", study.equal_rounds),
        EQUAL_PASSES: ("Every method, equal item passes", passes),
    }
    for name, (title, cell_of) in tables.items():
        places = list(_places(chosen, cell_of, store))
        yield _record(name, title, places, {"rates": chosen, "memory": memory})
    table_4 = TableRun(Options(seeds=study.SEEDS), folder, "default").outcome("table4")
    yield _made("table4", table_4.config, table_4.metrics, table_4.details)


def client_memory(chosen: Mapping[str, study.Fields]) -> dict[str, dict[str, int]]:
    """Measure the tensors at a client's peak in a round, by method and group.

    Weights, data and what the client keeps between rounds are included; a group that takes no part
    is left out.
    """
    configs = {
        name: dict(study.search_cell(name, fields).config.to_json())
        for name, fields in chosen.items()
    }
    found = measure_variants(configs, 1, step_variants=())
    return {name: _peaks(costs) for name, costs in found.items()}


def _peaks(variant: VariantCosts) -> dict[str, int]:
    peaks: dict[str, int] = {}
    plain = variant.by_step_variant[PLAIN]
    for cost in plain.costs if isinstance(plain, Costs) else ():
        peaks[cost.group] = max(peaks.get(cost.group, 0), cost.peak_bytes)
    return peaks


def _places(
    chosen: Mapping[str, study.Fields], cell_of: CellOf, store: CellStore
) -> Iterator[Place]:
    for split in study.SPLITS:
        for name, fields in chosen.items():
            row = Row(name=name, label=ALGORITHMS[name].label, rates=name, fields=fields)
            cells = [cell_of(name, fields, split, seed) for seed in range(study.SEEDS)]
            found = [(s, store.read(cell)) for s, cell in enumerate(cells) if cell is not None]
            yield Place(
                row=row,
                split=split,
                runs=tuple((s, r) for s, r in found if r is not None and r.status == "ok"),
                failures=tuple(r for _, r in found if r is not None and r.status != "ok"),
                asked=study.SEEDS,
            )


def _record(name: str, title: str, places: list[Place], config: dict[str, Any]) -> Record:
    rows = {place.row.name: dict(place.row.fields) for place in places}
    return _made(
        name,
        {
            **config,
            "table": name,
            "base": {**study.BASE, "rounds": study.ROUNDS, "pivot_share": study.PIVOT_SHARE},
            "rates_origin": _ORIGIN,
            "rows": rows,
            "splits": list(study.SPLITS),
            "runs": study.SEEDS,
        },
        {key: metric for place in places for key, metric in metrics_of(place).items()},
        TableDetails(
            title=title,
            baseline=study.WARM_UP,
            quantity="test_accuracy",
            x_label=None,
            notes=(),
            places=tuple(map(details_of, places)),
        ),
    )


def _made(
    name: str,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    details: TableDetails | SearchDetails,
) -> Record:
    return Record(
        case=str(CaseName.of("tables", name)),
        group="tables",
        case_version=1,
        status="ok",
        config=config,
        metrics=metrics,
        details=to_json(details),
        provenance=provenance(SCALE, devices.detect().to_json(), zo_kernel=default_kernel("cpu")),
    )


def main() -> None:
    """Write the records of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=study.OUT)
    folder = open_store(parser.parse_args().folder)
    for record in table_records(CellStore.below(folder), folder):
        print(write_record(folder, record))


if __name__ == "__main__":
    main()
