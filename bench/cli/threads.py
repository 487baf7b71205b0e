"""``--threads`` of the commands that compute: a number sets it, otherwise a short trial chooses."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from zo_core.threads import Threads

_MOST = (1 << 31) - 1  # what libraries take


def add_threads_option(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="number of CPU threads; default: chosen by a short trial on the model",
    )


def chosen_threads(arguments: argparse.Namespace) -> Threads:
    """Return the number of CPU threads asked for, "auto" where the trial chooses.

    Raises:
        ValueError: it is out of its range.
    """
    threads: int | None = arguments.threads
    if threads is not None and not 1 <= threads <= _MOST:
        raise ValueError(
            f"--threads must be in [1, 2^31), got {threads}; leave it out for a short trial"
        )
    return "auto" if threads is None else threads


def describe_threads(threads: int | None, trial_s: Mapping[str, float]) -> str:
    """Write what was chosen and why.

    >>> describe_threads(1, {"1": 0.002, "2": 0.005})
    'threads 1 (trial, ms per forward: 1: 2.00, 2: 5.00)'
    """
    figures = ", ".join(f"{number}: {1e3 * each:.2f}" for number, each in trial_s.items())
    return f"threads {threads}" + (f" (trial, ms per forward: {figures})" if figures else "")
