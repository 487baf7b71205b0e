"""The frontier is read from records: who wins follows from them, whichever way it goes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sample_records as sample

import devices
from bench.client_costs import measure_variants
from bench.frontier import (
    Moment,
    Point,
    best_under,
    byte_steps,
    memory_steps,
    moments,
    pareto,
    points_of,
)
from bench.frontier_plots import cap_plots
from bench.frontier_statements import frontier_sentences
from bench.frontier_tables import frontier_tables
from bench.record import Record, single
from bench.results import Results


def moment(accuracy: float, spent: float = 1.0, seconds: float = 1.0) -> Moment:
    return Moment(accuracy=accuracy, bytes_a_client=spent, seconds=seconds, joules=None)


def point(number: int, low_bytes: float, *moments: Moment) -> Point:
    return Point(
        number=number,
        case=f"frontier/10-90/m{number}/plain",
        variant=f"m{number}",
        way="plain",
        family="forwards",
        low_bytes=low_bytes,
        high_bytes=9.0,
        rounds=60,
        moments=moments,
    )


POINTS = [
    point(1, 0.0, moment(0.3, 4.0)),
    point(2, 10.0, moment(0.4, 1.0), moment(0.6, 2.0)),
    point(3, 20.0, moment(0.5, 8.0, seconds=0.5)),
    point(4, 30.0, moment(0.9, 6.0, seconds=5.0)),
]


def test_the_best_under_a_cap_is_what_looking_at_all_points_finds() -> None:
    for cap in range(-1, 40):
        fitting = [p for p in POINTS if p.low_bytes <= cap]
        expected = max(fitting, key=lambda p: p.last.accuracy, default=None)
        assert best_under(POINTS, cap) is expected


def test_of_the_same_steps_taken_in_two_ways_the_faster_counts() -> None:
    slow, fast = point(1, 1.0, moment(0.5, seconds=2.0)), point(2, 2.0, moment(0.5, seconds=1.0))
    assert best_under([slow, fast], 1.0) is slow
    assert best_under([slow, fast], 2.0) is fast


def test_steps_rise_where_a_cap_admits_something_better() -> None:
    assert [(cap, p.number) for cap, p in memory_steps(POINTS)] == [(0.0, 1), (10.0, 2), (30.0, 4)]
    found = [(spent, accuracy, p.number) for spent, accuracy, p in byte_steps(POINTS)]
    assert found == [(1.0, 0.4, 2), (2.0, 0.6, 2), (6.0, 0.9, 4)]


def test_a_front_leaves_out_what_another_point_is_better_than() -> None:
    assert pareto(POINTS, lambda p: (p.low_bytes,)) == {1, 2, 4}
    assert pareto(POINTS, lambda p: (p.last.seconds,)) == {2, 3, 4}
    twins = [point(1, 1.0, moment(0.5)), point(2, 1.0, moment(0.5))]
    assert pareto(twins, lambda p: (p.low_bytes,)) == {1, 2}


def test_moments_join_curves_and_costs_by_hand() -> None:
    def seed(shift: float) -> list[dict[str, float]]:
        return [
            {"rounds_done": 2, "test_accuracy": 0.2 + shift}
            | {"up_payload_bytes": 10, "down_payload_bytes": 30},
            {"rounds_done": 5, "test_accuracy": 0.4 + shift}
            | {"up_payload_bytes": 20, "down_payload_bytes": 60},
        ]

    joined = moments(
        [seed(0.0), seed(0.2)],
        clients=4,
        phase_rounds=[3, 4],
        round_s=[1.0, 10.0],
        round_joules=[2.0, None],
    )
    assert [m["accuracy"] for m in joined] == pytest.approx([0.3, 0.5])
    assert [m["bytes_a_client"] for m in joined] == [10.0, 20.0]
    assert [m["seconds"] for m in joined] == [2.0, 3.0 + 2 * 10.0]
    assert [m["joules"] for m in joined] == [None, None]


def frontier_record(
    variant: str, family: str, *figures: float, rounds: int = 60, watts: float | None = None
) -> Record:
    """The figures are low memory, final accuracy and seconds."""
    low, end, seconds = figures
    joules = None if watts is None else watts * seconds
    half = {"accuracy": end / 2, "bytes_a_client": 5e4, "seconds": seconds / 2, "joules": None}
    last = {"accuracy": end, "bytes_a_client": 1e5, "seconds": seconds, "joules": joules}
    return sample.record(
        f"frontier/10-90/{variant}/plain",
        {"split": "10-90", "variant": variant, "way": "plain", "sources": {}},
        {"low_memory": single(low, "byte", "sample"), "high_memory": single(9e5, "byte", "sample")},
        details={"family": family, "moments": [half, last], "phase_rounds": [20, rounds - 20]},
    )


def say(zo: tuple[float, float, float], backprop: tuple[float, float, float]) -> str:
    """Each: low memory, accuracy, seconds."""
    records = [
        frontier_record("high-res-only", "left out", 0.0, 0.55, 3.0),
        frontier_record("zowarmup", "forwards", *zo),
        frontier_record("fedavg", "backprop", *backprop),
    ]
    (sentence,) = frontier_sentences(Results.of(records))
    return sentence


def test_zo_is_the_only_way_where_it_alone_fits() -> None:
    said = say((40_960, 0.72, 8.0), (81_920, 0.95, 2.0))
    assert "with 40 KiB or more, but less than 80 KiB, a low-resource client" in said
    assert "by ZO alone" in said
    assert (
        "below that without low-resource clients (High-Res-Only, 55.0 %),"
        " from 40 KiB on by ZO (ZOWarmUp, 72.0 %),"
        " from 80 KiB on by backprop (FedAvg, 95.0 %)." in said
    )
    assert "To 70.0 % the rounds take a client 2.00 s by backprop" in said
    assert "8.00 s by ZO (4.00 times as long) within 80 KiB" in said


def test_and_is_not_where_frugal_backprop_takes_less() -> None:
    said = say((81_920, 0.95, 2.0), (40_960, 0.72, 8.0))
    assert "there is no memory at which ZO is the only way" in said
    assert "backprop at its most frugal peaks at 40 KiB, ZO at 80 KiB" in said
    assert "from 40 KiB on by backprop" in said
    assert "from 80 KiB on by ZO (ZOWarmUp, 95.0 %)" in said
    assert "2.00 s by ZO and 8.00 s by backprop (4.00 times as long)" in said


def test_who_is_never_the_best_is_not_named_and_neither_is_a_draw() -> None:
    said = say((40_960, 0.5, 8.0), (81_920, 0.4, 2.0))
    assert "The best accuracy is had below that without low-resource clients" in said
    assert "on by ZO" not in said
    assert "on by backprop" not in said
    assert "from 2 KiB on by backprop" not in say((1024, 0.8, 1.0), (2048, 0.8, 1.0))


def test_a_target_that_one_reaches_names_it() -> None:
    assert "Only backprop reaches 50.0 %" in say((1024, 0.3, 1.0), (2048, 0.8, 1.0))
    assert "Only ZO reaches 50.0 %" in say((1024, 0.8, 1.0), (2048, 0.3, 1.0))
    assert "Neither reaches 50.0 %" in say((1024, 0.3, 1.0), (2048, 0.3, 1.0))


def test_runs_of_unequal_length_say_how_long_they_were() -> None:
    records = [
        frontier_record("zowarmup", "forwards", 1024, 0.7, 1.0, rounds=160),
        frontier_record("fedavg", "backprop", 2048, 0.9, 1.0, rounds=40),
    ]
    (said,) = frontier_sentences(Results.of(records))
    assert "(ZOWarmUp, 70.0 % after 160 rounds)" in said
    assert "(FedAvg, 90.0 % after 40 rounds)" in said


def test_without_a_family_there_is_nothing_to_compare() -> None:
    records = [frontier_record("zowarmup", "forwards", 1024, 0.8, 1.0)]
    (said,) = frontier_sentences(Results.of(records))
    assert "low-resource clients take part by backprop was run" in said
    assert frontier_sentences(Results.of([])) == []


def test_every_point_of_the_charts_is_a_row_that_names_its_record() -> None:
    results = Results.of(
        [
            frontier_record("high-res-only", "left out", 0.0, 0.55, 3.0),
            frontier_record("zowarmup", "forwards", 1024, 0.7, 3.0),
            frontier_record("fedavg", "backprop", 2048, 0.9, 3.0),
        ]
    )
    rows = frontier_tables(results)[0].rows
    assert {row[-1].text for row in rows} == set(results.by_case)
    for plot in cap_plots(results):
        (axes,) = plot.figure.axes
        assert {text.get_text() for text in axes.texts} == {row[0].text for row in rows}, plot.name
        markers = [
            line.get_marker() for line in axes.lines if line.get_marker() not in ("", "None")
        ]
        assert len(set(markers)) == len(markers) == 3  # told apart without colour
    targets = frontier_tables(results)[1].rows
    assert [row[1].text for row in targets[:2]] == ["none", "1 KiB"]
    assert targets[-1][1].detail == "(No. 3)"


def test_costs_of_a_real_round_tell_the_families_apart() -> None:
    base = {"dataset": "digits", "model": "cnn", "rounds": 4, "pivot": 2, "local_epochs": 1}
    variants = {
        name: {**base, "algorithm": name} for name in ("fedavg", "high-res-only", "zowarmup")
    }
    run = devices.run_isolated(
        *("bench.client_costs:measure_variants", variants, 1), env={"OMP_NUM_THREADS": "1"}
    )
    assert run.status == "ok", run.error
    low = {
        name: {
            way: [c for c in cost["costs"] if c["group"] == "low"]
            for way, cost in found["ways"].items()
        }
        for name, found in run.value.items()
    }
    assert low["high-res-only"] == {"plain": []}
    assert all(c["backprop"] for costs in low["fedavg"].values() for c in costs)
    assert not any(c["backprop"] for costs in low["zowarmup"].values() for c in costs)
    peaks = {way: costs[0]["peak_bytes"] for way, costs in low["fedavg"].items()}
    assert peaks["least"] < peaks["accumulated"] < peaks["plain"]
    assert peaks["layerwise"] < peaks["plain"]
    assert run.value["zowarmup"]["phase_rounds"] == [2, 2]
    assert measure_variants({}, 1) == {}


def test_points_are_numbered_by_memory() -> None:
    records = [
        frontier_record("fedavg", "backprop", 2048, 0.9, 3.0),
        frontier_record("zowarmup", "forwards", 1024, 0.7, 3.0),
    ]
    failed = replace(records[0], case="frontier/10-90/x", status="timeout", error="slow")
    found = points_of(Results.of([*records, failed]), "10-90")
    assert [(p.number, p.variant) for p in found] == [(1, "zowarmup"), (2, "fedavg")]


def test_joules_stand_beside_the_other_costs_where_a_counter_told_them() -> None:
    told = frontier_record("zowarmup", "forwards", 1024, 0.8, 3.0, watts=5.0)
    untold = frontier_record("fedavg", "backprop", 2048, 0.9, 3.0)
    points, targets = frontier_tables(Results.of([told, untold]))
    column = points.columns.index("Joules")
    assert [row[column].text for row in points.rows] == ["15.0", "–"]
    assert targets.columns[-1] == "Joules"
    assert targets.rows[0][-1].text == "15.0"
    assert targets.rows[0][-1].detail == "(No. 1)"
    for table in frontier_tables(Results.of([untold])):
        assert "Joules" not in table.columns
        assert {len(row) for row in table.rows} == {len(table.columns)}
