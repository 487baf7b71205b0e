"""What a party with torch builds from a config: data, model, and how its forwards run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import torch
from torch import nn

from zo_core.algorithms.steps.zo_client import ZerothOrderOptions
from zo_core.config import TrainConfig
from zo_core.data import Dataset, FederatedData, Split, dirichlet_partition, federate
from zo_core.data.dataset import Texts
from zo_core.loss.forward_mode import ForwardMode, fastest_mode, try_forward_modes
from zo_core.loss.scalar_noise import ScalarNoise, measure_scalar_noise
from zo_core.models import build_model
from zo_core.models.lm import build_lm
from zo_core.models.lora import add_lora_
from zo_core.payloads.core import Snapshot
from zo_core.replica import Replica

_ITEMS_OF_FP32 = 16


def federated_data(config: TrainConfig, dataset: Dataset, device: str) -> FederatedData:
    """Give a data set to the clients of a config."""
    partition = dirichlet_partition(
        dataset.groups.numpy(),
        clients=config.clients,
        alpha=config.alpha,
        holdout_share=config.holdout_share,
        run_seed=config.run_seed,
    )
    data = federate(dataset, partition)
    return replace(data, items=_to(data.items, device), test=_to(data.test, device))


def shard_samples(config: TrainConfig, dataset: Dataset) -> int:
    """Count the training items of each client; shards are equal."""
    items = len(dataset.train) // config.clients
    return items - int(items * config.holdout_share)


def initial_replica(
    config: TrainConfig, dataset: Dataset, device: str, base: Snapshot | None = None
) -> Replica:
    """Build the model of a config at its initial weights.

    Args:
        config: how to train.
        dataset: what config.dataset names.
        device: a torch device.
        base: weights of a trained language model, without adapters; None for those of the run's
            seed.

    Raises:
        ValueError: the model is unknown, or it does not take such items.
    """
    if dataset.texts is not None:
        module = _language_model(config, dataset.texts, base)
    else:
        module = _image_model(config, dataset)
    return Replica(module.to(device))


def _image_model(config: TrainConfig, dataset: Dataset) -> nn.Module:
    _, channels, _, size = dataset.train.x.shape
    return build_model(
        config.model,
        num_classes=dataset.num_classes,
        in_channels=channels,
        image_size=size,
        norm=config.norm,
        run_seed=config.run_seed,
    )


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
    config: TrainConfig, module: Any, x: torch.Tensor
) -> tuple[str, dict[str, float]]:
    """Name the mode that the config names, or the fastest of a trial, with its figures."""
    if config.forward != "auto":
        return config.forward, {}
    seconds = try_forward_modes(module, x)
    return fastest_mode(seconds), seconds


def checked_noise(config: TrainConfig, module: Any, items: Split) -> ScalarNoise:
    """Measure what a config's precision adds to its scalars.

    Args:
        config: of an algorithm with zeroth-order rounds.
        module: at its initial weights.
        items: of a client.

    Raises:
        PrecisionError: too much, and the config does not force it.
    """
    options = cast(ZerothOrderOptions, config.options)
    few = config.precision == "fp32"  # where there is nothing to refuse
    count = _ITEMS_OF_FP32 if few else len(items.x)
    noise = measure_scalar_noise(
        module,
        items.x[:count],
        items.y[:count],
        precision=config.precision,
        epsilon=options.epsilon,
        tau=options.tau,
        directions=2 if few else 8,
    )
    noise.check(force=config.force)
    return noise


def laid_out(split: Split, mode: ForwardMode) -> Split:
    """Lay images out as a mode wants them."""
    return replace(split, x=mode.lay_out(split.x))


def _to(split: Split, device: str) -> Split:
    return replace(split, x=split.x.to(device), y=split.y.to(device))
