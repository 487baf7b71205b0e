"""What a client does that takes forwards alone, whatever becomes of its scalars: differences along
seeded directions over its items, in one local step or in several.

Importing this module needs NumPy alone, so that a client without torch runs the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zo_core.algorithms.steps.local import LocalSteps, step_items
from zo_core.algorithms.steps.step_length import noted
from zo_core.estimators import ESTIMATORS, estimator_named
from zo_core.fixed_point import coefficients, fixed_point
from zo_core.method import ClientData, RoundContext
from zo_core.options import Options, choice, count, flag, rate, require
from zo_core.payloads.core import Payload
from zo_core.replica import Replica
from zo_core.seeds import derive_seeds
from zo_core.spsa import loss_differences, radius

if TYPE_CHECKING:
    from zo_core.config import TrainConfig
    from zo_core.loss.module_loss import Criterion

_MAX_SCALARS = (1 << 16) - 1  # of a client and round


@dataclass(frozen=True, kw_only=True)
class ZerothOrderOptions(Options):
    """Zeroth-order steps"""

    directions: int = count(  # paper
        3, "number of directions per client and local step, S", most=_MAX_SCALARS
    )
    epsilon: float = rate(1e-4, "size of the perturbation before tau")  # paper
    tau: float = rate(0.75, "factor of the perturbation, whose size is epsilon * tau")  # paper
    literal_tau: bool = flag(True, "multiply the step by tau^2, as printed in the paper")
    estimator: str = choice(  # paper
        "central", ESTIMATORS, "finite difference that estimates a scalar from losses"
    )
    zo_client_lr: float = rate(1.0, "learning rate of a local zeroth-order step")

    @property
    def lr(self) -> float:
        """The learning rate of a step."""
        return self.zo_client_lr

    def check(self) -> None:
        """Check that the estimator has its directions."""
        super().check()
        estimator_named(self.estimator, directions=self.directions)


@dataclass(frozen=True, kw_only=True)
class LocalStepOptions(ZerothOrderOptions):
    """Local zeroth-order steps"""

    local_steps: int = count(  # paper table 3
        1, "number of local steps per round, T; a client divides its items among them"
    )

    def check(self) -> None:
        """Check that a round's scalars fit a message."""
        super().check()
        require_message(self.directions, "local_steps", self.local_steps)


@dataclass(frozen=True, kw_only=True)
class ServerRateOptions(ZerothOrderOptions):
    """Server learning rate of zeroth-order steps"""

    zo_server_lr: float = rate(0.02, "server learning rate, multiplied by zo_client_lr")  # tuned

    @property
    def lr(self) -> float:
        """The product of the two rates."""
        return self.zo_client_lr * self.zo_server_lr


@dataclass(frozen=True, kw_only=True)  # without slots, so that a method may have a second base
class ZerothOrderClient:
    """The fields and the client's half that all zeroth-order methods share.

    A client divides its items among its local steps; each step is w -= lr s mean_s (dL_s / (2 rho))
    z_s over that step's S directions (the sum for average "sum"), s = tau^2 or 1.
    """

    directions: int  # S, of each local step
    epsilon: float
    tau: float
    lr: float  # product of client and server rate
    local_steps: int = 1  # T, a round
    literal_tau: bool = True  # False: the step is not multiplied by tau^2
    average: str = "mean"
    distribution: str = "rademacher"
    estimator: str = "central"  # a name in ESTIMATORS
    micro_batch: int | None = None
    criterion: Criterion | None = None  # None for the replica's own

    def seeds(self, context: RoundContext, slot: int, step: int = 0) -> list[int]:
        """Derive the S seeds of a client's local step: directions step * S to step * S + S - 1."""
        return derive_seeds(
            context.run_seed,
            round_index=context.round_index,
            client_id=slot,
            directions=self.directions,
            step=step,
        )

    def parts(self, client: ClientData, context: RoundContext) -> list[ClientData]:
        """Divide a client's items among its local steps; for one step, the shard itself."""
        return divided(client, context, self.local_steps)

    def differences(
        self,
        replica: Replica,
        part: ClientData,
        seeds: Sequence[int],
        seen: list[float] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Compute dL of each seed, (S,), over a part of a client's items.

        Args:
            replica: the weights, which it has again at the end.
            part: the items.
            seeds: of the directions.
            seen: the loss of each forward is appended to it; None for nowhere.
        """
        loss = partial(
            replica.mean_loss,
            part.x,
            part.y,
            micro_batch=self.micro_batch,
            criterion=self.criterion,
        )
        return loss_differences(
            loss if seen is None else noted(loss, seen),
            replica.params,
            seeds,
            epsilon=self.epsilon,
            tau=self.tau,
            grid=replica.grid,
            distribution=self.distribution,
            estimator=self.estimator,
        )

    def walk(
        self,
        replica: Replica,
        client: ClientData,
        context: RoundContext,
        seeds_of: Callable[[int], Sequence[int]],
    ) -> npt.NDArray[np.float32]:
        """Take a client's local steps on the grid and take them back; return their scalars.

        Args:
            replica: the round's weights, which it holds again at the end, also after an error.
            client: its items.
            context: the round.
            seeds_of: gives the S seeds of a step.

        Returns:
            dL, (T, S); no step follows the last row, so none is taken for it.

        Raises:
            GridError: a local step would leave the grid.
            NonFiniteLossError: a loss was not finite.
        """
        rho = radius(self.epsilon, self.tau, replica.grid)
        rows: list[npt.NDArray[np.float32]] = []
        with LocalSteps(replica.params, replica.grid) as local:
            for step, part in enumerate(self.parts(client, context)):
                if rows:
                    c = self.coefficients(rows[-1].tolist(), rho, self._omegas())
                    local.take_(fixed_point(seeds_of(step - 1), c), rho)
                rows.append(self.differences(replica, part, seeds_of(step)))
            local.take_back_()
        return np.stack(rows)

    def client_state_bytes(self, replica: Replica) -> int:
        """Bytes that a client keeps between rounds beside the model: none."""
        return 0

    def message_for(self, replica: Replica, result: Payload, slot: int) -> Payload:
        """Return the result: everyone rebuilds the same step from it."""
        return result

    def coefficients(
        self, differences: Sequence[float], rho: float, weights: Sequence[float] | None = None
    ) -> list[float]:
        """Turn scalars into coefficients by the method's rate; see :func:`coefficients`."""
        return coefficients(
            differences,
            lr=self.lr,
            rho=rho,
            tau=self.tau,
            tau_squared=self.literal_tau,
            omegas=weights,
        )

    def _omegas(self) -> list[float] | None:
        """Omega of a local step: None for the mean over its directions."""
        return [1.0] * self.directions if self.average == "sum" else None


def divided(client: ClientData, context: RoundContext, parts: int) -> list[ClientData]:
    """Divide a client's items into parts of a shuffle; for one part, the shard itself."""
    if parts == 1:
        return [client]
    positions = step_items(
        len(client.x),
        parts,
        run_seed=context.run_seed,
        round_index=context.round_index,
        client_id=client.slot,
    )
    return [ClientData(slot=client.slot, x=client.x[at], y=client.y[at]) for at in positions]


def require_message(directions: int, name: str, parts: int) -> None:
    """Check that the scalars of a client, so many directions on each part, fit a message."""
    most = _MAX_SCALARS // directions
    rule = f"must be at most {most}: a client sends fewer than 2^16 scalars"
    require(parts <= most, name, rule, parts)


def zo_client_fields(config: TrainConfig, options: ZerothOrderOptions) -> dict[str, Any]:
    """Return the fields of every zeroth-order method as a config gives them."""
    return {
        "directions": options.directions,
        "epsilon": options.epsilon,
        "tau": options.tau,
        "lr": options.lr,
        "literal_tau": options.literal_tau,
        "estimator": options.estimator,
        "micro_batch": config.micro_batch,
    }


def local_step_fields(config: TrainConfig, options: LocalStepOptions) -> dict[str, Any]:
    """Return the fields of a method whose clients may take several steps."""
    return zo_client_fields(config, options) | {"local_steps": options.local_steps}
