"""The paper's Table 1: as printed, its formulas recomputed, and measured in this run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import devices
from bench import paper
from bench.cases.bench_bytes import round_payloads
from bench.cases.bench_memory import processes_at_once
from bench.cases.formula_residual import Evidence, residual_terms
from bench.models.load import load_model
from bench.paper import BATCH, COHORT, DIRECTIONS
from bench.records.case_name import CaseName
from bench.records.details.formulas import (
    Count,
    CountsDetails,
    Listing,
    NoResidual,
    Prediction,
    ResidualTerms,
    Table1Details,
    Table1Row,
)
from bench.records.record import Metric
from bench.suite.suite import Suite
from bench.workloads.child import value_of
from bench.workloads.layer_counts import count_by_torchinfo, count_layers
from bench.workloads.steps import BESIDE_OTHERS, MeasuredStep, build
from bench.workloads.tensors_alive_at_peak import TensorsAtPeak
from zo_core import cost_model
from zo_core.model_names import SUITE_SHAPES
from zo_core.models import count_parameters


def test_counts(suite: Suite) -> None:
    """Hold closed forms, torchinfo's counts and the paper's figures against each other."""
    rows = [*_resnet18_rows(), *_vit_rows()]
    listings = [listing for model in SUITE_SHAPES for listing in _listings(model)]
    wrong = [row for row in rows if not math.isclose(row.expected, row.found, rel_tol=1e-3)]
    suite.record(
        case=CaseName.of("formulas", "counts"),
        config={"models": ["resnet18", "vit"]},
        metrics={
            "disagreements": Metric.single(len(wrong), "count", "rows that differ by > 0.1 %")
        },
        details=CountsDetails(rows=tuple(rows), listings=tuple(listings)),
        case_version=2,
        headline=f"{len(rows) - len(wrong)} of {len(rows)} counts agree",
    )
    assert not wrong


def test_table1(suite: Suite) -> None:
    """Recompute Table 1 for ResNet18 and set this run's measurements beside it."""
    parameters = cost_model.resnet18_parameters()
    listed = cost_model.resnet18_listed_activations()
    # The reconstruction of the two memory figures; the report shows it, this asserts it.
    assert round(cost_model.mem_full(parameters, listed, BATCH) / paper.MB, 1) == 533.2
    assert round(2 * cost_model.comm_full(parameters) / paper.MB, 1) == 89.4
    rows = [*_communication_rows(parameters), *_memory_rows(parameters)]
    with devices.IsolatedPool(processes_at_once()) as pool:
        begun = {method: _begin_residual(suite, method, pool) for method in ("fedavg", "zo")}
        residuals = {method: end() for method, end in begun.items()}
    suite.record(
        case=CaseName.of("formulas", "table1"),
        config={
            "model": "resnet18",
            "batch": BATCH,
            "directions": DIRECTIONS,
            "cohort": COHORT,
        },
        metrics={},
        details=Table1Details(
            rows=tuple(rows),
            notes=_NOTES,
            predictions=tuple(_predictions(parameters)),
            residual=residuals,
        ),
        headline="533.2 and 89.4 MB reconstructed",
    )


_FIGURE_8 = "the paper, figure 8"
_NOTES = (
    paper.TRANSPOSED,
    "533.2 MB is (2P + 64 · A) · 4 bytes with A = 1,733,632 floats per image: the rows of a "
    "torchinfo listing, containers included, which count most outputs twice or three times, plus "
    "512 · 10 for the classifier. Counted once, A is 1,228,810 and the formula gives 404.0 MB.",
    "89.4 MB is only 2P · 4 bytes: eq. 5's activation term is missing. In-place perturbation "
    "needs one copy of the parameters, not two.",
)


def _begin_residual(
    suite: Suite, method: str, pool: devices.IsolatedPool
) -> Callable[[], ResidualTerms | NoResidual]:
    """Start to find what a step does that its formula does not count.

    Returns:
        A function that waits for the result.
    """
    functions = ["bench.workloads.tensors_alive_at_peak:tensors_alive_at_peak"]
    functions += ["bench.workloads.steps:measure_step_memory"] * suite.scale.memory_processes
    step = ("resnet18", method, BATCH)
    runs = [pool.submit(devices.run_isolated, f, *step, env=BESIDE_OTHERS) for f in functions]
    return lambda: _residual(method, *(run.result() for run in runs))


def _residual(
    method: str, tensors: devices.IsolatedResult, *default: devices.IsolatedResult
) -> ResidualTerms | NoResidual:
    """Name the terms, given what the processes found."""
    failed = next((run for run in (tensors, *default) if run.status != "ok"), None)
    alive = value_of(tensors, TensorsAtPeak)
    if failed is not None or alive is None:
        return NoResidual(reason=f"{failed.status}: {failed.error}" if failed else "")
    steps = [step for run in default if (step := value_of(run, MeasuredStep))]
    above = [step.region.peak_above_baseline_bytes.value for step in steps]
    evidence = Evidence.of(alive, default=[value for value in above if value is not None])
    counted = cost_model.resnet18_activations()
    return residual_terms(method, cost_model.resnet18_parameters(), counted, BATCH, evidence)


def _communication_rows(parameters: int) -> list[Table1Row]:
    predicted = {
        ("fedavg", "up-link"): (cost_model.comm_full(parameters), "4P"),
        ("fedavg", "down-link"): (cost_model.comm_full(parameters), "4P"),
        ("zo", "up-link"): (cost_model.comm_zo_up(DIRECTIONS), "4S"),
        ("zo", "down-link"): (cost_model.comm_zo_down(DIRECTIONS, COHORT), "4SK"),
    }
    measured = {
        (method, direction): len(payload.encode())
        for method in ("fedavg", "zo")
        for direction, payload in zip(
            ("up-link", "down-link"), round_payloads("resnet18", method), strict=True
        )
    }
    swapped = {("fedavg", "up-link"), ("zo", "down-link")}
    return [
        Table1Row(
            **_printed(cell, *predicted[cell.method, cell.quantity]),
            measured=measured[cell.method, cell.quantity] / paper.MB,
            measured_how="length of the encoded payload",
            note=("printed columns transposed" if (cell.method, cell.quantity) in swapped else ""),
        )
        for cell in paper.TABLE_1
        if cell.quantity != "memory"
    ]


def _memory_rows(parameters: int) -> list[Table1Row]:
    """Recompute the memory; the report joins the measurements of the memory cases."""
    once = cost_model.resnet18_activations()
    predicted = {
        "fedavg": (cost_model.mem_full(parameters, once, BATCH), "(2P + 64 · Σ) · 4, eq. 4"),
        "zo": (cost_model.mem_zero(parameters, once, BATCH), "(2P + 64 · max) · 4, eq. 5"),
    }
    return [
        Table1Row(
            **_printed(cell, *predicted[cell.method]),
            measured=None,
            measured_how="not measured in this run",
            note="",
        )
        for cell in paper.TABLE_1
        if cell.quantity == "memory"
    ]


def _printed(cell: paper.Printed, recomputed: int, formula: str) -> dict[str, Any]:
    return {
        "quantity": cell.quantity,
        "method": cell.method,
        "unit": "MB",
        "printed": cell.text,
        "recomputed": recomputed / paper.MB,
        "formula": formula,
    }


def _predictions(parameters: int) -> list[Prediction]:
    once = cost_model.resnet18_activations()
    listed = cost_model.resnet18_listed_activations()
    lines: dict[str, Callable[[int], int]] = {
        "fedavg": lambda batch: cost_model.mem_full(parameters, once, batch),
        "fedavg-paper-count": lambda batch: cost_model.mem_full(parameters, listed, batch),
        "zo": lambda batch: cost_model.mem_zero(parameters, once, batch),
        "zo-1P": lambda batch: cost_model.mem_zero(parameters, once, batch, copies=1),
    }
    return [
        Prediction(batch=batch, method=method, bytes=predict(batch))
        for batch in (1, 2, 4, 8, 16, 32, 64)
        for method, predict in lines.items()
    ]


def _resnet18_rows() -> list[Count]:
    module = build("resnet18")
    listed = count_by_torchinfo(module, SUITE_SHAPES["resnet18"])
    outputs = sum(listed.outputs)
    once = cost_model.resnet18_activations()
    closed_form = "closed form of the architecture, zo_core.cost_model"
    return [
        Count(
            quantity="ResNet18 parameters, paper",
            expected=paper.RESNET18_PARAMETERS,
            found=count_parameters(module),
            source=_FIGURE_8,
        ),
        Count(
            quantity="ResNet18 parameters, closed form",
            expected=cost_model.resnet18_parameters(),
            found=listed.parameters,
            source=closed_form,
        ),
        Count(
            quantity="ResNet18 layer outputs, floats per image",
            expected=once.total,
            found=outputs,
            source=closed_form,
        ),
        Count(
            quantity="ResNet18 forward and backward, MB (figure 8)",
            expected=paper.RESNET18_FORWARD_BACKWARD_MB,
            found=outputs * 8 / paper.MB,
            source=_FIGURE_8,
        ),
    ]


def _vit_rows() -> list[Count]:
    module = build("vit")
    outside = ("class_token", "pos_embedding", "ln.")  # what the paper's listing leaves out
    listed = sum(
        parameter.numel()
        for name, parameter in module.named_parameters()
        if not name.removeprefix("encoder.").startswith(outside)
    )
    return [
        Count(
            quantity="ViT parameters as listed, paper",
            expected=paper.VIT_PARAMETERS,
            found=listed,
            source="the paper, figure 9",
        )
    ]


def _listings(model: str) -> list[Listing]:
    """Set torchinfo's counts of a model next to ours, which see tokens and functional calls."""
    loaded = load_model(model)
    ours = count_layers(loaded.module, loaded.batch(1)[0])
    listed = count_by_torchinfo(loaded.module, SUITE_SHAPES[model])
    pairs = {
        "layer outputs, floats per item": (sum(listed.outputs), sum(ours.outputs)),
        "multiply-adds per item": (listed.mult_adds, ours.mult_adds),
        "parameters": (listed.parameters, ours.parameters),
    }
    return [
        Listing(model=model, quantity=quantity, torchinfo=theirs, counted=own)
        for quantity, (theirs, own) in pairs.items()
    ]
