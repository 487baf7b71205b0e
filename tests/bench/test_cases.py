"""Each case's parameters, at each scale, are what its function takes."""

from __future__ import annotations

import importlib
import inspect
import typing
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.groups import GROUPS, OPT_IN_GROUPS, SCALE_NAMES, TABLES
from bench.suite.scales import SCALES

FILES = sorted(path.stem for path in (Path(bench.__file__).parent / "cases").glob("bench_*.py"))


def cases(file: str) -> list[Any]:
    module = importlib.import_module(f"bench.cases.{file}")
    return [f for name, f in vars(module).items() if name.startswith("test_")]


def test_each_group_has_one_file_and_each_scale_one_name() -> None:
    assert sorted(f"bench_{group}" for group in (*GROUPS, *OPT_IN_GROUPS, TABLES)) == FILES
    assert tuple(SCALES) == SCALE_NAMES


def test_there_are_cases_with_parameters() -> None:
    assert sum(hasattr(case, "parameters") for file in FILES for case in cases(file)) > 10


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("file", FILES)
def test_parameters_fit_their_case(file: str, scale: Any) -> None:
    for case in cases(file):
        hints = typing.get_type_hints(case)
        expected = [name for name in inspect.signature(case).parameters if name in hints]
        if not hasattr(case, "parameters"):
            continue
        names, values = case.parameters(scale)
        split = [name.strip() for name in names.split(",")]
        assert set(split) <= set(expected), case.__name__
        for value in values:
            row = value if len(split) > 1 else (value,)
            assert len(row) == len(split), (case.__name__, value)
            for name, part in zip(split, row, strict=True):
                if hints[name] in (str, int, float):
                    assert isinstance(part, hints[name]), (case.__name__, name, part)


@pytest.mark.parametrize("file", FILES)
def test_no_case_reads_records(file: str) -> None:
    """But for the frontier's, which looks up what it has recorded before it was interrupted."""
    module = importlib.import_module(f"bench.cases.{file}")
    assert hasattr(module, "read_records") == (file == "bench_frontier")
