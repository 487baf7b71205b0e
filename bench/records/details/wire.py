"""Details of the group wire: traffic, and fleets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficDetails:
    """What crossed one client's interface per round, and how the link was set."""

    up: float  # bytes
    down: float  # bytes
    up_packets: float
    down_packets: float
    up_resent_segments: float
    down_resent_segments: float
    mtu: int
    segmentation_offload: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetDetails:
    """A fleet's run."""

    refused: Mapping[str, int]  # messages, by reason
    events: Mapping[str, int]  # of the clients, by name
    fleet_cpu_s: float
    load_average: float  # before the run


WireDetails = TrafficDetails | FleetDetails
