"""``zobench run --list`` and ``--dry-run``: what can be run, and what would be."""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli import EXIT_DONE, EXIT_USAGE, print_json
from bench.extras import require
from bench.groups import GROUPS, OPT_IN_GROUPS, SCALE_NAMES, SUMMARIES
from bench.suite.estimate import Estimate, estimate
from bench.suite.folder import RESULTS
from bench.suite.foreign_settings import own_pytest

if TYPE_CHECKING:
    import pytest


def run_pytest(words: list[str], *plugins: object) -> int:
    """Run pytest with the suite's own settings; return its exit code."""
    require("pytest")
    require("pytest_benchmark")
    import pytest

    with own_pytest() as settings:
        return int(pytest.main([*settings, *words], plugins=list(plugins)))


def show_choices(arguments: argparse.Namespace) -> int:
    """Print the scales, groups and tables that a run can have."""
    from bench.replication.definitions import TABLES

    tables = {"search": "the search for learning rates of the tables"}
    tables |= {name: table.title for name, table in TABLES.items()}
    if arguments.json:
        print_json({"scales": SCALE_NAMES, "groups": SUMMARIES, "tables": tables})
        return EXIT_DONE
    print(f"scales: {', '.join(SCALE_NAMES)}\n\ngroups:")
    _print_rows({name: SUMMARIES[name] for name in GROUPS})
    print("\ngroups that run only if --only names them:")
    _print_rows({name: SUMMARIES[name] for name in OPT_IN_GROUPS})
    print("\ntables of the paper, with --only; `tables` for all:")
    _print_rows(tables)
    return EXIT_DONE


def _print_rows(rows: dict[str, str]) -> None:
    for name, text in rows.items():
        print(f"  {name:<18} {text}")


def show_plan(
    arguments: argparse.Namespace, words: Callable[[argparse.Namespace, Path], list[str]]
) -> int:
    """Print the cases of a run by group, and how long they take."""
    collected = _Cases()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        code = run_pytest([*words(arguments, Path(folder)), "--collect-only"], collected)
    if code:
        return EXIT_USAGE
    found = estimate(arguments.scale, RESULTS)
    seconds = {name: found.seconds.get(name) for name in collected.counts}
    if arguments.json:
        print_json({"cases": collected.names, "seconds": seconds, "basis": found.basis})
    else:
        _print_plan(arguments, collected, found)
    return EXIT_DONE


def _print_plan(arguments: argparse.Namespace, cases: _Cases, found: Estimate) -> None:
    for group, count in cases.counts.items():
        print(f"  {group:<10} {count:>4} cases  {_about(found.seconds.get(group))}")
        if arguments.verbose:
            print("".join(f"    {name}\n" for name in cases.names[group]), end="")
    known = [found.seconds.get(group) for group in cases.counts]
    whole = sum(seconds for seconds in known if seconds is not None)
    missing = " plus the groups without an estimate" if None in known else ""
    print(f"scale {arguments.scale}: {_about(whole)}{missing}, {found.basis}")


def _about(seconds: float | None) -> str:
    """Write a duration.

    >>> _about(43), _about(240), _about(5400), _about(None)
    ('less than 1 min', 'about 4 min', 'about 1.5 h', 'no estimate')
    """
    if seconds is None:
        return "no estimate"
    if seconds < 60:
        return "less than 1 min"
    minutes = seconds / 60
    return f"about {minutes:.0f} min" if minutes < 60 else f"about {minutes / 60:.1f} h"


class _Cases:
    """A pytest plug-in that notes the collected cases by group."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}

    @property
    def counts(self) -> Counter[str]:
        return Counter({group: len(names) for group, names in self.names.items()})

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            group = item.path.stem.removeprefix("bench_")
            self.names.setdefault(group, []).append(item.name)
