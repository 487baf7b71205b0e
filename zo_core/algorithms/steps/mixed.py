"""One step of two parts, a zeroth-order and a dense one sent as integers, taken whole or not, and
what the methods share that take such a step.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt

from zo_core import kernels
from zo_core.algorithms.steps.grid_increment import Increment, IncrementPass
from zo_core.algorithms.steps.zeroth_order import ZerothOrderStep
from zo_core.fixed_point import FixedPointUpdate
from zo_core.kernels.resumable_pass import uninterrupted
from zo_core.method import ApplyReport, RoundContext
from zo_core.optimizer import list_pass
from zo_core.payloads.core import MixedResult, Payload
from zo_core.replica import Replica
from zo_core.weight_grid import Grid, GridError


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedStep(ZerothOrderStep):
    """A round whose result is scalars and the integers of a dense step."""

    def server_step_(
        self,
        replica: Replica,
        context: RoundContext,
        participates: npt.NDArray[np.bool_],
        scalars: Mapping[int, npt.NDArray[np.float32]],
        increment: Increment,
    ) -> tuple[Payload, ApplyReport]:
        """Take the server's step and make the message that rebuilds it.

        Args:
            replica: the server's.
            context: the round.
            participates: whose update counts, in the cohort's order.
            scalars: dL, (S T,), by slot.
            increment: the dense step on the grid.

        Raises:
            GridError: the step leaves the grid; no weight has changed.
        """
        differences = np.array([scalars[slot] for slot in sorted(scalars)], dtype=np.float32)
        result = MixedResult(
            run_id=context.run_id,
            round_index=context.round_index,
            digest=bytes(8),
            participates=participates,
            differences=differences.reshape(len(scalars), self.scalars),
            increment=increment,
        )
        report = self.mix_(replica, result, context)
        return replace(result, digest=replica.digest_prefix()), report

    def apply_(self, replica: Replica, result: Payload, context: RoundContext) -> ApplyReport:
        """Take the mixed step that a result describes and check the digest that it ends at.

        Raises:
            ForkError: these weights are not the server's; resynchronise.
        """
        message = cast(MixedResult, result)
        report = self.mix_(replica, message, context)
        replica.require_digest(message.digest)
        return report

    @abstractmethod
    def mix_(self, replica: Replica, result: MixedResult, context: RoundContext) -> ApplyReport:
        """Take the step that a result describes, whatever its digest says."""


def mixed_step_(
    replica: Replica, part: Replica, update: FixedPointUpdate | None, increment: Increment
) -> ApplyReport:
    """Take both steps in place, each rounded once, and widen after the second.

    An interrupt that comes meanwhile is raised after both.

    Args:
        replica: all weights, on a grid.
        part: those of them that the zeroth-order step moves; the replica itself for all.
        update: the zeroth-order step; None for none.
        increment: the other step, of all weights.

    Raises:
        GridError: the steps leave the grid; no weight has changed.
    """
    forth = back = None
    if update is not None:
        forth = list_pass(part.params, update, part.grid, widen=False)
        back = kernels.replay_pass(part.params, update.negated(), cast(Grid, part.grid).exponents)
    added = IncrementPass(replica.params, increment, cast(Grid, replica.grid))

    def step() -> ApplyReport | GridError:
        """Take the first step, look, and take the second or the first one back."""
        zero_share = forth().zero_share if forth else None
        if error := added.error():
            if back:
                back()
            return error
        return ApplyReport(zero_share=zero_share, widened=added())

    replica.invalidate_digest()
    found = uninterrupted(step)
    if isinstance(found, GridError):
        raise found
    return found
