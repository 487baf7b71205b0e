"""The whole study: pre-train the model, tune the rates, compare the variants, write the record."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from bench.instruct.pretraining import Log, pretrained
from bench.instruct.record import PAPER, sizes_of, study_run, write_study
from bench.instruct.study import Study, StudyConfig
from bench.records.details.instruct import InstructDetails
from bench.records.typed_json import to_json
from bench.sweeps.cell import CellStore
from bench.sweeps.engines import SweepRunner, open_engine
from bench.sweeps.task import TaskContext
from zo_core.data import Dataset


def run_study(
    config: StudyConfig,
    dataset: Dataset,
    folder: Path,
    *,
    data_dir: Path,
    workers: int | None = None,
    log: Log,
) -> Path:
    """Run what is missing of a study.

    Args:
        config: the study.
        dataset: the instructions.
        folder: of results, with its folder of records; what is done there is not run again.
        data_dir: folder of the instructions' files.
        workers: trainings at a time; None for one per core.
        log: shows progress.

    Returns:
        The record's file.

    Raises:
        ValueError: the folder's model comes from another pre-training.
        ChildProcessError: a run failed; the message names it.
    """
    assert dataset.texts is not None
    base, pretraining = pretrained(config.pretraining, dataset, dataset.texts, folder, log)
    around = TaskContext(data_dir=str(data_dir.absolute()), base=str(base.absolute()))
    engine = open_engine("local", workers=workers, address=None, device="cpu")
    with closing(engine):
        store = CellStore.below(folder)
        runner = SweepRunner(engine=engine, store=store, around=around, stop=lambda: False)
        study = Study(config, dataset, runner, log)
        tuning = study.tune()
        runs = study.compare(tuning)
    details = InstructDetails(
        config=to_json(config),
        data=sizes_of(dataset, dataset.texts),
        pretraining=pretraining,
        tuning={variant: tuple(map(study_run, tried)) for variant, tried in tuning.items()},
        runs=tuple(map(study_run, runs)),
        paper=PAPER,
    )
    return write_study(details, folder)
