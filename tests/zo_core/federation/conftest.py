"""Let tests import the helper modules that lie here; files that a test's end closes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from zo_core.federation import log
from zo_core.federation.store import FileStore

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def file_store() -> Iterator[Callable[[Path], FileStore]]:
    """Opens a store, which is closed at the test's end at the latest."""
    with ExitStack() as stack:
        yield lambda path: stack.enter_context(closing(FileStore(path)))


@pytest.fixture(autouse=True)
def compacted_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs of few rounds are compacted, as those of long runs are."""
    monkeypatch.setattr(log, "SMALL_BYTES", 0)
