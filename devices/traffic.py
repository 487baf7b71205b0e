"""Bytes that cross a network interface, and a pair of network namespaces to count them alone.

Interface counters see framing, acknowledgements and everybody's traffic. A pair of namespaces
joined by a virtual cable carries the two processes under test and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.files import exists, find, read_number, read_text
from devices.reading import Reading, missing, to_plain

_RUNNING = missing("byte", "the region has not ended")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Hold an interface's counters since it came up.

    Args:
        received_bytes: Bytes in, link-layer headers included.
        sent_bytes: Bytes out.
        received_packets: Packets in.
        sent_packets: Packets out.
    """

    received_bytes: int
    sent_bytes: int
    received_packets: int
    sent_packets: int


@dataclass(slots=True, kw_only=True)
class Traffic:
    """Hold a region's traffic; until it ends every figure is None.

    Args:
        sent_bytes: Bytes that left by the interface.
        received_bytes: Bytes that came in; on the loopback interface the same bytes again.
    """

    sent_bytes: Reading
    received_bytes: Reading

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON data."""
        return to_plain(self)


def read_counters(interface: str, root: Path = Path("/")) -> Counters | None:
    """Read an interface's counters (Linux).

    Args:
        interface: E.g. "lo", "eth0".
        root: The folder that stands for the root of the file system.

    Returns:
        The counters; None where they cannot be read.

    Raises:
        ValueError: There is no such interface.
    """
    folder = root / "sys/class/net"
    statistics = folder / interface / "statistics"
    if not exists(statistics):
        known = ", ".join(path.name for path in find(folder, "*"))
        raise ValueError(f"interface must be one of {known}, got {interface!r}")
    names = ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets")
    numbers = [number for name in names if (number := read_number(statistics / name)) is not None]
    if len(numbers) < len(names):
        return None
    received_bytes, sent_bytes, received_packets, sent_packets = numbers
    return Counters(
        received_bytes=received_bytes,
        sent_bytes=sent_bytes,
        received_packets=received_packets,
        sent_packets=sent_packets,
    )


@contextmanager
def count_traffic(interface: str, root: Path = Path("/")) -> Iterator[Traffic]:
    """Count the bytes that cross an interface in the region, from all processes.

    Args:
        interface: E.g. "lo", "eth0".
        root: The folder that stands for the root of the file system.

    Yields:
        The traffic, filled in when the region ends.

    Raises:
        ValueError: There is no such interface.
    """
    traffic = Traffic(sent_bytes=_RUNNING, received_bytes=_RUNNING)
    before = read_counters(interface, root)
    try:
        yield traffic
    finally:
        _fill_in(traffic, before, _counters_at_end(interface, root), interface)


def _counters_at_end(interface: str, root: Path) -> Counters | None:
    try:
        return read_counters(interface, root)
    except ValueError:  # it was unplugged in the region
        return None


def _fill_in(
    traffic: Traffic, before: Counters | None, after: Counters | None, interface: str
) -> None:
    method = f"counters of {interface}, all processes"
    if before is None or after is None:
        reason = f"the counters of {interface} cannot be read"
        traffic.sent_bytes = traffic.received_bytes = missing("byte", reason, method=method)
        return
    sent = after.sent_bytes - before.sent_bytes
    received = after.received_bytes - before.received_bytes
    traffic.sent_bytes = Reading(value=sent, unit="byte", method=method)
    traffic.received_bytes = Reading(value=received, unit="byte", method=method)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Name one end of a namespace pair.

    Args:
        namespace: The network namespace's name.
        interface: Its end of the cable.
        address: Its IPv4 address.
    """

    namespace: str
    interface: str
    address: str

    def command(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs `command` at this end."""
        return ["ip", "netns", "exec", self.namespace, *command]

    def counters(self) -> Counters:
        """Read the counters of this end of the cable."""
        text = _ip("-n", self.namespace, "-s", "-j", "link", "show", self.interface)
        statistics = json.loads(text)[0]["stats64"]
        received, sent = statistics["rx"], statistics["tx"]
        return Counters(
            received_bytes=received["bytes"],
            sent_bytes=sent["bytes"],
            received_packets=received["packets"],
            sent_packets=sent["packets"],
        )

    def resent_segments(self) -> int:
        """Read how many TCP segments this end's namespace has sent again since it was made."""
        command = self.command(["cat", "/proc/net/snmp"])
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        names, values = (line.split() for line in text.splitlines() if line.startswith("Tcp:"))
        return int(values[names.index("RetransSegs")])


_NET_ADMIN, _SYS_ADMIN = 12, 21  # bits of capabilities(7)


def why_no_pair() -> str | None:
    """Return why `network_pair` cannot work here; None if it should."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need the ip command (package iproute2)"
    if not _has_capabilities():
        return "network namespaces need the capabilities NET_ADMIN and SYS_ADMIN"
    return None


def _has_capabilities(status: Path = Path("/proc/self/status")) -> bool:
    """Return whether root has the rights that a container usually lacks; True if it is unknown."""
    found = re.search(r"^CapEff:\s*([0-9a-fA-F]{1,16})$", read_text(status) or "", re.MULTILINE)
    if found is None:
        return True
    effective = int(found[1], 16)
    return all(effective >> bit & 1 for bit in (_NET_ADMIN, _SYS_ADMIN))


@contextmanager
def network_pair(*, rate_bits_per_s: int | None = None) -> Iterator[tuple[Peer, Peer]]:
    """Connect two fresh network namespaces by a virtual cable; remove them afterwards.

    Segmentation is not off-loaded, so that every packet has its headers counted as on a real
    link. IPv6 is off: its neighbour discovery would be counted too.

    Args:
        rate_bits_per_s: Rate of the cable in each direction; None for no limit.

    Yields:
        The two ends.

    Raises:
        OSError: Not root, or no iproute2.
    """
    reason = why_no_pair()
    if reason is not None:
        raise OSError(reason)
    token = secrets.token_hex(3)
    peers = tuple(
        Peer(namespace=f"dev-{token}-{end}", interface=f"v{token}{end}", address=f"10.77.0.{end}")
        for end in (1, 2)
    )
    with ExitStack() as stack:
        for peer in peers:
            _ip("netns", "add", peer.namespace)
            stack.callback(_ip, "netns", "delete", peer.namespace)
        _join(*peers)
        for peer in peers:
            _raise(peer, rate_bits_per_s)
        yield peers[0], peers[1]


def _join(one: Peer, other: Peer) -> None:
    ends = ("peer", "name", other.interface, "netns", other.namespace)
    _ip("-n", one.namespace, "link", "add", one.interface, "type", "veth", *ends)


def _raise(peer: Peer, rate_bits_per_s: int | None) -> None:
    switch = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
    if switch.exists():
        subprocess.run(peer.command(["sh", "-c", f"echo 1 > {switch}"]), check=True)
    here = ("-n", peer.namespace)
    _ip(*here, "link", "set", peer.interface, "gso_max_segs", "1")
    _ip(*here, "address", "add", f"{peer.address}/24", "dev", peer.interface)
    _ip(*here, "link", "set", "lo", "up")
    _ip(*here, "link", "set", peer.interface, "up")
    if rate_bits_per_s is not None:
        shape = ["tbf", "rate", f"{rate_bits_per_s}bit", "burst", "32kbit", "latency", "400ms"]
        command = ["tc", "qdisc", "add", "dev", peer.interface, "root", *shape]
        subprocess.run(peer.command(command), check=True)


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
