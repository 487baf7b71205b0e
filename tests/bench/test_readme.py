from __future__ import annotations

from pathlib import Path

import pytest

from bench.report.readme import BEGIN, END, reference_folders, results_section

REPOSITORY = Path(__file__).parents[2]


def test_the_readmes_results_are_those_of_the_committed_records() -> None:
    if not reference_folders(REPOSITORY / "results"):
        pytest.skip("no reference results are committed")
    readme = (REPOSITORY / "README.md").read_text()
    shown = BEGIN + readme.split(BEGIN)[1].split(END)[0] + END
    assert shown == results_section(REPOSITORY), "run `make docs`"


def test_every_link_of_the_readme_leads_to_a_file() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    links = [part.split(")")[0] for part in readme.split("](")[1:]]
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (REPOSITORY / link).exists()] == []
