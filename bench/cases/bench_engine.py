"""The engine against its limits: passes over the weights, exactness, extra memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import devices
from bench.cases.peer_metrics import missing_peers, peer_memory
from bench.format import MIB
from bench.records.case_name import CaseName, size_part
from bench.records.details.machine import EngineDetails
from bench.records.record import Metric
from bench.suite.parametrize import with_parameters
from bench.suite.scales import Scale
from bench.suite.suite import Suite
from bench.workloads.child import CASE_TIMEOUT_S, reading_metric, value_of
from bench.workloads.engine import GridRestore, PlainRestore
from bench.workloads.peers import OURS, PeerTimes

Timings = dict[str, tuple[float, ...]]  # seconds of each turn, by operation
_HOW = (
    "perf_counter, operations turn by turn in one fresh process, adds and perturbations the fastest"
    " of five calls a turn; median of per-turn ratios"
)
_VERSION = 2  # 1: one call a turn, and a step's restore and update as two passes
_PEER_BATCH = 8
_PEER_LIMIT_S = 45.0  # of a model's turns: a fast model gets all repeats, a slow one fewer


def _cores() -> int:
    return devices.detect().logical_cores or 1


def _pass_cases(scale: Scale) -> list[tuple[int, int]]:
    return [(size, threads) for size in scale.engine_parameters for threads in {1, _cores()}]


@with_parameters("parameters, threads", _pass_cases)
def test_passes(suite: Suite, parameters: int, threads: int) -> None:
    """Hold perturb, fused restore-and-perturb and replay against an in-place scalar add."""
    repeats = suite.scale.engine_repeats
    run = _run("time_passes", parameters, threads, repeats)
    seconds = value_of(run, Timings) or {}
    metrics = _ratios(seconds, "add") | _rates(seconds, 8 * parameters) if seconds else {}
    _record(
        suite,
        CaseName.of("engine", "passes", f"{parameters // 10**6}M-{threads}-threads"),
        {"parameters": parameters, "threads": threads, "repeats": repeats},
        run,
        metrics,
        limits={"perturb / add": 1.3} if parameters >= 10**8 and threads == _cores() else {},
        case_version=_VERSION,
    )


def test_model_passes(suite: Suite) -> None:
    """Hold ours over ResNet18's 62 tensors against one scalar add and the ways of others."""
    repeats = suite.scale.engine_repeats
    run = _run("time_model_passes", repeats)
    metrics = {}
    if seconds := value_of(run, Timings):
        peers = {name: seconds[name] for name in ("mezo", "torch_signs")}
        peers["perturb"] = seconds.pop("perturb_once")
        metrics = _ratios(seconds, "add") | _ratios(peers, "perturb")
    _record(
        suite,
        CaseName.of("engine", "resnet18-passes"),
        {"model": "resnet18", "repeats": repeats},
        run,
        metrics,
        limits={"perturb / add": 1.6, "replay_30 / add": 16.0, "replay_150 / add": 70.0},
        floors={"mezo / perturb": 25.0},
        case_version=_VERSION,
    )


@with_parameters("batch", lambda scale: scale.step_share_batches)
def test_step_share(suite: Suite, batch: int) -> None:
    """Hold a direction's share of a ZO step of ResNet18 against its two bare forwards."""
    repeats = suite.scale.engine_repeats
    run = _run("time_step_share", batch, repeats, suite.device_type)
    metrics = {}
    if timed := value_of(run, Timings):
        metrics = _step_shares(timed) | {
            name: Metric.median(samples, "second", "perf_counter within the step")
            for name, samples in timed.items()
            if name.startswith("phase_")
        }
    _record(
        suite,
        CaseName.of("engine", "resnet18-step", size_part(batch)),
        {"model": "resnet18", "batch": batch, "repeats": repeats, "device": suite.device_type},
        run,
        metrics,
        limits={
            1: {"step / forwards": 1.23, "step of 3 / forwards": 1.20},
            64: {"step / forwards": 1.04},
        }.get(batch, {}),
        case_version=_VERSION,
    )


def _step_shares(timed: Timings) -> dict[str, Metric]:
    """Divide by the forwards: a step, a third of one of S = 3, and a step's three passes."""
    seconds = {
        "forwards": timed["forwards"],
        "step": timed["step"],
        "step of 3": tuple(s / 3 for s in timed["step_3"]),
        "3 adds": tuple(3 * s for s in timed["add"]),
    }
    return _ratios(seconds, "forwards")


@with_parameters("model", lambda scale: scale.simulation_models)
def test_simulation(suite: Suite, model: str) -> None:
    """Hold a whole simulated round of phase two against the bare forwards of its samples."""
    config = {
        "model": model,
        "clients": 6,
        "images": 16,
        "directions": 3,
        "repeats": suite.scale.time_repeats,
    }
    run = _run(
        "time_simulation",
        *config.values(),
        module="bench.workloads.simulation",
        device=suite.device_type,
    )
    _record(
        suite,
        CaseName.of("engine", "simulation", model),
        config | {"device": suite.device_type},
        run,
        _ratios(value_of(run, Timings) or {}, "forwards"),
        limits={"round / forwards": 1.10},
    )


@with_parameters("model", lambda scale: scale.peer_models)
def test_peers(suite: Suite, model: str) -> None:
    """Time and measure a step of other packages and of backprop next to ours."""
    config = {
        "model": model,
        "batch": _PEER_BATCH,
        "repeats": suite.scale.engine_repeats,
        "limit_s": _PEER_LIMIT_S,
    }
    run = _run("time_peers", *config.values(), module="bench.workloads.peers")
    times = value_of(run, PeerTimes) or PeerTimes(seconds={}, failed={})
    metrics = _ratios(times.seconds, OURS) | missing_peers(times)
    for name in times.seconds:
        metrics[f"{name} memory"] = peer_memory(name, model, _PEER_BATCH)
    _record(suite, CaseName.of("engine", "peers", model), config, run, metrics, limits={})


def test_meter_overhead(suite: Suite) -> None:
    """Say what the meters cost at worst, a step of one image, so that nobody times under them."""
    config = {"model": "resnet18", "batch": 1, "repeats": suite.scale.time_repeats}
    run = devices.run_isolated("bench.workloads.meter_overhead:time_meters", *config.values())
    metrics = _ratios(value_of(run, Timings) or {}, "off")
    _record(suite, CaseName.of("engine", "meter-overhead"), config, run, metrics, limits={})


def test_extra_memory(suite: Suite) -> None:
    """Measure what the passes need beside the weights."""
    parameters = suite.scale.engine_parameters[-1]
    run = _run("measure_extra_memory", parameters)
    regions = value_of(run, dict[str, devices.Measurement]) or {}
    metrics = {n: reading_metric(r.peak_above_baseline_bytes) for n, r in regions.items()}
    _record(
        suite,
        CaseName.of("engine", "extra-memory"),
        {"parameters": parameters, "directions": 30},
        run,
        metrics,
        limits=dict.fromkeys(metrics, float(MIB)),
        headline=", ".join(
            f"{name} {metric.value / 1024:.0f} KiB"
            for name, metric in metrics.items()
            if metric.value is not None
        ),
    )


@with_parameters("model", lambda scale: scale.restore_models)
def test_exact_restore(suite: Suite, model: str) -> None:
    """Count the weights that perturb and restore changed on the grid: none; keep a digest."""
    cycles = suite.scale.restore_cycles
    run = _run("count_changed_bits", model, cycles, suite.device_type)
    found = value_of(run, GridRestore)
    metrics = {"changed": Metric.single(found.changed, "count", "bits compared")} if found else {}
    _record(
        suite,
        CaseName.of("engine", "exact-restore", model),
        {"model": model, "cycles": cycles, "device": suite.device_type},
        run,
        metrics,
        limits={"changed": 0.0},
        digest=found.digest if found else None,
        headline=f"{found.changed} weights changed after {cycles} cycles" if found else "",
    )


@with_parameters("dtype", lambda scale: ["float64", "float32", "bfloat16", "float16"])
def test_plain_restore(suite: Suite, dtype: str) -> None:
    """Say how far plain weights drift when no grid holds them."""
    config = {"dtype": dtype, "cycles": 50, "parameters": 300_000}
    run = _run("plain_restore_error", *config.values())
    units = {"changed": "share", "relative_l2": "ratio", "effect": "share"}
    found = value_of(run, PlainRestore)
    metrics = {}
    if found:
        how = "against the origin"
        metrics = {n: Metric.single(getattr(found, n), u, how) for n, u in units.items()}
    _record(
        suite,
        CaseName.of("engine", "plain-restore", dtype),
        config,
        run,
        metrics,
        limits={},
        headline=""
        if found is None
        else f"{100 * found.changed:.0f} % of weights differ "
        f"after 50 cycles, one perturbation reaches {100 * found.effect:.0f} %",
    )


def _run(
    function: str, *arguments: Any, module: str = "bench.workloads.engine", **where: Any
) -> devices.IsolatedResult:
    return devices.run_isolated(
        f"{module}:{function}", *arguments, timeout_s=CASE_TIMEOUT_S, **where
    )


def _ratios(seconds: Mapping[str, Sequence[float]], base: str) -> dict[str, Metric]:
    """Divide each operation's turns by the base's of the same turn."""
    return {
        f"{name} / {base}": Metric.median(
            [a / b for a, b in zip(samples, seconds[base], strict=True)], "ratio", _HOW
        )
        for name, samples in seconds.items()
        if name != base
    }


def _rates(seconds: Mapping[str, Sequence[float]], moved_bytes: int) -> dict[str, Metric]:
    """Bytes read and written a second by the operations that pass once over the weights."""
    return {
        f"{name} rate": Metric.median(
            [moved_bytes / s / 1e9 for s in seconds[name]], "GB/s", "weights read and written"
        )
        for name in ("add", "perturb", "restore_perturb")
    }


def _words(metrics: Mapping[str, Metric]) -> str:
    ratios = ((name, m.value) for name, m in metrics.items() if "/" in name)
    return ", ".join(f"{name} {value:.2f}" for name, value in ratios if value is not None)


def _record(
    suite: Suite,
    case: CaseName,
    config: Mapping[str, Any],
    run: devices.IsolatedResult,
    metrics: Mapping[str, Metric],
    *,
    limits: Mapping[str, float],
    floors: Mapping[str, float] | None = None,
    digest: str | None = None,
    case_version: int = 1,
    headline: str = "",
) -> None:
    """Store a case with the bars it is held to: at most its limits, at least its floors."""
    suite.record(
        case=case,
        config=config,
        metrics=metrics,
        details=EngineDetails(limits=limits, floors=floors or {}, digest=digest),
        status=run.status,
        error=run.error,
        case_version=case_version,
        headline=headline or _words(metrics),
    )
