"""Where a run's output goes if the user names no folder."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Final

RESULTS: Final = Path("zobench-results")
FOLDER_FORMAT: Final = "%Y-%m-%dT%H%M%SZ"  # of the time, UTC


def new_folder() -> Path:
    """Name an output folder by the present time."""
    return RESULTS / datetime.now(timezone.utc).strftime(FOLDER_FORMAT)
