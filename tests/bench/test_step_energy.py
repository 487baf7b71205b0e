"""Energy of a step: in its record, and on the page where a machine has a counter."""

from __future__ import annotations

from pathlib import Path

import pytest
import sample_records as sample

import devices
from bench.cases.bench_time import step_energy
from bench.records.record import Metric
from bench.records.record_index import Results
from bench.report.groups.time import time_tables
from bench.report.page import write_report
from devices.reading import Reading


class CountingMeter:
    """Three joules a step, whoever takes them."""

    def __init__(self) -> None:
        self.steps = 0
        self.is_running = False

    def step(self) -> None:
        assert self.is_running
        self.steps += 1

    def start(self) -> None:
        self.is_running = True

    def stop(self) -> Reading:
        self.is_running = False
        return Reading(value=3.0 * self.steps, unit="joule", method="a counter")


def test_a_steps_joules_are_the_mean_over_two_seconds_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meter = CountingMeter()
    monkeypatch.setattr(devices, "energy_meter", lambda: meter)
    metric = step_energy(meter.step, 0.5)
    assert (metric.value, metric.unit, meter.steps) == (3.0, "joule", 4)
    assert metric.method == "a counter, mean of 4 steps"


def test_without_a_counter_no_step_is_taken_and_the_reason_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    meter = devices.energy_meter(tmp_path)
    monkeypatch.setattr(devices, "energy_meter", lambda: meter)
    metric = step_energy(lambda: pytest.fail("a step was taken"), 0.5)
    assert metric.value is None
    assert "pip install zeus" in str(metric.reason)


def test_the_page_has_joules_where_the_records_have(tmp_path: Path) -> None:
    records = sample.time_records(watts=5.0)
    energy = time_tables(Results.of(records))[-1]
    assert "joules" in energy.caption
    rows = {(r[1].text, r[3].text, r[4].text) for r in energy.rows if r[2].text == "64"}
    of_resnet18 = {("Inference", "6.72", "–"), ("ZO", "21.6", "324"), ("Backprop", "10.9", "490")}
    assert of_resnet18 <= rows  # a step of ZO is three directions
    page = write_report(sample.write(tmp_path, records)).read_text()
    assert "Energy in joules" in page
    assert "10.9" in page


def test_the_page_says_once_what_a_counter_would_need(tmp_path: Path) -> None:
    records = sample.time_records()
    for record in records:
        record.metrics["energy"] = Metric.unmeasured("joule", "no counter here")  # type: ignore[index]
    page = write_report(sample.write(tmp_path, records)).read_text()
    assert "Energy in joules" not in page
    assert page.count("no counter here") == 1
