"""A fit's cells as a record of the suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.fit.cells import NEAR, Cell, agreement
from bench.records.case_name import CaseName
from bench.records.details.machine import FitDetails
from bench.records.record import Metric, Record, provenance
from bench.records.typed_json import to_json
from bench.workloads.steps import RETURN_BLOCKS

_ERROR = "prediction less the measured resident peak, as a share of it, over the cells that fit"
GRID = CaseName.of("fit", "grid")  # the suite's own devices, models and sizes


def fit_record(case: CaseName, cells: Sequence[Cell], device: Mapping[str, Any]) -> Record:
    """Make the record of some cells.

    Args:
        case: GRID, or a name such as fit/512MB/resnet18.
        cells: predicted, tried or not.
        device: the machine that it ran on, devices.DeviceSpec as JSON.
    """
    return Record(
        case=str(case),
        group=case.group,
        case_version=2,
        status="ok",
        config={
            "devices": _distinct(cell.device for cell in cells),
            "reserves": _distinct(cell.reserve_bytes for cell in cells),
            "models": _distinct(cell.model for cell in cells),
            "methods": _distinct(cell.method for cell in cells),
            "batches": _distinct(cell.batch for cell in cells),
            "images": cells[0].images,
            "environment": RETURN_BLOCKS,
        },
        metrics=_metrics(cells),
        details=to_json(FitDetails(cells=tuple(cell.details() for cell in cells))),
        provenance=provenance("fit", device, "closed" if case == GRID else "open"),
    )


def _metrics(cells: Sequence[Cell]) -> dict[str, Metric]:
    found = agreement(cells)
    low, high = (found.errors[0], found.errors[-1]) if found.errors else (None, None)
    near = f"the same, of cells predicted within {100 * NEAR:.0f} % of the limit"
    return {
        "cells": Metric.single(len(cells), "count", "model, batch, method, device"),
        "tried": Metric.single(found.cells, "count", "one step in a fresh process under the limit"),
        "agreement": _share(found.share, "cells where prediction and trial agree"),
        "near_tried": Metric.single(found.near_cells, "count", near),
        "near_agreement": _share(found.near_share, near),
        "lowest_error": _share(low, _ERROR),
        "highest_error": _share(high, _ERROR),
    }


def _share(value: float | None, how: str) -> Metric:
    return (
        Metric.unmeasured("share", "no cell was tried")
        if value is None
        else Metric.single(value, "share", how)
    )


def _distinct(values: Any) -> list[Any]:
    return list(dict.fromkeys(values))
