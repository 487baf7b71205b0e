"""What a client of a round should send, recognized by its bytes without being decoded.

The bodies of a round differ in nothing but the slot and the scalars.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zo_core.payloads.core import ScalarUpdate

_SLOT_BYTES, _SCALAR_BYTES = 4, 4
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
        self._blank, self._clip = blank, clip
        self._slot_at, self._length = at, len(body)
        self._scalars_at = len(body) - _SCALAR_BYTES * blank.differences.size
        self._head, self._middle = body[:at], body[at + _SLOT_BYTES : self._scalars_at]

    def read(self, body: bytes, slot: int) -> ScalarUpdate | None:
        """Return the update of a slot; None for any other body, and for scalars beyond clip."""
        at, after = self._slot_at, self._slot_at + _SLOT_BYTES
        if (
            len(body) != self._length
            or body[:at] != self._head
            or body[after : self._scalars_at] != self._middle
            or body[at:after] != slot.to_bytes(_SLOT_BYTES, "little")
        ):
            return None
        scalars = np.frombuffer(body, "<f4", offset=self._scalars_at)
        if not np.maximum.reduce(np.abs(scalars)) <= self._clip:  # or NaN
            return None
        blank = self._blank
        return ScalarUpdate(
            run_id=blank.run_id,
            round_index=blank.round_index,
            slot=slot,
            digest=blank.digest,
            differences=scalars,
        )
