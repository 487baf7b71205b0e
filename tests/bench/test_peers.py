"""Other packages' steps next to ours: what is installed runs, what is not is left out."""

from __future__ import annotations

import pytest
from optional import needs

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
