"""Whole runs keep their bits: every message and the final state, as committed before."""

from __future__ import annotations

import pytest
from golden_rounds import METHODS, SEEDS, digest_after

GOLDEN = {
    "mezo": (
        "9eb1e5b99a35faaa14e8d8128d23c6b0",
        "28ef48c587e8cce2340c968d466a6bb1",
        "30363e7b1140f7ac938948198a13ac32",
    ),
    "zowarmup-fedadam": (
        "f678653e81165b97dd8415b91ab12469",
        "4874eeb37ab6476970e226a09b00c180",
        "154055cad47e5f36d6578e54a180f69d",
    ),
    "fedkseed": (
        "a93b3a43ed07b6004952e0a161779456",
        "2799fe1577e59467099e8478d2a034f1",
        "e4e248585eaab57f5b1b65af4f503378",
    ),
}


@pytest.mark.parametrize("algorithm", METHODS)
def test_results_snapshot_and_digest_are_the_golden_bits(algorithm: str) -> None:
    found = tuple(digest_after(algorithm, run_seed) for run_seed in SEEDS)
    assert found == GOLDEN[algorithm]
