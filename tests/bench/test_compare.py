"""Planted regressions are caught, each by its own gate; what did not move is not accused."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sample_records as sample
from optional import needs_results

from bench.__main__ import main
from bench.compare.compare import Comparison, compare, profile_difference
from bench.compare.gate_result import State, judge, ratio_bound
from bench.compare.table import markdown_table, shown_rows, verdict_line
from bench.records.details.tables import PlaceDetails, TableDetails
from bench.records.gates import Gate, gate_of
from bench.records.record import Metric, Record
from bench.records.store import read_records
from bench.records.typed_json import to_json

TENSOR = "sum of live tensor storage, seen at torch's dispatcher; made in the step"
VMHWM = "VmHWM reset by clear_refs"


def records(
    *,
    tensor: float = 1.0,
    payload: int = 0,
    process: float = 1.0,
    slower: float = 1.0,
    points: float = 0.0,
    noise: random.Random | None = None,
    seeds: Sequence[int] = range(5),
) -> list[Record]:
    """Make a few cases of each gate; the arguments plant a regression in one of them."""
    wobble = noise or random.Random(0)
    times = [1.05 * slower * wobble.gauss(1, 0.03) for _ in range(5)]
    step = [0.8 * slower * wobble.gauss(1, 0.03) for _ in range(5)]
    memory = [process * (3e8 + wobble.gauss(0, 1e5)) for _ in range(3)]
    shares = [0.9 - 0.01 * (seed % 3) + points / 100 for seed in seeds]
    metrics = {
        "tensor_peak_above_baseline": Metric.single(6_291_464 * tensor, "byte", TENSOR),
        "peak": Metric.median(memory, "byte", VMHWM),
    }
    each: dict[str, list[object]] = {
        name: [] for name in ("curves", "outcomes", "reasons", "digests")
    }
    curves = {"seeds": list(seeds), **each}
    config = {"algorithm": "zowarmup", "run_seed": list(seeds)}
    return [
        sample.record("memory/resnet18/zo/b8", {"batch": 8}, metrics),
        sample.record(
            "bytes/resnet18/zo", {}, {"up_payload": Metric.single(42 + payload, "byte", "length")}
        ),
        sample.record(
            "engine/passes/11M", {}, {"perturb / add": Metric.median(times, "ratio", "clock")}
        ),
        sample.record("time/resnet18/zo/b64", {}, {"step": Metric.median(step, "second", "clock")}),
        sample.record(
            "accuracy/zowarmup/10-90",
            config,
            {"test_accuracy": Metric.mean(shares, "share", "argmax")},
            details=curves,
        ),
    ]


def failing(found: Comparison) -> list[tuple[str, str]]:
    return [(row.case, row.metric) for row in found.failures]


@pytest.mark.parametrize(
    ("planted", "caught"),
    [
        ({"tensor": 1.02}, [("memory/resnet18/zo/b8", "tensor_peak_above_baseline")]),
        ({"payload": 4}, [("bytes/resnet18/zo", "up_payload")]),
        ({"payload": -4}, [("bytes/resnet18/zo", "up_payload")]),
        ({"process": 1.06}, [("memory/resnet18/zo/b8", "peak")]),
        (
            {"slower": 1.3},
            [("engine/passes/11M", "perturb / add"), ("time/resnet18/zo/b64", "step")],
        ),
        ({"points": -3.0}, [("accuracy/zowarmup/10-90", "test_accuracy")]),
        ({"points": -3.0, "seeds": range(2)}, [("accuracy/zowarmup/10-90", "test_accuracy")]),
    ],
    ids=str,
)
def test_a_planted_regression_is_caught_by_its_own_gate(
    planted: dict[str, Any], caught: list[tuple[str, str]]
) -> None:
    assert failing(compare(records(), records(**planted))) == caught


@pytest.mark.parametrize(
    "harmless",
    [{}, {"tensor": 1.005}, {"process": 1.04}, {"slower": 1.08}, {"points": 2.0}, {"points": -0.4}],
    ids=str,
)
def test_what_stays_within_its_gate_is_not_accused(harmless: dict[str, Any]) -> None:
    found = compare(records(), records(**harmless))
    assert found.passes, failing(found)


def test_twenty_noisy_runs_of_the_same_code_raise_no_alarm() -> None:
    first = records(noise=random.Random("first"))
    for run in range(20):
        found = compare(first, records(noise=random.Random(run)))
        assert found.passes, failing(found)


@pytest.mark.parametrize(
    ("better", "metric"),
    [({"tensor": 0.9}, "tensor_peak_above_baseline"), ({"slower": 0.7}, "step")],
)
def test_what_got_better_is_told_and_fails_nothing(better: dict[str, Any], metric: str) -> None:
    found = compare(records(), records(**better))
    assert found.passes
    assert State.BETTER in {r.judgement.state for r in found.rows if r.metric == metric}


def on_another_machine(record: Record) -> Record:
    device = {**record.provenance.device, "soc": "Sample Processor 2"}
    return replace(record, provenance=replace(record.provenance, device=device))


def test_times_of_two_machines_are_not_compared_and_the_rest_is() -> None:
    new = [on_another_machine(r) for r in records(slower=3.0, tensor=1.02)]
    found = compare(records(), new)
    assert failing(found) == [("memory/resnet18/zo/b8", "tensor_peak_above_baseline")]
    skipped = [row for row in found.rows if row.judgement.state is State.SKIPPED]
    assert {row.gate for row in skipped} == {Gate.TIME}
    assert all("soc" in row.judgement.why for row in skipped)


def with_kernel(old: list[Record], zo_kernel: str | None) -> list[Record]:
    return [replace(r, provenance=replace(r.provenance, zo_kernel=zo_kernel)) for r in old]


def test_times_of_two_zo_kernels_are_not_compared_and_the_table_says_so() -> None:
    fast, slow = with_kernel(records(), "c"), with_kernel(records(slower=5.0), "numpy")
    found = compare(fast, slow)
    assert found.passes
    skipped = {row.gate for row in found.rows if row.judgement.state is State.SKIPPED}
    assert skipped == {Gate.TIME}
    (remark,) = (remark for remark in found.remarks if "kernel" in remark)
    assert {"c", "numpy"} <= set(remark.replace(",", "").split())
    assert failing(compare(with_kernel(records(), None), slow)) != []  # an old record names none


def with_memory(memory_bytes: int) -> list[Record]:
    return [
        replace(r, provenance=replace(r.provenance, device={"memory_bytes": memory_bytes}))
        for r in records()
    ]


def test_a_kernel_that_keeps_more_memory_to_itself_makes_no_other_machine() -> None:
    rebooted, smaller = with_memory(8_280_000_000), with_memory(7_900_000_000)
    assert profile_difference(with_memory(8_270_000_000)[0], rebooted[0]) is None
    assert profile_difference(smaller[0], rebooted[0]) == "different machine: memory_bytes differ"


def test_two_versions_of_a_case_are_refused() -> None:
    new = [replace(r, case_version=2) if r.group == "bytes" else r for r in records(payload=4)]
    found = compare(records(), new)
    assert found.passes
    assert "case version 1 against 2" in found.refused["bytes/resnet18/zo"]
    assert "bytes/resnet18/zo" not in {row.case for row in found.rows}
    assert verdict_line(found).endswith("; cases refused: 1")
    assert "refused" not in verdict_line(compare(records(), records()))


def test_nothing_but_refusals_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = sample.write(tmp_path / "old", records())
    new = sample.write(tmp_path / "new", [replace(r, case_version=2) for r in records()])
    assert main(["compare", str(old), str(new)]) == 2
    assert "case version 1 against 2" in capsys.readouterr().err


def test_another_config_is_refused_and_a_new_field_is_not() -> None:
    def with_config(**fields: Any) -> list[Record]:
        return [replace(r, config={**r.config, **fields}) for r in records()]

    with pytest.raises(ValueError, match="rounds 160 against 400"):
        compare(with_config(rounds=160), with_config(rounds=400))
    assert compare(records(), with_config(invented_later=1)).passes
    assert compare(with_config(repeats=5), with_config(repeats=15)).passes


def test_a_case_that_fails_now_or_is_gone_fails_the_gate() -> None:
    new = records()
    broken = replace(new[0], status="does not fit", error="limit", metrics={})
    found = compare(records(), [broken, *new[1:]])
    assert found.broken == {"memory/resnet18/zo/b8": "does not fit: limit"}
    assert not found.passes
    two = [*records(), sample.record("bytes/vit/zo", {}, {})]
    assert set(compare(two, records()).broken) == {"bytes/vit/zo"}
    assert compare(two, [r for r in records() if r.group != "bytes"]).passes  # group not run


def test_a_table_that_was_not_asked_for_is_not_gone() -> None:
    tables = [sample.record(f"tables/{name}", {}, {}) for name in ("table2", "table6")]
    found = compare([*records(), *tables], [*records(), tables[0]])
    assert found.passes
    assert found.alone == ("tables/table6",)


COMMITTED = Path(__file__).parents[2] / "results"


def with_accuracies_moved(old: list[Record], by: float) -> list[Record]:
    def moved(name: str, metric: Metric) -> Metric:
        if not name.endswith("test_accuracy"):
            return metric
        assert metric.value is not None
        samples = tuple(sample + by for sample in metric.samples)
        return replace(metric, value=metric.value + by, samples=samples)

    return [replace(r, metrics={n: moved(n, m) for n, m in r.metrics.items()}) for r in old]


@pytest.mark.slow
@needs_results
@pytest.mark.parametrize(
    "folder",
    [
        "xeon-2core/default",
        *(f"epyc-2core/{name}" for name in ("tables-digits", "tables-cifar10", "frontier-fashion")),
        "xeon-2core/edge",
    ],
)
def test_a_loss_fails_every_accuracy_of_the_committed_records(folder: str) -> None:
    old = read_records(COMMITTED / folder)
    accuracies = [(r.case, n) for r in old for n in r.metrics if n.endswith("test_accuracy")]
    assert accuracies
    assert failing(compare(old, with_accuracies_moved(old, -0.3))) == accuracies
    assert compare(old, with_accuracies_moved(old, 0.0)).passes


def test_one_sample_is_compared_with_that_of_the_same_seed_alone() -> None:
    def trained(share: float, run_seed: int | None) -> list[Record]:
        config = {} if run_seed is None else {"run_seed": run_seed}
        metrics = {"test_accuracy": Metric.single(share, "share", "argmax")}
        return [sample.record("train/zowarmup", config, metrics)]

    assert failing(compare(trained(0.9, 4), trained(0.6, 4)))
    assert compare(trained(0.9, 4), trained(0.6, 5)).passes
    assert compare(trained(0.9, None), trained(0.6, None)).passes


def test_fewer_runs_of_a_table_are_compared_on_the_seeds_that_both_have() -> None:
    def table(shares: list[float]) -> list[Record]:
        return [
            sample.record(
                "tables/table2",
                {"table": "table2", "runs": len(shares)},
                {"zowarmup/10-90/test_accuracy": Metric.mean(shares, "share", "argmax")},
                details=to_json(table_details(seeds=len(shares))),
            )
        ]

    assert compare(table([0.7, 0.8, 0.9]), table([0.7, 0.8])).passes
    assert failing(compare(table([0.7, 0.8, 0.9]), table([0.6, 0.7])))


def table_details(seeds: int) -> TableDetails:
    place = PlaceDetails(
        row="zowarmup",
        label="ZOWarmUp",
        split="10/90",
        x=None,
        seeds=tuple(range(seeds)),
        asked=seeds,
        keys=(),
        commits=(),
        dirty=False,
        outcomes=("finished",) * seeds,
        reasons=(),
        handovers=(),
        failed=(),
        printed=None,
        curve=(),
    )
    return TableDetails(
        title="Table 2",
        baseline=None,
        quantity="test_accuracy",
        x_label=None,
        notes=(),
        places=(place,),
    )


def test_accuracy_is_paired_by_seed_and_by_nothing_else() -> None:
    old = Metric.mean([0.5, 0.9, 0.7], "share", "argmax")
    same = Metric.mean([0.9, 0.7, 0.5], "share", "argmax")
    judged = judge(Gate.ACCURACY, old, same, seeds=((1, 2, 3), (2, 3, 1)))
    assert judged.state is State.SAME
    assert judge(Gate.ACCURACY, old, same, seeds=((1, 2, 3), (4, 5, 6))).state is State.SKIPPED
    assert judge(Gate.ACCURACY, old, same, seeds=((), (2, 3, 1))).state is State.SKIPPED


def test_a_noisy_loss_of_accuracy_is_no_verdict() -> None:
    old = Metric.mean([0.9] * 5, "share", "argmax")
    new = Metric.mean(
        [0.95, 0.72, 0.97, 0.95, 0.73], "share", "argmax"
    )  # 3.6 points lower on average
    seeds = (range(5), range(5))
    assert judge(Gate.ACCURACY, old, new, seeds=seeds).state is State.CHANGED


@pytest.mark.parametrize(
    ("gate", "elsewhere", "state", "why"),
    [
        *((gate, None, State.FAILS, "no counter") for gate in Gate if gate is not Gate.NONE),
        (Gate.PROCESS, "other machine", State.FAILS, "no counter"),
        (Gate.TIME, "other machine", State.SKIPPED, "other machine"),
        (Gate.NONE, None, State.SKIPPED, "no counter"),
    ],
)
def test_a_held_figure_that_is_no_longer_measured_fails(
    gate: Gate, elsewhere: str | None, state: State, why: str
) -> None:
    old, none = Metric.single(5, "byte", VMHWM), Metric.unmeasured("byte", "no counter here")
    judged = judge(gate, old, none, elsewhere=elsewhere)
    assert judged.state is state
    assert why in judged.why
    assert judge(gate, none, old).state is State.SKIPPED
    assert judge(gate, none, none).state is State.SAME


def without(old: list[Record], case: str, metric: str, now: Metric | None = None) -> list[Record]:
    """Take a figure out of a case, or put another in its place."""
    kept = [{k: m for k, m in r.metrics.items() if (r.case, k) != (case, metric)} for r in old]
    put = {metric: now} if now else {}
    return [
        replace(r, metrics=metrics | (put if r.case == case else {}))
        for r, metrics in zip(old, kept, strict=True)
    ]


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (None, "gone"),
        (Metric.unmeasured("byte", "VmHWM cannot be reset"), "cannot be reset"),
        (Metric.single(300.0, "MB", VMHWM), "its unit is MB now"),
    ],
    ids=str,
)
def test_a_figure_that_a_case_lost_fails_by_the_gate_that_it_had(
    now: Metric | None, why: str
) -> None:
    found = compare(records(), without(records(), "memory/resnet18/zo/b8", "peak", now))
    assert failing(found) == [("memory/resnet18/zo/b8", "peak")]
    (row,) = found.failures
    assert row.gate is Gate.PROCESS
    assert why in row.judgement.why


def bootstrap_bound(old: Sequence[float], new: Sequence[float]) -> float:
    """The 1 % quantile of the ratio of geometric means over resamples: slow and obvious."""
    draw = random.Random(1)

    def mean_log(samples: Sequence[float]) -> float:
        return sum(math.log(draw.choice(samples)) for _ in samples) / len(samples)

    ratios = sorted(math.exp(mean_log(new) - mean_log(old)) for _ in range(5_000))
    return ratios[50]


def test_the_bound_agrees_with_a_bootstrap_on_many_samples() -> None:
    noise = random.Random(3)
    old = [noise.lognormvariate(0.0, 0.05) for _ in range(60)]
    new = [noise.lognormvariate(0.2, 0.10) for _ in range(40)]
    bound = ratio_bound(old, new)
    assert bound == pytest.approx(bootstrap_bound(old, new), rel=0.01)


def test_the_bound_is_missed_once_in_a_hundred_times() -> None:
    """Under equal distributions, 5 samples a side, the bound exceeds 1 in 1 % of the cases."""
    noise = random.Random(5)

    def five() -> list[float]:
        return [noise.lognormvariate(0.0, 0.1) for _ in range(5)]

    above = sum((ratio_bound(five(), five()) or 0.0) > 1.0 for _ in range(2000))
    assert 0.003 < above / 2000 < 0.02


def test_few_or_equal_samples_have_a_plain_answer() -> None:
    assert ratio_bound([1.0, 1.0], [2.0, 2.0]) is None
    assert ratio_bound([1.0] * 3, [2.0] * 3) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("group", "name", "metric", "gate"),
    [
        ("bytes", "down_payload", Metric.single(1, "byte", "length"), Gate.EXACT),
        ("bytes", "up_scalars", Metric.single(1, "byte", "the paper's count"), Gate.EXACT),
        ("accuracy", "up_scalar_bytes", Metric.mean([1], "byte", "the paper's count"), Gate.EXACT),
        ("accuracy", "up_payload_bytes", Metric.mean([1], "byte", "encoded"), Gate.EXACT),
        ("memory", "tensor_peak", Metric.single(1, "byte", TENSOR), Gate.TENSOR),
        (
            "memory",
            "peak_above_baseline",
            Metric.single(1, "byte", f"{VMHWM}, minus VmRSS"),
            Gate.PROCESS,
        ),
        ("memory", "baseline", Metric.single(1, "byte", "VmRSS"), Gate.NONE),
        ("time", "step", Metric.median([1], "second", "clock"), Gate.TIME),
        ("engine", "perturb / add", Metric.median([1], "ratio", "clock"), Gate.TIME),
        ("engine", "mezo / add", Metric.median([1], "ratio", "clock"), Gate.NONE),
        ("engine", "changed", Metric.single(0, "count", "bits compared"), Gate.EXACT),
        ("accuracy", "test_accuracy", Metric.mean([1], "share", "argmax"), Gate.ACCURACY),
        ("radio", "watt", Metric.single(1, "watt", "antenna"), Gate.NONE),
        (
            *("frontier", "low_memory"),
            *(
                Metric.single(1, "byte", "live tensors at the peak of a client's round"),
                Gate.TENSOR,
            ),
        ),
        (
            *("frontier", "bytes_a_client"),
            *(Metric.single(1, "byte", "encoded payloads, hand-over too"), Gate.EXACT),
        ),
        (
            "llm",
            "fedavg, up",
            Metric.single(1, "byte", "length of the encoded payload"),
            Gate.EXACT,
        ),
        (
            "llm",
            "fits",
            Metric.single(1, "byte", "the same, on fake tensors; weights"),
            Gate.TENSOR,
        ),
        (
            "tables",
            "zowarmup/10-90/test_accuracy",
            Metric.single(1, "share", "argmax"),
            Gate.ACCURACY,
        ),
    ],
)
def test_each_metric_has_its_own_gate(group: str, name: str, metric: Metric, gate: Gate) -> None:
    assert gate_of(group, name, metric) is gate


def test_the_command_ends_with_1_and_says_what_moved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = sample.write(tmp_path / "old", records())
    new = sample.write(tmp_path / "new", records(payload=4))
    assert main(["compare", str(old), str(old)]) == 0
    assert capsys.readouterr().out.startswith("pass")
    assert main(["compare", str(old), str(new)]) == 1
    assert "42 B → 46 B" in capsys.readouterr().out
    assert main(["compare", str(old), str(new), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["passes"]
    assert {row["threshold"] for row in found["rows"]} >= {"exact", "time, 1.10"}
    assert main(["compare", str(old), str(tmp_path / "nowhere")]) == 2


def test_a_change_within_its_threshold_is_counted_and_listed_only_on_request() -> None:
    found = compare(records(), records(process=1.03))
    assert shown_rows(found) == []
    assert "changed within it" in verdict_line(found)
    (row,) = (r for r in shown_rows(found, everything=True) if r.metric == "peak")
    assert row.judgement.state is State.CHANGED
    listed = markdown_table(found, everything=True)
    assert "| 286 MiB |" in listed  # a memory is read in MiB, a message to the last byte
    assert "| 42 B |" in listed


@pytest.mark.parametrize("words", [("64509bd", "c446a18"), ("old", "c446a18")])
def test_a_commit_is_not_a_folder_and_the_error_says_what_to_give(
    words: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    sample.write(tmp_path / "old", records())
    assert main(["compare", *words]) == 2
    error = capsys.readouterr().err
    assert ("NEW" if words[0] == "old" else "OLD") in error
    assert "docs/compare.md" in error
    assert error.count("\n") == 1


def test_markdown_is_a_table_that_github_reads() -> None:
    text = markdown_table(compare(records(), records(payload=4, tensor=1.02)), everything=False)
    head, _, *table = text.splitlines()
    assert head.startswith("**fail: 2 ")
    assert [line.count(" | ") for line in (table[0], table[2], table[3])] == [6, 6, 6]
    assert table[1] == "|" + "---|" * 7
    assert "| fails | bytes/resnet18/zo | up_payload | 42 B | 46 B | exact |" in text
