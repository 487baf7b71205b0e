"""The options of whole trainings (tables, the frontier on a data set of files), the same for
``zobench run`` and ``pytest --benchmark``.

Both ends read them here, so that the command needs no pytest until it runs the suite.
"""

from __future__ import annotations

from typing import Any

# name -> (type, what it says)
TABLE_OPTIONS: dict[str, tuple[type, str]] = {
    "engine": (str, "who runs a table's cells: local processes (default), or ray"),
    "address": (str, "of the Ray cluster; default: auto, the one of this machine"),
    "workers": (int, "cells at a time; default: one a core, or all that the cluster holds"),
    "data-dir": (str, "folder of data sets that are files"),
    "dataset": (str, "in place of the scale's: NAME, FILE.npz, a folder, package.module:factory"),
    "criterion": (str, "loss: cross-entropy (default) or package.module:function"),
    "init": (str, "file with the weights to start from, safetensors or a state_dict"),
    "no-verify": (bool, "read the data files whatever their checksums are"),
    "seeds": (int, "runs of a cell; default: the scale's"),
    "per-process": (int, "cells that a process trains, default 1: more save starts, lose more"),
    "minutes": (float, "begin no cell after so long; the same --out goes on with what is missing"),
}


def option_of(kind: type) -> dict[str, Any]:
    """Say how a parser reads an option of some type."""
    return {"action": "store_true"} if kind is bool else {"type": kind, "default": None}
