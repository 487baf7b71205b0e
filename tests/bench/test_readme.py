from __future__ import annotations

from pathlib import Path

from optional import needs_results

from bench.report.readme import BEGIN, END, results_section

REPOSITORY = Path(__file__).parents[2]


@needs_results
def test_the_readmes_results_are_those_of_the_committed_records() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    shown = BEGIN + readme.split(BEGIN)[1].split(END)[0] + END
    assert shown == results_section(REPOSITORY), "run `make docs`"


@needs_results
def test_every_link_of_the_readme_leads_to_a_file() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    links = [part.split(")")[0] for part in readme.split("](")[1:]]
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (REPOSITORY / link).exists()] == []
