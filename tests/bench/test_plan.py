"""zobench plan: arithmetic on known costs, what is unknown, and its hours against finished runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import main
from bench.plan.bill import Speed, advice, bills
from bench.plan.measuring import RoundCost
from bench.plan.request import VARIANTS, Request, parse_link


def request(**changes: Any) -> Request:
    fields: dict[str, Any] = {
        **{"model": "cnn", "items": 20, "rounds": dict.fromkeys(VARIANTS, 10), "pivot": 4},
        **{"clients": 8, "high": 4, "cohort": 2, "batch": 64, "epochs": 3, "directions": 3},
        **{"micro_batch": None, "link_bits_per_s": 8e6},
    }
    return Request(**{**fields, **changes})


def cost(client_s: float, once_s: float = 0.0, mib: int = 100) -> RoundCost:
    """A client takes client_s, and each round once_s more."""
    return RoundCost(
        alone_s=(once_s + client_s,),
        together_s=(once_s + 3 * client_s,),
        together=3,
        peak_bytes=mib << 20,
        joules=None,
        joules_method="no meter",
        parameters=1000,
        values=1000,
        backprop="plain",
    )


COSTS = {"zowarmup": cost(36.0), "fedavg": cost(72.0, mib=300), "fedavg-low-memory": cost(360.0)}


def test_a_runs_hours_are_the_clients_rounds_times_their_seconds() -> None:
    zo, fedavg, low = bills(request(), COSTS, Speed(factor=1.0))
    # 4 rounds of 2 clients by backprop, 6 rounds of all 8 by forwards
    assert zo.run_device_h.value == pytest.approx((4 * 2 * 72 + 6 * 8 * 36) / 3600)
    assert zo.client_compute_h.value == pytest.approx((4 * 0.5 * 72 + 6 * 36) / 3600)
    assert fedavg.run_device_h.value == pytest.approx(10 * 2 * 72 / 3600)
    assert low.run_device_h.value == pytest.approx(10 * 2 * 360 / 3600)


def test_what_a_round_takes_once_is_counted_once() -> None:
    costs = COSTS | {"fedavg": cost(72.0, once_s=9.0)}
    _, fedavg, _ = bills(request(), costs, Speed(factor=1.0))
    assert fedavg.run_device_h.value == pytest.approx(10 * (2 * 72 + 9) / 3600)


def test_bytes_are_the_paper_s() -> None:
    zo, fedavg, _ = bills(request(), COSTS, Speed(factor=1.0))
    dense, scalars = 2 * 4 * 1000, 4 * 3 + 4 * 3 * 8
    assert fedavg.run_mb.value == pytest.approx(10 * 2 * dense / 1e6)
    assert zo.run_mb.value == pytest.approx((8 * 4000 + 4 * 2 * dense + 6 * 8 * scalars) / 1e6)
    assert fedavg.client_link_h.value == pytest.approx(10 * 0.25 * dense / 1e6 / 3600)


def test_unknown_factors_give_no_figure() -> None:
    found = bills(request(link_bits_per_s=None), COSTS, Speed(factor=None, basis="never timed"))
    for bill in found:
        assert bill.run_h.value is None
        assert bill.run_h.basis == "never timed"
        assert bill.client_link_h.value is None
        assert bill.client_joules.value is None
        assert bill.client_mb.value is not None
    rounds = {"zowarmup": 10, "fedavg": None, "fedavg-low-memory": None}
    _, fedavg, _ = bills(request(rounds=rounds), COSTS, Speed(factor=1.0))
    assert fedavg.run_mb.value is None


def test_a_scaled_device_has_the_range_of_its_ratios() -> None:
    speed = Speed(factor=4.0, low=3.0, high=5.0, basis="scaled")
    here, there = (bills(request(), COSTS, s)[0].run_device_h for s in (Speed(factor=1.0), speed))
    assert (there.low, there.value, there.high) == pytest.approx(
        tuple(n * here.value for n in (3.0, 4.0, 5.0))  # type: ignore[operator]
    )
    assert there.basis == "scaled"


def test_the_advice_is_what_fits_and_then_what_is_fastest() -> None:
    found = bills(request(), COSTS, Speed(factor=1.0))
    assert "Use ZOWarmUp" not in advice(found, 200 << 20, "a board")  # its warm-up needs 300 MiB
    assert "memory-efficient" in advice(found, 200 << 20, "a board")
    assert "None fits" in advice(found, 50 << 20, "a board")


def test_the_advice_writes_a_short_time_in_seconds() -> None:
    costs = {variant: cost(0.1) for variant in COSTS}
    words = advice(bills(request(), costs, Speed(factor=1.0)), None, "a board")
    assert re.search(r"\d s", words)
    assert not re.search(r"\d h", words)


@pytest.mark.parametrize("text", ["10", "10MB", "0Mbit/s", "fast"])
def test_a_link_has_a_unit(text: str) -> None:
    with pytest.raises(ValueError, match=r"--link must be a rate with a unit"):
        parse_link(text)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "give --rounds N, or --to ACCURACY"),
        (["--to", "0.9"], "--to needs --trained DIR"),
        (["--rounds", "5", "--pivot", "6"], "--pivot must be in [0, 5], got 6"),
        (["--rounds", "5", "--split", "1/99"], "high-resource clients, got 0"),
        (["--rounds", "5", "--device", "abacus"], "abacus"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "--model", "cnn", "--items", "20", *words]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


@pytest.mark.process
@pytest.mark.nightly
@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("zowarmup", ["--rounds", "60"]),
        ("fedavg", ["--rounds", "60"]),
        ("zowarmup", ["--rounds", "40", "--split", "50/50", "--pivot", "30"]),
    ],
)
def test_hours_are_within_a_fifth_of_a_finished_run(
    variant: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """GIVEN a quiet machine: 26 items per client are the digits over 50 clients."""
    assert main(["plan", "--model", "cnn", "--items", "26", *words, "--json", "-q"]) == 0
    plan = json.loads(capsys.readouterr().out)
    trained = ["train", "--algorithm", variant, *words, "--out", str(tmp_path), "--json", "-q"]
    assert main(trained) == 0
    record = json.loads(capsys.readouterr().out)
    (bill,) = [each for each in plan["variants"] if each["variant"] == variant]
    seconds = 3600 * bill["run_device_h"]["value"]
    assert seconds == pytest.approx(record["metrics"]["elapsed_s"]["value"], rel=0.2)
