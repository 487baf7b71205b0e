"""The page of trainings, and of any folder: what it holds, and which commands it names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import sample_records as sample

from bench.groups import GROUPS
from bench.records.details.training import CurvePoint, TrainDetails
from bench.records.record import Record
from bench.records.record_index import Results
from bench.records.training_metrics import training_metrics
from bench.records.typed_json import to_json
from bench.report.groups.train import train_sentences, train_tables
from bench.report.page import write_report
from bench.report.reproduce import absent_lines, command_lines
from bench.report.sections import SECTIONS
from zo_core.algorithms import train_config


def training(seed: int = 0, *, end: float = 0.875, verdict: str = "finished") -> Record:
    """Make the record of a training of 10 clients with two evaluations; it ends at a share."""
    config = train_config(run_seed=seed, clients=10, rounds=40, pivot=20).to_json()
    curve = tuple(
        CurvePoint(
            rounds_done=done,
            test_accuracy=share,
            high_accuracy=None,
            low_accuracy=None,
            up_payload_bytes=0,
            down_payload_bytes=0,
            elapsed_s=0.0,
        )
        for done, share in ((20, 0.5), (40, end))
    )
    run = TrainDetails(
        config=config,
        high=(0,),
        outcome="diverged" if verdict == "diverged" else "finished",
        reason=None,
        forward="contiguous",
        forward_trial_s={},
        chance_level=None,
        rounds_done=40,
        curve=curve,
        seconds_by_method={"fedavg": 1.5, "zowarmup": 2.0},
        passes_by_method={},
        zero_shares=(),
        widened=(),
        up_scalar_bytes=1,
        up_payload_bytes=10 * 512,
        down_scalar_bytes=1,
        down_payload_bytes=10 * 1536,
        handover_bytes=0,
        digest=None,
        verdict=verdict,
        memory={"peak_above_baseline_bytes": {"value": 1e6, "method": "VmHWM"}},
    )
    return sample.record(
        f"train/zowarmup-digits-cnn/10-90/seed-{seed}",
        config,
        training_metrics([run]),
        details=to_json(run),
    )


def at_scale(scale: str, records: Iterable[Record]) -> list[Record]:
    return [replace(r, provenance=replace(r.provenance, scale=scale)) for r in records]


def closed(records: Iterable[Record]) -> list[Record]:
    return [replace(r, provenance=replace(r.provenance, division="closed")) for r in records]


def of_model(source: str) -> list[Record]:
    config = {"model": "own", "source": source}
    return at_scale("smoke", [sample.record("memory/own/zo/b1", config)])


def lines_of(records: list[Record]) -> list[str]:
    return [command for command, _ in command_lines(records, SECTIONS)]


def test_the_page_of_a_training_tells_its_accuracy_and_how_to_train_again(tmp_path: Path) -> None:
    folder = sample.write(tmp_path, at_scale("train", [training(3)]))
    html = write_report(folder).read_text(encoding="utf-8")
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
    facts = r"ZOWarmUp, digits, 10/90, seed 3: 87\.5 % [^.]* 40 rounds [^.]* 2 KiB"
    assert len(re.findall(f"{facts}[^.]*finished", text)) == 1
    assert "Test accuracy by round" in text
    assert "zobench train --out DIR" in text
    assert "pytest --benchmark" not in text


def test_trainings_stand_side_by_side_and_a_missing_point_is_a_dash() -> None:
    longer, shorter = training(0), training(1, end=0.75)
    last = {name: column[1:] for name, column in shorter.details["curve"].items()}
    shorter = replace(shorter, details={**shorter.details, "curve": last})
    ends, curves = train_tables(Results.of([longer, shorter]))
    assert [row[3].text for row in ends.rows] == ["87.5 %", "75.0 %"]
    assert [row[7].text for row in ends.rows] == ["2 KiB", "2 KiB"]
    assert [[cell.text for cell in row] for row in curves.rows] == [
        ["20", "50.0 %", "–"],
        ["40", "87.5 %", "75.0 %"],
    ]


@pytest.mark.parametrize("verdict", ["diverged", "did not converge"])
def test_how_a_training_failed_is_part_of_its_sentence(verdict: str) -> None:
    (sentence,) = train_sentences(Results.of([training(verdict=verdict)]))
    assert verdict in sentence


@pytest.mark.parametrize("scale", ["smoke", "laptop"])
def test_a_whole_suites_page_names_the_suite_and_each_group_at_its_scale(scale: str) -> None:
    records = closed(at_scale(scale, [sample.record(f"{group}/a", {}) for group in GROUPS]))
    first, *others, last = lines_of(records)
    assert (first, last) == (f"pytest --benchmark --scale {scale}", "zobench report DIR")
    assert all(line.endswith(f" --scale {scale}") for line in others)
    assert len(others) == len(GROUPS)


@pytest.mark.parametrize("scale", ["smoke", "laptop"])
def test_a_page_of_some_groups_names_only_these(scale: str) -> None:
    records = closed(at_scale(scale, [*sample.bytes_records(), *sample.memory_records()]))
    assert lines_of(records) == [
        f"zobench run --only memory --scale {scale}",
        f"zobench run --only bytes --scale {scale}",
        "zobench report DIR",
    ]


@pytest.mark.parametrize(
    ("case", "scale", "command"),
    [
        ("llm/lm-opt-125m/bytes", "laptop", "zobench run --only llm --scale laptop"),
        ("llm/instruct", "study", "zobench train --task instruct --out DIR"),
        ("wire/mqtt/zo", "default", "zobench run --only wire --scale default"),
        ("tables/table2", "paper", "zobench run --only tables --scale paper"),
        ("fit/grid", "fit", "zobench fit --grid --out DIR"),
        ("train/zowarmup-digits-cnn/10-90/seed-0", "train", "zobench train --out DIR"),
    ],
)
def test_what_the_suite_does_not_run_by_itself_names_its_own_command_alone(
    case: str, scale: str, command: str
) -> None:
    assert lines_of(at_scale(scale, [sample.record(case, {})])) == [command, "zobench report DIR"]


def test_a_folder_of_suite_and_study_names_what_made_each() -> None:
    records = at_scale("study", [sample.record("llm/instruct", {})])
    records += at_scale(
        "laptop", [sample.record("llm/precision", {}), sample.record("bytes/a", {})]
    )
    assert lines_of(records) == [
        "zobench run --only bytes --scale laptop",
        "zobench train --task instruct --out DIR",
        "zobench run --only llm --scale laptop",
        "zobench report DIR",
    ]


_OWN = [
    ("my.models:tiny@1x40x101", "--model my.models:tiny --input-shape 1,40,101"),
    ("my.models:tiny", "--model my.models:tiny"),
    ("hf:my models", "--model 'hf:my models'"),
]


@pytest.mark.parametrize(("source", "options"), _OWN)
def test_the_commands_of_a_page_of_ones_own_model_measure_that_model(
    source: str, options: str
) -> None:
    assert lines_of(of_model(source)) == [
        f"zobench run --only memory --scale smoke {options}",
        "zobench report DIR",
    ]


@pytest.mark.parametrize(("source", "options"), _OWN)
def test_what_is_missing_of_ones_own_model_is_measured_with_it(source: str, options: str) -> None:
    commands = [command for _, command in absent_lines(of_model(source), SECTIONS)]
    assert f"zobench run --only time --scale smoke {options}" in commands
    assert "zobench run --only engine --scale smoke" in commands  # it has models of its own


def test_what_is_missing_of_several_models_is_measured_with_the_suites() -> None:
    records = [*of_model("my.models:tiny"), *closed(sample.bytes_records())]
    assert "zobench run --only time" in [line for _, line in absent_lines(records, SECTIONS)]


def test_all_groups_of_ones_own_model_are_not_the_whole_suite() -> None:
    records = at_scale("smoke", [sample.record(f"{g}/a", {"source": "a:b"}) for g in GROUPS])
    assert not any(line.startswith("pytest") for line in lines_of(records))
