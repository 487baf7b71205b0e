"""The kernels in Triton for float32 weights on CUDA devices: one launch for all of a model.

A program works on some neighbouring tiles of one tensor.  It finds its row of the table (address,
size, place in the stream) by its number, so that a launch is not tied to a tensor.  The arithmetic
is integer or exact by construction wherever contraction into FMA could change a bit.

Launches are numbered in ascending order, and each program keeps the number of the last one that it
finished: a launch that is repeated after an interrupt finds nothing left to do.

With TRITON_INTERPRET=1 set before the import, Triton's interpreter runs the same code on tensors in
host memory; the tests do.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from zo_core.directions import BLOCK
from zo_core.fixed_point import FixedPointUpdate
from zo_core.kernels import triton_kernels
from zo_core.kernels.numpy_ref import Direction, plain_factor
from zo_core.kernels.resumable_pass import Journal, ReplayStats
from zo_core.parameters import Span
from zo_core.philox import split_seed

SPAN = 32  # stream blocks of a tile of a replay: 4,096 elements
PERTURB_BLOCKS = 8  # of a tile of a perturbation, which keeps fewer numbers per element
WARPS = 4  # of a program
MAX_PROGRAMS = 1 << 16  # a program takes more tiles where a model has more; bounds the table
_NUMBERS = itertools.count(1)  # of launches


@dataclass(frozen=True, slots=True)
class Table:
    """The spans on one device."""

    tensors: tuple[torch.Tensor, ...]  # keep the memory alive
    members: tuple[int, ...]  # position of each row's span in the caller's list
    tensor_indices: tuple[int, ...]
    rows: torch.Tensor  # int64 (rows, 5): address, size, start, tensor, first program
    row_of: torch.Tensor  # int32 (programs,)
    finished: torch.Tensor  # int64 (programs,): number of the last launch
    tiles: int  # of a program, SPAN blocks each
    aligned: bool  # whether all spans allow wide loads


def unavailable() -> str:
    """Return why these kernels cannot run here, or an empty string."""
    if os.environ.get("TRITON_INTERPRET") == "1" or torch.cuda.is_available():
        return ""
    return "torch finds no CUDA device"


def prepare(spans: Sequence[Span]) -> list[Table]:
    """Put the spans' addresses on their devices, once for all passes over them.

    Args:
        spans: flat float32 tensors on CUDA devices (NumPy arrays under Triton's interpreter).
    """
    by_device: dict[torch.device, list[tuple[int, Span, torch.Tensor]]] = {}
    for member, span in enumerate(spans):
        array = span.array
        tensor = torch.from_numpy(array) if isinstance(array, np.ndarray) else array
        by_device.setdefault(tensor.device, []).append((member, span, tensor))
    return [_table(device, group) for device, group in by_device.items()]


def perturb(
    tables: Sequence[Table],
    terms: Sequence[tuple[int, float]],
    direction: Direction,
    threads: int,
    *,
    journal: Journal,
) -> None:
    """Add scale * z(seed) for each (seed, scale) of terms; Rademacher, whatever the direction."""
    pairs = [terms[first : first + 2] for first in range(0, len(terms), 2)]
    numbers = journal.once(_take_numbers, len(pairs))
    for table in tables:
        for number, pair in zip(numbers, pairs, strict=True):
            arguments = [word for term in pair for word in _term(*term)]
            arguments += [0, 0, 0.0] * (2 - len(pair))
            with _on(table):
                triton_kernels.perturb[(table.row_of.numel(),)](
                    table.row_of, table.rows, table.finished, number, *arguments, table.tiles,
                    TERMS=len(pair), BLOCKS=PERTURB_BLOCKS, SPAN=SPAN, ALIGNED=table.aligned,
                    num_warps=WARPS, enable_fp_fusion=False,
                )  # fmt: skip


def replay(
    tables: Sequence[Table],
    update: FixedPointUpdate,
    exponents: Sequence[int] | None,
    write: bool,
    threads: int,
    *,
    journal: Journal,
) -> list[ReplayStats]:
    """Apply a list of updates in one pass; see :func:`zo_core.kernels.numpy_ref.replay`."""
    stats: dict[int, ReplayStats] = {}
    number, all_found = journal.once(_begin_replay, tables)
    for table, found in zip(tables, all_found, strict=True):
        device = table.rows.device
        keys = np.ascontiguousarray(update.seeds).astype("<u8").view(np.int32)
        with _on(table):
            triton_kernels.replay[(table.row_of.numel(),)](
                table.row_of, table.rows, table.finished, number,
                torch.from_numpy(keys).to(device),
                torch.from_numpy(np.array(update.a, dtype=np.int32)).to(device), len(update.a),
                _scales(table, update.f, exponents), found, table.tiles,
                GRID=exponents is not None, WRITE=write, SPAN=SPAN, ALIGNED=table.aligned,
                num_warps=WARPS, enable_fp_fusion=False,
            )  # fmt: skip
        rows = [ReplayStats(*row) for row in found.tolist()]
        stats.update(zip(table.members, rows, strict=True))
    return [stats[member] for member in sorted(stats)]


def _take_numbers(launches: int) -> list[int]:
    return list(itertools.islice(_NUMBERS, launches))


def _begin_replay(tables: Sequence[Table]) -> tuple[int, list[torch.Tensor]]:
    """Return the number of a replay's launches, and room for each table's statistics."""
    return next(_NUMBERS), [
        torch.zeros((len(table.members), 2), dtype=torch.int64, device=table.rows.device)
        for table in tables
    ]


def _table(device: torch.device, group: Sequence[tuple[int, Span, torch.Tensor]]) -> Table:
    tiles = [_tiles(span.start, tensor.numel()) for _, span, tensor in group]
    per_program = max(1, math.ceil(sum(tiles) / MAX_PROGRAMS))
    programs = [math.ceil(count / per_program) for count in tiles]
    firsts = np.concatenate([[0], np.cumsum(programs)])
    rows = [
        (tensor.data_ptr(), tensor.numel(), span.start, span.tensor_index, int(first))
        for (_, span, tensor), first in zip(group, firsts, strict=False)
    ]
    row_of = np.repeat(np.arange(len(rows), dtype=np.int32), programs)
    return Table(
        tensors=tuple(tensor for _, _, tensor in group),
        members=tuple(member for member, _, _ in group),
        tensor_indices=tuple(span.tensor_index for _, span, _ in group),
        rows=torch.tensor(rows, dtype=torch.int64, device=device),
        row_of=torch.from_numpy(row_of).to(device),
        finished=torch.zeros(len(row_of), dtype=torch.int64, device=device),
        tiles=per_program,
        aligned=all(_is_aligned(span.start, tensor) for _, span, tensor in group),
    )


def _tiles(start: int, size: int) -> int:
    """Count the tiles that cover a span, the first one starting at a stream block."""
    return math.ceil((start % BLOCK + size) / (BLOCK * SPAN))


def _is_aligned(start: int, tensor: torch.Tensor) -> bool:
    """Tell whether a span consists of whole groups of 16 elements at multiples of 16 bytes."""
    return tensor.data_ptr() % 16 == 0 and tensor.numel() % 16 == 0 and start % BLOCK == 0


def _term(seed: int, scale: float) -> tuple[int, int, float]:
    """Split a term into kernel arguments; key words as int32, so that their type never varies."""
    low, high = (word - (word >> 31 << 32) for word in split_seed(seed))
    return low, high, float(np.float32(scale))


def _scales(table: Table, f: int, exponents: Sequence[int] | None) -> torch.Tensor:
    """float64 (rows, 3): 2^-e, 2^e and h on the grid; 0, 2^(f + 30) as fp32, 0 in plain mode."""
    if exponents is None:
        scales = [(0.0, float(np.float32(plain_factor(f))), 0.0)] * len(table.members)
    else:
        own = [int(exponents[index]) for index in table.tensor_indices]
        scales = [(math.ldexp(1.0, -e), math.ldexp(1.0, e), float(e - f)) for e in own]
    return torch.tensor(scales, dtype=torch.float64, device=table.rows.device)


def _on(table: Table) -> Any:
    device = table.rows.device
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
