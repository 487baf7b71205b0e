"""Options of a run that none of its groups and tables uses: refused before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.groups import USED_BY
from bench.replication.chosen import SEARCH
from bench.replication.run_options import Options

# what the frontier on a data set of files has no use for: its trainings are its own
_OF_TABLES: Final = ("model", "dataset", "criterion", "init", "address", "rows", "splits")


def refuse_unused(given: Mapping[str, bool], groups: Sequence[str]) -> None:
    """Refuse an option that changes none of the groups of a run.

    Args:
        given: for each option of USED_BY, whether it has another value than its default.
        groups: of the run.

    Raises:
        ValueError: one was given; the message names it and the groups that it is for.
    """
    for option, users in USED_BY.items():
        if given[option] and not set(users) & set(groups):
            raise ValueError(
                f"--{option} has no effect on {', '.join(groups)}: it is for {', '.join(users)}; "
                "leave it out"
            )


def refuse_table_options(
    given: Mapping[str, Any], tables: Sequence[str], *, trains_files: bool
) -> None:
    """Refuse options of whole trainings where none takes place, or none that they change.

    Args:
        given: options of the tables by name, as bench.replication.run_options.Options has them.
        tables: of the run.
        trains_files: whether the frontier is trained on a data set of files.

    Raises:
        ValueError: one was given.
    """
    default = Options()
    names = [name for name, value in given.items() if value != getattr(default, name)]
    if not (tables or trains_files):
        because = (
            "without a table of the paper (--only table2) or the frontier of a data set of files "
            "(laptop scale with --data-dir)"
        )
    elif not tables:
        names = [name for name in names if name in _OF_TABLES]
        because = "on the frontier, which trains what it always does"
    elif set(tables) == {SEARCH} and not trains_files:
        names = [name for name in names if name in ("seeds", "per_process")]
        because = f"on {SEARCH}, whose schedule is fixed"
    else:
        return
    if names:
        raise ValueError(f"--{_option(names[0])} has no effect {because}; leave it out")


def _option(name: str) -> str:
    return "no-verify" if name == "verify" else name.replace("_", "-")
