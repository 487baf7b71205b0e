"""Seconds, joules and peak memory of a client's round, measured on this machine.

Each variant runs in a fresh process, by the code that trains, on noise of the model's shape.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import devices
from bench.plan.request import VARIANTS, Request
from bench.records.typed_json import from_json, to_json
from bench.workloads.child import TRIAL_TIMEOUT_S

if TYPE_CHECKING:
    from zo_core.data import Dataset
    from zo_core.federation.simulation.training import Training

_FEW, _MANY = 3, 20  # clients of the larger cohort: many where a client's round is short
_SHORT_S = 0.2
_LEAST_TURNS, _MOST_TURNS, _TIMED_S = 3, 12, 3.0
_LR = 1e-6  # weights hardly move, so that noise diverges nowhere
# what saves most memory first; a model's layers may not admit it
_LOW_MEMORY = ("accumulated-checkpointed", "layerwise", "checkpointed", "accumulated")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundCost:
    """What a round of one variant takes on this machine."""

    alone_s: tuple[float, ...]  # of rounds with one client
    together_s: tuple[float, ...]  # of rounds with a cohort of `together`
    together: int
    peak_bytes: int | None  # high-water mark of the whole process, with a cohort of one
    joules: float | None  # of a client's round
    joules_method: str  # or why there are none
    parameters: int
    values: int  # of a message with all weights, buffers included
    backprop: str  # how the local training takes its steps

    def per_client(self) -> tuple[float, float, float]:
        """Seconds that one client more adds to a round: low, median, high."""
        more = self.together - 1
        slopes = sorted(max(0.0, (b - a) / more) for a in self.alone_s for b in self.together_s)
        tenth = len(slopes) // 10
        return slopes[tenth], statistics.median(slopes), slopes[-1 - tenth]

    def per_round(self) -> float:
        """Seconds of a round whatever its cohort: applying the result, checking it."""
        one, together = statistics.median(self.alone_s), statistics.median(self.together_s)
        return max(0.0, (self.together * one - together) / (self.together - 1))


def measure_variants(request: Request, variants: Sequence[str] = VARIANTS) -> dict[str, Any]:
    """Measure each variant in a process of its own.

    Returns:
        A :class:`RoundCost` by variant, or the text of why there is none.
    """
    found: dict[str, Any] = {}
    for variant in variants:
        run = devices.run_isolated(
            "bench.plan.measuring:measure_rounds",
            to_json(request),
            variant,
            timeout_s=TRIAL_TIMEOUT_S,
        )
        ok = run.status == "ok"
        found[variant] = from_json(RoundCost, run.value) if ok else (run.error or run.status)
    return found


def measure_rounds(request: dict[str, Any], variant: str) -> RoundCost:
    """Time rounds with a cohort of one and of several, turn by turn; the process's peak as well."""
    asked = from_json(Request, request)
    alone, backprop = _training(asked, variant, _noise(asked, _FEW), cohort=1)
    _step(alone)  # what the first one builds, later ones find built
    peak = devices.read_host_memory().peak_rss_bytes
    many = _MANY if _step(alone) < _SHORT_S else _FEW
    together, _ = _training(asked, variant, _noise(asked, many), cohort=many)
    _step(together)
    seconds = _turns(alone, together)
    meter = devices.energy_meter()
    meter.start()
    _step(alone)
    reading = meter.stop()
    return RoundCost(
        alone_s=tuple(a for a, _ in seconds),
        together_s=tuple(b for _, b in seconds),
        together=many,
        peak_bytes=peak,
        joules=reading.value,
        joules_method=reading.method if reading.value is not None else (reading.reason or ""),
        parameters=alone.replica.params.num_elements,
        values=alone.replica.num_values,
        backprop=backprop,
    )


def _turns(alone: Training, together: Training) -> list[tuple[float, float]]:
    """Time rounds of both turn by turn, so that a disturbance affects both."""
    started, found = time.perf_counter(), list[tuple[float, float]]()
    while _goes_on(len(found), time.perf_counter() - started):
        found.append((_step(alone), _step(together)))
    return found


def _goes_on(turns: int, elapsed_s: float) -> bool:
    return turns < _LEAST_TURNS or (turns < _MOST_TURNS and elapsed_s < _TIMED_S)


def _step(training: Training) -> float:
    started = time.perf_counter()
    training.step(training.record.rounds_done)
    return time.perf_counter() - started


def _training(
    asked: Request, variant: str, dataset: Dataset, *, cohort: int
) -> tuple[Training, str]:
    """Prepare a variant's training; of the memory-efficient ones, the first that is admitted."""
    if variant != "fedavg-low-memory":
        training = _of(asked, variant, dataset, cohort)
        return training, "plain"
    refused = ""
    for backprop in _LOW_MEMORY:
        try:
            training = _of(asked, "fedavg", dataset, cohort, backprop=backprop)
            training.step(0)
            return training, backprop
        except ValueError as error:
            refused = str(error)
    raise ValueError(f"the model's layers admit no memory-efficient backprop: {refused}")


def _of(asked: Request, variant: str, dataset: Dataset, cohort: int, **own: Any) -> Training:
    from zo_core.algorithms import train_config
    from zo_core.federation.simulation.training import Training

    is_zo, clients = variant == "zowarmup", len(dataset.train) // asked.items
    accumulates = own.get("backprop", "plain").startswith("accumulated")
    fields: dict[str, Any] = {
        **{"model": asked.model.partition("@")[0], "clients": clients, "alpha": 1e6},
        **{"holdout_share": 0.0, "rounds": 10_000, "pivot": 0, "eval_every": 10_000},
        **{"warmup_cohort": cohort, "zo_cohort": cohort, "high_share": 0.99},
        **{"batch_size": asked.batch, "local_epochs": asked.epochs, "client_lr": _LR},
        **{"forward": "auto"},
        **({"directions": asked.directions, "zo_client_lr": _LR} if is_zo else {}),
        "micro_batch": 1 if accumulates else asked.micro_batch if is_zo else None,
    }
    config = train_config("zowarmup" if is_zo else "fedavg", **fields, **own)
    return Training(config, dataset, threads="auto")


def _noise(asked: Request, clients: int) -> Dataset:
    """Make a data set with as many items for each client as the plan's, of the model's shape."""
    from bench.models.load import load_model
    from zo_core.data import Dataset, Split

    loaded = load_model(asked.model)
    x, y = loaded.batch(clients * asked.items)
    whole = Split(x=x.contiguous(), y=y.contiguous())
    classes = loaded.num_classes
    return Dataset(name="noise", train=whole, test=whole.slice(0, 1), num_classes=classes)
