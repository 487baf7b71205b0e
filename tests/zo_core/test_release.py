"""What only loading needed is given back, and nothing that was written to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from linear_export import batch, linear_folder

import devices
from zo_core.edge.load import load_replica
from zo_core.edge.release import release_loaded, unwritten_mappings

SMAPS = """\
1000-3000 r-xp 00000000 fe:00 77                          /lib/a.so
Rss:                   8 kB
Anonymous:             0 kB
3000-4000 r--p 00002000 fe:00 77                          /lib/a.so
Anonymous:             4 kB
4000-5000 rw-p 00003000 fe:00 77                          /lib/a.so
Anonymous:             0 kB
5000-6000 r--s 00000000 fe:00 78                          /dev/shm/shared
Anonymous:             0 kB
7000-8000 r--p 00000000 00:00 0
Anonymous:             0 kB
ffff-fffff r--p 00000000 fe:00 79                         /lib/b so
Anonymous:             0 kB
"""


def test_only_private_pages_that_a_file_gives_again_are_dropped() -> None:
    found = list(unwritten_mappings(SMAPS.splitlines()))
    assert found == [(0x1000, 0x3000), (0xFFFF, 0xFFFFF)]


def test_releasing_changes_no_loss(tmp_path: Path) -> None:
    replica = load_replica(linear_folder(tmp_path))
    before = replica.mean_loss(*batch(11))
    release_loaded()
    assert replica.mean_loss(*batch(11)) == before


@pytest.mark.process
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux counts file pages")
def test_pages_of_libraries_are_released() -> None:
    run = devices.run_isolated("zo_core_children:file_pages_released")
    assert run.status == "ok", run.error
    before, after = run.value
    assert after < 0.7 * before
