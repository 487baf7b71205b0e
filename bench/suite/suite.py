"""One run of the suite: what it covers, where its records go, what it shows meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

import devices
from bench.groups import GROUPS, OPT_IN_GROUPS, TABLES
from bench.records.case_name import CaseName
from bench.records.details.arithmetic import ScalarNoise
from bench.records.record import Metric, Record, provenance
from bench.records.store import open_store, write_record
from bench.records.typed_json import to_json
from bench.replication.chosen import check_chosen
from bench.replication.frontier_runs import check_frontier
from bench.replication.run_options import Options
from bench.replication.table_checks import check, check_data, check_own, names_at
from bench.replication.table_run import NAMES
from bench.suite.emulation import emulator_warning, mask_emulated, once
from bench.suite.folder import new_folder
from bench.suite.preflight import check_model, choose_device, missing_kernels
from bench.suite.progress import Progress
from bench.suite.scales import Scale, scale_named
from bench.suite.unused_options import refuse_table_options, refuse_unused
from bench.workloads.low_memory_steps import LOW_MEMORY_STEPS
from bench.workloads.scalar_noise import scalar_noise_of
from bench.workloads.steps import STEP_METHODS
from devices.energy import use_log
from zo_core.config import PRECISIONS
from zo_core.kernels import default_kernel
from zo_core.model_names import with_input_shape


@dataclass(slots=True, kw_only=True)
class Suite:
    """What every case of a run shares."""

    scale: Scale
    groups: tuple[str, ...]
    folder: Path
    device: Mapping[str, Any]  # devices.DeviceSpec as JSON
    device_type: str = "cpu"  # or "cuda": where the steps run
    precision: str = "fp32"  # of steps and of trainings
    division: str = "closed"  # "open" with a model or a precision that is not the scale's own
    campaign: Options = field(default_factory=Options)  # how the paper's tables are run
    progress: Progress = field(default_factory=Progress)
    num_answers: int = 0  # records written and cases left out
    unanswered: list[str] = field(default_factory=list)  # cases that should have left a record

    @classmethod
    def from_options(
        cls,
        *,
        scale: str,
        only: str | None,
        out: str | None,
        model: str | None = None,
        input_shape: str | None = None,
        device: str = "cpu",
        precision: str = "fp32",
        energy_csv: str | None = None,
        campaign: Mapping[str, Any] | None = None,
    ) -> Suite:
        """Build a run from the command line's words.

        Args:
            scale: a name in SCALES.
            only: comma-separated groups and tables; None for GROUPS.
            out: output folder; None for one named by the time.
            model: in place of the scale's.
            input_shape: of the model's input.
            device: "auto", "cpu" or "cuda".
            precision: a name in PRECISIONS of zo_core.config.
            energy_csv: log of a power meter, in place of this machine's sensors.
            campaign: options of the paper's tables, see bench.replication.table_run.Options.

        Raises:
            ValueError: an unknown scale, group, table, model or device, a damaged data file, or an
                option that would change nothing.
            FileNotFoundError: a data file is missing.
            StoreError: the output folder cannot be written.
            ImportError: the library that reads the data files is not installed.
        """
        device_type = choose_device(device)
        if precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise ValueError(f"--precision must be one of {known}, got {precision!r}")
        groups, tables = (GROUPS, ()) if only is None else parse_groups(only, scale)
        refuse_unused(
            {
                "model": model is not None,
                "device": device_type != "cpu",
                "precision": precision != "fp32",
                "energy-csv": energy_csv is not None,
            },
            groups,
        )
        if input_shape is not None and groups == (TABLES,):
            raise ValueError(
                "--input-shape has no effect on tables, whose models take the shape of their data "
                "set; leave it out"
            )
        measured = None if groups == (TABLES,) else model  # tables train it, and try it there
        chosen = _scale(scale, measured, input_shape)
        trained = {"model": model} if tables and model is not None else {}
        of_run = {"device": device_type, "precision": precision}
        options = Options(**{**(campaign or {}), **trained, **of_run})
        trains_files = (
            "frontier" in groups and chosen.frontier_trains and options.data_dir is not None
        )
        refuse_table_options(campaign or {}, tables, trains_files=trains_files)
        check_own(tables, options)
        check_chosen(tables, options)
        check_data(tables, scale, options)
        if trains_files:
            check_frontier(options)
        use_log(energy_csv)
        folder = open_store(Path(out) if out else new_folder())
        profile = devices.detect().to_json()
        if profile["emulator"]:
            chosen = once(chosen)
        return cls(
            scale=replace(chosen, tables=tables),
            groups=groups,
            folder=folder,
            device=profile,
            device_type=device_type,
            precision=precision,
            division="closed" if model is None and precision == "fp32" else "open",
            campaign=options,
        )

    def start(self, cases: int, stream: TextIO) -> None:
        """Begin to show progress on a stream, after warnings: slow kernels, an emulator."""
        self.progress.start(cases, stream)
        warnings = missing_kernels(self.device_type), emulator_warning(self.device["emulator"])
        for warning in filter(None, warnings):
            self.progress.console.print(warning, soft_wrap=True)

    def record(
        self,
        *,
        case: CaseName,
        config: Mapping[str, Any],
        metrics: Mapping[str, Metric],
        details: Any = None,
        status: str = "ok",
        error: str | None = None,
        case_version: int = 1,
        headline: str,
    ) -> None:
        """Store one case's result and show its headline."""
        record = Record(
            case=str(case),
            group=case.group,
            case_version=case_version,
            status=status,
            config=config,
            metrics=mask_emulated(case.group, metrics, self.device["emulator"]),
            details=to_json(details or {}),
            error=error,
            provenance=provenance(
                self.scale.name,
                self.device,
                self.division,
                zo_kernel=default_kernel(str(config.get("device", "cpu"))),
            ),
        )
        write_record(self.folder, record)
        self.num_answers += 1
        self.progress.line(str(case), headline if status == "ok" else f"{status}: {error}")

    def scalar_noise(self, model: str) -> ScalarNoise | None:
        """Measure what this run's arithmetic adds to a model's scalars; None under an emulator."""
        if self.device["emulator"]:
            return None
        return scalar_noise_of(model, self.device_type, self.precision)

    def leave_out(self, reason: str) -> None:
        """Say why the running case has nothing to record."""
        self.num_answers += 1
        self.progress.log(reason)


def _scale(name: str, model: str | None, input_shape: str | None) -> Scale:
    """Return a scale, with the user's model in place of its own; try to build that first."""
    scale = scale_named(name)
    if model is None and input_shape is not None:
        raise ValueError("--input-shape is the shape of --model's input: add --model")
    if model is None:
        return scale
    low_memory = LOW_MEMORY_STEPS if scale.low_memory_models else ()
    chosen = check_model(with_input_shape(model, input_shape), (*STEP_METHODS, *low_memory))
    full_set = (chosen,) if scale.full_set_models else ()
    return replace(
        scale,
        memory_models=(chosen,),
        time_models=(chosen,),
        full_set_models=full_set,
        edge_models=(chosen,) if scale.edge_models else (),
        edge_full_set_models=(chosen,) if scale.edge_full_set_models else (),
        edge_trial_models=(),
        edge_precision_models=(),
        edge_training_seeds=(),
        low_memory_models=(chosen,) if scale.low_memory_models else (),
    )


def parse_groups(only: str, scale: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Parse a comma-separated list of groups and of the paper's tables.

    Args:
        only: names; "tables" stands for all tables that the scale has.
        scale: a name in SCALES.

    Returns:
        Groups and tables, each in running order.

    Raises:
        ValueError: a name is unknown, or a table is not of this scale.
    """
    wanted = {name.strip() for name in only.split(",")}
    unknown = wanted - {*GROUPS, *OPT_IN_GROUPS, TABLES, *NAMES}
    if unknown:
        known = ", ".join((*GROUPS, *OPT_IN_GROUPS, TABLES, *NAMES))
        raise ValueError(f"--only takes {known}, got {', '.join(sorted(unknown))}")
    if TABLES in wanted:
        wanted |= set(names_at(scale))
    tables = tuple(name for name in NAMES if name in wanted)
    for name in tables:
        check(name, scale)
    groups = tuple(group for group in (*GROUPS, *OPT_IN_GROUPS) if group in wanted)
    return (*groups, TABLES) if tables else groups, tables


def cases_files(groups: Sequence[str]) -> list[Path]:
    """List the files with the cases of some groups."""
    cases = Path(__file__).parents[1] / "cases"
    return [cases / f"bench_{group}.py" for group in groups]
