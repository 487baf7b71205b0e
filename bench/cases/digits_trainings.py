"""What the groups accuracy and frontier train on the digits."""

from __future__ import annotations

from typing import Any

from bench.suite.scales import Scale

# What is trained, and how its config differs from the default one.
VARIANTS: dict[str, dict[str, Any]] = {
    "high-res-only": {"algorithm": "high-res-only"},
    "zowarmup": {"algorithm": "zowarmup"},
    "zowarmup-plain": {"algorithm": "zowarmup", "grid": False},  # does the grid cost accuracy?
}
# One run each; those that train from scratch by forwards take longest and start first.
FURTHER = (
    *("fedzo", "fedkseed", "mezo-single", "mezo"),
    *("high-res-only-fedadam", "zowarmup-fedadam", "zowarmup-hi-lo", "zowarmup-fedkseed"),
    *("heterofl", "fedavg"),
)


def trainings(scale: Scale) -> list[tuple[str, str, dict[str, Any]]]:
    """List every training of a scale: split, variant, and fields of TrainConfig."""
    compared = [
        (split, name, training_config(scale, split, VARIANTS[name]))
        for split in scale.accuracy_splits
        for name in scale.accuracy_variants
    ]
    first = scale.accuracy_splits[0]
    return compared + [(first, name, further_config(scale, name)) for name in FURTHER]


def further_config(scale: Scale, name: str) -> dict[str, Any]:
    """Choose the fields of TrainConfig for a method that is trained once."""
    rounds = {"rounds": scale.further_rounds, "pivot": scale.further_pivot}
    return training_config(scale, scale.accuracy_splits[0], {"algorithm": name, **rounds})


def training_config(scale: Scale, split: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Choose the fields of TrainConfig for one variant at a split such as 10/90."""
    from zo_core.data import parse_split

    return {
        "dataset": "digits",
        "model": "cnn",
        "high_share": parse_split(split),
        "rounds": scale.accuracy_rounds,
        "pivot": scale.accuracy_pivot,
        "run_seed": 0,
        **changes,
    }
