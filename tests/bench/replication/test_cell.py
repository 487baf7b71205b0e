from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_cells import result, tiny_cell

from bench.records.store import StoreError
from bench.sweeps.cell import Cell, CellStore
from zo_core.algorithms import train_config


def test_the_same_config_is_the_same_cell_and_any_other_field_another() -> None:
    assert tiny_cell().key == tiny_cell().key
    others = [
        tiny_cell(1),
        tiny_cell(tau=0.5),
        tiny_cell(algorithm="mezo"),
        Cell(config=train_config()),
    ]
    assert len({cell.key for cell in (tiny_cell(), *others)}) == 5


def test_a_result_comes_back_as_it_was_stored(tmp_path: Path) -> None:
    store, cell = CellStore.below(tmp_path), tiny_cell()
    assert store.read(cell) is None
    store.write(result(cell, 0.75))
    assert store.done(cell) == result(cell, 0.75)
    assert [path.name for path in store.folder.iterdir()] == [f"{cell.key}.json"]


def test_only_what_is_not_there_or_failed_is_missing_and_each_once(tmp_path: Path) -> None:
    store = CellStore.below(tmp_path)
    done, lost, new = tiny_cell(0), tiny_cell(1), tiny_cell(2)
    store.write(result(done, 0.5))
    store.write(result(lost, None))
    assert store.missing([done, lost, new, lost]) == [lost, new]


def test_a_result_of_another_config_under_the_same_key_does_not_count(tmp_path: Path) -> None:
    """A default that changed: the key is that of the fields that differ from the defaults."""
    store, cell = CellStore.below(tmp_path), tiny_cell()
    data = result(cell, 0.5).to_json()
    data["config"] = data["config"] | {"epsilon": 7.0}
    (store.folder / f"{cell.key}.json").write_text(json.dumps(data))
    assert store.done(cell) is None


def test_a_field_that_was_added_since_does_not_spoil_a_result(tmp_path: Path) -> None:
    store, cell = CellStore.below(tmp_path), tiny_cell()
    data = result(cell, 0.5).to_json()
    data["config"] = {k: v for k, v in data["config"].items() if k != "zo_share"}
    (store.folder / f"{cell.key}.json").write_text(json.dumps(data))
    assert store.done(cell) is not None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "zobench-cell/9"}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    store, cell = CellStore.below(tmp_path), tiny_cell()
    (store.folder / f"{cell.key}.json").write_text(text)
    with pytest.raises(StoreError, match=cell.key):
        store.read(cell)


def test_a_cell_of_the_first_schema_is_read(tmp_path: Path) -> None:
    """Curves were lists of points, and chance_level was called guessing."""
    store, cell = CellStore.below(tmp_path), tiny_cell()
    data = result(cell, 0.75).to_json() | {"schema": "zobench-cell/1"}
    training = data["training"]
    training["guessing"] = training.pop("chance_level")
    columns = training["curve"]
    training["curve"] = [
        dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    ]
    (store.folder / f"{cell.key}.json").write_text(json.dumps(data))
    assert store.done(cell) == result(cell, 0.75)
