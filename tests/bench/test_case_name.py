"""A case's name is built and parsed in one place, and survives both."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.records.case_name import CaseName
from bench.records.store import read_records

RESULTS = Path(__file__).parents[2] / "results"


def test_every_committed_name_survives_parsing() -> None:
    folders = [path.parent for path in RESULTS.glob("**/records")]
    records = [record for folder in folders for record in read_records(folder)]
    assert len(records) > 50
    for record in records:
        name = CaseName.parse(record.case)
        assert str(name) == record.case
        assert name.group == record.group


@pytest.mark.parametrize(
    ("name", "text", "file"),
    [
        (CaseName.memory("cnn", "zo", 8), "memory/cnn/zo/b8", "memory-cnn-zo-b8.json"),
        (CaseName.edge("cnn", "torch", 8, 900), "edge/cnn/torch/900-by-8", None),
        (CaseName.accuracy("zowarmup", "10/90"), "accuracy/zowarmup/10-90", None),
        (CaseName.accuracy("zowarmup", "10-90"), "accuracy/zowarmup/10-90", None),
        (CaseName.of("wire", "fleet", 10), "wire/fleet/10", "wire-fleet-10.json"),
    ],
)
def test_names_are_stored_as_documented(name: CaseName, text: str, file: str | None) -> None:
    assert str(name) == text
    assert CaseName.parse(text) == name
    assert file in (None, name.file_name)


@pytest.mark.parametrize("text", ["", "memory", "memory/", "/cnn", "memory//b8"])
def test_a_text_without_group_or_part_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="group/part"):
        CaseName.parse(text)


def test_parts_have_their_meaning_in_their_group_only() -> None:
    name = CaseName.frontier("10-90", "fedavg", "plain")
    assert (name.panel, name.variant) == ("10-90", "fedavg")
    with pytest.raises(ValueError, match="frontier/10-90/fedavg/plain"):
        _ = name.split
