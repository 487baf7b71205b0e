"""Other packages' steps next to ours: what is installed runs, what is not is left out."""

from __future__ import annotations

import math

import pytest
from optional import needs

from bench.cases.bench_engine import _words
from bench.cases.peer_metrics import missing_peers
from bench.records.record import Metric
from bench.workloads import peers


def test_a_package_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda _: None)
    assert peers.installed_peers() == ["zo", "backprop", "backprop-foreach"]


def test_ours_and_backprop_take_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda _: None)
    times = peers.time_peers("cnn", 2, 1, math.inf)
    assert not times.failed
    assert {name: len(turns) for name, turns in times.seconds.items()} == dict.fromkeys(
        ("zo", "backprop", "backprop-foreach"), 1
    )


def test_a_package_that_cannot_be_imported_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(package: str) -> None:
        raise ImportError(f"cannot import name 'Trainer', wanted by {package}")

    monkeypatch.setattr(peers, "find_spec", lambda package: package == "mezo")
    monkeypatch.setattr(peers, "import_module", import_module)
    times = peers.time_peers("cnn", 2, 1, math.inf)
    assert set(times.seconds) == {"zo", "backprop", "backprop-foreach"}
    metrics = missing_peers(times)
    assert "wanted by mezo" in str(metrics["mezo / zo"].reason)
    assert "is not installed" in str(metrics["torcheggroll / zo"].reason)


@needs("mezo", "eggroll", "torcheggroll")
@pytest.mark.parametrize("name", peers.PACKAGES)
def test_each_package_takes_a_step(name: str) -> None:
    peers._step(name, "cnn", 2)()


def test_a_package_that_is_missing_has_no_figure_in_the_terminal_line() -> None:
    metrics = {"mezo / ours": Metric.unmeasured("ratio", "not installed")}
    metrics["sgd / ours"] = Metric.median([1.5, 1.5, 1.5], "ratio", "by hand")
    assert _words(metrics) == "sgd / ours 1.50"
