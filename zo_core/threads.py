"""How many CPU threads a run computes with, and how they wait: one policy for all commands.

Threads that spin while they wait take a core from other processes: on a busy machine of two
cores a small model trains nine times slower by two spinning threads than by one.  So threads sleep
while they wait, and a short trial on the run's own model measures how many of them pay.  The number
changes the last bits of a loss: a run chooses it once and keeps it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from zo_core.kernels import available_cores

if TYPE_CHECKING:
    import torch

Threads = int | Literal["auto"] | None  # None: as the library has it
TRIAL_ITEMS: Final = 32
_TURNS: Final = 5  # of each number, at least; their sum counts, so that no lucky moment decides
_TURN_S: Final = 0.02  # steps of microseconds are repeated for so long
_MARGIN: Final = 1.1  # fewer threads are chosen where they take at most this times the least time


def wait_passively() -> None:
    """Let this process's OpenMP threads sleep while they wait; call it before torch is imported."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def candidates(cores: int | None = None) -> tuple[int, ...]:
    """List the numbers of threads that are tried: powers of two, and the cores.

    Args:
        cores: None for those that this process may use.

    >>> candidates(6)
    (1, 2, 4, 6)
    """
    cores = cores or available_cores()
    powers = [1 << power for power in range(cores.bit_length())]
    return tuple(sorted({*powers, cores}))


def choose_threads(
    threads: Threads, module: torch.nn.Module, x: torch.Tensor
) -> tuple[int | None, dict[str, float]]:
    """Have torch compute on a number of threads from here on.

    Args:
        threads: a number, "auto" for the best of a trial, or None, which changes nothing.
        module: the run's model; nothing of it changes.
        x: some of its inputs, (items, ...); the first TRIAL_ITEMS are taken.

    Returns:
        The number, None if it was not changed, and the seconds of a forward by number of threads,
        empty where there was no trial.
    """
    if threads is None:
        return None, {}
    import torch

    trial_s = try_threads(module, x) if threads == "auto" and x.device.type == "cpu" else {}
    chosen = fewest_of(trial_s) if trial_s else torch.get_num_threads()
    chosen = chosen if threads == "auto" else threads
    torch.set_num_threads(chosen)
    return chosen, trial_s


def try_threads(
    module: torch.nn.Module, x: torch.Tensor, numbers: Sequence[int] | None = None
) -> dict[str, float]:
    """Time a module's forward on each number of threads, turn by turn.

    Args:
        module: maps x to outputs; nothing of it changes.
        x: inputs, (items, ...), on the CPU.
        numbers: of threads; None for :func:`candidates` of this process's cores.

    Returns:
        Mean seconds of a forward, by number of threads.
    """
    import torch

    from zo_core.loss.module_loss import evaluating

    numbers = candidates() if numbers is None else numbers
    before, items = torch.get_num_threads(), x[:TRIAL_ITEMS]
    total = dict.fromkeys(map(str, numbers), 0.0)
    try:
        with torch.no_grad(), evaluating(module):
            for _ in range(_TURNS):
                for number in numbers:
                    torch.set_num_threads(number)
                    module(items)  # starts the threads, and builds what later forwards find built
                    total[str(number)] += mean_seconds(lambda: module(items)) / _TURNS
    finally:
        torch.set_num_threads(before)
    return total


def mean_seconds(step: Callable[[], Any], least_s: float = _TURN_S) -> float:
    """Repeat a step for a while; return the mean seconds of one."""
    started, count = time.perf_counter(), 0
    while count == 0 or time.perf_counter() - started < least_s:
        step()
        count += 1
    return (time.perf_counter() - started) / count


def fewest_of(seconds: Mapping[str, float]) -> int:
    """Choose the fewest threads that are at most a tenth slower than the best.

    >>> fewest_of({"1": 1.05, "2": 1.0, "4": 3.0})
    1
    >>> fewest_of({"1": 2.0, "2": 1.0, "4": 0.95})
    2
    """
    least = min(seconds.values())
    return min(int(number) for number, each in seconds.items() if each <= _MARGIN * least)
