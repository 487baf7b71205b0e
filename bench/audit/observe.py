"""Watch one step from outside: the weights at each forward, and what else changed.

Hooks on all submodules see the outermost forward begin and end. Each parameter is copied when the
forward begins, and again where it differs when the submodule that owns it first runs, so that
methods which perturb layer by layer are seen too. Forwards at the same weights are one point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.autograd import forward_ad

from bench.audit import global_state
from bench.audit.case import AuditCase
from bench.audit.weights import (
    Weights,
    changed,
    copy,
    distance,
    located,
    read,
    trainable,
    untrained,
    within_rounding,
)

MOST_POINTS = 64
_SMALL = 0.1  # of the largest perturbation
_Places = Mapping[str, tuple[nn.Module, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """What was seen around one forward."""

    generators_before: dict[str, str]
    generators_after: dict[str, str]
    moved: tuple[str, ...]  # buffers and frozen parameters that it changed
    flags: dict[str, str]  # of precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was seen of one step."""

    start: Weights  # trainable, before the step
    points: tuple[Weights, ...]  # at the forwards, equal neighbours once
    end: Weights
    forwards: tuple[Forward, ...]
    moved: tuple[str, ...]  # buffers and frozen parameters that the step changed
    generators: tuple[str, ...]  # global ones that changed outside forwards
    modes: tuple[str, ...]  # submodules left in another mode, training or evaluation
    flags: tuple[str, ...]  # of precision, left changed
    hidden: bool  # the weights at a forward could not be read

    @property
    def displaced(self) -> list[Weights]:
        """The points away from the start; one that rounding alone moved is the start."""
        away = [point for point in self.points if changed(self.start, point)]
        sizes = [distance(self.start, point) for point in away]
        least = _SMALL * max(sizes, default=0.0)
        return [
            point
            for point, size in zip(away, sizes, strict=True)
            if size > least or not within_rounding(self.start, point, away)
        ]

    @property
    def moves(self) -> bool:
        """Whether the step changed the weights."""
        return bool(changed(self.start, self.end))


def observe(case: AuditCase) -> Observation:
    """Take one step and watch it.

    Raises:
        ValueError: the step raised, or visits more than MOST_POINTS points.
    """
    module, device = case.module, device_of(case.module)
    start, rest = copy(trainable(module)), copy(untrained(module))
    modes, flags = global_state.modes(module), global_state.precision_flags(device)
    recorder = _Recorder(module, device)
    with recorder.listening():
        generators = global_state.generators()
        take_step(case)
        trail = recorder.generators_outside_forwards(generators, global_state.generators())
    return Observation(
        start=start,
        points=tuple(recorder.points),
        end=copy(read(module, start)),
        forwards=tuple(recorder.forwards),
        moved=changed(rest, _others(module, start)),
        generators=trail,
        modes=global_state.differences(modes, global_state.modes(module)),
        flags=global_state.differences(flags, global_state.precision_flags(device)),
        hidden=recorder.hidden,
    )


def take_step(case: AuditCase) -> None:
    """Take one step.

    Raises:
        ValueError: it raised.
    """
    try:
        case.step()
    except Exception as error:
        raise ValueError(f"step() failed with {type(error).__name__}: {error}") from error


def device_of(module: nn.Module) -> str:
    """Return the type of the device that a module's first parameter is on."""
    return next((p.device.type for p in module.parameters()), "cpu")


class _Recorder:
    """Collect points and forwards through hooks."""

    def __init__(self, module: nn.Module, device: str) -> None:
        self.points: list[Weights] = []
        self.forwards: list[Forward] = []
        self.hidden = False
        self._module, self._device = module, device
        self._depth = 0
        self._now: dict[str, torch.Tensor] = {}
        self._untouched: set[str] = set()
        self._places = located(module, trainable(module))
        self._rest = located(module, untrained(module))
        self._before: tuple[dict[str, str], Weights] = ({}, {})

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hook every submodule inside the context."""
        with ExitStack() as stack:
            for part in self._module.modules():
                enter = part.register_forward_pre_hook(self._enter)
                leave = part.register_forward_hook(self._leave, always_call=True)
                stack.callback(enter.remove)
                stack.callback(leave.remove)
            yield

    def generators_outside_forwards(
        self, start: dict[str, str], end: dict[str, str]
    ) -> tuple[str, ...]:
        """Return the generators that changed before, between or after the forwards.

        One that returns to a state it had before, as for the same dropout mask, is left as it was.
        """
        leaves = [start, *(forward.generators_after for forward in self.forwards)]
        enters = [*(forward.generators_before for forward in self.forwards), end]
        known, found = set[tuple[str, str]](), dict[str, None]()
        for left, entered in zip(leaves, enters, strict=True):
            known |= set(left.items())
            changes = global_state.differences(left, entered)
            found |= dict.fromkeys(n for n in changes if (n, entered[n]) not in known)
            known |= set(entered.items())
        return tuple(found)

    def _enter(self, part: nn.Module, _: Any) -> None:
        if self._depth == 0:
            self._now = self._read(self._places)
            self._untouched = set(self._places)
            self._before = (global_state.generators(), self._read(self._rest))
        self._depth += 1
        for name in [n for n in self._untouched if self._places[n][0] is part]:
            self._untouched.discard(name)
            value = self._read({name: self._places[name]})
            if self._now and changed({name: self._now[name]}, value):
                self._now.update(value)

    def _leave(self, *_: Any) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._add_point()
            generators, rest = self._before
            self.forwards.append(
                Forward(
                    generators_before=generators,
                    generators_after=global_state.generators(),
                    moved=changed(rest, self._read(self._rest)),
                    flags=global_state.precision_flags(self._device),
                )
            )

    def _read(self, places: _Places) -> dict[str, torch.Tensor]:
        """Copy tensors where they are now: torch.func puts others in their places."""
        found = {name: getattr(owner, attribute) for name, (owner, attribute) in places.items()}
        if any(map(_stands_for_more, found.values())):
            self.hidden = True
            return {}
        return copy(found)

    def _add_point(self) -> None:
        if self.hidden or (self.points and not changed(self.points[-1], self._now)):
            return
        if len(self.points) == MOST_POINTS:
            raise ValueError(
                f"the step computes forwards at more than {MOST_POINTS} points; "
                "audit it with fewer directions per step"
            )
        self.points.append(self._now)


def _others(module: nn.Module, names: Weights) -> dict[str, torch.Tensor]:
    """Return the parameters and buffers that are not among the names."""
    every = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: tensor for name, tensor in every.items() if name not in names}


def _stands_for_more(tensor: torch.Tensor) -> bool:
    """Whether a tensor is of a transform: many weights by vmap, or a tangent beside its value."""
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        return True
    return forward_ad.unpack_dual(tensor).tangent is not None  # type: ignore[no-untyped-call]
