"""The Python of docs/optimizer.md runs as it stands, block after block."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from optional import needs

from zo_core.compat.transformers import import_peft, import_transformers

PAGE = Path(__file__).parents[1] / "docs" / "optimizer.md"


def run_blocks(*comments: str) -> dict[str, Any]:
    """Run the blocks without a comment at their top, and those with one of these."""
    names: dict[str, Any] = {"__name__": "page"}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    for code in blocks:
        if not code.startswith("#") or code.split("\n")[0] in comments:
            exec(compile(code, str(PAGE), "exec", dont_inherit=True), names)
    return names


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_the_loop_learns_and_is_replayed(tmp_path: Path) -> None:
    names = run_blocks()
    with names["torch"].inference_mode():
        right = names["model"](names["x"]).argmax(dim=1) == names["y"]
    assert float(right.float().mean()) > 0.8
    assert (tmp_path / "tune.zolog").stat().st_size < 10_000


@needs("transformers", "peft")
@pytest.mark.filterwarnings("ignore:'pin_memory' argument:UserWarning")  # the Trainer's default
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # used by peft
def test_the_trainer_and_lora_run() -> None:
    import_transformers()
    import_peft()
    names = run_blocks("# needs transformers", "# needs peft")
    assert names["trainer"].state.global_step == 5
    assert names["optimizer"].log().num_steps == 5
