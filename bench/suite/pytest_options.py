"""The options of ``pytest --benchmark``, and how other plug-ins' options get along with them.

The plug-in loads in every pytest of its environment, so nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bench.suite.table_options import TABLE_OPTIONS, option_of

_OWN = {
    "scale": {"default": "default", "help": "smoke, default, laptop or paper: how much it does"},
    "only": {
        "metavar": "GROUPS",
        "help": "comma-separated groups and tables, e.g. memory,bytes or table2",
    },
    "out": {
        "metavar": "DIR",
        "help": "folder for records, plots and report (default: zobench-results/<time>)",
    },
    "model": {
        "help": "measure this model in place of the scale's: resnet18, vit, torchvision:NAME, or "
        "package.module:factory for your own"
    },
    "input-shape": {
        "metavar": "SHAPE",
        "help": "shape of one input of --model, e.g. 3,224,224, where its factory gives no example",
    },
    "device": {"default": "cpu", "help": "where steps run: auto, cpu or cuda"},
    "precision": {
        "default": "fp32",
        "help": "compute dtype of steps and of trainings on the digits: fp32, tf32, fp16 or bf16",
    },
    "energy-csv": {
        "metavar": "FILE",
        "help": "an external power meter's log, time and watts in each row (default: this machine's"
        " own sensors)",
    },
}
# Options of other plug-ins under which a case has no time, or is not measured alone.
_REFUSED = {
    "numprocesses": ("-n", "cases run one at a time"),
    "benchmark_disable": ("--benchmark-disable", "cases need a time"),
    "benchmark_skip": ("--benchmark-skip", "cases need a time"),
    "benchmark_only": ("--benchmark-only", "it skips all cases that are not timed"),
    "forked": ("--forked", "cases start processes of their own"),
}


def add_options(parser: pytest.Parser, manager: pytest.PytestPluginManager) -> None:
    """Register the suite's options beside --benchmark.

    Args:
        parser: pytest's, with the options of all plug-ins of this run.
        manager: knows those plug-ins.

    Raises:
        UsageError: another plug-in has an option of the same name; the message names it.
    """
    own = {*_OWN, *TABLE_OPTIONS}
    for plugin, names in _others_options(manager):
        if taken := [name for name in sorted(own) if f"--{name}" in names]:
            raise pytest.UsageError(
                f"the pytest plug-in {plugin} has an option --{taken[0]} too: add -p no:{plugin}, "
                "or use `zobench run`, which loads no other plug-ins"
            )
    group = parser.getgroup("zobench")
    for name, attributes in _OWN.items():
        group.addoption(f"--{name}", **attributes)
    tables = parser.getgroup("zobench tables", "the paper's tables, e.g. --only table2")
    for name, (kind, text) in TABLE_OPTIONS.items():
        tables.addoption(f"--{name}", help=text, **option_of(kind))


def table_options(config: pytest.Config) -> dict[str, Any]:
    """Collect the tables' options that were given."""
    given = {name: config.getoption(f"--{name}") for name in TABLE_OPTIONS}
    verify = not given.pop("no-verify")
    chosen = {name.replace("-", "_"): v for name, v in given.items() if v is not None}
    return {**chosen, "verify": verify}


def require_undisturbed(config: pytest.Config) -> None:
    """Refuse options of other plug-ins that leave cases out or measure several at once.

    Raises:
        UsageError: one is set, on the command line or in a settings file.
    """
    for option, (word, reason) in _REFUSED.items():
        if config.getoption(option, None):
            raise pytest.UsageError(
                f"--benchmark: leave out {word} ({reason}), in addopts and PYTEST_ADDOPTS too; "
                "`zobench run` reads neither"
            )


def _others_options(manager: pytest.PytestPluginManager) -> Iterator[tuple[str, set[str]]]:
    """Yield each other plug-in's name with the names of its options."""
    known: dict[str, Any] = {"pluginmanager": manager}
    for hook in manager.hook.pytest_addoption.get_hookimpls():
        if hook.plugin_name == "pytestconfig" or _module(hook).startswith(("_pytest", "bench.")):
            continue
        recorder = _Recorder()
        arguments = known | {"parser": recorder}
        try:
            hook.function(*(arguments[name] for name in hook.argnames))
        except Exception:
            continue  # it does what only pytest's own parser can serve
        yield hook.plugin_name, recorder.names


def _module(hook: Any) -> str:
    return str(getattr(hook.function, "__module__", ""))


class _Recorder:
    """Stands for pytest's parser, and notes the names of the options that it is given."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def getgroup(self, *_: Any, **__: Any) -> _Recorder:
        return self

    def addoption(self, *names: str, **_: Any) -> None:
        self.names.update(names)

    _addoption = addoption

    def addini(self, *_: Any, **__: Any) -> None:
        """Settings of a file do not collide with options."""
