"""Data sets by name, who holds which part of them, and who has the resources to train."""

from __future__ import annotations

from zo_core.data.dataset import Dataset, Split
from zo_core.data.datasets import DATASETS, load_dataset, needs_files, require_dataset
from zo_core.data.federated import FederatedData, federate
from zo_core.data.partition import Partition, dirichlet_partition
from zo_core.data.resources import assign_resources, parse_split
from zo_core.data.synthetic import synthetic_blobs

__all__ = [
    "DATASETS",
    "Dataset",
    "FederatedData",
    "Partition",
    "Split",
    "assign_resources",
    "dirichlet_partition",
    "federate",
    "load_dataset",
    "needs_files",
    "parse_split",
    "require_dataset",
    "synthetic_blobs",
]
