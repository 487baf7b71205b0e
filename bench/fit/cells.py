"""What fits in a device's memory: predicted, and really tried under a limit of the kernel.

predicted = runtime + tensors.  The runtime (libraries and their state) is measured here, once for
each model; the tensors are counted without the memory (:mod:`bench.fit.prediction`).  A trial runs
one step in a fresh process under the limit.  Both run with `RETURN_BLOCKS`, as every process whose
memory the suite measures.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import devices
from bench.workloads.limits import TRIAL_TIMEOUT_S
from bench.workloads.steps import BESIDE_OTHERS, RETURN_BLOCKS

NEAR = 0.3  # a prediction within this share of the limit is a close one
_GENEROUS_BYTES = 64 << 30  # a limit only for its counter
_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?I?B?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A device to fit in."""

    name: str
    limit_bytes: int  # all of its memory; its system takes a share of that


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of one step under the limit."""

    status: str  # "ok", "does not fit", or another of devices.IsolatedResult
    phase: str | None  # the last one reached
    error: str | None
    limit_method: str | None  # "cgroup v1", "cgroup v2" or "RLIMIT_DATA"
    peak_bytes: float | None  # by the limit's counter; None where it has none
    seconds: float

    @property
    def fits(self) -> bool | None:
        """Whether the step completed; None where it failed for another reason than memory."""
        return {"ok": True, "does not fit": False}.get(self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One step on one device."""

    device: str
    limit_bytes: int
    model: str
    method: str
    batch: int
    images: int | None  # of a whole set in micro-batches; None for one batch
    tensors_bytes: int  # predicted peak of live tensors, weights and inputs included
    formula_bytes: int  # the paper's closed form over the module's counts
    how: str  # how the tensors were predicted
    runtime_bytes: int  # measured: a process of this model without its tensors
    trial: Trial | None = None

    @property
    def predicted_bytes(self) -> int:
        """What the process will need."""
        return self.runtime_bytes + self.tensors_bytes

    @property
    def predicted_fits(self) -> bool:
        """Whether that is within the limit."""
        return self.predicted_bytes <= self.limit_bytes

    @property
    def is_near(self) -> bool:
        """Whether the prediction lies within 30 % of the limit."""
        return abs(self.predicted_bytes - self.limit_bytes) <= NEAR * self.limit_bytes

    @property
    def agrees(self) -> bool | None:
        """Whether prediction and trial say the same; None without a trial that tells."""
        fits = self.trial.fits if self.trial else None
        return None if fits is None else fits == self.predicted_fits

    def to_json(self) -> dict[str, Any]:
        """Return the cell as plain JSON data, derived figures included."""
        names = ("predicted_bytes", "predicted_fits", "is_near", "agrees")
        return asdict(self) | {name: getattr(self, name) for name in names}


class CannotPredictError(ValueError):
    """A model's process failed before anything could be predicted."""


def find_target(text: str) -> Target:
    """Find a device of the catalogue, or take a size of memory.

    >>> find_target("512MiB").limit_bytes
    536870912

    Raises:
        ValueError: neither, or a device whose memory is not known.
    """
    if text in devices.CATALOG:
        memory = devices.find_device(text).memory_bytes
        if memory is None:
            raise ValueError(f"the catalogue has no memory for {text}; give a size, e.g. 1GiB")
        return Target(name=text, limit_bytes=memory)
    match = _SIZE.fullmatch(text.strip())
    unit = match and match[2].upper().removesuffix("B") + "B"
    factor = _UNITS.get("" if unit == "B" else unit or "-")
    if match is None or factor is None or float(match[1]) <= 0:
        known = ", ".join(devices.CATALOG)
        raise ValueError(f"device must be one of {known}, or a size such as 512MB, got {text!r}")
    return Target(name=text, limit_bytes=int(float(match[1]) * factor))


def predict_cells(
    targets: Sequence[Target],
    model: str,
    methods: Sequence[str],
    batches: Sequence[int],
    images: int | None = None,
) -> list[Cell]:
    """Predict the steps of one model on some devices.

    Raises:
        CannotPredictError: the model's process failed; the message says why.
    """
    run = _run("predict_tensors", model, list(methods), list(batches), images)
    # Second, so that the libraries' pages are in the page cache and not charged to its group.
    runtime = _runtime_bytes(model)
    return [
        Cell(
            device=target.name,
            limit_bytes=target.limit_bytes,
            model=model,
            method=step["method"],
            batch=step["batch"],
            images=images,
            tensors_bytes=step["bytes"],
            formula_bytes=step["formula_bytes"],
            how=step["how"],
            runtime_bytes=runtime,
        )
        for target in targets
        for step in run.value
    ]


def try_cell(cell: Cell) -> Trial:
    """Run a cell's step once in a fresh process under its device's limit."""
    run = devices.run_isolated(
        "bench.fit.trial:try_step",
        *(cell.model, cell.method, cell.batch, cell.images),
        limit_bytes=cell.limit_bytes,
        timeout_s=TRIAL_TIMEOUT_S,
        env=RETURN_BLOCKS | BESIDE_OTHERS,
    )
    return Trial(
        status=run.status,
        phase=run.phase,
        error=None if run.error is None else run.error.splitlines()[0],
        limit_method=run.limit_method,
        peak_bytes=run.limit_peak_bytes.value,
        seconds=run.seconds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How often predictions and trials say the same."""

    cells: int  # with a trial that tells
    agreeing: int
    near_cells: int  # of them, predicted within 30 % of the limit
    near_agreeing: int
    disagreeing: tuple[Cell, ...]

    @property
    def share(self) -> float | None:
        """Share of agreeing cells; None where there are none."""
        return self.agreeing / self.cells if self.cells else None

    @property
    def near_share(self) -> float | None:
        """The same among the near cells."""
        return self.near_agreeing / self.near_cells if self.near_cells else None


def agreement(cells: Sequence[Cell]) -> Agreement:
    """Count where prediction and trial agree."""
    told = [cell for cell in cells if cell.agrees is not None]
    near = [cell for cell in told if cell.is_near]
    return Agreement(
        cells=len(told),
        agreeing=sum(bool(cell.agrees) for cell in told),
        near_cells=len(near),
        near_agreeing=sum(bool(cell.agrees) for cell in near),
        disagreeing=tuple(cell for cell in told if not cell.agrees),
    )


def _runtime_bytes(model: str) -> int:
    """Measure a model's process without its tensors, by the counter that a limit will have."""
    try:
        run = _run("measure_runtime", model, limit_bytes=_GENEROUS_BYTES)
    except OSError:  # no limit can be set here
        run = _run("measure_runtime", model)
    counted = run.limit_peak_bytes.value
    peak = run.value["peak_rss_bytes"] if counted is None else counted
    return int(peak) - int(run.value["weights_bytes"])


def _run(function: str, *arguments: Any, limit_bytes: int | None = None) -> devices.IsolatedResult:
    run = devices.run_isolated(
        f"bench.fit.prediction:{function}",
        *arguments,
        limit_bytes=limit_bytes,
        timeout_s=TRIAL_TIMEOUT_S,
        env=RETURN_BLOCKS,
    )
    if run.status != "ok":
        raise CannotPredictError(f"{arguments[0]}: {run.status}: {run.error}")
    return run
