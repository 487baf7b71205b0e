"""The variants of a step that need less memory: one row each, with its name, label and settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class StepVariant:
    """One variant: the same mathematical step, computed in smaller pieces."""

    name: str  # in the names of frontier cases
    label: str
    backprop: str | None = None  # in zo_core's BACKPROP; None for steps that need forwards only
    micro_batch: int | None = None  # items per forward; None for the whole batch

    @property
    def method(self) -> str:
        """The name in the groups memory and time."""
        return f"zo-{self.name}" if self.backprop is None else f"backprop-{self.name}"

    @property
    def method_label(self) -> str:
        """The label in the groups memory and time."""
        return f"{'ZO' if self.backprop is None else 'Backprop'}, {self.label}"

    @property
    def settings(self) -> dict[str, Any]:
        """The fields of zo_core's TrainConfig that differ from the plain step's."""
        chosen = {"backprop": self.backprop, "micro_batch": self.micro_batch}
        return {name: value for name, value in chosen.items() if value is not None}


PLAIN: Final = "plain"  # the name of the step without any of this
BACKPROP_VARIANTS: Final = (
    StepVariant(
        name="accumulated", label="accumulated over 8", backprop="accumulated", micro_batch=8
    ),
    StepVariant(name="checkpointed", label="checkpointed", backprop="checkpointed"),
    StepVariant(
        name="accumulated-checkpointed",
        label="accumulated over 8, checkpointed",
        backprop="accumulated-checkpointed",
        micro_batch=8,
    ),
    StepVariant(
        name="least",
        label="one item at a time, checkpointed",
        backprop="accumulated-checkpointed",
        micro_batch=1,
    ),
    StepVariant(name="layerwise", label="layer by layer", backprop="layerwise"),
)
FORWARD_VARIANTS: Final = (
    StepVariant(name="by-8", label="8 items per forward", micro_batch=8),
    StepVariant(name="by-1", label="1 item per forward", micro_batch=1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAdmitted:
    """Why a model's layers do not admit a variant."""

    error: str
