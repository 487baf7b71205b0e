"""The sweep over models of several libraries, child by child, and its table in the docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import zoo
from optional import needs

PAGE = Path(__file__).parents[2] / "docs" / "your-model.md"
LEAST = 20  # models that work


@pytest.mark.process
@pytest.mark.nightly
@needs("timm", "transformers")
def test_most_models_work_and_the_others_are_refused_with_a_reason() -> None:
    rows = [zoo.run_model(model) for model in zoo.MODELS]
    assert [row for row in rows if row.has_traceback] == []
    assert sum(row.works for row in rows) >= LEAST


def test_the_table_of_the_page_has_every_model() -> None:
    (table,) = re.findall(rf"{zoo.BEGIN}(.*?){zoo.END}", PAGE.read_text(), flags=re.DOTALL)
    assert re.findall(r"^\| `([^`]+)`", table, flags=re.MULTILINE) == list(zoo.MODELS)


@pytest.mark.process
@pytest.mark.parametrize("model", ["zoo_models:embeddings", "zoo_models:spectral"])
@pytest.mark.slow
def test_a_model_of_the_sweep_works_in_a_child(model: str) -> None:
    assert zoo.run_model(model).works
