"""Steps that change more than weights: a state beside them, a count, a kept digest."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import random_signals
from interrupted_step import State

from zo_core import ZOSGD, GridError, digest
from zo_core.algorithms.baselines.fedkseed import FedKSeed
from zo_core.algorithms.baselines.fedkseed_pro import FedKSeedPro
from zo_core.algorithms.methods.fedadam import ZerothOrderAdam
from zo_core.algorithms.steps.averaging import DenseAveraging
from zo_core.algorithms.steps.mixed import mixed_step_
from zo_core.fixed_point import fixed_point
from zo_core.method import ClientData, RoundContext
from zo_core.replica import Replica

CONTEXT = RoundContext(run_seed=1, run_id=1, round_index=3, cohort=(0,), samples=(2,))
FIELDS = {"directions": 2, "epsilon": 1e-3, "tau": 1.0, "lr": 1e-3}
CANDIDATES = 8


@dataclass
class Subject:
    """A replica on the grid, or an optimiser of its weights."""

    replica: Replica
    optimizer: ZOSGD | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def state(self) -> State:
        """All that must be of one step, and that the kept digest is of these weights."""
        replica = self.replica
        shared = () if replica.shared_state is None else replica.shared_state.arrays()
        fresh = digest(replica.params, replica.grid, frozen=[*shared])
        assert replica.digest() == fresh, "a digest of other weights was kept"
        steps = 0 if self.optimizer is None else self.optimizer.steps_taken
        return fresh, bytes([len(shared)]), steps.to_bytes(4, "little")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaKind:
    """A kind of step on a replica."""

    act: Callable[[Subject], object]
    prepare: Callable[[Subject], object] = lambda subject: None
    size: int = 300

    def start(self) -> Subject:
        """Make the replica, the same for each call; its digest is kept."""
        rng = np.random.default_rng(5)
        weights = [rng.uniform(-0.9, 0.9, n).astype(np.float32) for n in (self.size, 12)]
        weights[1] = weights[1].reshape(4, 3).T
        subject = Subject(Replica(weights))
        subject.replica.snap_()
        self.prepare(subject)
        subject.replica.digest()
        return subject

    def step(self, subject: Subject) -> None:
        """Take the step; one that is refused leaves the old state."""
        try:
            self.act(subject)
        except GridError:
            return

    def allowed(self) -> set[State]:
        """The state before, and the one after."""
        subject = self.start()
        before = subject.state()
        self.step(subject)
        return {before, subject.state()}


def _updates(lr: float = 0.01) -> Any:
    return fixed_point([11, 12, 13], [lr, -lr / 2, lr / 3])


def _mixed(subject: Subject, *, step: int) -> None:
    size = subject.replica.params.num_elements
    increment = (np.arange(size, dtype=np.int32) % 7 - 3) * step
    mixed_step_(subject.replica, subject.replica, _updates(), increment.astype(np.int32))


def _adam(subject: Subject) -> None:
    method = ZerothOrderAdam(**FIELDS, adam_lr=0.2, adam_eps=1e-3)  # widens
    differences = np.array([[0.5, -0.25]], np.float32)
    method._step_(subject.replica, CONTEXT, np.array([True]), differences)


def _pool(subject: Subject, *, kind: type[FedKSeed], scale: float) -> None:
    method = kind(**FIELDS, candidates=CANDIDATES)
    pool = (np.arange(CANDIDATES) - 3.0).astype(np.float32) * scale
    method._rebuild_(subject.replica, pool, CONTEXT)


def _optimizer(subject: Subject) -> None:
    subject.optimizer = ZOSGD(
        subject.replica.params, lr=0.05, epsilon=1e-3, run_seed=1, grid=subject.replica.grid
    )


def _zosgd(subject: Subject) -> None:
    assert subject.optimizer is not None
    subject.replica.invalidate_digest()
    small = subject.replica.params.arrays[1]
    subject.optimizer.step(lambda: float(np.square(small, dtype=np.float64).sum()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drift(DenseAveraging):
    server_lr: float = 1.0

    def train_(self, replica: Replica, client: ClientData, context: RoundContext) -> None:
        for array in replica.params.arrays:
            array += 1.0


def _train(subject: Subject) -> None:
    shard = ClientData(slot=0, x=np.zeros(2), y=np.zeros(2))
    _Drift().client_update(subject.replica, shard, CONTEXT)


def _snapshot(subject: Subject) -> None:
    other = ReplicaKind(act=_adam, size=subject.replica.params.sizes[0]).start()
    _adam(other)
    subject.extra["snapshot"] = other.replica.snapshot(run_id=1, round_index=2)


REPLICA_KINDS = {
    "mixed, widened": ReplicaKind(act=partial(_mixed, step=1 << 20)),
    "mixed, refused": ReplicaKind(act=partial(_mixed, step=1 << 23)),
    "adam": ReplicaKind(act=_adam),
    "adam, second": ReplicaKind(act=_adam, prepare=_adam),
    "pool": ReplicaKind(act=partial(_pool, kind=FedKSeed, scale=1.0)),
    "pool, widened": ReplicaKind(
        act=partial(_pool, kind=FedKSeedPro, scale=30.0),
        prepare=partial(_pool, kind=FedKSeedPro, scale=1.0),
    ),
    "pool, refused": ReplicaKind(
        act=partial(_pool, kind=FedKSeed, scale=1e5),
        prepare=partial(_pool, kind=FedKSeed, scale=1.0),
    ),
    "optimizer": ReplicaKind(act=_zosgd, prepare=_optimizer),
    "trained copy": ReplicaKind(act=_train),
    "snapshot": ReplicaKind(
        act=lambda subject: subject.replica.restore_(subject.extra["snapshot"]), prepare=_snapshot
    ),
}


def by_random_signals(kind: ReplicaKind, trials: int, rng: random.Random) -> int:
    """Interrupt many steps of a kind; see :mod:`random_signals`."""
    return random_signals.by_random_signals(
        kind.start, kind.step, Subject.state, allowed=kind.allowed(), trials=trials, rng=rng
    )


if __name__ == "__main__":
    name, trials, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    kind = REPLICA_KINDS[name]
    large = ReplicaKind(act=kind.act, prepare=kind.prepare, size=60_000)
    print(by_random_signals(large, trials, random.Random(seed)))
