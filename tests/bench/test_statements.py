"""The answer and the paired difference: both read from the records, whoever wins."""

from __future__ import annotations

import re

import pytest
import sample_records as sample

from bench.records.paired import compare_on_seeds, paired_difference
from bench.records.record import single
from bench.records.record_index import Results
from bench.report.groups.fit import board_tables
from bench.report.groups.fit_statement import fit_sentence
from bench.report.groups.statements import (
    accuracy_sentences,
    bytes_sentence,
    memory_sentence,
    time_sentence,
)
from bench.report.headline import cost_sentence

RUN_BY_RUN = Results.of(sample.sample_records())


def answer(results: Results) -> list[str]:
    figures = (say(results) for say in (memory_sentence, bytes_sentence, time_sentence))
    return [*figures, *accuracy_sentences(results)]


def text_of(*records: sample.Record) -> str:
    return " ".join(answer(Results.of(records)))


def test_memory_is_compared_at_batch_64_of_resnet18() -> None:
    zo, fedavg = (
        RUN_BY_RUN.value(f"memory/resnet18/{method}/b64", "peak_above_baseline")
        for method in ("zo", "fedavg")
    )
    assert zo
    assert fedavg
    assert f"needs {fedavg / zo:.2f} times less" in text_of(*sample.memory_records())


def test_memory_that_loses_is_said_to_lose() -> None:
    said = text_of(*sample.memory_records(factor=20.0))
    assert re.search(r"ZO needs [\d.]+ times more", said)
    assert "less" not in said


def test_the_ratio_does_not_depend_on_who_wins() -> None:
    records = {record.case: record for record in sample.time_records()}
    zo, fedavg = records["time/resnet18/zo/b64"], records["time/resnet18/fedavg/b64"]
    swapped = [
        sample.record(zo.case, dict(zo.config), dict(fedavg.metrics)),
        sample.record(fedavg.case, dict(fedavg.config), dict(zo.metrics)),
    ]
    as_it_is = re.search(r"takes ([\d.]+) times less", text_of(zo, fedavg))
    turned = re.search(r"takes ([\d.]+) times more", text_of(*swapped))
    assert as_it_is
    assert turned
    assert as_it_is[1] == turned[1]


@pytest.mark.parametrize(("factor", "told"), [(1.002, "the same"), (2.0, "2.00 times more")])
def test_the_headline_and_the_answer_tell_a_ratio_alike(factor: float, told: str) -> None:
    config = {"model": "cnn", "batch": 64}
    steps = {"zo": single(factor, "second", "clock"), "fedavg": single(1.0, "second", "clock")}
    records = [
        sample.record(f"time/cnn/{method}/b64", config, {"step": step})
        for method, step in steps.items()
    ]
    assert f"ZO takes {told}" in text_of(*records)
    assert f"ZO takes {told} time a step" in (cost_sentence(Results.of(records)) or "")


def test_bytes_that_lose_are_said_to_lose() -> None:
    said = text_of(*sample.bytes_records(zo_payload=(1 << 30, 44)))
    assert re.search(r"ZO sends [\d.]+ times more and receives about [\d,]+ times less", said)


def test_equal_bytes_are_the_same() -> None:
    size = 4 * sample.PARAMETERS["resnet18"] + 28
    assert "sends the same and receives the same" in text_of(
        *sample.bytes_records(zo_payload=(size, size))
    )


@pytest.mark.parametrize(
    ("zowarmup", "reading"),
    [
        (0.90, "ZOWarmUp is ahead"),
        (0.60, "ZOWarmUp is behind"),
        (0.805, "the interval includes 0"),
    ],
)
def test_the_verdict_follows_the_interval(zowarmup: float, reading: str) -> None:
    said = text_of(*sample.accuracy_records(zowarmup=zowarmup))
    assert reading in said
    assert sum(words in said for words in ("ahead", "behind", "includes 0")) == 1


def test_one_seed_gives_no_interval_and_no_verdict() -> None:
    said = text_of(*sample.accuracy_records(seeds=1))
    assert "fewer than three seeds give no interval" in said
    assert "ahead" not in said


def test_a_diverged_run_is_counted_and_told() -> None:
    said = text_of(*sample.accuracy_records(outcome="diverged"))
    assert "1 of ZOWarmUp’s 5 runs diverged" in said


def test_what_was_not_measured_is_said_not_guessed() -> None:
    said = answer(Results.of(sample.memory_records()))
    assert said[1:] == [f"This run did not measure {g}." for g in ("bytes", "time", "accuracy")]


def test_a_failed_case_at_64_is_told_beside_the_batch_that_stands_in() -> None:
    records = {record.case: record for record in sample.memory_records()}
    case = "memory/resnet18/fedavg/b64"
    records[case] = sample.failed(case, dict(records[case].config), "does not fit", "limit")
    said = text_of(*records.values())
    assert "on 32 images" in said
    assert "FedAvg: does not fit" in said


def out_of_memory(*cases: str, status: str = "does not fit") -> Results:
    """Take the sample, with some cases failed."""
    records = {record.case: record for record in sample.sample_records()}
    for case in cases:
        records[case] = sample.failed(case, dict(records[case].config), status, "limit")
    return Results.of(records.values())


def test_the_answer_says_that_the_step_at_the_papers_batch_does_not_fit() -> None:
    said = fit_sentence(out_of_memory("memory/resnet18/fedavg/b64"))
    assert said is not None
    assert re.search(r"ZO with batch 64 takes 31\d MiB, less than a 512 MiB board has", said)
    assert "FedAvg with batch 64 does not fit, with batch 32 takes 5" in said


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("does not fit", "does not fit"),
        ("killed", "was killed"),
        ("timeout", "gave no peak (timeout)"),
    ],
)
def test_a_method_whose_every_step_failed_is_still_in_the_answer(status: str, words: str) -> None:
    cases = [f"memory/resnet18/fedavg/b{batch}" for batch in sample.BATCHES]
    said = fit_sentence(out_of_memory(*cases, status=status))
    assert said is not None
    assert said.endswith(f"FedAvg with batch 64 and 32 and 8 and 1 {words}.")


def test_what_does_not_fit_keeps_its_row_and_says_nothing_of_boards() -> None:
    table = board_tables(out_of_memory("memory/resnet18/fedavg/b64"))[0]
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    assert rows["FedAvg, 64"] == ["does not fit", "–", "–", "–"]
    assert len(rows) == 3 * len(sample.BATCHES)


def test_memory_and_time_are_compared_at_one_batch_where_both_have_it() -> None:
    said = cost_sentence(out_of_memory("memory/resnet18/fedavg/b64"))
    assert said is not None
    assert re.findall(r"batch (\d+)\)", said) == ["1", "1"]
    whole = cost_sentence(RUN_BY_RUN)
    assert whole is not None
    assert re.findall(r"batch (\d+)\)", whole) == ["64", "64"]


def test_memory_and_time_without_a_common_batch_each_name_their_own() -> None:
    cases = [f"memory/resnet18/fedavg/b{batch}" for batch in (64, 1)]
    cases += [f"memory/cnn/fedavg/b{batch}" for batch in (64, 1)]
    said = cost_sentence(out_of_memory(*cases))
    assert said is not None
    assert re.findall(r"batch (\d+)\)", said) == ["32", "64"]


def test_a_peak_of_zero_gives_no_ratio() -> None:
    assert "gives no ratio" in text_of(*sample.memory_records(factor=0.0))


def test_paired_difference_of_a_known_sample() -> None:
    found = paired_difference([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.n, found.mean) == (5, 3.0)
    assert found.std == pytest.approx(2.5**0.5)
    assert found.interval == pytest.approx((3 - 1.9633, 3 + 1.9633), abs=1e-3)


def test_pairs_are_matched_by_seed_not_by_place() -> None:
    def run(name: str, by_seed: dict[int, float]) -> sample.Record:
        metrics = {"test_accuracy": sample.mean(list(by_seed.values()), "share", "sample")}
        return sample.record(f"accuracy/{name}/1-9", {}, metrics, details={"seeds": list(by_seed)})

    found = compare_on_seeds(
        run("a", {7: 0.5, 8: 0.9}), run("b", {8: 0.8, 7: 0.4, 9: 0.0}), "test_accuracy"
    )
    assert found is not None
    assert found.n == 2
    assert found.std == pytest.approx(0.0, abs=1e-12)
    assert found.mean == pytest.approx(0.1)


def test_runs_without_a_common_seed_are_not_compared() -> None:
    ours, _ = sample.accuracy_records()
    assert compare_on_seeds(ours, None, "test_accuracy") is None
