"""``--threads`` of the commands that train."""

from __future__ import annotations

_MOST = (1 << 31) - 1  # what libraries take


def checked_threads(threads: int | None) -> int | None:
    """Return the number of CPU threads asked for, None for the library's own choice.

    Raises:
        ValueError: it is out of its range.
    """
    if threads is not None and not 1 <= threads <= _MOST:
        raise ValueError(
            f"--threads must be in [1, 2^31), got {threads}; leave it out for the library's choice"
        )
    return threads


def use_threads(threads: int | None) -> None:
    """Have torch compute on so many CPU threads; None changes nothing.

    Raises:
        ValueError: the number is out of its range.
    """
    chosen = checked_threads(threads)
    if chosen is None:
        return
    import torch

    torch.set_num_threads(chosen)
