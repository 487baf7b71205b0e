"""What a party with torch builds from a config: data, model, and how its forwards run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from zo_core.algorithms.steps.zo_client import ZerothOrderOptions
from zo_core.config import TrainConfig
from zo_core.data import Dataset, FederatedData, Split, federate
from zo_core.data.arrays_by_name import partition_of
from zo_core.data.dataset import Texts
from zo_core.data.own_partition import OwnPartition
from zo_core.data.partition import Partition
from zo_core.loss.criteria import CROSS_ENTROPY, criterion_named, require_criterion_fits
from zo_core.loss.forward_mode import ForwardMode
from zo_core.loss.forward_trial import ForwardTrial, try_forward_modes
from zo_core.loss.module_loss import Criterion
from zo_core.loss.noise import ScalarNoise
from zo_core.loss.scalar_noise import measure_scalar_noise
from zo_core.method import Phase
from zo_core.model_names import parse_model
from zo_core.models import MODELS
from zo_core.models.by_name import Task, build_by_name
from zo_core.models.fits import try_forward
from zo_core.models.initial_weights import load_initial_
from zo_core.models.lm import build_lm
from zo_core.models.lora import add_lora_
from zo_core.models.special_layers import remarks_of, require_micro_batches, require_trainable
from zo_core.payloads.core import Snapshot
from zo_core.replica import Replica

_ITEMS_OF_FP32 = 16
_MOST_SIZES = 2  # of forwards, for which graphs are compiled: whole batches and their remainder


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltModel:
    """A run's model at its initial weights."""

    replica: Replica
    outputs: str  # the expression that takes the scores out of what forward returns
    remarks: tuple[str, ...]  # what to know of it before it is trained


def federated_data(config: TrainConfig, dataset: Dataset, device: str) -> FederatedData:
    """Give a data set to the clients of a config: by its own partition, or by a Dirichlet draw."""
    data = federate(dataset, _partition(config, dataset))
    return replace(data, items=_to(data.items, device), test=_to(data.test, device))


def _partition(config: TrainConfig, dataset: Dataset) -> Partition | OwnPartition:
    return partition_of(
        dataset.groups.numpy(),
        dataset.clients,
        clients=config.clients,
        alpha=config.alpha,
        holdout_share=config.holdout_share,
        run_seed=config.run_seed,
    )


def shard_samples(config: TrainConfig, dataset: Dataset) -> int | tuple[int, ...]:
    """Count the training items of each client; one number where all have as many."""
    if dataset.clients is not None:
        partition = _partition(config, dataset)
        return tuple(len(train) for train in partition.train)
    items = len(dataset.train) // config.clients
    return items - int(items * config.holdout_share)


def initial_replica(
    config: TrainConfig, dataset: Dataset, device: str, base: Snapshot | None = None
) -> Replica:
    """Build the model of a config at its initial weights; see :func:`built_model`."""
    return built_model(config, dataset, device, base).replica


def built_model(
    config: TrainConfig, dataset: Dataset, device: str, base: Snapshot | None = None
) -> BuiltModel:
    """Build the model of a config at its initial weights, and try it on the data set.

    Args:
        config: how to train.
        dataset: what config.dataset names.
        device: a torch device.
        base: weights of a trained language model, without adapters; None for those of the run's
            seed.

    Raises:
        ValueError: model, loss or weights file are unknown, or do not go with such items.
    """
    criterion = criterion_named(config.criterion)
    require_criterion_fits(config.criterion, dataset.targets, dataset.name)
    if dataset.texts is not None:
        module = _language_model(config, dataset.texts, base)
    else:
        module = _named_model(config, dataset)
    require_micro_batches(module, config.micro_batch)
    remarks = remarks_of(module)
    if config.init is not None:
        remarks += load_initial_(module, Path(config.init)).remarks()
    outputs = _tried(config, dataset, module, criterion)
    return BuiltModel(
        replica=Replica(module.to(device), criterion=criterion),
        outputs=outputs,
        remarks=tuple(remarks),
    )


def _named_model(config: TrainConfig, dataset: Dataset) -> nn.Module:
    name = parse_model(config.model)
    task = Task(outputs=dataset.num_classes, input_shape=tuple(dataset.train.x.shape[1:]))
    module = build_by_name(name, task, norm=config.norm, run_seed=config.run_seed)
    require_trainable(module)
    return module


def _tried(config: TrainConfig, dataset: Dataset, module: nn.Module, criterion: Criterion) -> str:
    """Try a forward and the loss; the suite's models are known to go with cross entropy."""
    is_known = config.model in MODELS and config.criterion == CROSS_ENTROPY
    if is_known or dataset.texts is not None:
        return "outputs"
    few = dataset.train.slice(0, 2).scaled()
    classes = dataset.num_classes
    trial = try_forward(
        module, few.x, few.y, num_classes=classes, criterion=criterion, name=config.model
    )
    return trial.taken


def _language_model(config: TrainConfig, texts: Texts, base: Snapshot | None) -> nn.Module:
    """Build lm:SHAPE, or lm:SHAPE:loraRANK, whose adapters are the only weights that train."""
    name, _, rank = config.model.removeprefix("lm:").partition(":lora")
    if not config.model.startswith("lm:") or (rank and not rank.isdecimal()):
        raise ValueError(
            f"model must be lm:NAME or lm:NAME:loraRANK for {config.dataset}, got {config.model!r}"
        )
    module = build_lm(name, run_seed=config.run_seed, end_id=texts.tokenizer.end_id)
    if base is not None:
        Replica(module).restore_(base)
    if rank:
        add_lora_(module, rank=int(rank), run_seed=config.run_seed)
    return module


def choose_forward(
    config: TrainConfig, module: Any, x: torch.Tensor, *, items_ahead: float = 0.0
) -> ForwardTrial:
    """Name the mode that the config names, or the fastest of a trial.

    Args:
        config: how to train.
        module: the run's model.
        x: a client's items.
        items_ahead: see :func:`zo_core.loss.forward_trial.try_forward_modes`.
    """
    if config.forward != "auto":
        return ForwardTrial(mode=config.forward)
    batch = x[: config.micro_batch or len(x)]
    return try_forward_modes(module, batch, precision=config.precision, items_ahead=items_ahead)


def items_ahead(config: TrainConfig, phases: Sequence[Phase], samples: Sequence[int]) -> float:
    """Count the items of all zeroth-order forwards of a run, about; 0 where graphs do not pay.

    A graph is compiled for each number of items in a forward, so clients of many sizes have none.

    Args:
        config: how to train.
        phases: of the algorithm.
        samples: training items of each client.
    """
    options = config.options
    if not isinstance(options, ZerothOrderOptions):
        return 0.0
    most = config.micro_batch or max(samples)
    sizes = {most if n >= most else n for n in samples} | {n % most for n in samples if n > most}
    if len(sizes - {0}) > _MOST_SIZES:
        return 0.0
    rounds = sum(
        phase.rounds * min(phase.cohort_size, len(phase.pool))
        for phase in phases
        if not phase.method.trains_locally
    )
    return 2.0 * options.directions * rounds * sum(samples) / len(samples)


def checked_noise(config: TrainConfig, replica: Replica, items: Split) -> ScalarNoise:
    """Measure what a config's precision adds to its scalars.

    Args:
        config: of an algorithm with zeroth-order rounds.
        replica: at its initial weights.
        items: of a client.

    Raises:
        PrecisionError: too much, and the config does not force it.
    """
    options = cast(ZerothOrderOptions, config.options)
    few = config.precision == "fp32"  # where there is nothing to refuse
    count = _ITEMS_OF_FP32 if few else len(items.x)
    noise = measure_scalar_noise(
        replica.module,
        items.x[:count],
        items.y[:count],
        precision=config.precision,
        epsilon=options.epsilon,
        tau=options.tau,
        directions=2 if few else 8,
        criterion=replica.criterion,
    )
    noise.check(force=config.force)
    return noise


def laid_out(split: Split, mode: ForwardMode) -> Split:
    """Lay images out as a mode wants them."""
    return replace(split, x=mode.lay_out(split.x))


def _to(split: Split, device: str) -> Split:
    return replace(split, x=split.x.to(device), y=split.y.to(device))
