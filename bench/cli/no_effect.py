"""Options of a training that change nothing for its method, model or data: one line each."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bench.cli import unused_options
from zo_core.algorithms.methods.fedadam import FedAdamOptions
from zo_core.algorithms.methods.fedavg import FedAvgOptions
from zo_core.config import TrainConfig
from zo_core.federation.round_schedule import Schedule
from zo_core.import_by_name import is_own
from zo_core.model_names import parse_model
from zo_core.options import declared

if TYPE_CHECKING:
    from zo_core.data import Dataset
    from zo_core.federation.protocol.plan import Rules
    from zo_core.method import Phase

_FORWARDS_ONLY = ("fp16", "bf16")
_OF_WARM_UP = (FedAvgOptions, FedAdamOptions)
_OF_BOTH_PHASES = {"adam_eps"}  # though declared for the warm-up
_NO_WARM_UP = "without a warm-up (--pivot 0)"
Reasons = Iterator[tuple[str, str]]  # option, end of the sentence "--option has no effect ..."


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
    values = config.to_json()
    defaults = {
        field.name: field.default
        for kind in (TrainConfig, type(config.options))
        for field in declared(kind)
    }
    reasons = dict([*_of_model_and_data(config, dataset), *_of_method(config)])
    given = [
        name
        for name in reasons
        if getattr(arguments, name, None) is not None and values[name] != defaults[name]
    ]
    return [f"--{name.replace('_', '-')} has no effect {reasons[name]}" for name in given]


def rules_without_effect(
    arguments: argparse.Namespace, rules: Rules, phases: Iterable[Phase]
) -> list[str]:
    """List the rules of rounds that were given and that no round of a served run needs.

    Args:
        arguments: parsed.
        rules: made from them.
        phases: of the run.
    """
    local = {phase.method.trains_locally for phase in phases if phase.rounds}
    usual = type(rules)()
    defaults = {
        "deadline": usual.deadline_s,
        "warmup_deadline": usual.warmup_deadline_s,
        "clip": usual.clip,
    }
    unused = []
    if True not in local:
        because = "on a run without local training"
        unused += unused_options(arguments, ["warmup_deadline"], because, defaults)
    if False not in local:
        names, because = ["deadline", "clip", "keep_rounds"], "on a run without zeroth-order rounds"
        unused += unused_options(arguments, names, because, defaults)
    return unused


def _of_model_and_data(config: TrainConfig, dataset: Dataset) -> Reasons:
    if parse_model(config.model).kind != "suite" or config.model == "vit":
        yield "norm", f"on {config.model}, which has its own normalization"
    if dataset.clients is not None:
        yield "alpha", f"on {config.dataset}, which names the client of each item"
        return
    if not bool(dataset.groups.any()):
        yield "alpha", f"on {config.dataset}, whose items have no classes"
    if "weighted" in config.to_json():
        yield "weighted", f"on {config.dataset}, whose clients have the same number of items"


def _of_method(config: TrainConfig) -> Reasons:
    """Yield the options that a method of the registry does not use."""
    if is_own(config.algorithm):
        return
    name, own = config.algorithm, {field.name for field in declared(type(config.options))}
    trains, takes_zo_steps = "client_lr" in own, "directions" in own
    has_two_phases = trains and (takes_zo_steps or "trained" in own)
    phases = [phase for phase in Schedule(config).algorithm.phases if phase.rounds]
    if not has_two_phases:
        yield "pivot", f"on {name}, which has no warm-up"
    if not trains:
        yield "warmup_cohort", f"on {name}, which has no warm-up"
    if not (takes_zo_steps or has_two_phases):
        yield "zo_cohort", f"on {name}, which takes no zeroth-order steps"
    elif all(len(phase.pool) == 1 for phase in phases):
        yield "zo_cohort", f"on {name}, which trains one client"
    if not (takes_zo_steps or getattr(config.options, "backprop", "").startswith("accumulated")):
        yield "micro_batch", f"on {name} without --backprop accumulated"
    if all(phase.method.trains_locally for phase in phases) and config.precision in _FORWARDS_ONLY:
        yield "precision", f"on {name}, all of whose rounds train locally, in fp32 or tf32"
    if has_two_phases:
        yield from _of_an_absent_phase(config, own, phases)


def _of_an_absent_phase(config: TrainConfig, own: set[str], phases: list[Phase]) -> Reasons:
    """Yield the options of the warm-up or of the zeroth-order rounds, where there are none."""
    of_warm_up = {field.name for kind in _OF_WARM_UP for field in declared(kind)}
    if config.pivot == 0:
        yield "warmup_cohort", _NO_WARM_UP
        if not any(phase.method.trains_locally for phase in phases):
            unused = sorted((of_warm_up & own) - _OF_BOTH_PHASES)
            yield from ((option, _NO_WARM_UP) for option in unused)
    if config.pivot == config.rounds:
        unused = ["zo_cohort", "micro_batch", *sorted(own - of_warm_up)]
        yield from (
            (option, "without zeroth-order rounds (--pivot is --rounds)") for option in unused
        )
