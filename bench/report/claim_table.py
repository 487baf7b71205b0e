"""The answer of a page of trainings: the paper's claims and what the records show about each."""

from __future__ import annotations

from bench.records.record_index import Results
from bench.report.paper_claims import CLAIMS
from bench.report.paper_results import claim_verdict, table_of
from bench.report.table import Cell, Table


def claim_tables(results: Results) -> list[Table]:
    """Tabulate the paper's claims that these records can answer, and the verdicts."""
    records = {record.case: record for record in results.group("tables")}
    found = ((claim, table_of(claim, records)) for claim in CLAIMS)
    rows = tuple(
        (Cell(claim.title), Cell(claim_verdict(claim, table)))
        for claim, table in found
        if table is not None
    )
    table = Table(
        caption="The paper’s claims, and what these trainings show",
        columns=("Claim", "Result"),
        rows=rows,
        labels=1,
        prose=True,
    )
    return [table] if rows else []
