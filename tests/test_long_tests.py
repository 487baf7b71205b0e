"""The list of long tests: how it is read from a log, and that each of its tests exists."""

from __future__ import annotations

import pytest
from long_tests import ROOT, listed, listed_name, long_in, stays

LOG = """\
============================= slowest durations ==============================
0.51s setup    tests/a/test_b.py::test_c[x y]
9.10s call     tests/a/test_b.py::test_c[x y]
0.39s call     tests/a/test_d.py::test_e
12.50s call     tests/a/test_d.py::test_f[1-call]
0.90s teardown tests/a/test_d.py::test_g
0.30s call     tests/a/test_d.py::test_h[1]
0.10s call     tests/a/test_d.py::test_h[2]
0.20s call     tests/a/test_d.py::test_h[3]
5 passed in 13.00s
"""


def test_long_cases_list_their_test_and_a_long_set_up_its_file() -> None:
    names = long_in(LOG)
    assert names == {
        "tests/a/test_b.py": 0,
        "tests/a/test_d.py::test_f": 0,
        "tests/a/test_d.py::test_h": 2,  # of three, which take 0.6 s
    }
    assert listed_name("tests/a/test_b.py::test_other", names) == "tests/a/test_b.py"
    assert listed_name("tests/a/test_d.py::test_f[2]", names) == "tests/a/test_d.py::test_f"
    assert listed_name("tests/a/test_d.py::test_f_too", names) is None


@pytest.mark.parametrize("count", [1, 2, 7, 12])
def test_as_many_cases_stay_as_the_list_says(count: int) -> None:
    for stay in range(count + 1):
        assert sum(stays(index, count, stay) for index in range(count)) == stay


def test_what_is_listed_exists() -> None:
    for name in listed():
        path, *test = name.split("::")
        source = (ROOT / path).read_text(encoding="utf-8")
        assert all(f"def {function}(" in source for function in test), name


def test_tests_have_the_marker_where_they_are_listed(request: pytest.FixtureRequest) -> None:
    names = listed()
    for item in request.session.items:
        name, marker = listed_name(item.nodeid, names), item.get_closest_marker("long")
        assert marker is None if name is None else names[name] or marker, item.nodeid
