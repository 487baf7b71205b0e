"""The frontier is read from records: who wins follows from them, whichever way it goes."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import sample_records as sample
from tiny_cells import training

import devices
from bench.cases import bench_frontier
from bench.labels import FRONTIER_ALGORITHMS
from bench.records.details.training import ClientCost, CurvePoint, FrontierDetails
from bench.records.frontier import (
    MeanPoint,
    Point,
    best_under,
    byte_steps,
    family_of,
    memory_steps,
    moments,
    moments_of,
    panels_of,
    pareto,
    points_of,
)
from bench.records.record import Metric, Record
from bench.records.record_index import Results
from bench.records.store import read_records
from bench.records.typed_json import to_json
from bench.replication.frontier_runs import Run, cell_run, dataset_in, frontier_cells
from bench.replication.frontier_variants import FRONTIER_VARIANTS, label_of
from bench.replication.run_options import Options
from bench.report.groups.frontier import frontier_sentences, frontier_tables
from bench.report.plots.frontier import budget_plots, spread
from bench.suite.suite import Suite
from bench.sweeps.cell import CellResult, CellStore
from bench.workloads.child import value_of
from bench.workloads.client_costs import Costs, VariantCosts, measure_variants
from zo_core.algorithms import build_algorithm


def moment(accuracy: float, spent: float = 1.0, seconds: float = 1.0) -> MeanPoint:
    return MeanPoint(accuracy=accuracy, bytes_a_client=spent, seconds=seconds, joules=None)


def point(number: str, low_bytes: float, *moments: MeanPoint) -> Point:
    return Point(
        number=number,
        case=f"frontier/10-90/m{number}/plain",
        variant=f"m{number}",
        step_variant="plain",
        family="forwards",
        low_bytes=low_bytes,
        high_bytes=9.0,
        rounds=60,
        seeds=1,
        moments=moments,
    )


POINTS = [
    point("1", 0.0, moment(0.3, 4.0)),
    point("2", 10.0, moment(0.4, 1.0), moment(0.6, 2.0)),
    point("3", 20.0, moment(0.5, 8.0, seconds=0.5)),
    point("4", 30.0, moment(0.9, 6.0, seconds=5.0)),
]


def test_the_best_under_a_cap_is_what_looking_at_all_points_finds() -> None:
    for cap in range(-1, 40):
        fitting = [p for p in POINTS if p.low_bytes <= cap]
        expected = max(fitting, key=lambda p: p.last.accuracy, default=None)
        assert best_under(POINTS, cap) is expected


def test_of_the_same_steps_taken_in_two_ways_the_faster_counts() -> None:
    slow, fast = (
        point("1", 1.0, moment(0.5, seconds=2.0)),
        point("2", 2.0, moment(0.5, seconds=1.0)),
    )
    assert best_under([slow, fast], 1.0) is slow
    assert best_under([slow, fast], 2.0) is fast


def test_steps_rise_where_a_cap_admits_something_better() -> None:
    assert [(cap, p.number) for cap, p in memory_steps(POINTS)] == [
        (0.0, "1"),
        (10.0, "2"),
        (30.0, "4"),
    ]
    found = [(spent, accuracy, p.number) for spent, accuracy, p in byte_steps(POINTS)]
    assert found == [(1.0, 0.4, "2"), (2.0, 0.6, "2"), (6.0, 0.9, "4")]


def test_a_front_leaves_out_what_another_point_is_better_than() -> None:
    assert pareto(POINTS, lambda p: (p.low_bytes,)) == {"1", "2", "4"}
    assert pareto(POINTS, lambda p: (p.last.seconds,)) == {"2", "3", "4"}
    twins = [point("1", 1.0, moment(0.5)), point("2", 1.0, moment(0.5))]
    assert pareto(twins, lambda p: (p.low_bytes,)) == {"1", "2"}


def curve_point(rounds: int, accuracy: float, up: int, down: int) -> CurvePoint:
    return CurvePoint(
        rounds_done=rounds,
        test_accuracy=accuracy,
        high_accuracy=None,
        low_accuracy=None,
        up_payload_bytes=up,
        down_payload_bytes=down,
        elapsed_s=0.0,
    )


def client_cost(phase: int, seconds: float, joules: float | None = None) -> ClientCost:
    return ClientCost(
        phase=phase,
        method="sample",
        group="low",
        backprop=False,
        forwards=True,
        peak_bytes=9,
        by_category={},
        seconds=(seconds,),
        joules=joules,
        joules_reason=None if joules is not None else "no counter",
    )


def test_moments_join_curves_and_costs_by_hand() -> None:
    def seed(shift: float) -> list[CurvePoint]:
        return [curve_point(2, 0.2 + shift, 10, 30), curve_point(5, 0.4 + shift, 20, 60)]

    joined = moments(
        [seed(0.0), seed(0.2)],
        clients=4,
        phase_rounds=[3, 4],
        round_s=[1.0, 10.0],
        round_joules=[2.0, None],
    )
    assert [m.accuracy for m in joined] == pytest.approx([0.3, 0.5])
    assert [m.bytes_a_client for m in joined] == [10.0, 20.0]
    assert [m.seconds for m in joined] == [2.0, 3.0 + 2 * 10.0]
    assert [m.joules for m in joined] == [None, None]


def test_costs_and_accuracy_are_joined_from_two_records() -> None:
    """GIVEN a frontier record without curves of its own."""
    record = frontier_record("zowarmup", "forwards", 1024, 0.7, 3.0)
    costs = replace(record, details={**record.details, "curves": []})
    trained = replace(
        record,
        case="accuracy/zowarmup/10-90",
        group="accuracy",
        details={"seeds": [0], "outcomes": ["finished"], "reasons": [None], "digests": [None]}
        | {"curves": record.details["curves"]},
    )
    joined = moments_of(Results.of([trained, costs]), costs)
    assert joined == moments_of(Results.of([record]), record)
    assert moments_of(Results.of([costs]), costs) == ()
    assert points_of(Results.of([costs]), "10-90") == []


def frontier_record(
    variant: str,
    family: str,
    *figures: float,
    rounds: int = 60,
    step_variant: str = "plain",
    panel: str = "10-90",
    watts: float | None = None,
) -> Record:
    """The figures are low memory, final accuracy and seconds."""
    low, end, seconds = figures
    joules = None if watts is None else watts * seconds / rounds
    half, last = curve_point(rounds // 2, end / 2, 0, 50_000), curve_point(rounds, end, 0, 100_000)
    details = FrontierDetails(
        family=family,
        phase_rounds=(20, rounds - 20),
        costs=tuple(client_cost(phase, seconds / rounds, joules) for phase in (0, 1)),
        curves=((half, last),),
    )
    return sample.record(
        f"frontier/{panel}/{variant}/{step_variant}",
        {
            "split": "10-90",
            "variant": variant,
            "step_variant": step_variant,
            "clients": 1,
            "sources": {},
        },
        {
            "low_memory": Metric.single(low, "byte", "sample"),
            "high_memory": Metric.single(9e5, "byte", "sample"),
        },
        details=to_json(details),
    )


def best_by_memory(*records: Record) -> list[tuple[str, str, str]]:
    """Read the sentence's facts: memory, accuracy, method."""
    (sentence,) = frontier_sentences(Results.of(records))
    words = r"([\d.]+) %(?: from ([\d.]+ \w+))? [^(]*\((.+?), \d+ rounds, n = 1\)"
    return [(memory, share, name) for share, memory, name in re.findall(words, sentence)]


def test_the_best_at_each_budget_is_named_and_fits_it() -> None:
    records = [
        frontier_record("high-res-only", "left out", 0.0, 0.55, 3.0),
        frontier_record("zowarmup", "forwards", 40_960, 0.72, 8.0),
        frontier_record("fedavg", "backprop", 81_920, 0.95, 2.0),
    ]
    assert best_by_memory(*records) == [
        ("", "55.0", "High-Res-Only"),
        ("40 KiB", "72.0", "ZOWarmUp"),
        ("80 KiB", "95.0", "FedAvg"),
    ]


def test_who_is_never_the_best_is_not_named_and_neither_is_a_draw() -> None:
    records = [
        frontier_record("high-res-only", "left out", 0.0, 0.55, 3.0),
        frontier_record("zowarmup", "forwards", 40_960, 0.5, 8.0),
        frontier_record("fedavg", "backprop", 81_920, 0.55, 2.0),
    ]
    assert [method for _, _, method in best_by_memory(*records)] == ["High-Res-Only"]


def test_a_short_run_is_compared_with_nobody() -> None:
    """Ten rounds of FedKSeed beside eighty of ZOWarmUp would read as if it could reach no more."""
    records = [
        frontier_record("zowarmup", "forwards", 40_960, 0.72, 8.0, rounds=80),
        frontier_record("fedkseed", "forwards", 20_480, 0.29, 1.0, rounds=30),
        frontier_record("high-res-only", "left out", 0.0, 0.55, 3.0, rounds=80),
        frontier_record("heterofl", "backprop", 50_000, 0.6, 3.0, rounds=205),
    ]
    results = Results.of(records)
    assert [method for _, _, method in best_by_memory(*records)] == ["High-Res-Only", "ZOWarmUp"]
    compared, targets, short = frontier_tables(results)
    assert [row[1].text for row in compared.rows] == ["High-Res-Only", "ZOWarmUp", "HeteroFL"]
    assert compared.rows[1][1].detail == "80 rounds, n = 1"
    assert [(row[1].text, row[1].detail) for row in short.rows] == [
        ("FedKSeed, from scratch", "30 rounds, n = 1")
    ]
    assert short.folded
    assert "not compared" in short.caption
    assert "(No. 4)" not in {cell.detail for row in targets.rows for cell in row}


def test_a_variant_of_the_steps_is_named_with_its_method() -> None:
    records = [
        frontier_record("heterofl", "backprop", 2048, 0.8, 3.0),
        frontier_record("fedavg", "backprop", 4096, 0.9, 3.0, step_variant="least"),
    ]
    assert [method for _, _, method in best_by_memory(*records)] == [
        "HeteroFL",
        "FedAvg (one item at a time, checkpointed)",
    ]
    assert frontier_sentences(Results.of([])) == []


def test_every_point_of_the_charts_is_a_row() -> None:
    results = Results.of(
        [
            frontier_record("high-res-only", "left out", 0.0, 0.55, 3.0),
            frontier_record("zowarmup", "forwards", 1024, 0.7, 3.0),
            frontier_record("fedavg", "backprop", 2048, 0.9, 3.0),
        ]
    )
    rows = frontier_tables(results)[0].rows
    assert len(rows) == len(results.by_case)
    names = {f"{row[0].text} {row[1].text}" for row in rows}
    for plot in budget_plots(results):
        (axes,) = plot.figure.axes
        assert {text.get_text() for text in axes.texts} == names, plot.name
        markers = [
            line.get_marker()
            for line in axes.lines
            if line.get_marker() not in ("", "None") and line.get_alpha() != 0
        ]
        assert len(set(markers)) == len(markers) == 3  # told apart without colour
    targets = frontier_tables(results)[1].rows
    assert [row[1].text for row in targets[:2]] == ["none", "1 KiB"]
    assert targets[-1][1].detail == "(No. 3)"


@pytest.mark.process
def test_costs_of_a_real_round_tell_the_families_apart() -> None:
    base = {"dataset": "digits", "model": "cnn", "rounds": 4, "pivot": 2, "local_epochs": 1}
    variants = {
        name: {**base, "algorithm": name}
        for name in ("fedavg", "high-res-only", "zowarmup", "zowarmup-elastic")
    }
    run = devices.run_isolated(
        *("bench.workloads.client_costs:measure_variants", variants, 1),
        env={"OMP_NUM_THREADS": "1"},
    )
    assert run.status == "ok", run.error
    measured = value_of(run, dict[str, VariantCosts])
    assert measured is not None
    costs = {
        (variant, name): cost.costs
        for variant, found in measured.items()
        for name, cost in found.by_step_variant.items()
        if isinstance(cost, Costs)
    }
    low = {key: [c for c in found if c.group == "low"] for key, found in costs.items()}
    assert [name for variant, name in costs if variant == "high-res-only"] == ["plain"]
    assert not low["high-res-only", "plain"]
    assert all(c.backprop for (name, _), found in low.items() for c in found if name == "fedavg")
    assert not any(
        c.backprop for (name, _), found in low.items() for c in found if name == "zowarmup"
    )
    assert family_of(costs["zowarmup-elastic", "plain"]) == "both"
    assert family_of(costs["fedavg", "least"]) == "backprop"
    assert family_of(costs["zowarmup", "by-8"]) == "forwards"
    assert family_of(costs["high-res-only", "plain"]) == "left out"
    peaks = {
        name: found[0].peak_bytes for (variant, name), found in low.items() if variant == "fedavg"
    }
    assert peaks["least"] < peaks["accumulated"] < peaks["plain"]
    assert peaks["layerwise"] < peaks["plain"]
    assert measured["zowarmup"].phase_rounds == (2, 2)
    assert measure_variants({}, 1) == {}


def test_points_are_numbered_by_memory() -> None:
    records = [
        frontier_record("fedavg", "backprop", 2048, 0.9, 3.0),
        frontier_record("zowarmup", "forwards", 1024, 0.7, 3.0),
    ]
    failed = replace(records[0], case="frontier/10-90/x", status="timeout", error="slow")
    found = points_of(Results.of([*records, failed]), "10-90")
    assert [(p.number, p.variant) for p in found] == [("1", "zowarmup"), ("2", "fedavg")]


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


def test_ways_of_one_variant_share_its_number_and_its_label() -> None:
    """GIVEN a second step variant of ZOWarmUp that takes more than FedAvg."""
    records = [
        frontier_record("fedavg", "backprop", 2048, 0.9, 3.0),
        frontier_record("zowarmup", "forwards", 4096, 0.7, 3.0),
        frontier_record("zowarmup", "forwards", 1024, 0.7, 5.0, step_variant="by-1"),
    ]
    results = Results.of(records)
    found = points_of(results, "10-90")
    assert [(p.number, p.step_variant) for p in found] == [
        ("1a", "by-1"),
        ("1b", "plain"),
        ("2", "plain"),
    ]
    for plot in budget_plots(results):
        (axes,) = plot.figure.axes
        assert sorted(text.get_text() for text in axes.texts) == ["1 ZOWarmUp", "2 FedAvg"]


def test_another_data_set_is_another_panel() -> None:
    records = [
        frontier_record("zowarmup", "forwards", 1024, 0.7, 3.0),
        frontier_record("zowarmup", "forwards", 1024, 0.4, 3.0, panel="fashion-mnist-10-90"),
    ]
    results = Results.of(records)
    assert panels_of(results) == ["10-90", "fashion-mnist-10-90"]
    assert [p.last.accuracy for p in points_of(results, "fashion-mnist-10-90")] == [0.4]
    assert "Fashion-MNIST, 10/90" in frontier_sentences(results)[1]
    assert [plot.name for plot in budget_plots(results)][2:] == [
        "fits-memory-fashion-mnist-10-90",
        "fits-bytes-fashion-mnist-10-90",
    ]


def test_labels_are_spread_and_keep_their_order() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        heights = sorted(rng.uniform(0, 105, rng.integers(1, 20)))
        found = spread(heights, 5.0, 0.0, 105.0)
        assert all(b - a > 5.0 - 1e-9 for a, b in pairwise(found))
        assert found[0] > -1e-9
        assert found[-1] < 105.0 + 1e-9
    assert spread([20.0, 60.0], 5.0, 0.0, 105.0) == [20.0, 60.0]


# --- trainings of its own ------------------------------------------------------------------------


def test_every_variant_can_be_built_and_has_a_name() -> None:
    keys, algorithms = set(), set()
    for variant in FRONTIER_VARIANTS:
        first, second = frontier_cells(variant, "fashion-mnist", 2)
        build_algorithm(first.config, high=tuple(range(10)))
        assert (first.config.run_seed, second.config.run_seed) == (0, 1)
        assert label_of(variant) != variant
        keys |= {first.key, second.key}
        algorithms.add(first.config.algorithm)
    assert len(keys) == 2 * len(FRONTIER_VARIANTS)
    assert {"dgc", "scaffold", "zerofl"} <= algorithms  # which only the registry names
    assert algorithms >= set(FRONTIER_ALGORITHMS)


def test_the_data_set_is_the_first_whose_folder_is_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="FashionMNIST or cifar-10-batches-py, got neither"):
        dataset_in(str(tmp_path))
    (tmp_path / "cifar-10-batches-py").mkdir()
    assert dataset_in(str(tmp_path)) == "cifar10"
    (tmp_path / "FashionMNIST").mkdir()
    assert dataset_in(str(tmp_path)) == "fashion-mnist"


def test_finished_cells_become_a_run_and_an_unfinished_variant_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.replication.table_run.fill_cells", lambda *_: None)
    options = Options(data_dir=str(tmp_path), seeds=2)
    store, cells = CellStore.below(tmp_path), frontier_cells("zowarmup", "cifar10", 2)
    for cell in cells:
        assert cell_run("zowarmup", "cifar10", options, tmp_path, print) is None
        store.write(
            CellResult(
                key=cell.key,
                config=cell.config.to_json(),
                status="ok",
                training=training(0.5),
                made_by={},
            )
        )
    run = cell_run("zowarmup", "cifar10", options, tmp_path, print)
    assert run is not None
    assert (run.variant, run.panel, len(run.curves)) == ("zowarmup", "cifar10-10-90", 2)
    assert set(run.sources.values()) == {cell.key for cell in cells}


RUN = Run(
    panel="cifar10-10-90",
    split="10-90",
    variant="zowarmup",
    config={"dataset": "cifar10", "model": "cnn"},
    curves=((curve_point(2, 0.5, 1, 2),),),
    sources={"cells/a.json": "a"},
)


def measured(*names: str) -> devices.IsolatedResult:
    """What a variant's measurement ends with; without names, a failure."""
    costs = Costs(costs=(client_cost(0, 1.0),))
    found = VariantCosts(phase_rounds=(2,), by_step_variant=dict.fromkeys(names, costs))
    return devices.IsolatedResult(
        status="ok" if names else "timeout",
        value=to_json({RUN.variant: found}) if names else None,
        error=None if names else "slow",
        phase=None,
        exit_code=0,
        signal_name=None,
        output_tail="",
        seconds=1.0,
        limit_bytes=None,
        limit_method=None,
        limit_peak_bytes=devices.missing("byte", "no limit was set"),
    )


def cases(suite: Suite) -> dict[str, str]:
    return {record.case: record.status for record in read_records(suite.folder)}


def test_a_variant_that_succeeds_takes_its_failure_back(tmp_path: Path) -> None:
    suite = Suite.from_options(scale="smoke", only="memory", out=str(tmp_path))
    bench_frontier._record_variant(suite, RUN, measured())
    assert cases(suite) == {"frontier/cifar10-10-90/zowarmup/plain": "timeout"}
    assert bench_frontier._recorded(suite) == {}
    bench_frontier._record_variant(suite, RUN, measured("plain"))
    assert cases(suite) == {"frontier/cifar10-10-90/zowarmup/plain": "ok"}


def test_a_variant_is_done_when_all_its_ways_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a kill after each of three step variants in turn."""
    suite = Suite.from_options(scale="smoke", only="memory", out=str(tmp_path))
    record = bench_frontier._record
    for kills_after in range(3):
        written: list[object] = []

        def until(*words: object, most: int = kills_after, so_far: list[object] = written) -> None:
            if len(so_far) == most:
                raise KeyboardInterrupt
            so_far.append(record(*words))  # type: ignore[arg-type]

        monkeypatch.setattr(bench_frontier, "_record", until)
        with pytest.raises(KeyboardInterrupt):
            bench_frontier._record_variant(suite, RUN, measured("plain", "least", "by-1"))
        assert bench_frontier._recorded(suite) == {}
    monkeypatch.setattr(bench_frontier, "_record", record)
    bench_frontier._record_variant(suite, RUN, measured("plain", "least", "by-1"))
    assert bench_frontier._recorded(suite) == {("cifar10-10-90", "zowarmup"): RUN.sources}
