"""The broker inside zobench serve: who reaches it where, and what is told of it."""

from __future__ import annotations

import argparse
import hashlib
import subprocess
from base64 import b64encode
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import ModuleType

import pytest
from optional import needs
from rich.console import Console
from waiting import WAIT_S, free_port

from bench.__main__ import build_parser, main
from bench.cli import serve, train
from bench.cli.embedded import outer_address, own_address, start_embedded
from bench.cli.link_options import port_of, topics_of
from bench.cli.parser import CommandParser
from bench.cli.round_table import RoundTable
from zo_core.algorithms import train_config
from zo_core.algorithms.configs import option_groups
from zo_core.config import TrainConfig
from zo_core.data import load_dataset
from zo_core.federation.mqtt.loops import server_link
from zo_core.options import declared

TLS = ("--ca", "ca.pem", "--certificate", "broker.pem", "--key", "broker.key")
RECIPE = """
NEW="openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
$NEW -subj /CN=authority -keyout ca.key -out ca.pem
$NEW -subj /CN=broker -addext subjectAltName=IP:{address} \
    -addext basicConstraints=critical,CA:FALSE -CA ca.pem -CAkey ca.key \
    -keyout broker.key -out broker.pem
"""  # as docs/federation.md has it


def parsed(*words: str) -> argparse.Namespace:
    parser = build_parser("serve")
    return parser.parse_args(["serve", *words])


def network_address() -> str:
    address = outer_address("0.0.0.0")
    if address == own_address("0.0.0.0") or not address[0].isdigit():
        pytest.skip("this machine has no address on a network")
    return address


def connect_to_itself(*words: str) -> None:
    """Start the broker and connect to it as its own server does."""
    arguments = parsed(*words)
    topics = topics_of(arguments)
    with ExitStack() as stack:
        security = start_embedded(arguments, topics, "server-secret", stack)
        link = server_link(topics, "server-secret")
        stack.callback(link.close)
        link.open(own_address(arguments.listen), port_of(arguments), security)


@pytest.mark.network
@needs("openssl")
@pytest.mark.parametrize("words", [("--insecure",), TLS], ids=["plain", "tls"])
def test_a_server_reaches_its_own_broker_at_an_address_of_the_network(
    words: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a certificate that names this address alone, where there is one."""
    address = network_address()
    monkeypatch.chdir(tmp_path)
    if words is TLS:
        try:
            subprocess.run(RECIPE.format(address=address), shell=True, check=True, timeout=WAIT_S)
        except subprocess.CalledProcessError:
            pytest.skip("no OpenSSL 3 here")
    connect_to_itself("--listen", address, "--port", str(free_port()), *words)


@pytest.mark.network
def test_a_server_reaches_its_own_broker_that_listens_everywhere() -> None:
    connect_to_itself("--listen", "0.0.0.0", "--port", str(free_port()), "--insecure")


@pytest.mark.network
def test_a_server_reaches_its_own_broker_by_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    salt, rounds = b"salt of 12 b", 101  # as mosquitto_passwd writes it
    digest = hashlib.pbkdf2_hmac("sha512", b"secret", salt, rounds)
    entry = "$".join(("", "7", str(rounds), *(b64encode(x).decode() for x in (salt, digest))))
    (tmp_path / "users").write_text(f"me:{entry}\n")
    monkeypatch.setenv("ZOBENCH_MQTT_PASSWORD", "secret")
    words = ("--passwords", str(tmp_path / "users"), "--username", "me")
    connect_to_itself("--port", str(free_port()), *words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--passwords", "users"], "--passwords and --username together"),
        (["--certificate", "a.pem", "--key", "a.key"], "got only --certificate and --key"),
        (["--ca", "ca.pem"], "got only --ca; give all three"),
        (["--listen", "192.0.2.1"], "without TLS"),
        (["--threads", "0"], "--threads must be in [1, 2^31), got 0"),
    ],
)
def test_a_broker_that_its_server_would_miss_is_a_mistake(
    words: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--dir", str(tmp_path / "run"), *words]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.network
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "zobench join HOST --port 1883 --insecure"),
        (("--ca", "ca.pem"), "zobench join HOST --port 8883 --ca ca.pem"),
    ],
)
def test_what_is_told_to_clients_is_a_command_that_works_elsewhere(
    words: Sequence[str], expected: str
) -> None:
    assert serve._join_words(parsed(*words), "HOST", train_config()) == expected
    assert outer_address("192.168.1.5") == own_address("192.168.1.5") == "192.168.1.5"
    assert network_address() not in ("0.0.0.0", "127.0.0.1")


def test_the_data_are_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    monkeypatch.setattr(
        "zo_core.data.load_dataset", lambda *a, **k: loaded.append(a) or load_dataset(*a, **k)
    )
    arguments = parsed("--dir", str(tmp_path), "--clients", "2", "--split", "50/50")
    with closing(serve._store(tmp_path)) as store, RoundTable(Console(quiet=True)) as table:
        serve._server(arguments, serve._rules(arguments), store, table)
    assert len(loaded) == 1


@pytest.mark.parametrize("content", ["", "\nsecret\n"])
@pytest.mark.parametrize("command", ["serve --broker 127.0.0.1", "join"])
def test_a_password_file_without_a_password_is_a_mistake(
    command: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret").write_text(content)
    words = [*command.split(), "--username", "me"]
    assert main([*words, "--password-file", str(tmp_path / "secret")]) == 2
    error = capsys.readouterr().err
    assert "--password-file must contain the password in its first line" in error
    assert str(tmp_path / "secret") in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--threads", "0"], "--threads must be in [1, 2^31), got 0"),
    ],
)
def test_a_client_told_nonsense_is_a_mistake(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["join", "--backend", "torch", *words]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


def options_of(command: ModuleType) -> dict[str, argparse.Action]:
    commands = CommandParser().add_subparsers()
    command.register(commands)
    (parser,) = commands.choices.values()
    return {action.dest: action for action in parser._actions}


@pytest.mark.parametrize("command", [serve, train])
def test_help_tells_the_default_that_the_command_uses(command: ModuleType) -> None:
    options = options_of(command)
    method = [field for group in option_groups() for field in group.options]
    for field in [*declared(TrainConfig), *method]:
        option = options[field.name]
        told = str(option.help).rpartition("default: ")[2]
        assert told != "None", field.name
        if option.default is not None:
            written = {True: "on", False: "off"}.get(option.default, str(option.default))
            assert told == written, field.name


def test_defaults_that_serve_works_out_are_as_its_help_says() -> None:
    options = options_of(serve)
    assert "random" in str(options["run_seed"].help)
    assert "10, or all clients if there are fewer" in str(options["warmup_cohort"].help)
    plans = [serve._plan(parsed("--clients", n, "--split", "50/50"), None)[0] for n in ("4", "20")]
    assert [plan.config.warmup_cohort for plan in plans] == [4, 10]
    assert [plan.config.zo_cohort for plan in plans] == [None, None]  # all clients
    assert plans[0].config.run_seed != plans[1].config.run_seed
    assert parsed().clients == 8
    with pytest.raises(ValueError, match="warmup_cohort must be >= 1, got 0"):
        serve._plan(parsed("--warmup-cohort", "0"), None)
