"""What every party of a networked run derives alike: schedule, cohorts, seeds; and the rules."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from zo_core.algorithms import ALGORITHMS, train_config
from zo_core.algorithms.steps.averaging import DenseAveraging
from zo_core.algorithms.steps.zeroth_order import ZerothOrderStep
from zo_core.config import TrainConfig
from zo_core.directions import STREAM_VERSION
from zo_core.federation.protocol.transfer import MAX_CHUNK_BYTES, MIN_CHUNK_BYTES
from zo_core.federation.round_schedule import Schedule
from zo_core.method import Method, RoundContext
from zo_core.payloads.scalars import ScalarEncoding
from zo_core.replica import Replica
from zo_core.weight_grid import GRID_VERSION

PLAN_VERSION = 2
_NEEDED = {"grid": True}  # replicas are compared by digest, which only the grid gives


class PlanError(ValueError):
    """A run that this program cannot take part in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How the server runs rounds.

    Raises:
        ValueError: a field is out of its range.
    """

    deadline_s: float = 60.0  # of a ZO round, from its opening
    warmup_deadline_s: float = 600.0  # of a FedAvg round
    quorum: float = 0.5  # share of the cohort without which a round commits empty
    clip: float = 10.0  # largest |dL| that is believed
    wait_for: int = 1  # clients online before the first round, and after each start
    resync_every_s: float = 5.0  # a client gets the whole model no more often on its own request
    keep_rounds: bool = False  # never compact the log: phase two's model at any round stays in it

    def __post_init__(self) -> None:
        for name in ("deadline_s", "warmup_deadline_s", "clip", "wait_for"):
            _require(getattr(self, name) > 0, name, "must be > 0", getattr(self, name))
        _require(0 < self.quorum <= 1, "quorum", "must be in (0, 1]", self.quorum)

    def deadline_of(self, method: Method) -> float:
        """Seconds that a round by some method is open."""
        return self.warmup_deadline_s if method.trains_locally else self.deadline_s

    def quorum_of(self, cohort: int) -> int:
        """Clients without which a round commits empty."""
        return math.ceil(self.quorum * cohort)


@dataclass(frozen=True)
class Plan:
    """A run's config and what follows from it.

    Raises:
        PlanError: an algorithm that is not served, or plain mode, which no digest vouches for.
    """

    config: TrainConfig
    run_id: int  # names the run in messages; tells nothing about its seed
    samples: int | tuple[int, ...]  # training items of each client; one number where all are equal
    chunk_bytes: int = 1 << 18  # of a body too long for one message

    def __post_init__(self) -> None:
        served = [name for name, row in ALGORITHMS.items() if row.network]
        if self.config.algorithm not in served:
            raise PlanError(
                f"algorithm must be one of {', '.join(served)} over a network, got "
                f"{self.config.algorithm!r}; train others in one process (zobench train)"
            )
        values = self.config.to_json()
        for name, needed in _NEEDED.items():
            if values.get(name, needed) != needed:
                raise PlanError(
                    f"{name} must be {needed} over a network, got {values[name]!r}; train others "
                    "in one process (zobench train)"
                )
        try:
            self._require_messages()
            self.schedule.algorithm.require_items(self.least_samples)
        except ValueError as error:
            raise PlanError(str(error)) from error
        if not MIN_CHUNK_BYTES <= self.chunk_bytes <= MAX_CHUNK_BYTES:
            rule = f"must be in [{MIN_CHUNK_BYTES}, {MAX_CHUNK_BYTES}]"
            raise PlanError(f"chunk_bytes {rule}, got {self.chunk_bytes}")

    def _require_messages(self) -> None:
        """Check that the protocol carries what the methods send."""
        for phase in self.schedule.algorithm.phases:
            if not isinstance(phase.method, ZerothOrderStep | DenseAveraging):
                raise ValueError(
                    f"method {phase.method.name} of {self.config.algorithm} must be a "
                    "ZerothOrderStep or a DenseAveraging over a network, whose messages the "
                    "protocol carries; train it in one process (zobench train)"
                )

    @property
    def least_samples(self) -> int:
        """Training items of the client that has fewest."""
        return self.samples if isinstance(self.samples, int) else min(self.samples)

    @cached_property
    def schedule(self) -> Schedule:
        """Who does what in which round."""
        return Schedule(self.config)

    @property
    def rounds(self) -> int:
        """Rounds of all phases."""
        return self.schedule.rounds

    def method_at(self, round_index: int) -> Method:
        """Return the method of a round."""
        return self.schedule.method_at(round_index)

    @property
    def scalars(self) -> int:
        """Scalars that a client sends in a round without weights; 0 where there is none."""
        return max((method.scalars for method in self._zeroth_order), default=0)

    @property
    def encoding(self) -> ScalarEncoding:
        """The encoding of these scalars."""
        return max((m.encoding for m in self._zeroth_order), default=ScalarEncoding.FLOAT32)

    @property
    def sends_loss(self) -> bool:
        """Whether a client's loss goes with these scalars."""
        return any(method.sends_loss for method in self._zeroth_order)

    @property
    def _zeroth_order(self) -> list[ZerothOrderStep]:
        methods = (phase.method for phase in self.schedule.algorithm.phases)
        return [method for method in methods if isinstance(method, ZerothOrderStep)]

    def state_bytes(self, replica: Replica) -> int:
        """Count what every replica keeps beside the weights after the pivot."""
        return self.method_at(self.rounds - 1).client_state_bytes(replica)

    def is_dense(self, round_index: int) -> bool:
        """Whether clients of a round send whole models; beyond the last round, as in that."""
        return self.schedule.sends_weights(round_index)

    def context_of(self, round_index: int) -> RoundContext:
        """Derive what every party knows of a round."""
        return self.schedule.context_of(round_index, run_id=self.run_id, samples=self.samples)

    def to_json(self) -> bytes:
        """Encode all but run seed and run id, which messages carry as numbers."""
        config = self.config.to_json()
        del config["run_seed"]
        plan = {
            "version": PLAN_VERSION,
            "stream": STREAM_VERSION,
            "grid": GRID_VERSION,
            "samples": self.samples,
            "chunk_bytes": self.chunk_bytes,
            "config": config,
        }
        return json.dumps(plan, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes, *, run_id: int, run_seed: int) -> Plan:
        """Rebuild a plan.

        Raises:
            PlanError: the data is of another version, or no plan.
        """
        try:
            plan = json.loads(data)
            _require_versions(plan)
            config = train_config(**plan["config"], run_seed=run_seed)
            sizes, chunk_bytes = plan["samples"], int(plan["chunk_bytes"])
            samples = tuple(map(int, sizes)) if isinstance(sizes, list) else int(sizes)
            return cls(config=config, run_id=run_id, samples=samples, chunk_bytes=chunk_bytes)
        except PlanError:
            raise
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise PlanError(
                f"the server's plan cannot be read ({error}); run the same version at both ends"
            ) from error


def _require_versions(plan: dict[str, Any]) -> None:
    ours = {"version": PLAN_VERSION, "stream": STREAM_VERSION, "grid": GRID_VERSION}
    for name, version in ours.items():
        if plan[name] != version:
            raise PlanError(
                f"the server's {name} is {plan[name]!r}, this program's is {version!r}; "
                "run the same version at both ends"
            )


def _require(holds: bool, name: str, rule: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{name} {rule}, got {value}")
