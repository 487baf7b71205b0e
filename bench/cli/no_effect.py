"""Options of a training that change nothing for its method, model or data: one line each."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from zo_core.config import TrainConfig
from zo_core.import_by_name import is_own
from zo_core.model_names import parse_model
from zo_core.options import declared

if TYPE_CHECKING:
    from zo_core.data import Dataset

_FORWARDS_ONLY = ("fp16", "bf16")


def without_effect(
    arguments: argparse.Namespace, config: TrainConfig, dataset: Dataset
) -> list[str]:
    """List what was given and changes nothing.

    Args:
        arguments: parsed; an option that was not given is None.
        config: made from them.
        dataset: that is trained on.

    Returns:
        A line for each such option that has another value than its default.
    """
    reasons = dict([*_of_model_and_data(config, dataset), *_of_method(config)])
    given = [
        name
        for name in reasons
        if getattr(arguments, name) is not None
        and getattr(config, name) != getattr(TrainConfig, name)
    ]
    return [f"--{name.replace('_', '-')} has no effect {reasons[name]}" for name in given]


def _of_model_and_data(config: TrainConfig, dataset: Dataset) -> Iterator[tuple[str, str]]:
    if parse_model(config.model).kind != "suite" or config.model == "vit":
        yield "norm", f"on {config.model}, which has its own normalization"
    if dataset.clients is not None:
        yield "alpha", f"on {config.dataset}, which names the client of each item"
    elif not bool(dataset.groups.any()):
        yield "alpha", f"on {config.dataset}, whose items have no classes"


def _of_method(config: TrainConfig) -> Iterator[tuple[str, str]]:
    """Yield the options that a method of the registry does not use."""
    if is_own(config.algorithm):
        return
    name, options = config.algorithm, {field.name for field in declared(type(config.options))}
    trains, takes_zo_steps = "client_lr" in options, "directions" in options
    if not (trains and (takes_zo_steps or "trained" in options)):
        yield "pivot", f"on {name}, which has no warm-up"
    if takes_zo_steps:
        return
    yield "zo_cohort", f"on {name}, which takes no zeroth-order steps"
    if not getattr(config.options, "backprop", "").startswith("accumulated"):
        yield "micro_batch", f"on {name} without --backprop accumulated"
    if config.precision in _FORWARDS_ONLY:
        yield "precision", f"on {name}: backprop runs in fp32 or tf32"
