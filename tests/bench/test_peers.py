"""Other packages' steps next to ours: what is installed runs, what is not is left out."""

from __future__ import annotations

import pytest
from optional import needs

from bench.cases.bench_engine import _words
from bench.records.record import Metric
from bench.workloads import peers


def test_a_package_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda _: None)
    assert peers.installed_peers() == ["zo", "backprop", "backprop-foreach"]


def test_ours_and_backprop_take_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda _: None)
    seconds = peers.time_peers("cnn", 2, 1)
    assert {name: len(turns) for name, turns in seconds.items()} == dict.fromkeys(
        ("zo", "backprop", "backprop-foreach"), 1
    )


@needs("mezo", "eggroll", "torcheggroll")
@pytest.mark.parametrize("name", peers.PACKAGES)
def test_each_package_takes_a_step(name: str) -> None:
    peers._step(name, "cnn", 2)()


def test_a_package_that_is_missing_has_no_figure_in_the_terminal_line() -> None:
    metrics = {"mezo / ours": Metric.unmeasured("ratio", "not installed")}
    metrics["sgd / ours"] = Metric.median([1.5, 1.5, 1.5], "ratio", "by hand")
    assert _words(metrics) == "sgd / ours 1.50"
