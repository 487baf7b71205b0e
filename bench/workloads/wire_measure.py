"""One client's traffic by MQTT, alone on a virtual cable: Mosquitto, server and the rest beyond."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.records.details.machine import TrafficDetails
from devices.traffic import Counters, Peer, network_pair

NO_BROKER = "the broker mosquitto is not installed (Debian: apt-get install mosquitto)"
MTU = 1500  # of the virtual cable
_PORT, _PLAIN_PORT = 1883, 1884
_CHUNK_BYTES, _CHUNK_HEAD = 1 << 18, 45  # of a long body: data, and what stands before it
_TOPICS = {"up": "zo/up/c0", "down": "zo/all", "model": "zo/down/c0"}
# with the settings of examples/federation/mosquitto.conf
_BROKER = """listener {port} 0.0.0.0
allow_anonymous true
set_tcp_nodelay true
persistence false
max_queued_messages 10000
max_inflight_messages 100
"""
# only the client that is measured needs it
_BROKER_TLS = """certfile {folder}/broker.pem
keyfile {folder}/broker.key
listener {plain} 127.0.0.1
"""


def why_no_wire(*, tls: bool = False) -> str | None:
    """Say why traffic can't be measured here, None where it should."""
    from devices.traffic import why_no_pair

    if mosquitto() is None:
        return NO_BROKER
    if tls and shutil.which("openssl") is None:
        return "openssl, which makes the broker's certificate, is not installed"
    return why_no_pair()


def message_bytes(payload: int, method: str, direction: str) -> int:
    """Count the PUBLISH packets of one payload: fixed header, topic, packet id, body.

    Args:
        payload: length of the encoded payload.
        method: "zo", or "fedavg", whose payloads go in chunks.
        direction: "up" or "down".
    """
    topic = _TOPICS["model" if method == "fedavg" and direction == "down" else direction]
    if method == "zo":
        return _publish(payload, topic)
    whole, rest = divmod(payload, _CHUNK_BYTES)
    last = _publish(rest + _CHUNK_HEAD, topic) if rest else 0
    return whole * _publish(_CHUNK_BYTES + _CHUNK_HEAD, topic) + last


def _publish(body: int, topic: str) -> int:
    remaining = 2 + len(topic) + 2 + body
    length = 1 + (remaining > 127) + (remaining > 16_383) + (remaining > 2_097_151)
    return 1 + length + remaining


def measure_wire(
    method: str, *, cohort: int, weights: int, first: int, rounds: int, tls: bool = False
) -> TrafficDetails:
    """Count what crosses one client's interface in the steady state, per round.

    Args:
        method: "zo" or "fedavg".
        cohort: clients, all of them in every round.
        weights: of the model.
        first: rounds before the count begins.
        rounds: counted.
        tls: whether the client's connection is encrypted.
    """
    with ExitStack() as stack:
        here, there = stack.enter_context(network_pair())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = write_broker(folder, _PORT)
        measured = ["--host", here.address, "--port", str(_PORT), "--method", method]
        common = measured
        if tls:
            measured = [*measured, "--ca", str(_encrypt(Path(broker), here.address))]
            common = ["--host", "127.0.0.1", "--port", str(_PLAIN_PORT), "--method", method]
        _start(stack, here, [broker], program=[str(mosquitto()), "-c"])
        sizes = ["--clients", str(cohort), "--cohort", str(cohort), "--weights", str(weights)]
        last = first + rounds
        server = _start(stack, here, ["server", *common, *sizes, "--rounds", str(last + 2)])
        model = ["--weights", str(weights)]
        others = ["--first", "1", "--count", str(cohort - 1)]
        _start(stack, here, ["fleet", *common, *others, *model])
        _start(stack, there, ["client", *measured, *model])
        before = _counters_after(server, there, first)
        resent = here.resent_segments(), there.resent_segments()
        after = _counters_after(server, there, last)
        return TrafficDetails(
            up=(after.sent_bytes - before.sent_bytes) / rounds,
            down=(after.received_bytes - before.received_bytes) / rounds,
            up_packets=(after.sent_packets - before.sent_packets) / rounds,
            down_packets=(after.received_packets - before.received_packets) / rounds,
            up_resent_segments=(there.resent_segments() - resent[1]) / rounds,
            down_resent_segments=(here.resent_segments() - resent[0]) / rounds,
            mtu=MTU,
            segmentation_offload="off (gso_max_segs 1)",
        )


def _counters_after(server: subprocess.Popen[str], peer: Peer, round_index: int) -> Counters:
    assert server.stdout is not None
    for line in server.stdout:
        if line.strip() == f"round {round_index}":
            return peer.counters()
    raise RuntimeError("the server ended before its rounds did")


def _start(
    stack: ExitStack, peer: Peer, words: list[str], program: list[str] | None = None
) -> subprocess.Popen[str]:
    command = program or [sys.executable, "-m", "bench.workloads.wire"]
    process = subprocess.Popen(
        peer.command([*command, *words]),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    stack.callback(process.stdout.close)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def write_broker(folder: Path, port: int) -> str:
    """Write Mosquitto's configuration; return its path."""
    path = folder / "mosquitto.conf"
    path.write_text(_BROKER.format(port=port) + "user root\n")
    return str(path)


def _encrypt(broker: Path, address: str) -> Path:
    """Give the broker a certificate that vouches for itself; return it."""
    folder = broker.parent
    certificate = folder / "broker.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    names = ["-subj", f"/CN={address}", "-addext", f"subjectAltName=IP:{address}"]
    files = ["-nodes", "-keyout", f"{folder}/broker.key", "-out", str(certificate)]
    subprocess.run([*command, "-days", "2", *names, *files], check=True, capture_output=True)
    with broker.open("a") as file:
        file.write(_BROKER_TLS.format(folder=folder, plain=_PLAIN_PORT))
    return certificate


def mosquitto() -> str | None:
    """Find the broker's program."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
