"""What ZO costs and buys, in sentences from the records alone: who wins is read, never assumed."""

from __future__ import annotations

from bench.format import duration, label, less_or_more, percent, points, size
from bench.records.paired import PairedDifference, compare_on_seeds
from bench.records.record import Record
from bench.records.record_index import Results
from bench.records.step_memory import step_memory

STEP_BATCH = 64  # the paper's batch; the largest measured one stands in where it is missing


def memory_sentence(results: Results) -> str:
    """Compare the peak memory of one step."""
    memory = step_memory(results)
    found = _step(results, "memory", memory.above)
    if found is None:
        return _nothing_to_compare("memory", results)
    model, batch, zo, fedavg = found
    inference = results.value(f"memory/{model}/inference/b{batch}", memory.above)
    forwards = "" if inference is None else f" Two forwards alone take {size(inference)}."
    return (
        f"One training step of {label(model)} on {_images(batch)} peaks at {size(zo)} of"
        f" {memory.name} above its baseline by ZO and at {size(fedavg)} by FedAvg’s backprop:"
        f" ZO needs {less_or_more(zo, fedavg)}.{forwards}"
        f"{_stand_in(results, 'memory', model, batch, memory.above)}"
    )


def bytes_sentence(results: Results) -> str:
    """Compare what a client sends and receives in a round."""
    for model in results.models("bytes"):
        zo, fedavg = (_payload(results, model, method) for method in ("zo", "fedavg"))
        if zo and fedavg:
            return (
                f"In a round of {label(model)} a client sends {size(zo[0])} and receives"
                f" {size(zo[1])} by ZO; by FedAvg it sends {size(fedavg[0])} and receives"
                f" {size(fedavg[1])}: ZO sends {less_or_more(zo[0], fedavg[0])} and receives"
                f" {less_or_more(zo[1], fedavg[1])}."
            )
    return _nothing_to_compare("bytes", results)


def time_sentence(results: Results) -> str:
    """Compare the time of one step."""
    found = _step(results, "time", "step")
    if found is None:
        return _nothing_to_compare("time", results)
    model, batch, zo, fedavg = found
    return (
        f"On {_images(batch)}, one ZO direction of {label(model)} takes {duration(zo)} and one"
        f" FedAvg step {duration(fedavg)}: ZO takes {less_or_more(zo, fedavg)}."
        f"{_round_time(results, model, batch)}{_stand_in(results, 'time', model, batch, 'step')}"
    )


def _round_time(results: Results, model: str, batch: int) -> str:
    zo, fedavg = (
        results.value(f"time/{model}/{method}/b{batch}", "round_extrapolated")
        for method in ("zo", "fedavg")
    )
    if zo is None or fedavg is None:
        return ""
    return (
        f" The paper’s round, extrapolated from them, takes a client {duration(zo)} by ZO and"
        f" {duration(fedavg)} by FedAvg: {less_or_more(zo, fedavg)} by ZO."
    )


def accuracy_sentences(results: Results) -> list[str]:
    """Compare ZOWarmUp's test accuracy with High-Res-Only's, a sentence for each split."""
    splits = results.splits()
    if not splits:
        return [_nothing_to_compare("accuracy", results)]
    return [_accuracy_sentence(results, split) for split in splits]


def verdict(difference: PairedDifference, first: str = "zowarmup") -> str:
    """Say what a paired difference tells of the algorithm that the other is taken from."""
    return {
        None: "fewer than three seeds give no interval, so this is no verdict",
        1: f"{label(first)} is ahead",
        -1: f"{label(first)} is behind",
        0: "the interval includes 0, so these seeds do not tell the two apart",
    }[difference.sign]


def interval_text(difference: PairedDifference) -> str:
    """Write the 95 % interval in points, or why there is none."""
    if difference.interval is None:
        return "fewer than three seeds give none"
    return " to ".join(points(end) for end in difference.interval)


def _accuracy_sentence(results: Results, split: str) -> str:
    ours, theirs = (f"accuracy/{name}/{split}" for name in ("zowarmup", "high-res-only"))
    difference = compare_on_seeds(
        results.by_case.get(ours), results.by_case.get(theirs), "test_accuracy"
    )
    zowarmup, high_only = (results.value(case, "test_accuracy") for case in (ours, theirs))
    if difference is None or zowarmup is None or high_only is None:
        return (
            f"At {split.replace('-', '/')} the accuracies cannot be compared (ZOWarmUp:"
            f" {_share_or_why(results, ours)}; High-Res-Only: {_share_or_why(results, theirs)})."
        )
    high, low = split.split("-")
    interval = f", 95 % interval {interval_text(difference)}" if difference.interval else ""
    return (
        f"On {results.by_case[ours].config.get('dataset', 'the data')} with {high} %"
        f" high- and {low} % low-resource clients, ZOWarmUp reaches {percent(zowarmup)} test"
        f" accuracy and High-Res-Only {percent(high_only)}: {points(difference.mean)} points over"
        f" {_seeds(difference.n)}{interval}; {verdict(difference)}."
        f"{_diverged(results.by_case[ours])}{_diverged(results.by_case[theirs])}"
    )


def _diverged(record: Record) -> str:
    outcomes = list(record.details.get("outcomes", ()))
    count, name = outcomes.count("diverged"), label(record.case.split("/")[1])
    if not count:
        return ""
    return f" {count} of {name}’s {len(outcomes)} runs diverged; the last accuracy counts."


def _share_or_why(results: Results, case: str) -> str:
    value = results.value(case, "test_accuracy")
    return percent(value) if value is not None else results.reason(case, "test_accuracy")


def _step(results: Results, group: str, metric: str) -> tuple[str, int, float, float] | None:
    """Find the first model and the batch nearest to the paper's where ZO and FedAvg both are."""
    for model in results.models(group):
        batches = results.batches(group, model)
        for batch in sorted(batches, key=lambda b: (b != STEP_BATCH, -b)):
            zo = results.value(f"{group}/{model}/zo/b{batch}", metric)
            fedavg = results.value(f"{group}/{model}/fedavg/b{batch}", metric)
            if zo is not None and fedavg is not None:
                return model, batch, zo, fedavg
    return None


def _stand_in(results: Results, group: str, model: str, batch: int, metric: str) -> str:
    """Say why another batch stands in for the paper's where that one was tried."""
    if batch == STEP_BATCH or STEP_BATCH not in results.batches(group, model):
        return ""
    cases = {method: f"{group}/{model}/{method}/b{STEP_BATCH}" for method in ("zo", "fedavg")}
    reasons = [
        f"{label(method)}: {results.reason(case, metric)}"
        for method, case in cases.items()
        if results.value(case, metric) is None
    ]
    return f" On {_images(STEP_BATCH)} they cannot be compared ({'; '.join(reasons)})."


def _payload(results: Results, model: str, method: str) -> tuple[float, float] | None:
    case = f"bytes/{model}/{method}"
    up, down = results.value(case, "up_payload"), results.value(case, "down_payload")
    return None if up is None or down is None else (up, down)


def _nothing_to_compare(group: str, results: Results) -> str:
    if not results.group(group):
        return f"This run did not measure {group}."
    return f"In {group} there is nothing to compare: no model has both ZO and FedAvg measured."


def _images(batch: int) -> str:
    return "1 image" if batch == 1 else f"{batch} images"


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} paired seeds"
