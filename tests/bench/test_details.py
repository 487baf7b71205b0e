"""Details are dataclasses, their schema is generated from these, and both read every record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

import pytest
import sample_records as sample

from bench.groups import GROUPS, OPT_IN_GROUPS, TABLES, TESTS
from bench.records.details.by_group import DETAILS, NoDetails
from bench.records.details.machine import PackagingDetails
from bench.records.details.schema import DETAILS_SCHEMA_FILE, details_schema
from bench.records.store import layout, read_records
from bench.records.typed_json import columns, from_json, schema_of, to_json

RESULTS = Path(__file__).parents[2] / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    size: int
    share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    name: str
    leaves: tuple[Leaf, ...]
    by_name: Mapping[str, Leaf]
    pairs: tuple[tuple[int, str], ...] = ()


TREE = Tree(name="oak", leaves=(Leaf(size=1),), by_name={"a": Leaf(size=2, share=0.5)})


@columns
@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    x: int
    y: float | None = None
    z: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    dots: tuple[Dot, ...]


LINE = Line(dots=(Dot(x=1, y=0.1), Dot(x=2)))
ROWS = {"dots": [{"x": 1, "y": 0.1}, {"x": 2}]}


@pytest.mark.parametrize("line", [LINE, Line(dots=())])
def test_points_are_written_as_columns_and_read_as_points(line: Line) -> None:
    from jsonschema import Draft202012Validator

    assert from_json(Line, to_json(line)) == line
    assert Draft202012Validator(schema_of(Line)).is_valid(to_json(line))


def test_a_column_that_says_nothing_is_left_out() -> None:
    assert to_json(LINE) == {"dots": {"x": [1, 2], "y": [0.1, None]}}


def test_rows_of_earlier_versions_are_read() -> None:
    from jsonschema import Draft202012Validator

    assert from_json(Line, ROWS) == LINE
    assert Draft202012Validator(schema_of(Line)).is_valid(ROWS)


@pytest.mark.parametrize("dots", [{"x": [1, 2], "y": [0.1]}, {"y": [0.1]}, {"x": [1.5]}, {"x": 1}])
def test_columns_that_make_no_points_are_refused(dots: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="dots"):
        from_json(Line, {"dots": dots})


@pytest.mark.parametrize("levels", [0, 1, 2, 5])
def test_a_layout_says_what_the_data_does_to_the_last_digit(levels: int) -> None:
    data = {"a": {"b": {}, "c": [0.1 + 0.2, None]}, "d": 1e-300, "e": {"f": {"g": "–"}}}
    assert json.loads(layout(data, levels)) == data


def test_a_layout_has_a_line_for_each_member_of_the_outermost_levels() -> None:
    text = layout({"a": {"b": {"c": 1}, "d": [1, 2]}}, levels=2)
    assert text.splitlines() == ["{", '"a":{', '"b":{"c":1},', '"d":[1,2]', "}", "}"]


def test_a_value_survives_its_json() -> None:
    data = json.loads(json.dumps(to_json(TREE)))
    assert from_json(Tree, data) == TREE


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": 3}, "Tree.name"),
        ({"leaves": [{}]}, r"Tree.leaves\[0\]"),
        ({"leaves": [{"size": True}]}, "size"),
        ({"by_name": {"a": {"size": 1, "colour": "green"}}}, "colour"),
        ({"pairs": [[1]]}, "2 items"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    from jsonschema import Draft202012Validator

    data = to_json(TREE) | change
    with pytest.raises(ValueError, match=named):
        from_json(Tree, data)
    assert not Draft202012Validator(schema_of(Tree)).is_valid(data)


def test_the_schema_accepts_what_the_type_does() -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema_of(Tree))
    assert Draft202012Validator(schema_of(Tree)).is_valid(to_json(TREE))


def test_the_committed_schema_is_generated() -> None:
    """Else run: python -m bench.records.details.schema."""
    assert json.loads(DETAILS_SCHEMA_FILE.read_text()) == details_schema()


def test_each_group_has_its_details() -> None:
    assert set(DETAILS) == {*GROUPS, *OPT_IN_GROUPS, TABLES, TESTS, "fit", "train"}


def known(kind: Any) -> set[str]:
    return {field.name for field in fields(kind)}


def required(kind: Any) -> set[str]:
    return set(schema_of(kind)["required"])


def test_kinds_of_one_group_are_told_apart_by_their_required_fields() -> None:
    for group, union in DETAILS.items():
        kinds = [kind for kind in get_args(union) if is_dataclass(kind)]
        for one, other in combinations(kinds, 2):
            shared = required(one) <= known(other) and required(other) <= known(one)
            assert not shared, (group, one, other)


def test_details_are_read_as_their_own_kind_only() -> None:
    wrong = {"client": {"torch": 1}, "torch": []}
    read = [sample.record("edge/a", {}, {}, details=d) for d in ({}, {"notes": []}, wrong)]
    assert [record.details_as(PackagingDetails) for record in read[:2]] == [None, None]
    with pytest.raises(ValueError, match=r"PackagingDetails\.torch"):
        read[2].details_as(PackagingDetails)


@pytest.mark.parametrize("folder", sorted(path.parent for path in RESULTS.glob("**/records")))
def test_committed_details_fit_their_dataclasses(folder: Path) -> None:
    for record in read_records(folder):
        kind = DETAILS[record.group]
        from_json(kind | NoDetails if kind is not NoDetails else kind, record.details)
