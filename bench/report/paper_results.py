"""The page of the paper's claims, written from the committed records by ``make docs``."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.format import MISSING, format_points
from bench.records.case_name import CaseName
from bench.records.paired import PairedDifference
from bench.records.record import Record
from bench.records.store import RECORDS, read_records, replacing
from bench.report.method_results import method_results
from bench.report.paper_claims import CLAIMS, Claim, Comparison
from bench.report.replicated_table import ReplicatedTable
from bench.report.table import interval_text
from bench.report.writers import CASE as WRITERS

PAGE = Path("docs") / "paper-results.md"
_QUANTITIES = {
    "test_accuracy": "test",
    "gain": "gain over the warm-up",
    "low_accuracy": "low hold-outs",
    "worst_decile_accuracy": "worst decile",
}
_HEAD = """\
# The paper's claims, tested here

Generated from the records under `results/` by `make docs`; a test checks that it is current. The
paper is Legate, Rish, Belilovsky, arXiv 2509.03503.

Differences are percentage points between two runs of one seed, which share partition, initial
weights and cohorts: mean, Student's 95 % interval and number of seeds n. A difference is
*significant* when the interval excludes 0. Otherwise, or when n is below 3, the result is
inconclusive. Such an interval can contradict "the same" but never confirm it; its width shows how
large a difference could be hidden. This page has many intervals, so expect about one in twenty to
miss the true value by chance. A claim that fails on a small network and small images may still hold
on the paper's.
"""
_SCALES = {
    "methods": (
        "Digits: scikit-learn's 8x8 images, a CNN of 6,138 parameters with group norm, 50 clients"
        " of 25 or 26 images, Dirichlet 0.1, S = 3, tau = 0.75, epsilon = 1e-4, everyone in each ZO"
        " round. Table 4: 60 rounds with the pivot at 24."
    ),
    "default": (
        "Digits: scikit-learn's 8x8 images, a CNN of 6,138 parameters with group norm, 50 clients"
        " of 25 or 26 images, Dirichlet 0.1, 60 rounds with the pivot at 24, S = 3, tau = 0.75,"
        " epsilon = 1e-4, everyone in each ZO round."
    ),
    "laptop": (
        "CIFAR-10, a CNN of two convolutions with group norm, 50 clients, Dirichlet 0.1, 300 of a"
        " client's 1,000 images to train on and the others as its hold-out, 100 rounds, pivot"
        " at 40, S = 3, tau = 0.75, epsilon = 1e-4, everyone in each ZO round: a small network, a"
        " short schedule, so accuracies are far below the paper's. 93 of the 60,000 images are"
        " JPEG-derived, since the copy was rebuilt from parts: 73 of the training images and 20 of"
        " the test images are typically about 8 grey levels off."
    ),
}


def results_page(repository: Path) -> str:
    """Write the page from the committed records."""
    parts = [_HEAD]
    for folder in table_folders(repository):
        records = {record.case: record for record in read_records(folder)}
        scale = next(iter(records.values())).provenance.scale
        where = folder.relative_to(repository)
        parts.append(f"## `{where}`\n\n{_SCALES.get(scale, scale)}\n")
        origins = {r.config["rates_origin"] for r in records.values() if "rows" in r.config}
        parts += [f"Learning rates: {origin}.\n" for origin in sorted(origins)]
        answers = [(claim, table_of(claim, records)) for claim in CLAIMS]
        run = [(claim, table) for claim, table in answers if table is not None]
        parts.append("\n".join(_summary(run)) + "\n")
        if missing := "; ".join(claim.title for claim, table in answers if table is None):
            parts.append(f"Not run: {missing}.\n")
        parts += ["\n".join(_claim(claim, table)) + "\n" for claim, table in run]
        if methods := list(method_results(records)):
            parts.append("\n".join(methods))
    return "\n".join(parts)


def table_folders(repository: Path) -> list[Path]:
    """List the folders below ``results`` that hold tables of the paper."""
    found = (repository / "results").glob(f"*/*/{RECORDS}/tables-*.json")
    return sorted({path.parents[1] for path in found if path.name != WRITERS.file_name})


def update(repository: Path) -> Path:
    """Write the page into the docs folder."""
    path = repository / PAGE
    with replacing(path) as temporary:
        temporary.write_text(results_page(repository))
    return path


def verdict(claim: Claim, found: Sequence[PairedDifference | None]) -> str:
    """Summarize what the differences show about a claim.

    Args:
        claim: states the expected sign.
        found: None where there are no runs.
    """
    known = [d for d in found if d is not None and d.sign is not None]
    if not known:
        return "not run yet, or too few seeds"
    wanted = {"more": 1, "less": -1, "same": 0}[claim.expected]
    held = sum(d.sign == wanted for d in known)
    if claim.expected == "same":
        apart = len(known) - held
        return (
            "no significant difference"
            if not apart
            else f"a significant difference in {apart} of {len(known)}"
        )
    against = sum(d.sign == -wanted for d in known)
    if held == len(known):
        return "confirmed" if len(known) == len(found) else f"confirmed in the {held} that ran"
    if against:
        return f"confirmed in {held} of {len(known)}, contradicted in {against}"
    return (
        f"confirmed in {held} of {len(known)}, the others are inconclusive"
        if held
        else "inconclusive"
    )


def table_of(claim: Claim, records: dict[str, Record]) -> ReplicatedTable | None:
    """Return the table that answers a claim; None where no record can."""
    found = (records.get(str(CaseName.of("tables", table))) for table in claim.tables)
    return next((ReplicatedTable.of(record) for record in found if record is not None), None)


def _summary(run: Sequence[tuple[Claim, ReplicatedTable]]) -> Iterator[str]:
    yield from ("| claim | result |", "|---|---|")
    for claim, table in run:
        yield f"| {claim.title} | {claim_verdict(claim, table)} |"


def _claim(claim: Claim, table: ReplicatedTable) -> Iterator[str]:
    yield from (f"### {claim.title}", "", f"The paper: {claim.paper}", "")
    found = _differences(claim, table)
    yield f"**Result: {claim_verdict(claim, table)}.**"
    yield from ("", "| high/low | comparison | difference | 95 % interval | n |")
    yield "|---|---|---|---|---|"
    for comparison, split, diff in found:
        yield _row(table, comparison, split, diff)
    if ended := _diverged(table, found):
        yield from ("", f"Diverged, so the last good model counts: {ended}.")
    if claim.spread:
        yield from ("", *_spread(claim, table))
    if claim.remark:
        yield from ("", claim.remark)


def claim_verdict(claim: Claim, table: ReplicatedTable) -> str:
    """Judge by the comparisons in which most runs of both methods finished."""
    found = _differences(claim, table)
    trained = [
        diff
        for comparison, split, diff in found
        if not any(
            _mostly_diverged(table, row, split) for row in (comparison.row, comparison.other)
        )
    ]
    words = verdict(claim, trained) if trained else "inconclusive"
    left_out = len(found) - len(trained)
    return words + (
        f"; {left_out} of {len(found)} do not count because most of their runs diverged"
        if left_out
        else ""
    )


def _mostly_diverged(table: ReplicatedTable, row: str, split: str) -> bool:
    place = table.place(row, split)
    return place is not None and 2 * place.outcomes.count("diverged") > len(place.outcomes)


def _diverged(
    table: ReplicatedTable, found: Sequence[tuple[Comparison, str, PairedDifference | None]]
) -> str:
    """List where runs diverged, and how many."""
    places = dict.fromkeys((c.row, split) for c, split, _ in found)
    diverged = []
    for row, split in places:
        place = table.place(row, split)
        outcomes = place.outcomes if place else ()
        if count := outcomes.count("diverged"):
            diverged.append(f"{table.label(row)} at {split} ({count} of {len(outcomes)} runs)")
    return "; ".join(diverged)


def _differences(
    claim: Claim, table: ReplicatedTable
) -> list[tuple[Comparison, str, PairedDifference | None]]:
    return [
        (comparison, split, _difference(table, comparison, split))
        for comparison in claim.comparisons
        for split in comparison.splits
        if split in table.record.config["splits"]
    ]


def _difference(
    table: ReplicatedTable, comparison: Comparison, split: str
) -> PairedDifference | None:
    place, other = (table.place(row, split) for row in (comparison.row, comparison.other))
    return table.difference(place, other, comparison.quantity)


def _row(
    table: ReplicatedTable, comparison: Comparison, split: str, found: PairedDifference | None
) -> str:
    ours, theirs = (table.label(row) for row in (comparison.row, comparison.other))
    words = f"{ours} − {theirs}, {_QUANTITIES[comparison.quantity]}"
    if found is None:
        return f"| {split} | {words} | {MISSING} | not run | 0 |"
    return (
        f"| {split} | {words} | {format_points(found.mean)} | {interval_text(found)} | {found.n} |"
    )


def _spread(claim: Claim, table: ReplicatedTable) -> Iterator[str]:
    """Write the standard deviations that the claim orders, and the interval of their ratio."""
    (split,) = {split for comparison in claim.comparisons for split in comparison.splits}
    samples = {}
    for row in claim.spread:
        place = table.place(row, split)
        metric = place and table.metric(place, table.details.quantity)
        samples[row] = metric.samples if metric else ()
    found = "; ".join(
        f"{table.label(row)}: {100 * statistics.stdev(values):.1f} (n = {len(values)})"
        for row, values in samples.items()
        if len(values) > 1
    )
    yield f"Standard deviation over the seeds, points: {found or 'not run'}."
    first, last = (samples[row] for row in (claim.spread[0], claim.spread[-1]))
    if min(len(first), len(last)) > 2:
        low, high = variance_ratio_interval(first, last)
        trend = "falls" if low > 1 else "rises" if high < 1 else "does not change significantly"
        yield (
            f"The variance {trend} from the first to the last: ratio"
            f" {statistics.variance(first) / statistics.variance(last):.2f}, 95 % interval"
            f" {low:.2f} to {high:.2f} (F, as for independent samples)."
        )


def variance_ratio_interval(first: Sequence[float], last: Sequence[float]) -> tuple[float, float]:
    """Compute the 95 % interval of var(first) / var(last), both normal and independent."""
    from scipy.stats import f

    ratio = statistics.variance(first) / statistics.variance(last)
    degrees = len(first) - 1, len(last) - 1
    low, high = (float(f.ppf(q, *degrees)) for q in (0.975, 0.025))
    return ratio / low, ratio / high


if __name__ == "__main__":
    print(update(Path.cwd()))
