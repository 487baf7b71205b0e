"""Bytes on the wire: counters on a fake tree, and a real pair of network namespaces."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from waiting import WAIT_S, wait_until

from devices.traffic import (
    Counters,
    Peer,
    _has_capabilities,
    count_traffic,
    network_pair,
    read_counters,
    why_no_pair,
)

needs_pair = pytest.mark.skipif(why_no_pair() is not None, reason=str(why_no_pair()))

SERVER = """
import socket
server = socket.create_server(("{address}", 5000))
print("ready", flush=True)
connection, _ = server.accept()
received = 0
while block := connection.recv(65536):
    received += len(block)
connection.close()
print(received)
"""
CLIENT = """
import socket
client = socket.create_connection(("{address}", 5000))
client.sendall(bytes({size}))
client.close()
"""


def fake_interface(root: Path, name: str, received: int, sent: int) -> None:
    folder = root / "sys/class/net" / name / "statistics"
    folder.mkdir(parents=True, exist_ok=True)
    for file, number in {
        "rx_bytes": received,
        "tx_bytes": sent,
        "rx_packets": received // 1000,
        "tx_packets": sent // 1000,
    }.items():
        (folder / file).write_text(f"{number}\n")


def send(one: Peer, other: Peer, size_bytes: int) -> int:
    """Send `size_bytes` from one end to the other by TCP; return what arrived."""
    server_code = SERVER.format(address=other.address)
    server = subprocess.Popen(
        other.command([sys.executable, "-c", server_code]), stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    client_code = CLIENT.format(address=other.address, size=size_bytes)
    subprocess.run(one.command([sys.executable, "-c", client_code]), check=True)
    received, _ = server.communicate(timeout=WAIT_S)
    return int(received)


def counters_at_rest(one: Peer, other: Peer) -> tuple[Counters, Counters]:
    """Read both ends once all that one has sent is there: the last packets may come late."""
    seen: list[Counters] = []

    def agree() -> bool:
        seen[:] = one.counters(), other.counters()
        return seen[0].sent_bytes == seen[1].received_bytes

    assert wait_until(agree)
    return seen[0], seen[1]


def resent_segments(peer: Peer) -> int:
    """Return the TCP segments that this end sent again: a busy machine lets some time out."""
    command = peer.command(["cat", "/proc/net/snmp"])
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    names, values = (line.split() for line in text.splitlines() if line.startswith("Tcp:"))
    return int(values[names.index("RetransSegs")])


def test_a_region_counts_the_difference_in_each_direction(tmp_path: Path) -> None:
    fake_interface(tmp_path, "eth0", received=5_000, sent=7_000)

    with count_traffic("eth0", tmp_path) as traffic:
        assert traffic.sent_bytes.reason == "the region has not ended"
        fake_interface(tmp_path, "eth0", received=5_100, sent=7_250)

    assert (traffic.received_bytes.value, traffic.sent_bytes.value) == (100, 250)


def test_all_four_counters_are_read(tmp_path: Path) -> None:
    fake_interface(tmp_path, "eth0", received=5_000, sent=7_000)

    assert read_counters("eth0", tmp_path) == Counters(
        received_bytes=5_000, sent_bytes=7_000, received_packets=5, sent_packets=7
    )


def test_an_unknown_interface_names_the_known(tmp_path: Path) -> None:
    fake_interface(tmp_path, "eth0", 0, 0)
    fake_interface(tmp_path, "lo", 0, 0)

    with pytest.raises(ValueError, match="interface must be one of eth0, lo, got 'wlan7'"):
        read_counters("wlan7", tmp_path)


@needs_pair
def test_the_pair_carries_the_payload_its_headers_and_nothing_else() -> None:
    payload_bytes, segment_bytes = 2_000_000, 1448  # Ethernet's 1500 less IP, TCP and timestamps
    header_bytes = 1514 - segment_bytes

    with network_pair() as (one, other):
        before = one.counters()
        assert send(one, other, payload_bytes) == payload_bytes
        sent, received = counters_at_rest(one, other)
        resent = resent_segments(one)

    on_the_wire = sent.sent_bytes - before.sent_bytes
    assert (before.sent_packets, before.received_packets) == (0, 0), "the cable was not silent"
    assert received.received_bytes == on_the_wire
    segments = payload_bytes / segment_bytes
    assert payload_bytes + segments * header_bytes <= on_the_wire
    sent_again = resent * (segment_bytes + header_bytes)
    assert on_the_wire <= payload_bytes * 1.01 + (segments + 60) * header_bytes + sent_again


@needs_pair
def test_the_pair_is_removed_also_after_an_exception() -> None:
    names = []

    def fail() -> None:
        with network_pair() as (one, other):
            names.extend([one.namespace, other.namespace])
            raise KeyError("from the region")

    with pytest.raises(KeyError):
        fail()

    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    assert len(names) == 2
    assert not any(name in left.stdout for name in names)


@needs_pair
def test_two_pairs_at_a_time_do_not_meet() -> None:
    with network_pair() as (one, other), network_pair() as (third, _):
        send(one, other, 100_000)

        assert one.counters().sent_bytes > 100_000
        assert third.counters().sent_bytes == 0


def test_without_root_the_pair_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000, raising=False)

    with pytest.raises(OSError, match="network namespaces need root"), network_pair():
        pass


@pytest.mark.parametrize(
    ("effective", "expected"),
    [("000001ffffffffff", True), ("00000000a80425fb", False), ("0000000000201000", True)],
)
def test_root_in_a_container_may_lack_the_rights(
    tmp_path: Path, effective: str, expected: bool
) -> None:
    """GIVEN all rights, those of a container by default, and the two that it takes."""
    status = tmp_path / "status"
    status.write_text(f"Name:\tpython\nCapEff:\t{effective}\n")
    assert _has_capabilities(status) is expected
    assert _has_capabilities(tmp_path / "none")
