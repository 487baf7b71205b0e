"""Files are written whole or not at all, and what a kill leaves is removed by the next start."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sample_records import sample_records, write
from torch import nn

import devices
from bench.__main__ import main
from bench.cli import EXIT_USAGE
from bench.records.store import RECORDS, StoreError, open_store, read_records, write_record
from devices import temporary
from zo_core.algorithms import train_config
from zo_core.data import synthetic_blobs
from zo_core.federation.simulation.run_checkpoint import resume_, save
from zo_core.federation.simulation.training import Training


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let writes to files of some name fail half-way, as on a full disk."""

    def fill(name: str) -> None:
        whole = Path.write_text

        def write_text(self: Path, text: str, *arguments: Any, **options: Any) -> int:
            if name not in self.name:
                return whole(self, text, *arguments, **options)
            whole(self, text[: len(text) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "write_text", write_text)

    return fill


def test_a_record_on_a_full_disk_is_named_and_the_others_are_safe(
    tmp_path: Path, full_disk: Callable[[str], None]
) -> None:
    first, second, *_ = sample_records()
    folder = open_store(tmp_path)
    write_record(folder, first)
    full_disk(second.name.file_name)
    with pytest.raises(StoreError, match=r"\.json cannot be written \(No space left.*are intact"):
        write_record(folder, second)
    assert files(folder / RECORDS) == [first.name.file_name]


def test_a_checkpoint_on_a_full_disk_leaves_the_one_before(
    tmp_path: Path, full_disk: Callable[[str], None]
) -> None:
    shape = {"dataset": "synthetic", "clients": 4, "rounds": 2, "pivot": 1, "warmup_cohort": 2}
    config = train_config(**shape, high_share=0.5)

    def training() -> Training:
        return Training(config, synthetic_blobs(train_items=80, test_items=20))

    run = training()
    save(run, tmp_path)
    run.step(0)
    full_disk("checkpoint.json")
    with pytest.raises(OSError, match=r"round 1 cannot be written .*the one before is intact"):
        save(run, tmp_path)
    resumed = training()
    assert resume_(resumed, tmp_path)
    assert resumed.record.rounds_done == 0
    assert not [name for name in files(tmp_path) if name.endswith(".part")]


@pytest.mark.optional("onnx", "onnxscript", "onnxruntime")
@pytest.mark.parametrize("had_one", [False, True])
def test_an_export_to_a_full_disk_leaves_what_was_there(
    tmp_path: Path, full_disk: Callable[[str], None], had_one: bool
) -> None:
    from zo_core.edge.export import export_model

    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    example = torch.zeros(2, 1, 2, 2), torch.tensor([0, 1])
    folder = tmp_path / "exported"
    if had_one:
        export_model(module, folder, example=example, name="tiny")
    before = {path.name: path.read_bytes() for path in folder.glob("*")}
    full_disk("manifest.json")
    with pytest.raises(OSError, match=r"No space left.*nothing in the folder has changed"):
        export_model(module, folder, example=example, name="tiny")
    assert {path.name: path.read_bytes() for path in folder.glob("*")} == before
    assert folder.exists() == had_one


def test_what_a_killed_writer_left_among_records_is_removed(tmp_path: Path) -> None:
    folder = open_store(tmp_path)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    (folder / RECORDS / f".a.json.{process.pid}.tmp").write_text("{")
    alive = folder / RECORDS / ".b.json.1.tmp"
    alive.write_text("{")
    open_store(tmp_path)
    assert files(folder / RECORDS) == [alive.name]


_HOLD = """
import sys, time, devices
with devices.temporary_folder() as folder:
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.mark.process
def test_a_killed_process_leaves_a_folder_that_the_next_start_removes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporary.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    command = [sys.executable, "-c", _HOLD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        devices.remove_left_overs()
        assert folder.parent == tmp_path
        assert folder.exists(), "its process is alive"
        process.kill()
    devices.remove_left_overs()
    assert not folder.exists()


def test_own_folders_are_kept_and_foreign_ones_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporary.tempfile, "tempdir", str(tmp_path))
    foreign = tmp_path / "zobench-of-someone"
    foreign.mkdir()
    with devices.temporary_folder() as folder:
        devices.remove_left_overs()
        assert folder.exists()
    assert not folder.exists()
    assert foreign.exists()


@pytest.mark.process
def test_a_command_that_is_asked_to_end_cleans_up(tmp_path: Path) -> None:
    code = (
        "import sys, bench.__main__ as command, bench.cli.devices as devices\n"
        f"def run(arguments):\n    exec({_HOLD!r})\n"
        "devices.run = run\n"
        "sys.argv[1:] = ['devices']\n"
        "sys.exit(command.main())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    assert folder.exists()
    process.terminate()
    process.communicate()
    assert process.returncode == 130
    assert not folder.exists()


def test_serve_with_a_bad_option_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "served"
    words = ["serve", "--dir", str(folder), "--clients", "3", "--high-share", "0.01"]
    assert main(words) == EXIT_USAGE
    assert not folder.exists()


@pytest.mark.parametrize(
    ("field", "value"), [("config_hash", "0" * 16), ("status", "fine"), ("metrics", {"x": {}})]
)
def test_a_record_that_check_rejects_is_rejected_by_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str, value: Any
) -> None:
    folder = write(tmp_path, sample_records()[:2])
    path = next((folder / RECORDS).glob("*.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(StoreError, match="not a valid record"):
        read_records(folder)
    assert main(["report", str(folder)]) == EXIT_USAGE
    assert path.name in capsys.readouterr().err


def test_a_young_folder_without_a_lock_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporary.tempfile, "tempdir", str(tmp_path))
    young = tmp_path / "zobench-task-young"
    young.mkdir()
    devices.remove_left_overs()
    assert young.exists()
    later = time.time() + 1000
    monkeypatch.setattr(temporary.time, "time", lambda: later)
    devices.remove_left_overs()
    assert not young.exists()
