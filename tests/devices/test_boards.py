"""Profiles of boards that people own, from files and outputs that public threads show.

GIVEN a tree that holds only what the cited sources show, each file with its link,
WHEN `zobench devices --root TREE` describes it,
THEN it reports that and nothing else: all other properties are null with a reason.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import main
from devices.detect import detect
from devices.energy import NoEnergy, energy_meter
from devices.jetson import gpu_load
from devices.power import battery_state

BOARDS = sorted(Path(__file__).with_name("boards").glob("*.json"))
EMPTY = ("versions", "preloads", "links_bits_per_s", "sources", "notes", "kind")


def load(board: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(board.read_text())
    return loaded


def tree_of(board: Path, root: Path) -> Path:
    for file in load(board)["files"]:
        path = root / file["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file["text"])
    return root


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.stem)
def test_a_boards_profile_is_what_its_sources_show(
    tmp_path: Path, board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = load(board)["expected"]
    expected_energy, expected_load = expected.pop("energy", None), expected.pop("gpu_load", None)
    expected_battery = expected.pop("battery", None)

    assert main(["devices", "--root", str(tree_of(board, tmp_path)), "--json"]) == 0

    profile = json.loads(capsys.readouterr().out)
    accelerator = profile["accelerator"]
    if accelerator is not None:
        profile["accelerator"] = {k: v for k, v in accelerator.items() if v is not None}
    known = {k: v for k, v in profile.items() if v is not None and k not in EMPTY}
    assert known == expected
    assert {name for name, value in profile.items() if value is None} <= set(profile["notes"])
    meter = energy_meter(tmp_path)
    assert isinstance(meter, NoEnergy) == (expected_energy is None)
    assert expected_energy is None or str(expected_energy) in reading_method(meter)
    assert gpu_load(tmp_path) == expected_load
    assert battery_state(tmp_path) == expected_battery


def reading_method(meter: Any) -> str:
    meter.start()
    method: str = meter.stop().method
    return method


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.stem)
def test_each_file_of_a_board_has_its_link(board: Path) -> None:
    assert load(board)["about"]
    for file in load(board)["files"]:
        assert file["source"].startswith("https://github.com/")
        assert not file["path"].startswith("/")


def test_a_property_without_a_file_names_the_file_to_copy(tmp_path: Path) -> None:
    notes = detect(tmp_path).notes

    files = {"memory_bytes": "proc/meminfo", "os": "etc/os-release", "l4t": "etc/nv_tegra_release"}
    assert {name: file for name, file in files.items() if file not in notes[name]} == {}


def test_the_checks_of_an_empty_tree_say_that_it_is_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["devices", "--root", str(tmp_path), "--check"]) == 0
    assert "nothing to check" in capsys.readouterr().out


def test_a_tree_is_not_shown_as_this_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["devices", "--root", str(tmp_path)]) == 0
    assert "this device" not in capsys.readouterr().out


def test_a_tree_that_is_not_a_folder_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["devices", "--root", str(tmp_path / "none")]) == 2
    assert "--root must be a folder" in capsys.readouterr().err
