"""Items as bytes that are scaled as a forward takes them: a quarter of the memory of floats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class ByteItems:
    """Bytes that stand for the float32 items (bytes - mean) / std.

    Slices and selections are bytes again; ``numpy.asarray`` gives the floats, the same bits for an
    item in whatever slice.
    """

    values: npt.NDArray[np.uint8]  # (items, ...)
    mean: npt.NDArray[np.float32] | float = 0.0  # broadcasts against an item
    std: npt.NDArray[np.float32] | float = 1.0  # likewise, > 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the bytes and of the floats."""
        return self.values.shape

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """The floats' type."""
        return np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, items: Any) -> ByteItems:
        return ByteItems(self.values[items], self.mean, self.std)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        scaled = self.values.astype(np.float32)
        scaled -= self.mean
        scaled /= self.std
        return scaled if dtype is None else scaled.astype(dtype, copy=False)


Items = npt.NDArray[Any] | ByteItems
