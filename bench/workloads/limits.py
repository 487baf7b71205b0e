"""How long a child process may run before it counts as hung."""

from __future__ import annotations

from typing import Final

TRIAL_TIMEOUT_S: Final = 900.0  # one step, export or import
CASE_TIMEOUT_S: Final = 3600.0  # everything that one case measures in one process
