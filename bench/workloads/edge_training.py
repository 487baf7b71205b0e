"""A training whose low-resource clients run on ONNX Runtime, in one process with the server.

All replicas of a run hold the same bits, so one replica without torch stands for all clients that
have none; it applies every round's result and checks the digest that the server gives.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.records.details.arithmetic import ForwardArithmetic
from bench.records.typed_json import from_json
from bench.workloads.edge import EdgeTraining
from zo_core.algorithms import train_config
from zo_core.algorithms.steps.zeroth_order import ZerothOrderStep
from zo_core.data import load_dataset
from zo_core.edge.arithmetic import measure_arithmetic
from zo_core.edge.export import export_model
from zo_core.edge.load import load_replica
from zo_core.federation.round_schedule import Schedule
from zo_core.federation.simulation.training import Training
from zo_core.method import ApplyReport, ClientData, RoundContext
from zo_core.payloads.core import Payload
from zo_core.replica import Replica


@dataclass(slots=True, kw_only=True)
class EdgeClients:
    """A zeroth-order method whose clients of some slots compute without torch."""

    inner: ZerothOrderStep
    slots: frozenset[int]  # of the clients on ONNX Runtime
    rounds_checked: int = 0  # results after which both back ends held one digest
    edge: Replica | None = field(default=None)  # from the first round on
    arithmetic: ForwardArithmetic | None = field(default=None)  # likewise

    @property
    def name(self) -> str:
        """As the method's own."""
        return self.inner.name

    @property
    def result_to_everyone(self) -> bool:
        """As the method's own."""
        return self.inner.result_to_everyone

    @property
    def sends_weights(self) -> bool:
        """As the method's own."""
        return self.inner.sends_weights

    @property
    def trains_locally(self) -> bool:
        """As the method's own."""
        return self.inner.trains_locally

    @property
    def needs_hand_over(self) -> bool:
        """As the method's own."""
        return self.inner.needs_hand_over

    @property
    def needs_grid(self) -> bool:
        """As the method's own."""
        return self.inner.needs_grid

    def client_update(self, replica: Replica, client: ClientData, context: RoundContext) -> Payload:
        """Compute a client's scalars on the back end that it has."""
        if client.slot not in self.slots:
            return self.inner.client_update(replica, client, context)
        if self.edge is None:
            self.edge, self.arithmetic = _exported(replica, client)
        return self.inner.client_update(self.edge, client, context)

    def server_result(
        self, replica: Replica, updates: Iterable[Payload], context: RoundContext
    ) -> tuple[Payload, ApplyReport]:
        """Take the server's step; apply its result without torch.

        Raises:
            ForkError: the two replicas do not end with one digest.
        """
        result, report = self.inner.server_result(replica, updates, context)
        if self.edge is not None:
            self.inner.apply_(self.edge, result, context)
            self.rounds_checked += 1
        return result, report

    def message_for(self, replica: Replica, result: Payload, slot: int) -> Payload:
        """As the method's own."""
        return self.inner.message_for(replica, result, slot)

    def client_state_bytes(self, replica: Replica) -> int:
        """As the method's own."""
        return self.inner.client_state_bytes(replica)

    def apply_(self, replica: Replica, result: Payload, context: RoundContext) -> ApplyReport:
        """As the method's own."""
        return self.inner.apply_(replica, result, context)


def train_with_edge_clients(config: dict[str, Any]) -> EdgeTraining:
    """Run one training with every low-resource client on ONNX Runtime in phase two.

    Args:
        config: what zo_core.algorithms.train_config takes; the algorithm is ZOWarmUp.
    """
    chosen = train_config(**config)
    training = Training(chosen, load_dataset(chosen.dataset))
    warm_up, zeroth_order = training.schedule.algorithm.phases
    inner = zeroth_order.method
    assert isinstance(inner, ZerothOrderStep)
    low = frozenset(range(chosen.clients)) - frozenset(training.high)
    method = EdgeClients(inner=inner, slots=low)
    phases = (warm_up, replace(zeroth_order, method=method))
    changed = replace(training.schedule.algorithm, phases=phases)
    training.schedule = Schedule(chosen, changed)
    record = training.run()
    assert method.edge is not None
    assert method.arithmetic is not None
    return EdgeTraining(
        test_accuracy=record.final.accuracy,
        digest=record.digest,
        edge_digest=method.edge.digest().hex(),
        rounds_checked=method.rounds_checked,
        arithmetic=method.arithmetic,
    )


def _exported(replica: Replica, client: ClientData) -> tuple[Replica, ForwardArithmetic]:
    """Load the server's model, as it stands, without torch; refuse what loses the scalars."""
    example = client.x[:2], client.y[:2]
    with tempfile.TemporaryDirectory() as folder:
        manifest = export_model(
            replica.module, Path(folder), example=example, name="server", grid=replica.grid
        )
        edge = load_replica(Path(folder))
    arithmetic = measure_arithmetic(edge, manifest)
    arithmetic.check()
    return edge, from_json(ForwardArithmetic, arithmetic.to_json())
