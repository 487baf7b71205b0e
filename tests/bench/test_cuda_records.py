"""Records of steps on a GPU: the device's memory is what is said, tabulated and gated."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sample_records as sample
from rich.console import Console

import devices
from bench.cases.bench_memory import _headline as progress_line
from bench.cases.bench_memory import _metrics
from bench.records.gates import Gate, gate_of
from bench.records.record import Metric, Record
from bench.records.record_index import Results
from bench.records.step_memory import ALLOCATOR, DEVICE, HOST, memory_of, step_memory
from bench.report.costs import memory_figure, pairs, scaled
from bench.report.groups.fit import board_tables
from bench.report.groups.formulas import table1_rows
from bench.report.groups.memory import low_memory_tables, memory_tables
from bench.report.machines import Machine, figure_tables
from bench.report.measured_on import heading_remark
from bench.report.page import write_report
from bench.report.plots.fit import fit_charts
from bench.report.plots.memory import memory_plots
from bench.report.reproduce import command_lines
from bench.report.results_page import results_page
from bench.report.sections import SECTIONS
from bench.report.step_terms import device_tables
from bench.report.table import Table
from bench.report.terminal import summary_table
from bench.report.tiles import answer_tiles
from bench.workloads.steps import MeasuredStep
from devices.cuda import measure_device

GPU = {"name": "Sample GPU 80", "memory_bytes": 80 << 30, "is_integrated": False, "driver": "1"}
NVML = "NVML, this process"


def on_a_gpu(
    *, told: bool = True, gpu: dict[str, Any] | None = GPU, factor: float = 0.5
) -> list[Record]:
    """Turn the sample's figures into the device's, beside others of the host that say the opposite.

    Args:
        told: whether the driver tells what the process takes.
        gpu: the profile's accelerator.
        factor: multiplies what ZO needs; on the host it needs twice what FedAvg does.
    """
    records = []
    for record in sample.memory_records(factor=factor):
        above, peak = (record.metrics[name] for name in ("peak_above_baseline", "peak"))
        host = Metric.single(200e6 if record.config["method"] == "zo" else 100e6, "byte", "VmHWM")
        metrics = {
            "peak_above_baseline": host,
            "peak": host,
            "device_allocated": scaled(above, 1.5),
            "device_baseline": scaled(above, 0.5),
            "device_context": Metric.single(440 << 20, "byte", NVML),
            "device_allocated_above_baseline": above,
            "device_reserved": peak,
            "device_process": peak if told else Metric.unmeasured("byte", "in a container"),
        }
        origin = replace(record.provenance, device={**record.provenance.device, "accelerator": gpu})
        config = {**record.config, "device": "cuda"}
        records.append(replace(record, config=config, metrics=metrics, provenance=origin))
    return records


RESULTS = Results.of(on_a_gpu())
ABOVE = {m: RESULTS.value(f"memory/resnet18/{m}/b64", DEVICE.above) for m in ("zo", "fedavg")}


def cells(table: Table, row: int = 0) -> list[str]:
    return [cell.text for cell in table.rows[row]]


def test_the_kind_of_memory_is_the_devices_where_the_steps_ran_there() -> None:
    assert step_memory(RESULTS) is DEVICE
    assert step_memory(Results.of(on_a_gpu(told=False))) is ALLOCATOR
    assert step_memory(Results.of(sample.memory_records())) is HOST
    assert memory_of("cuda", {}) is DEVICE  # a failed record


def answer(results: Results) -> str:
    """The words of a page's first tile."""
    tile = answer_tiles(results)[0]
    values = (bar.text for match in tile.matches for bar in match.chart.bars)
    return " ".join((tile.what, tile.note, *(m.result for m in tile.matches), *values))


def test_the_answer_compares_the_devices_memory_and_names_it() -> None:
    pair = pairs(RESULTS, memory_figure(RESULTS))[0]
    assert (pair.zo, pair.backprop) == (ABOVE["zo"], ABOVE["fedavg"])
    assert "allocated device memory" in answer(RESULTS).lower()
    assert pair.comparison.endswith("lower")  # the host's figures would say higher
    assert pair.comparison in answer(RESULTS)


def test_a_process_on_a_gpu_is_compared_with_the_gpus_memory_not_a_boards() -> None:
    for fact in ("283 MiB", "Device memory of the whole process"):
        assert fact in answer(RESULTS)
    control = fit_charts(RESULTS)[0].control
    assert control is not None
    assert (control.limit_bytes, control.reserve_bytes, control.owner) == (80 << 30, 0, "GPU")
    table = board_tables(RESULTS)[0]
    assert table.columns[-1] == "Sample GPU 80"
    assert all(row[-1].text == "fits" for row in table.rows)


@pytest.mark.parametrize("gpu", [None, {**GPU, "memory_bytes": None}])
def test_the_gpus_memory_is_known_from_the_step_where_the_profile_lacks_it(
    gpu: dict[str, Any] | None,
) -> None:
    total = {"device_total": Metric.single(80 << 30, "byte", "mem_get_info")}
    records = [replace(r, metrics={**r.metrics, **total}) for r in on_a_gpu(gpu=gpu)]
    results = Results.of(records)
    assert board_tables(results)
    control = fit_charts(results)[0].control
    assert control is not None
    assert control.limit_bytes == 80 << 30


@pytest.mark.parametrize("gpu", [None, {**GPU, "memory_bytes": None}])
def test_where_the_gpus_memory_is_not_known_no_fit_is_claimed(gpu: dict[str, Any] | None) -> None:
    results = Results.of(on_a_gpu(gpu=gpu))
    assert not board_tables(results)
    assert not fit_charts(results)
    assert "283 MiB" in answer(results)


def test_where_the_driver_tells_no_process_the_allocators_peak_is_named_as_that() -> None:
    said = answer(Results.of(on_a_gpu(told=False)))
    assert "Device memory that torch’s allocator held" in said
    assert "283 MiB" in said
    assert "whole process" not in said


def test_tables_show_the_device_and_fold_the_host() -> None:
    first, whole, *folded = [t for t in memory_tables(RESULTS) if "by term" not in t.caption]
    assert first.caption.startswith("Peak allocated device memory above the baseline")
    assert whole.caption.startswith("Device memory of the whole process")
    assert not first.folded
    assert [table.folded for table in folded] == [True]
    assert cells(first, 3)[1:5] == ["64", "59.0", "30.0", "458"]
    assert "95.4" in cells(folded[0], 3)  # 100 MB of the host


def test_the_terminal_the_plot_and_the_low_memory_table_show_the_device() -> None:
    records = on_a_gpu()
    console = Console(file=io.StringIO(), width=200)
    console.print(summary_table(records))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "Peak allocated device memory is above the loaded model" in text
    assert re.search(r"allocated device memory, batch 64 +59.0 MiB +30.0 MiB", text)
    plot = memory_plots(RESULTS)[0]
    (axes,) = plot.figure.axes
    assert axes.get_ylabel() == "Peak allocated device memory\nabove baseline (MiB)"
    drawn = {line.get_label(): line for line in axes.lines}
    assert max(drawn["ZO"].get_ydata()) == pytest.approx((ABOVE["zo"] or 0) / sample.MIB)
    low_memory = replace(records[0], case="memory/resnet18/zo-by-8/b64")
    (table,) = low_memory_tables(Results.of([*records, low_memory]))
    assert table.columns[7] == "Device, allocated, MiB"
    assert [row[7].text for row in table.rows][:2] == ["59.0", "30.0"]


def test_machines_are_compared_by_the_devices_memory_and_the_hosts_is_called_that() -> None:
    tables = figure_tables([Machine(name=name, results=RESULTS) for name in ("one", "two")])
    assert [table.caption for table in tables] == [
        "Peak device memory above the loaded model, allocated",
        "Device memory of the whole process, CUDA context and weights included",
        "Peak host memory above the loaded model",
        "Peak host memory of the whole process",
    ]


def test_the_page_of_results_names_the_gpu_and_shows_its_memory(tmp_path: Path) -> None:
    sample.write(tmp_path / "gpu-box" / "default", on_a_gpu())
    text = results_page(tmp_path)
    assert "## Sample Processor 1, 4 cores, 8 GiB, Sample GPU 80" in text
    assert "allocated device memory above the loaded model" in text
    assert "| ZO | 283 MiB | 30.0 MiB |" in text


def test_a_step_of_the_cpu_among_a_gpus_is_not_set_against_them() -> None:
    records = {record.case: record for record in on_a_gpu()}
    alone = next(r for r in sample.memory_records() if r.case == "memory/resnet18/zo/b64")
    results = Results.of((records | {alone.case: alone}).values())
    assert "batch 32" in answer_tiles(results)[0].what
    assert cells(memory_tables(results)[0], 3)[3] == "–"


class FakeDriver:
    """A GPU with its own memory, whose region takes 7 MiB of tensors."""

    is_integrated = available_bytes = staticmethod(lambda: False)
    empty_caches = reset_peaks = staticmethod(lambda: None)
    total_bytes = staticmethod(lambda: 80 << 30)
    allocated_bytes = staticmethod(lambda: (3 << 20, 10 << 20))
    reserved_bytes = staticmethod(lambda: (4 << 20, 12 << 20))
    process_bytes = staticmethod(lambda: 500 << 20)


def measured() -> dict[str, Metric]:
    with measure_device(driver=FakeDriver()) as region:  # type: ignore[arg-type]
        pass
    with devices.measure() as host:
        pass
    return _metrics([MeasuredStep(region=host, device=region)] * 3)


def test_what_the_device_measured_is_what_the_progress_line_tells() -> None:
    tensors = {"tensor_peak_above_baseline": Metric.single(6 << 20, "byte", "tensors")}
    line = progress_line(measured() | tensors, memory_of("cuda", measured()))
    assert "7 MiB of allocated device memory above the loaded model (tensors 6 MiB)" in line
    assert "500 MiB in all" in line


def test_gates_on_a_gpus_memory_are_those_of_its_meter() -> None:
    gates = {
        name.removeprefix("device_"): gate_of("memory", name, metric)
        for name, metric in measured().items()
        if name.startswith("device_")
    }
    assert gates == {
        "allocated": Gate.TENSOR,
        "allocated_above_baseline": Gate.TENSOR,
        **dict.fromkeys(["baseline", "reserved", "process", "context", "total"], Gate.NONE),
        "available_fall": Gate.NONE,
    }


def test_the_device_memory_of_a_step_is_split_into_its_terms() -> None:
    tensors = Metric.single(20 << 20, "byte", "dispatcher")
    with_tensors = [replace(r, metrics={**r.metrics, "tensor_peak": tensors}) for r in on_a_gpu()]
    table = device_tables(Results.of(with_tensors))[0]
    row = dict(zip(table.columns, next(r for r in table.rows if r[0].text == "ZO"), strict=True))
    amounts = {name: row[name].text for name in table.columns[2:]}
    whole = with_tensors[4].metrics["device_process"].value or 0.0
    assert amounts["Tensors"] == "20.0"
    assert amounts["CUDA context"] == "440"
    assert amounts["Whole process"] == f"{whole / sample.MIB:.0f}"
    assert float(amounts["Workspace"]) == 0.0  # never below nothing
    assert device_tables(Results.of(sample.memory_records())) == []


def test_table_1_has_its_memory_rows_on_a_gpu() -> None:
    results = Results.of([*on_a_gpu(), *sample.formula_records()])
    rows = {row.method: row for row in table1_rows(results) if row.quantity == "memory"}
    allocated = results.value("memory/resnet18/zo/b64", "device_allocated") or 0.0
    assert rows["zo"].measured == pytest.approx(allocated / 1e6)
    assert "device memory" in rows["zo"].measured_how


def test_each_section_of_a_gpus_page_names_what_it_was_measured_on(tmp_path: Path) -> None:
    steps = on_a_gpu()
    others = [
        *sample.accuracy_records(),
        *sample.bytes_records(),
        *sample.formula_records(),
    ]
    records = [*steps, *(replace(r, provenance=steps[0].provenance) for r in others)]
    results = Results.of(records)
    remarks = {s.group: heading_remark(results, s) for s in SECTIONS if results.group(s.group)}
    assert remarks == {
        "formulas": "measured on Sample GPU 80",  # its memory rows; the rest is counted
        "memory": "measured on Sample GPU 80",
        "bytes": "",
        "accuracy": "measured on the CPU, 4 threads",
    }
    page = write_report(sample.write(tmp_path, records)).read_text()
    assert "<h1>ZO training on Sample GPU 80, 80 GiB (" in page
    assert "Accuracy <small>measured on the CPU, 4 threads</small>" in page
    assert "Sample GPU 80 <small>80 GiB</small>" in page


def test_a_page_of_the_cpu_names_only_threads_that_differ() -> None:
    results = Results.of(sample.sample_records())
    assert {heading_remark(results, section) for section in SECTIONS} == {""}


def test_totals_stand_next_to_differences() -> None:
    note = answer_tiles(RESULTS)[0].note
    assert "llocated device memory above the baseline: 15x lower (30.0 MiB vs 458 MiB)" in note
    assert "Allocated device memory, weights included: 15x lower (45.1 MiB vs 686 MiB)" in note


def test_the_commands_of_a_gpus_page_name_device_and_precision() -> None:
    (first, _), *_ = command_lines(on_a_gpu(), SECTIONS)
    assert "--only memory" in first
    assert first.endswith("--device cuda")
    coarse = [replace(r, config={**r.config, "precision": "fp16"}) for r in on_a_gpu()]
    assert command_lines(coarse, SECTIONS)[0][0].endswith("--device cuda --precision fp16")
    assert not any("--device" in c for c, _ in command_lines(sample.memory_records(), SECTIONS))
