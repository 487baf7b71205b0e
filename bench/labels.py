"""The written names of models, methods, algorithms and variants, in the order they are shown."""

from __future__ import annotations

from bench.step_variants import BACKPROP_VARIANTS, FORWARD_VARIANTS

MODELS = {"resnet18": "ResNet18", "vit": "ViT", "cnn": "CNN", "small_resnet": "Small ResNet"}
METHODS = {"inference": "Inference", "zo": "ZO", "fedavg": "Backprop"}  # of a step or a round
ALGORITHMS = {"zowarmup": "ZOWarmUp", "high-res-only": "High-Res-Only"}
# Trained with one seed: a row of the table, no curve.
FURTHER_ALGORITHMS = {
    "fedavg": "FedAvg, all clients",
    "heterofl": "HeteroFL",
    "zowarmup-fedkseed": "ZOWarmUp + FedKSeed",
    "zowarmup-hi-lo": "ZOWarmUp hi + lo",
    "zowarmup-fedadam": "ZOWarmUp, FedAdam",
    "high-res-only-fedadam": "High-Res-Only, FedAdam",
    "mezo": "MeZO, from scratch",
    "mezo-single": "MeZO on one client, from scratch",
    "fedkseed": "FedKSeed, from scratch",
    "fedzo": "FedZO, from scratch",
}
# Trained by the frontier only, on a data set read from files.
FRONTIER_ALGORITHMS = {
    "zowarmup-elastic": "ZOWarmUp + ElasticZO",
    "warmup-partial": "Warm-up, then the last layer",
    "fjord": "FjORD",
}
# Steps that need less memory; measured next to METHODS.
LOW_MEMORY_METHODS = {
    **{variant.method: variant.method_label for variant in BACKPROP_VARIANTS},
    "backprop-last": "Backprop of the last layer only",
    "backprop-bias-norm": "Backprop of biases and norms only",
    **{variant.method: variant.method_label for variant in FORWARD_VARIANTS},
}
# Of these, the variants that take the same step as backprop or ZO.
SAME_STEP_METHODS = {
    variant.method: variant.method_label for variant in (*BACKPROP_VARIANTS, *FORWARD_VARIANTS)
}
# The variants in which a training's steps can be taken; "plain" has no name of its own.
STEP_VARIANTS = {variant.name: variant.label for variant in (*BACKPROP_VARIANTS, *FORWARD_VARIANTS)}
VARIANTS = {
    "zowarmup-plain": "ZOWarmUp without grid",
    "zowarmup-forward": "ZOWarmUp, forward differences",
    "zowarmup-fzoo": "ZOWarmUp, FZOO",
    "fedavg-top-k": "FedAvg, up-link of the top 1 %",
    "fedavg-8-bit": "FedAvg, up-link of 8 bits",
    "fedavg-1-bit": "FedAvg, up-link of 1 bit",
    "warmup-last-2": "Warm-up, then the last two layers",
    "warmup-bias-norm": "Warm-up, then biases and norms",
}
# Clients of the edge group, in the order of its table.
EDGE_CLIENTS = {
    "onnx-memory": "ZO, ONNX Runtime, least memory",
    "onnx-speed": "ZO, ONNX Runtime, most speed",
    "torch": "ZO, torch",
    "fedavg": "Backprop, torch",
}
# Of the fine-tuning study.
INSTRUCT_VARIANTS = {
    "one-step": "one step per round, S = 1",
    "one-step-s3": "one step per round, S = 3",
    "one-step-lora": "one step per round, LoRA of rank 8",
    "fedkseed": "FedKSeed, one step per item",
    "fedkseed-pro": "FedKSeed-Pro",
    "fedavg": "FedAvg (backprop)",
}
DATASETS = {"fashion-mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}
_ALL = (
    MODELS
    | FURTHER_ALGORITHMS
    | FRONTIER_ALGORITHMS
    | METHODS
    | LOW_MEMORY_METHODS
    | ALGORITHMS
    | {"fedavg": "FedAvg"}
    | VARIANTS
    | DATASETS
)


def label(name: str) -> str:
    """Return the written name of a model, algorithm or data set; an unknown name as it is.

    >>> label("zowarmup"), label("fedavg"), label("my-model")
    ('ZOWarmUp', 'FedAvg', 'my-model')
    """
    return _ALL.get(name, name)


def method_label(method: str) -> str:
    """Return the written name of a step's or a round's method: FedAvg's client is backprop.

    >>> method_label("fedavg"), method_label("backprop-least")
    ('Backprop', 'Backprop, one item at a time, checkpointed')
    """
    return METHODS.get(method) or label(method)
