"""The README's Python runs as it stands, and does what it is there to show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

README = Path(__file__).parents[1] / "README.md"


def test_the_example_descends() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    names: dict[str, Any] = {}
    setup, loop = code.split("for step in")
    exec(setup, names)
    before = names["loss"]()
    exec("for step in" + loop, names)
    assert names["loss"]() < 0.8 * before
