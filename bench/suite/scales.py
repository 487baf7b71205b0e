"""How much of everything a run does: sizes of the same suite."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.workloads.low_memory_steps import LOW_MEMORY_STEPS


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Repeats, batch sizes and schedules of one scale."""

    name: str
    memory_processes: int  # fresh processes a memory case; the median counts
    memory_models: tuple[str, ...]
    memory_batches: tuple[int, ...]
    full_set_models: tuple[str, ...]  # measured over a client's whole set, in micro-batches
    full_set_micro_batches: tuple[int, ...]
    low_memory_models: tuple[str, ...]  # whose low-memory steps are measured and timed, at batch 64
    low_memory_methods: tuple[str, ...]  # which of these steps
    edge_models: tuple[str, ...]  # of which a client's round is measured with and without torch
    edge_clients: tuple[str, ...]  # names in edge_workloads.CLIENTS
    edge_batches: tuple[int, ...]
    edge_full_set_models: tuple[str, ...]  # over a client's whole set, in micro-batches
    edge_trial_models: tuple[str, ...]  # memory limits are tried
    edge_precision_models: tuple[str, ...]  # scalars are held against float64's
    edge_training_seeds: tuple[int, ...]  # how many; none for no training
    time_models: tuple[str, ...]
    time_batches: tuple[int, ...]
    time_repeats: int  # measured repeats a time case, after one burn-in
    step_share_batches: tuple[int, ...]  # a step of ResNet18 is held against its forwards
    engine_parameters: tuple[int, ...]  # sizes of the engine's micro-benchmark, fp32 weights
    engine_repeats: int
    simulation_models: tuple[str, ...]  # of which a simulated round is timed
    peer_models: tuple[str, ...]  # whose step is held against other packages'
    restore_models: tuple[str, ...]  # of which perturb and restore must change no bit
    restore_cycles: int
    accuracy_variants: tuple[str, ...]  # names in bench_accuracy.VARIANTS
    accuracy_seeds: int
    accuracy_splits: tuple[str, ...]  # high/low per cent
    accuracy_rounds: int  # of all phases
    accuracy_pivot: int
    further_rounds: int  # of the methods that are trained with one seed
    further_pivot: int
    frontier_trains: bool = False  # of itself, on a data set of files where --data-dir gives one
    # of the group llm, which a run has only where it is asked for
    lm_models: tuple[str, ...] = ("lm:tiny-llama",)
    lm_batches: tuple[int, ...] = (1,)
    lm_limit_bytes: int | None = None  # that backprop is tried under, where it would need more
    # of the group wire, likewise
    fleets: tuple[int, ...] = (10,)  # clients of one broker
    tables: tuple[str, ...] = ()  # of the paper, that --only asked for; a scale by itself has none


SCALES: dict[str, Scale] = {
    scale.name: scale
    for scale in (
        Scale(
            name="smoke",
            memory_processes=1,
            memory_models=("resnet18",),
            memory_batches=(1, 64),
            full_set_models=(),
            full_set_micro_batches=(),
            low_memory_models=(),
            low_memory_methods=(),
            edge_models=(),
            edge_clients=(),
            edge_batches=(),
            edge_full_set_models=(),
            edge_trial_models=(),
            edge_precision_models=(),
            edge_training_seeds=(),
            time_models=("resnet18",),
            time_batches=(1,),
            time_repeats=3,
            step_share_batches=(1,),
            engine_parameters=(11_173_962,),
            engine_repeats=5,
            simulation_models=("small_resnet",),
            peer_models=(),
            restore_models=("resnet18",),
            restore_cycles=20,
            accuracy_variants=("high-res-only", "zowarmup"),
            accuracy_seeds=1,
            accuracy_splits=("10/90",),
            accuracy_rounds=60,
            accuracy_pivot=20,
            further_rounds=10,
            further_pivot=4,
        ),
        Scale(
            name="default",
            memory_processes=2,
            memory_models=("resnet18",),
            memory_batches=(1, 64),
            full_set_models=(),
            full_set_micro_batches=(),
            low_memory_models=("resnet18",),
            low_memory_methods=("backprop-least", "zo-by-1"),
            edge_models=("resnet18",),
            edge_clients=("onnx-memory", "torch"),
            edge_batches=(8,),
            edge_full_set_models=(),
            edge_trial_models=(),
            edge_precision_models=(),
            edge_training_seeds=(),
            time_models=("resnet18",),
            time_batches=(1, 64),
            time_repeats=3,
            step_share_batches=(1,),
            engine_parameters=(11_173_962,),
            engine_repeats=9,
            simulation_models=("small_resnet",),
            peer_models=(),
            restore_models=("resnet18",),
            restore_cycles=20,
            accuracy_variants=("high-res-only", "zowarmup"),
            accuracy_seeds=2,
            accuracy_splits=("10/90", "50/50"),
            accuracy_rounds=80,
            accuracy_pivot=32,
            further_rounds=10,
            further_pivot=4,
        ),
        Scale(
            name="laptop",
            memory_processes=3,
            memory_models=(
                "resnet18",
                "vit",
                "cnn",
                "torchvision:mobilenet_v3_small",
                "torchvision:resnet18",
            ),
            memory_batches=(1, 8, 32, 64),
            full_set_models=("resnet18", "vit", "cnn"),
            full_set_micro_batches=(8, 64),
            low_memory_models=("resnet18", "vit"),
            low_memory_methods=LOW_MEMORY_STEPS,
            edge_models=("resnet18", "vit", "cnn", "small_resnet"),
            edge_clients=("onnx-memory", "onnx-speed", "torch", "fedavg"),
            edge_batches=(1, 8, 64),
            edge_full_set_models=("resnet18", "vit", "cnn", "small_resnet"),
            edge_trial_models=("resnet18",),
            edge_precision_models=("resnet18", "vit", "cnn"),
            edge_training_seeds=(3,),
            time_models=("resnet18",),
            time_batches=(1, 8, 64),
            time_repeats=9,
            step_share_batches=(1, 8, 64),
            engine_parameters=(11_173_962, 200_000_000),
            engine_repeats=25,
            simulation_models=("small_resnet", "resnet18"),
            peer_models=("resnet18", "vit"),
            restore_models=("resnet18", "vit"),
            restore_cycles=1000,
            accuracy_variants=("high-res-only", "zowarmup", "zowarmup-plain"),
            accuracy_seeds=10,
            accuracy_splits=("10/90", "50/50"),
            accuracy_rounds=400,
            accuracy_pivot=100,
            further_rounds=400,
            further_pivot=100,
            frontier_trains=True,
            lm_models=("lm:opt-125m", "lm:opt-125m:lora8", "lm:opt-1.3b", "lm:opt-1.3b:lora8"),
            lm_batches=(1, 8),
            lm_limit_bytes=8 << 30,  # a phone's, or a Jetson Orin Nano's
            fleets=(8, 50, 200, 2000),
        ),
    )
}
# The paper's own recipe is for the tables; what else is measured there is as at laptop scale.
SCALES["paper"] = replace(SCALES["laptop"], name="paper")


def scale_named(name: str) -> Scale:
    """Return a scale by name.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}, got {name!r}")
    return SCALES[name]
