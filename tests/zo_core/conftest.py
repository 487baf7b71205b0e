"""Let tests, and the children they start, import the helper modules that lie here."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
