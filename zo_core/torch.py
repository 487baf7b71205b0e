"""ZO-SGD as a ``torch.optim.Optimizer``: groups, closures, schedulers, state_dict, and a log.

Imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer

from zo_core.closure import Closure, loss_of
from zo_core.digest import digest
from zo_core.estimators import LossFn
from zo_core.numbers import as_count
from zo_core.owners import Owners
from zo_core.parameters import Parameters, parameters
from zo_core.update_log import UpdateLog, start_log
from zo_core.weight_grid import Grid, as_positive
from zo_core.zosgd import EPSILON
from zo_core.zosgd import ZOSGD as Engine  # noqa: N811


class ZOSGD(Optimizer):
    """Train a model by forward passes only: MeZO's step (Malladi et al., arXiv 2305.17333).

    A step perturbs the weights in place, so it needs the memory of inference.  In grid mode, the
    default, the first step rounds the float32 weights to a grid on which they are restored to the
    bit, and :meth:`log` gives the run as a file of kilobytes.

    Args:
        params: what any torch optimizer takes; with ``model.named_parameters()`` the log knows the
            tensors' names.  Parameters with ``requires_grad=False`` are not changed.
        lr: learning rate, of groups that have none of their own.
        epsilon: finite-difference step, > 0.
        tau: scale of the directions, > 0; the radius is epsilon * tau, the step scales with tau^2.
        directions: directions per estimate; each takes two forwards.
        run_seed: the seed that all directions are derived from; None for ``torch.initial_seed()``,
            which ``torch.manual_seed`` sets.
        grid: False for plain mode: any floating dtype, restored nearly, without a log.

    Raises:
        ValueError: a value out of range.

    >>> generator = torch.manual_seed(1)
    >>> model = torch.nn.Linear(4, 1)
    >>> optimizer = ZOSGD(model.named_parameters(), lr=0.01)
    >>> x = torch.ones(8, 4)
    >>> losses = [optimizer.step(lambda: model(x).square().mean()) for _ in range(200)]
    >>> losses[-1] < losses[0]
    True
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        epsilon: float = EPSILON,
        tau: float = 1.0,
        directions: int = 1,
        run_seed: int | None = None,
        grid: bool = True,
    ) -> None:
        seed = torch.initial_seed() if run_seed is None else run_seed
        self._settings: dict[str, Any] = {
            "epsilon": as_positive("epsilon", epsilon),
            "tau": as_positive("tau", tau),
            "directions": as_count("directions", directions),
            "run_seed": f"{seed % 2**64:016x}",
            "grid": grid,
        }
        self._loaded: dict[str, Any] = {}  # what load_state_dict left for the next step
        self._engine: Engine | None = None
        super().__init__(params, {"lr": lr})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters; only before the first step, which numbers all tensors.

        Raises:
            ValueError: a step was taken, or the group asks for weight decay.
        """
        if self._engine is not None:
            raise ValueError(
                "a group cannot be added after the first step, since the tensors are numbered "
                "then; make a new optimizer"
            )
        if param_group.get("weight_decay"):
            raise ValueError(
                f"weight_decay must be 0, got {param_group['weight_decay']}; ZOSGD has none: add "
                "the penalty to the loss"
            )
        super().add_param_group(param_group)

    def step(self, closure: Closure | None = None) -> float | None:  # type: ignore[override]
        """Take one step.

        Args:
            closure: returns the loss of a batch; called twice per direction, without gradients and
                with the same random numbers each time, so that dropout is the same.  It must not
                call ``backward()``.  None to apply what :meth:`estimate` computed.

        Returns:
            The mean of all losses; None without a closure.

        Raises:
            ValueError: neither a closure nor an estimate; the weights do not fit the grid.
            NonFiniteLossError: a loss was not finite; no weight has changed.
            GridError: a weight would leave the grid, the run has diverged; likewise.
        """
        if closure is None:
            self._started().apply()
            return None
        return self._mean_loss(closure, self._started().step)

    def estimate(self, closure: Closure) -> float:
        """Compute what the next ``step()`` will apply; call it instead of ``loss.backward()``.

        Called for several batches before a step, their estimates are averaged.

        Args:
            closure: as in :meth:`step`.

        Returns:
            The mean of all losses.
        """
        return self._mean_loss(closure, self._started().estimate)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the estimates since the last step, and gradients from elsewhere."""
        if self._engine is not None:
            self._engine.clear()
        super().zero_grad(set_to_none)

    def log(self) -> UpdateLog:
        """Return the steps so far, from which :func:`zo_core.replay` rebuilds the weights.

        Raises:
            ValueError: plain mode, or no step was taken.
        """
        if not self._settings["grid"]:
            raise ValueError("plain mode has no log: its steps cannot be replayed to the bit")
        if self._engine is None and not self._loaded:
            raise ValueError("there is no log before the first step")
        engine = self._started()
        assert engine.log is not None
        engine.log.final_digest = digest(engine.params, engine.grid).hex()
        return engine.log

    def state_dict(self) -> dict[str, Any]:
        """Return param_groups, settings and, in grid mode, the log and the weights' exponents."""
        return super().state_dict() | {"zo": self._settings | self._progress()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue a run; the next step needs the model's weights of the same moment.

        Raises:
            ValueError: the state belongs to another optimizer, or to other groups.
        """
        if "zo" not in state_dict:
            raise ValueError("state_dict must be one of zo_core.torch.ZOSGD, this one is not")
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "zo"})
        found = dict(state_dict["zo"])
        self._settings = {name: found.pop(name) for name in self._settings}
        self._loaded, self._engine = found, None

    def _progress(self) -> dict[str, Any]:
        engine = self._engine
        if engine is None:
            return self._loaded
        progress: dict[str, Any] = {"steps_taken": engine.steps_taken}
        if engine.grid is not None:
            progress["exponents"] = torch.from_numpy(engine.grid.exponents.copy())
            body = np.frombuffer(self.log().encode(), np.uint8)
            progress["log"] = torch.from_numpy(body.copy())
        return progress

    @torch.no_grad()
    def _mean_loss(self, closure: Closure, evaluate: Callable[[LossFn], object]) -> float:
        """Have the engine evaluate a closure; return the mean of its losses."""
        losses: list[float] = []
        devices = {array.device for array in self._started().params.arrays}
        loss_fn = loss_of(closure, devices=devices)

        def loss() -> float:
            losses.append(loss_fn())
            return losses[-1]

        evaluate(loss)
        return fmean(losses)

    def _started(self) -> Engine:
        """Number the weights and put them on the grid if that is still to be done."""
        if self._engine is None:
            self._engine = self._start()
        self._check_unchanged()
        self._engine.rates = [float(group["lr"]) for group in self.param_groups]
        return self._engine

    def _start(self) -> Engine:
        self._trained = self._trainable()
        names = [name for name, _, _ in self._trained]
        self._owners = Owners(names, [tensor for _, tensor, _ in self._trained])
        settings = dict(self._settings)
        seed, on_grid = int(settings.pop("run_seed"), 16), settings.pop("grid")
        params, group_of = self._numbered()
        grid, log = None, None
        if "log" in self._loaded:
            grid, log = _resumed(params, self._loaded)
        elif on_grid:
            grid, log = start_log(
                params,
                epsilon=settings["epsilon"],
                tau=settings["tau"],
                group_of=group_of,
                num_groups=len(self.param_groups),
            )
        return Engine(
            params,
            lr=[0.0] * len(self.param_groups),
            **settings,
            run_seed=seed,
            grid=grid,
            group_of=group_of,
            log=log,
            steps_taken=self._loaded.get("steps_taken", 0),
        )

    def _numbered(self) -> tuple[Parameters, list[int]]:
        """Number the trainable tensors, group after group; return them and each one's group."""
        numbered = parameters([tensor for _, tensor, _ in self._trained])
        first = [self._trained[int(position)] for position in numbered.names]  # tied ones are one
        params = replace(numbered, names=tuple(name for name, _, _ in first))
        return params, [group for _, _, group in first]

    def _trainable(self) -> list[tuple[str, torch.Tensor, int]]:
        """List each trainable parameter with its name and its group's number."""
        found: list[tuple[str, torch.Tensor, int]] = []
        for number, group in enumerate(self.param_groups):
            given = group.get("param_names") or [None] * len(group["params"])
            for name, tensor in zip(given, group["params"], strict=True):
                if tensor.requires_grad:
                    found.append((name or str(len(found)), tensor, number))
        return found

    def _check_unchanged(self) -> None:
        """Check that the groups and the model have the tensors of the first step."""
        before = [(id(tensor), group) for _, tensor, group in self._trained]
        if [(id(tensor), group) for _, tensor, group in self._trainable()] != before:
            raise ValueError(
                "the trainable parameters of param_groups have changed since the first step, which "
                "numbers them (one was added, replaced, frozen or unfrozen?); make a new optimizer"
            )
        self._owners.check()

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or a pickle needs: it continues where this optimizer is."""
        own = {"_settings": dict(self._settings), "_loaded": self._progress(), "_engine": None}
        return super().__getstate__() | own


def _resumed(params: Parameters, loaded: dict[str, Any]) -> tuple[Grid, UpdateLog]:
    """Read grid and log from a state_dict.

    Raises:
        LogError: the log is damaged.
        ValueError: the weights are not those that the state was saved with.
    """
    log = UpdateLog.decode(loaded["log"].cpu().numpy().tobytes())
    grid = Grid(loaded["exponents"].cpu().numpy())
    if digest(params, grid).hex() != log.final_digest:
        raise ValueError(
            "the model's weights are not those that the optimizer's state was saved with; load "
            "the model's checkpoint of the same step"
        )
    return grid, log
