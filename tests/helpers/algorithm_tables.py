"""The tables of algorithms and their options in docs/training.md, made from the registry.

``python tests/helpers/algorithm_tables.py`` writes them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import Field
from typing import Any

from import_graph import ROOT

from zo_core.algorithms.configs import OptionGroup, option_groups, train_config
from zo_core.algorithms.registry import ALGORITHMS, build_algorithm
from zo_core.options import option_of

PAGE = ROOT / "docs" / "training.md"


def algorithm_table() -> str:
    """Write one line for each algorithm: name, what it is, whose, methods of its phases."""
    rows = [
        f"| `{name}` | {_summary(row.build)} | {'baseline' if row.baseline else 'paper'} "
        f"| {', '.join(_phases(name))} |"
        for name, row in ALGORITHMS.items()
    ]
    head = ["| name | what it is | from | methods by phase |", "|---|---|---|---|"]
    return "\n".join(head + rows)


def option_tables() -> str:
    """Write one table for each group of options, with the algorithms that take them."""
    return "\n\n".join(map(_option_table, option_groups()))


def fill(page: str) -> str:
    """Return a page with the tables between its markers made anew."""
    for name, table in (("algorithms", algorithm_table), ("options", option_tables)):
        begin, end = f"<!-- {name}: generated -->\n", f"\n<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}{table()}{end}{rest.partition(end)[2]}"
    return page


def _option_table(group: OptionGroup) -> str:
    takers = ", ".join(f"`{name}`" for name in group.algorithms)
    head = "| option | meaning | allowed | default |\n|---|---|---|---|"
    return "\n".join([f"{group.title}: {takers}.\n", head, *map(_option_row, group.options)])


def _option_row(field: Field[Any]) -> str:
    option = option_of(field)
    default = option.none if field.default is None else f"`{field.default}`"
    allowed = option.rule.removeprefix("must be ") or "on, off"
    flag = f"`--{field.name.replace('_', '-')}`"
    return f"| {flag} | {option.help} | {allowed} | {default} |"


def _summary(build: Callable[..., object]) -> str:
    """Return the first sentence of a docstring."""
    return (inspect.getdoc(build) or "").split("\n\n")[0].replace("\n", " ").rstrip(".")


def _phases(algorithm: str) -> list[str]:
    built = build_algorithm(train_config(algorithm), high=tuple(range(5)))
    return [phase.method.name for phase in built.phases]


if __name__ == "__main__":
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
