"""The round protocol over real sockets: an embedded broker, Mosquitto, and their failures."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from brokers import Mosquitto, broker
from network import ParabolaTrainer, plan_of, reference
from optional import needs
from parabola import SAMPLES, Parabola
from waiting import NEVER_S, WAIT_S, free_port

from zo_core.federation.mqtt.link import SERVER, Topics
from zo_core.federation.mqtt.loops import client_link, join, serve, server_link
from zo_core.federation.mqtt.reconnecting_session import LinkError
from zo_core.federation.mqtt.security import InsecureError, Security, is_loopback
from zo_core.federation.protocol.client import Client
from zo_core.federation.protocol.messages import Reason
from zo_core.federation.protocol.plan import Rules
from zo_core.federation.protocol.server import Server
from zo_core.federation.protocol.serving import begin
from zo_core.federation.store import MemoryStore
from zo_core.replica import Replica

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.network,
    pytest.mark.process,
]
TOPICS = Topics("zo-test")
PLAIN = Security()


def plain(_name: str) -> Security:
    return PLAIN


def run_client(
    name: str,
    port: int,
    folder: Path,
    clients: dict[str, Client],
    secured: Callable[[str], Security] = plain,
) -> None:
    slot = int(name[1:])
    spool = folder / name
    spool.mkdir()
    client = Client(ParabolaTrainer(), high=slot in plan_of().schedule.high, slot=slot, spool=spool)
    link = client_link(TOPICS, name)
    link.open("127.0.0.1", port, secured(name), patience_s=WAIT_S)
    try:
        clients[name] = client
        join(client, link, TOPICS)
    finally:
        link.close()


def new_server(folder: Path, **changes: object) -> Server:
    # A round whose time is up commits without the clients it lacks, and so to other bits.
    rules = Rules(wait_for=len(SAMPLES), deadline_s=NEVER_S, warmup_deadline_s=NEVER_S)
    plan = plan_of(**changes)
    return begin(plan, rules, Replica(Parabola()), MemoryStore(), folder / "spool")


def run_all(
    server: Server,
    port: int,
    folder: Path,
    meanwhile: object = None,
    secured: Callable[[str], Security] = plain,
) -> dict[str, Client]:
    clients: dict[str, Client] = {}
    threads = [
        threading.Thread(
            target=run_client, args=(f"c{slot}", port, folder, clients, secured), daemon=True
        )
        for slot in range(len(SAMPLES))
    ]
    with ExitStack() as stack:
        link = server_link(TOPICS, SERVER)
        link.open("127.0.0.1", port, secured(SERVER))
        stack.callback(link.close)
        for thread in threads:
            thread.start()
        serve(server, link, TOPICS, refresh=meanwhile or (lambda: None), linger_s=WAIT_S)
        for thread in threads:
            thread.join(WAIT_S)
    return clients


@pytest.mark.parametrize(
    "kind",
    [
        "embedded",
        pytest.param("mosquitto", marks=needs("mosquitto")),
    ],
)
def test_a_run_over_a_broker_is_the_run_in_one_process(tmp_path: Path, kind: str) -> None:
    server = new_server(tmp_path)
    with broker(kind, tmp_path, TOPICS) as port:
        clients = run_all(server, port, tmp_path)
    expected = reference(server.plan).digest()
    assert server.replica.digest() == expected
    assert {c.replica.digest() for c in clients.values() if c.replica} == {expected}
    assert server.refused == {}


@needs("mosquitto")
def test_a_broker_restarted_mid_round_costs_nothing(tmp_path: Path) -> None:
    server = new_server(tmp_path, rounds=30)
    own = Mosquitto(tmp_path)
    restarted = []

    def meanwhile() -> None:
        if not restarted and server.next_round == 12 and len(server.arrived) >= 2:
            restarted.append(server.next_round)
            own.stop()
            own.start()

    try:
        clients = run_all(server, own.port, tmp_path, meanwhile)
    finally:
        own.stop()
    assert restarted
    expected = reference(server.plan).digest()
    assert server.replica.digest() == expected
    assert {c.replica.digest() for c in clients.values() if c.replica} == {expected}


ACL = """pattern write zo-test/up/%u
pattern write zo-test/gone/%u
pattern read zo-test/down/%u
pattern read zo-test/all
user server
topic readwrite zo-test/#
"""


def locked(folder: Path, *users: str) -> str:
    """Mosquitto's settings for passwords "of-USER" and topics by user."""
    passwords, acl = folder / "passwords", folder / "acl"
    passwords.touch()
    for user in users:
        subprocess.run(["mosquitto_passwd", "-b", str(passwords), user, f"of-{user}"], check=True)
    acl.write_text(ACL)
    return f"user root\npassword_file {passwords}\nacl_file {acl}\n"


def certified(folder: Path, name: str, address: str) -> tuple[Path, str]:
    """An authority, and Mosquitto's settings for a certificate that it signed."""

    def openssl(command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)

    new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    openssl(f"{new} -subj /CN=authority -keyout {name}-ca.key -out {name}-ca.pem")
    openssl(
        f"{new} -subj /CN={address} -addext subjectAltName=IP:{address} "
        f"-addext basicConstraints=critical,CA:FALSE -CA {name}-ca.pem -CAkey {name}-ca.key "
        f"-keyout {name}.key -out {name}.pem"
    )
    return folder / f"{name}-ca.pem", f"certfile {folder}/{name}.pem\nkeyfile {folder}/{name}.key\n"


@needs("mosquitto", "mosquitto_passwd", "openssl")
def test_a_run_by_tls_and_passwords_is_the_run_in_one_process(tmp_path: Path) -> None:
    users = ["server", *(f"c{slot}" for slot in range(len(SAMPLES)))]
    ca, certificate = certified(tmp_path, "broker", "127.0.0.1")
    stranger, _ = certified(tmp_path, "stranger", "127.0.0.1")
    own = Mosquitto(tmp_path, certificate + locked(tmp_path, *users))
    server = new_server(tmp_path)
    try:
        for trusted, password, why in (
            (stranger, "of-c1", "CERTIFICATE_VERIFY_FAILED"),
            (ca, "wrong", "refuses 'c1'"),
        ):
            other = Security(ca=trusted, username="c1", password=password)
            with pytest.raises(LinkError, match=why):
                client_link(TOPICS, "c1").open("127.0.0.1", own.port, other)
        clients = run_all(
            server,
            own.port,
            tmp_path,
            secured=lambda name: Security(ca=ca, username=name, password=f"of-{name}"),
        )
    finally:
        own.stop()
    expected = reference(server.plan).digest()
    assert server.replica.digest() == expected
    assert {c.replica.digest() for c in clients.values() if c.replica} == {expected}
    assert server.refused == {}


@needs("mosquitto", "mosquitto_passwd")
def test_access_lists_hold_a_client_to_its_own_topics(tmp_path: Path) -> None:
    own = Mosquitto(tmp_path, locked(tmp_path, "server", "c1", "c2"))
    try:
        server = new_server(tmp_path)
        listening = server_link(TOPICS, SERVER)
        secret = Security(username="server", password="of-server")
        listening.open("127.0.0.1", own.port, secret)
        liar = client_link(TOPICS, "c1")
        liar.open("127.0.0.1", own.port, Security(username="c1", password="of-c1"))
        assert [link.next_event(WAIT_S).kind for link in (listening, liar)] == ["connected"] * 2
        liar.send(TOPICS.up("c2"), iter([b"forged"]))
        liar.send(TOPICS.up("c1"), iter([b"own"]))
        event = listening.next_event(WAIT_S)
        assert (event.kind, event.topic) == ("message", TOPICS.up("c1"))
        with pytest.raises(LinkError, match=r"refuses 'c2': Not authorized|refuses 'c2': Bad"):
            client_link(TOPICS, "c2").open(
                "127.0.0.1", own.port, Security(username="c2", password="wrong")
            )
        listening.close()
        liar.close()
        assert server.refused[Reason.MALFORMED] == 0
    finally:
        own.stop()


def test_plain_connections_stay_on_this_machine() -> None:
    with pytest.raises(InsecureError, match=r"to 192.0.2.1 without TLS .* --insecure"):
        server_link(TOPICS, SERVER).open("192.0.2.1", 1883, PLAIN)
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("localhost.example.org")


def test_nobody_at_the_port_is_said_in_one_line() -> None:
    port = free_port()
    with pytest.raises(LinkError, match=f"no broker answers at 127.0.0.1:{port}"):
        client_link(TOPICS, "c1").open("127.0.0.1", port, PLAIN)
