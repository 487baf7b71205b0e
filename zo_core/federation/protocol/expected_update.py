"""What a client of a round should send, recognized by its bytes without being decoded.

The bodies of a round differ in nothing but the slot and the scalars.
"""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import numpy as np

from zo_core.payloads.core import ScalarUpdate

_SLOT_BYTES, _SCALAR_BYTES = 4, 4
_FLOATS = np.dtype("<f4")
_LAST_SLOT = (1 << 32) - 1


class ExpectedUpdate:
    """Reads the updates of one round that should count; all others are to be decoded.

    Args:
        blank: an update of slot 0, with float32 scalars.
        clip: largest |dL| that is believed.
    """

    def __init__(self, blank: ScalarUpdate, clip: float) -> None:
        body, of_last = blank.encode(), replace(blank, slot=_LAST_SLOT).encode()
        at = next(i for i, (a, b) in enumerate(zip(body, of_last, strict=True)) if a != b)
        count = blank.differences.size
        self._blank, self._clip = blank, float(np.float32(clip))
        self._length, self._scalars_at = len(body), len(body) - _SCALAR_BYTES * count
        self._scalars = struct.Struct(f"<{count}f")
        self._head, self._middle = body[:at], body[at + _SLOT_BYTES : self._scalars_at]

    def read(self, body: bytes, slot: int) -> ScalarUpdate | None:
        """Return the update of a slot; None for any other body, and for scalars beyond clip."""
        before = self._head + slot.to_bytes(_SLOT_BYTES, "little") + self._middle
        if len(body) != self._length or not body.startswith(before):
            return None
        if not self._believes(self._scalars.unpack_from(body, self._scalars_at)):
            return None
        blank = self._blank
        return ScalarUpdate(
            run_id=blank.run_id,
            round_index=blank.round_index,
            slot=slot,
            digest=blank.digest,
            differences=np.frombuffer(body, _FLOATS, offset=self._scalars_at),
        )

    def _believes(self, scalars: tuple[float, ...]) -> bool:
        """Whether all are finite and none is beyond clip; faster than NumPy for so few."""
        within = max(scalars) <= self._clip and min(scalars) >= -self._clip
        return within and math.isfinite(sum(scalars))  # what compares with NaN tells nothing
