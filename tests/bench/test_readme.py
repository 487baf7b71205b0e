from __future__ import annotations

from pathlib import Path

import pytest
from optional import needs_results

from bench.report.first_screen import cost_lines
from bench.report.readme import DATA_PAGE, blocks, fill
from bench.report.results_page import PAGE, results_page
from bench.report.writers import writers_table

REPOSITORY = Path(__file__).parents[2]
FIRST_SCREEN_LINES = 50


@needs_results
def test_the_readmes_blocks_are_those_of_the_committed_records() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    assert fill(readme, blocks(REPOSITORY)) == readme, "run `make docs`"


@needs_results
def test_the_page_of_results_is_that_of_the_committed_records() -> None:
    page = (REPOSITORY / PAGE).read_text()
    assert page == results_page(REPOSITORY / "results"), "run `make docs`"


@needs_results
def test_the_table_of_writers_is_that_of_the_committed_record() -> None:
    page = (REPOSITORY / DATA_PAGE).read_text()
    table = writers_table(REPOSITORY / "results")
    assert fill(page, {"writers": table}) == page, "run `make docs`"
    assert table.count("(n = 5)") == 12


@needs_results
def test_every_cell_of_the_cost_table_is_measured() -> None:
    rows = [line for line in cost_lines(REPOSITORY / "results") if line.startswith("| ")]
    assert [row for row in rows if "–" in row and not row.startswith("| inference")] == []


@needs_results
def test_the_readme_begins_with_costs_and_accuracy() -> None:
    lines = (REPOSITORY / "README.md").read_text().splitlines()
    assert lines.index("<!-- /costs -->") < FIRST_SCREEN_LINES


@needs_results
def test_every_link_of_the_readme_leads_to_a_file() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    links = [part.split(")")[0].split("#")[0] for part in readme.split("](")[1:]]
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (REPOSITORY / link).exists()] == []


def test_a_block_replaces_only_what_is_between_its_markers() -> None:
    page = "a\n<!-- x -->\nold\n<!-- /x -->\nb\n"
    assert fill(page, {"x": "new"}) == "a\n<!-- x -->\nnew\n<!-- /x -->\nb\n"


def test_a_page_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="<!-- x -->"):
        fill("text", {"x": "new"})
