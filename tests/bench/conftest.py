"""Let the tests of this folder import sample_records.py, and train small models on one thread.

The report of all sample records takes seconds to draw, so that those who look at it share one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def sample_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of all sample records, in a folder with its records and plots; only to look at."""
    import sample_records

    from bench.report.page import write_report

    folder = tmp_path_factory.mktemp("sample")
    return write_report(sample_records.write(folder, sample_records.sample_records()))


@pytest.fixture(autouse=True)
def _one_torch_thread() -> Iterator[None]:
    """Small models wait longer for a second thread on a busy machine than they compute."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
