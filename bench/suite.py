"""One run of the suite: what it covers, where its records go, what it shows meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import devices
from bench.emulation import without_untrue
from bench.model_choice import check_model, choose_device
from bench.model_names import with_input_shape
from bench.progress import Progress
from bench.record import Metric, Record, provenance
from bench.scales import Scale, scale_named
from bench.store import StoreError, open_store, read_records, write_record

GROUPS = ("memory", "bytes", "formulas", "time", "engine", "accuracy")  # in the order they run


@dataclass(slots=True, kw_only=True)
class Suite:
    """What every case of a run shares."""

    scale: Scale
    groups: tuple[str, ...]
    folder: Path
    device: Mapping[str, Any]  # devices.DeviceSpec as JSON
    device_type: str = "cpu"  # or "cuda": where the steps run
    division: str = "closed"  # "open" with a model that is not the scale's own
    progress: Progress = field(default_factory=Progress)

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
    ) -> Suite:
        """Build a run from the command line's words.

        Raises:
            ValueError: an unknown scale, group, model or device.
            StoreError: the output folder cannot be written.
        """
        chosen = _scale(scale, model, input_shape)
        device_type = choose_device(device)
        groups = GROUPS if only is None else parse_groups(only)
        folder = open_store(Path(out) if out else new_folder())
        return cls(
            scale=chosen,
            groups=groups,
            folder=folder,
            device=devices.detect().to_json(),
            device_type=device_type,
            division="closed" if model is None else "open",
        )

    def start(self, cases: int, stream: TextIO) -> None:
        """Begin to show progress on a stream."""
        self.progress.start(cases, stream)

    def record(
        self,
        *,
        case: str,
        config: Mapping[str, Any],
        metrics: Mapping[str, Metric],
        details: Mapping[str, Any] | None = None,
        status: str = "ok",
        error: str | None = None,
        case_version: int = 1,
        headline: str,
    ) -> None:
        """Store one case's result and show its headline."""
        group = case.split("/", maxsplit=1)[0]
        record = Record(
            case=case,
            group=group,
            case_version=case_version,
            status=status,
            config=config,
            metrics=without_untrue(group, metrics, self.device["emulator"]),
            details=details or {},
            error=error,
            provenance=provenance(self.scale.name, self.device, self.division),
        )
        write_record(self.folder, record)
        self.progress.line(case, headline if status == "ok" else f"{status}: {error}")

    def finish(self) -> None:
        """Write the report; show the summary and where everything is."""
        from bench.report import summary_table, write_report

        try:
            records = read_records(self.folder)
        except StoreError:  # every case failed before it had a result; pytest says why
            return
        report = write_report(self.folder)
        console = self.progress.console
        console.print(summary_table(records))
        console.print(f"records  {self.folder / 'records'}", soft_wrap=True)
        console.print(f"plots    {self.folder / 'plots'}", soft_wrap=True)
        console.print(f"report   {report}", soft_wrap=True)


def _scale(name: str, model: str | None, input_shape: str | None) -> Scale:
    """Return a scale, with the user's model in place of its own; try to build that first."""
    scale = scale_named(name)
    if model is None and input_shape is not None:
        raise ValueError("--input-shape is the shape of --model's input: add --model")
    if model is None:
        return scale
    chosen = check_model(with_input_shape(model, input_shape))
    full_set = (chosen,) if scale.full_set_models else ()
    frugal = (chosen,) if scale.frugal_models else ()
    return replace(
        scale,
        memory_models=(chosen,),
        time_models=(chosen,),
        full_set_models=full_set,
        frugal_models=frugal,
    )


def new_folder() -> Path:
    """Name an output folder by the present time."""
    return Path("zobench-results") / datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")


def parse_groups(only: str) -> tuple[str, ...]:
    """Parse a comma-separated list of groups into running order.

    Raises:
        ValueError: a group is unknown.
    """
    wanted = {name.strip() for name in only.split(",")}
    unknown = wanted - set(GROUPS)
    if unknown:
        raise ValueError(f"--only takes {', '.join(GROUPS)}, got {', '.join(sorted(unknown))}")
    return tuple(group for group in GROUPS if group in wanted)


def cases_files(groups: Sequence[str]) -> list[Path]:
    """List the files with the cases of some groups."""
    return [Path(__file__).with_name(f"bench_{group}.py") for group in groups]
