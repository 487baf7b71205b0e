"""One step of ours beside one of other packages and of backprop, on one model and batch.

A step of a zeroth-order package is one direction: two forwards and an update.  Each peer is called
as its page shows; a package that is not installed is left out.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import devices
from bench.workloads.steps import EPSILON, LR, bind_step
from bench.workloads.timing import take_turns

if TYPE_CHECKING:
    import torch

Step = Callable[[], object]
Binder = Callable[["torch.nn.Module", "torch.Tensor", "torch.Tensor"], Step]
OURS: Final = "zo"
PACKAGES: Final = {"mezo": "mezo", "eggroll-es": "eggroll", "torcheggroll": "torcheggroll"}
_SEED, _RANK = 5, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTimes:
    """Times of the peers that ran, and why the others did not."""

    seconds: Mapping[str, tuple[float, ...]]  # of each turn, by peer
    failed: Mapping[str, str]  # error of a package that is installed and cannot run


def installed_peers() -> list[str]:
    """List ours, backprop and the packages that are installed."""
    return [name for name in PEERS if name not in PACKAGES or find_spec(PACKAGES[name])]


def time_peers(model: str, batch: int, repeats: int, limit_s: float) -> PeerTimes:
    """Time a step of each peer that is installed, turn by turn.

    Args:
        model: by name.
        batch: items of a step.
        repeats: most turns; one more comes first, unmeasured.
        limit_s: seconds after which no turn starts, once there are three.
    """
    steps: dict[str, Step] = {}
    failed: dict[str, str] = {}
    for name in installed_peers():
        try:
            steps[name] = _step(name, model, batch)
        except Exception as error:  # of a foreign package: the others are still compared
            if name not in PACKAGES:
                raise
            failed[name] = f"{type(error).__name__}: {error}"
    turns = take_turns(steps, repeats, limit_s=limit_s)
    return PeerTimes(seconds={name: tuple(turns[name]) for name in turns}, failed=failed)


def measure_peer(name: str, model: str, batch: int) -> devices.Measurement:
    """Measure the memory of a peer's second step in this process.

    Args:
        name: in PEERS.
        model: by name.
        batch: items of a step.
    """
    step = _step(name, model, batch)
    step()
    with devices.measure() as region:
        step()
    return region


def _step(name: str, model: str, batch: int) -> Step:
    """Build a model of the peer's own and bind its step."""
    from bench.models.load import load_model

    loaded = load_model(model)
    x, y = loaded.batch(batch)
    return PEERS[name](loaded.module.eval(), x, y)


def _ours(module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> Step:
    return bind_step(module, x, y, "zo", micro_batch=len(x))


def _mezo(module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> Step:
    mezo = import_module("mezo")
    return lambda: mezo.update(
        module,
        (x, y),
        lambda model, batch: _cross_entropy(model(batch[0]), batch[1]),
        epsilon=EPSILON,
        learning_rate=LR,
        random_seed=_SEED,
    )


def _eggroll_es(module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> Step:
    """A generation of one antithetic pair, as EggrollTrainer.evolve takes it."""
    core, trainers = import_module("eggroll.core"), import_module("eggroll.trainer")
    config = core.EggrollConfig(
        population_size=1, rank=_RANK, sigma=EPSILON, lr=LR, generations=1, device="cpu"
    )

    def reward(model: Any, batch: Any) -> float:
        return -float(_cross_entropy(model(batch[0]), batch[1]))

    with contextlib.redirect_stdout(io.StringIO()):
        trainer = trainers.EggrollTrainer(module, config, reward)

    def step() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.evolve([(x, y)])

    return step


def _torcheggroll(module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> Step:
    """A step of one antithetic pair."""
    kind = import_module("torcheggroll").TorchEggrollES
    strategy = kind(module, pop_size=2, sigma=EPSILON, lr=LR, rank=_RANK)
    return lambda: strategy.step(x, _cross_entropy, y)


def _backprop(foreach: bool) -> Binder:
    def bind(module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> Step:
        import torch

        optimizer = torch.optim.SGD(module.parameters(), lr=LR, foreach=foreach)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            _cross_entropy(module(x), y).backward()
            optimizer.step()

        return step

    return bind


def _cross_entropy(scores: Any, y: Any) -> Any:
    from torch.nn.functional import cross_entropy

    return cross_entropy(scores, y)


PEERS: Final[dict[str, Binder]] = {
    OURS: _ours,
    "mezo": _mezo,
    "eggroll-es": _eggroll_es,
    "torcheggroll": _torcheggroll,
    "backprop": _backprop(foreach=False),
    "backprop-foreach": _backprop(foreach=True),
}
