"""The paper's tables and figures, and the learning-rate search: whole trainings, cell by cell.

Run where they are asked for, ``--only table2``; with the same ``--out`` an interrupted table goes
on with what is missing.
"""

from __future__ import annotations

import pytest

from bench.groups import TABLES
from bench.records.case_name import CaseName
from bench.replication.chosen import SEARCH
from bench.replication.table_run import Outcome, TableRun
from bench.suite.parametrize import with_parameters
from bench.suite.scales import Scale
from bench.suite.suite import Suite


def _cases(scale: Scale) -> list[str]:
    return list(scale.tables)


@with_parameters("table", _cases)
def test_table(suite: Suite, table: str) -> None:
    """Run what a table lacks, then record what it has; an interruption loses no finished cell."""
    campaign = TableRun(suite.campaign, suite.folder, suite.scale.name)
    log = suite.progress.log
    if table == SEARCH:
        outcome = campaign.search(log)
        _record(suite, table, outcome)
    else:
        try:
            campaign.fill(table, log)
        finally:
            outcome = campaign.outcome(table)
            _record(suite, table, outcome)
    if outcome.failures:
        pytest.fail("; ".join(outcome.failures), pytrace=False)


def _record(suite: Suite, table: str, outcome: Outcome) -> None:
    suite.record(
        case=CaseName.of(TABLES, table),
        config=outcome.config,
        metrics=outcome.metrics,
        details=outcome.details,
        headline=outcome.headline,
    )
