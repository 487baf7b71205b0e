"""The options of whole trainings (tables, the frontier on a data set of files), the same for
``zobench run`` and ``pytest --benchmark``.

Both ends read them here, so that the command needs no pytest until it runs the suite.
"""

from __future__ import annotations

from typing import Any

# name -> (type, help text)
TABLE_OPTIONS: dict[str, tuple[type, str]] = {
    "engine": (
        str,
        "where the cells of a table run: local or ray (a cluster); default: local",
    ),
    "address": (str, "address of the Ray cluster; default: auto, the cluster of this machine"),
    "workers": (
        int,
        "number of cells at a time; default: one per core, or all that the cluster fits",
    ),
    "data-dir": (str, "folder with the files of data sets"),
    "dataset": (
        str,
        "data set of the tables: NAME, FILE.npz, FOLDER or package.module:factory; default: that"
        " of the scale",
    ),
    "criterion": (str, "loss of the tables, or package.module:function; default: cross-entropy"),
    "init": (
        str,
        "file with the weights that each cell starts from, safetensors or a state_dict; default:"
        " fresh ones",
    ),
    "no-verify": (bool, "accept data files with different checksums"),
    "rows": (
        str,
        "rows of the tables to run, or methods to search, comma-separated and in this order;"
        " default: all",
    ),
    "splits": (str, "splits to run, comma-separated and in this order, e.g. 10/90; default: all"),
    "seeds": (int, "number of runs per cell; default: that of the scale"),
    "per-process": (int, "number of cells that a process trains one after another; default: 1"),
    "minutes": (
        float,
        "minutes after which no cell is started, and a long one is saved; the same --out"
        " continues; default: no limit",
    ),
}


def option_of(kind: type) -> dict[str, Any]:
    """Return how a parser reads an option of a type."""
    if kind is bool:
        return {"action": "store_true"}
    metavar = {int: "N", float: "NUMBER", str: "NAME"}[kind]
    return {"type": kind, "default": None, "metavar": metavar}
