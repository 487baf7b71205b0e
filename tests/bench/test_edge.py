"""The client without torch in the suite: one digest with torch, its cases, its command."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sample_records as sample

import devices
from bench.__main__ import main
from bench.cases.edge_packaging import closure
from bench.records.record import Metric
from bench.records.record_index import Results
from bench.report.groups.edge import edge_tables
from bench.workloads import edge_limit
from bench.workloads.edge import exported


@pytest.mark.slow
def test_low_resource_clients_without_torch_end_with_the_servers_digest() -> None:
    """GIVEN a run whose low-resource clients are on ONNX Runtime WHEN it ends THEN every round's
    result led both back ends to one digest, and the accuracy is the all-torch run's.
    """
    from bench.workloads.edge_training import train_with_edge_clients
    from bench.workloads.steps import train

    config = {
        "algorithm": "zowarmup",
        "dataset": "digits",
        "model": "cnn",
        "clients": 8,
        "high_share": 0.5,
        "rounds": 10,
        "pivot": 6,
        "warmup_cohort": 4,
    }
    mixed, all_torch = train_with_edge_clients(config), train(config)
    assert mixed.rounds_checked == 4
    assert mixed.digest == mixed.edge_digest
    assert mixed.arithmetic.providers == ("CPUExecutionProvider",)
    assert (mixed.arithmetic.scalar_noise.relative_rms or 1.0) < 0.01
    assert mixed.digest != all_torch.digest  # forwards differ in the last bits
    theirs = all_torch.curve[-1].test_accuracy
    assert abs(mixed.test_accuracy - theirs) < 0.03


def test_a_limit_is_searched_between_one_that_fails_and_one_that_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def completes(plan: object, limit_bytes: int) -> Any:
        status = "ok" if limit_bytes >= needed else "does not fit"
        return SimpleNamespace(
            status=status, error="too small", phase="region", limit_method="memory.max"
        )

    monkeypatch.setattr(edge_limit, "completes", completes)
    needed = 100 << 20
    found = edge_limit.smallest_limit({}, 48 << 20, 640 << 20)
    assert found.fails_bytes < needed <= found.completes_bytes
    assert found.completes_bytes - found.fails_bytes <= edge_limit.STEP_BYTES
    needed = 1 << 40
    with pytest.raises(RuntimeError, match="fails under 671088640 bytes as well: too small"):
        edge_limit.smallest_limit({}, 48 << 20, 640 << 20)


def test_export_refuses_what_it_cannot_build_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "--model", "no-such", "--out", str(tmp_path / "out")]) == 2
    assert "unknown model" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_distribution_brings_what_it_requires() -> None:
    found = closure(["rich"])
    assert {"rich", "pygments", "markdown-it-py", "mdurl"} <= found
    assert closure(["no-such-distribution"]) == set()


def test_the_clients_rounds_stand_beside_each_other() -> None:
    records = [
        sample.record(
            f"edge/cnn/{client}/b8",
            {"model": "cnn", "client": client, "images": 8, "micro_batch": 8, "directions": 1},
            {
                "process_peak": Metric.single(peak, "byte", "VmHWM"),
                "peak_above_baseline": Metric.single(peak / 4, "byte", "VmHWM"),
                "round": Metric.single(seconds, "second", "wall"),
            },
        )
        for client, peak, seconds in (("torch", 2**28, 2.0), ("onnx-memory", 2**27, 3.0))
    ]
    records.append(
        sample.record(
            "edge/cnn/precision", {"model": "cnn"}, {"e": Metric.single(0.5, "share", "")}
        )
    )
    rounds, others = edge_tables(Results.of(records))
    cells = [[cell.text for cell in row] for row in rounds.rows]
    assert [row[2] for row in cells] == ["ZO, ONNX Runtime, least memory", "ZO, torch"]
    assert cells[0][3:] == ["128", "32.0", "3.00 s", "1.50x", "1"]
    assert cells[1][-2:] == ["–", "1"]  # what the others are compared with
    assert len(others.rows) == 1


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize(("model", "items"), [("small_resnet", 256), ("cnn", 4096), ("vit", 16)])
def test_a_second_forward_by_onnx_runtime_adds_under_20_mib(model: str, items: int) -> None:
    """A memory pattern would take a block for the whole forward next to the first one's blocks."""
    run = devices.run_isolated("bench_children:peaks_of_forwards", exported(model), items, 3)
    assert run.status == "ok", run.error
    first, second, third = run.value
    assert second - first < 20 << 20
    assert third - second < 1 << 20
