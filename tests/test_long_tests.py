"""The list of long tests: how it is read from a log, and that each of its tests exists."""

from __future__ import annotations

import pytest
from long_tests import ROOT, is_long, listed, long_in

LOG = """\
============================= slowest durations ==============================
0.51s setup    tests/a/test_b.py::test_c[x y]
9.10s call     tests/a/test_b.py::test_c[x y]
0.39s call     tests/a/test_d.py::test_e
12.50s call     tests/a/test_d.py::test_f[1-call]
0.90s teardown tests/a/test_d.py::test_g
5 passed in 13.00s
"""


def test_a_long_call_lists_its_test_and_a_long_set_up_its_file() -> None:
    names = frozenset(long_in(LOG))
    assert names == {"tests/a/test_b.py", "tests/a/test_d.py::test_f"}
    assert is_long("tests/a/test_b.py::test_other", names)
    assert is_long("tests/a/test_d.py::test_f[2]", names)
    assert not is_long("tests/a/test_d.py::test_f_too", names)


def test_what_is_listed_exists() -> None:
    for name in listed():
        path, *test = name.split("::")
        source = (ROOT / path).read_text(encoding="utf-8")
        assert all(f"def {function}(" in source for function in test), name


def test_tests_have_the_marker_exactly_where_they_are_listed(
    request: pytest.FixtureRequest,
) -> None:
    for item in request.session.items:
        is_marked = item.get_closest_marker("long") is not None
        assert is_marked == is_long(item.nodeid, listed()), item.nodeid
