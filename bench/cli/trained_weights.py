"""The weights that a training ended with, as a file that torch's users load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.records.record import Record

FOLDER = "weights"  # next to the records


def write_weights(training: Any, folder: Path, record: Record) -> Path:
    """Write the trained module's state_dict as safetensors.

    Args:
        training: that has ended, a zo_core Training.
        folder: of the record.
        record: the training's.

    Returns:
        The file: the record's name below ``weights``, with its model, config and digest inside.
    """
    from zo_core.models.initial_weights import save_weights

    path = folder / FOLDER / f"{Path(record.name.file_name).stem}.safetensors"
    about = {
        "model": str(record.config["model"]),
        "case": record.case,
        "config_hash": record.config_hash,
        "digest": str(training.record.digest),
    }
    save_weights(training.replica.module, path, about)
    return path
