from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from optional import needs
from tiny_cells import InstantEngine, task, tiny_cell

from bench.sweeps.cell import CellResult, CellStore
from bench.sweeps.engines import (
    LocalEngine,
    SweepRunner,
    open_engine,
    run_tasks,
)
from bench.sweeps.task import Task, TaskContext, execute

CELLS = (tiny_cell(0), tiny_cell(1, algorithm="high-res-only"))


def test_every_task_is_run_and_no_more_at_a_time_than_there_are_slots() -> None:
    engine, cells = InstantEngine(), [tiny_cell(seed) for seed in range(7)]
    found = [r.key for r in run_tasks(engine, [task(cell) for cell in cells])]
    assert sorted(found) == sorted(cell.key for cell in cells)
    assert engine.most == 2


def test_after_the_deadline_what_runs_ends_and_nothing_begins() -> None:
    ended: list[CellResult] = []
    tasks = [task(tiny_cell(seed)) for seed in range(9)]
    for found in run_tasks(InstantEngine(), tasks, stop=lambda: len(ended) >= 3):
        ended.append(found)
    assert len(ended) == 4  # three, and the one beside the third


def test_each_result_is_on_disk_before_it_is_given(tmp_path: Path) -> None:
    store = CellStore.below(tmp_path)
    workplace = SweepRunner(
        engine=InstantEngine(), store=store, around=TaskContext(), stop=lambda: False
    )
    for found in workplace.run([[tiny_cell(0)], [tiny_cell(1)]]):
        assert (store.folder / f"{found.key}.json").exists()
    assert store.missing([tiny_cell(0), tiny_cell(1)]) == []


@pytest.fixture(scope="module")
def local_results() -> Iterator[list[CellResult]]:
    engine = LocalEngine(2)
    yield list(run_tasks(engine, [task(cell) for cell in (*CELLS, broken_cell())]))
    engine.close()


def broken_cell() -> object:
    return tiny_cell(2, model="nonsense")


@pytest.mark.slow
@pytest.mark.process
def test_a_cell_trains_and_leaves_what_a_table_needs(local_results: list[CellResult]) -> None:
    found = by_key(local_results)[CELLS[0].key]
    assert found.status == "ok", found.error
    assert found.training is not None
    assert [point.rounds_done for point in found.training.curve] == [1, 2]
    peaks = found.training.client_peak_bytes or {}
    assert 0 < (peaks["low"] or 0) < (peaks["high"] or 0)  # forwards alone against backprop
    assert len(found.training.handover_blake2b or "") == 32
    assert found.config == CELLS[0].config.to_json()


def test_a_client_of_high_res_only_asks_nothing_of_low_resource_clients(
    local_results: list[CellResult],
) -> None:
    found = by_key(local_results)[CELLS[1].key]
    assert found.training is not None
    assert (found.training.client_peak_bytes or {})["low"] is None


def test_a_cell_that_fails_says_why_and_the_others_go_on(local_results: list[CellResult]) -> None:
    statuses = sorted(r.status for r in local_results)
    assert statuses == ["error", "ok", "ok"]
    (failed,) = (r for r in local_results if r.status == "error")
    assert failed.error is not None
    assert "nonsense" in failed.error
    assert failed.training is None


@needs("ray")
@pytest.mark.skipif(
    "ZOBENCH_TEST_RAY" not in os.environ,
    reason="a cluster's start takes a minute: set ZOBENCH_TEST_RAY, as .ci/run does",
)
def test_a_ray_cluster_of_two_nodes_gives_the_local_engines_numbers(
    local_results: list[CellResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 by default, which starves on a busy machine
    from ray.cluster_utils import Cluster

    from bench.sweeps.ray_engine import RayEngine

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    cluster.add_node(num_cpus=1)
    try:
        cluster.wait_for_nodes()
        engine = RayEngine(cluster.address, workers=None, device="cpu")
        assert engine.slots == 2  # one on each node
        tasks = [task(cell) for cell in (*CELLS, broken_cell())]
        remote = list(run_tasks(engine, tasks))
        engine.close()
    finally:
        cluster.shutdown()
    ours, theirs = by_key(local_results), by_key(remote)
    assert ours.keys() == theirs.keys()
    for key, found in theirs.items():
        assert found.status == ours[key].status
        assert numbers(found) == numbers(ours[key])


@pytest.mark.process
def test_one_process_can_train_several_cells_to_the_same_numbers(
    local_results: list[CellResult],
) -> None:
    for found in execute(Task(cells=CELLS, surroundings=TaskContext())):
        assert numbers(found) == numbers(by_key(local_results)[found.key])


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("slurm", {}, "engine must be one of local, ray"),
        ("local", {"workers": 0}, "workers must be >= 1"),
        ("local", {"address": "here:1"}, "--engine ray"),
    ],
)
def test_a_users_mistake_is_told(name: str, options: dict[str, object], expected: str) -> None:
    chosen: dict[str, object] = {"workers": None, "address": None, "device": "cpu", **options}
    with pytest.raises(ValueError, match=expected):
        open_engine(name, **chosen)  # type: ignore[arg-type]


def by_key(results: list[CellResult]) -> dict[str, CellResult]:
    return {found.key: found for found in results}


def numbers(found: CellResult) -> object:
    """All that a run gives, its times aside."""
    if found.training is None:
        return None
    curve = tuple(replace(point, elapsed_s=0.0) for point in found.training.curve)
    return replace(found.training, seconds_by_method={}, curve=curve)
