"""How tables of whole trainings are run, and what they train in place of the scale's."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from bench.sweeps.engines import check_engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How tables are run."""

    engine: str = "local"
    address: str | None = None  # of a Ray cluster
    workers: int | None = None  # tasks at a time; None: as many as the engine has room for
    data_dir: str | None = None  # folder of data sets that are files
    verify: bool = True  # compare their checksums
    model: str | None = None  # in place of the scale's
    dataset: str | None = None  # likewise
    criterion: str | None = None  # likewise
    init: str | None = None  # file of the weights that every cell starts from
    device: str = "cpu"
    precision: str = "fp32"  # of every cell
    rows: str | None = None  # names of the rows to run, comma-separated; None: all
    splits: str | None = None  # likewise
    seeds: int | None = None  # runs of a cell; None: the scale's
    per_process: int = 1  # cells that a process trains one after the other
    minutes: float | None = None  # after which no cell is started, and a long one is saved
    began: float = field(default_factory=time.time)  # seconds since the epoch

    def __post_init__(self) -> None:
        for name in ("workers", "seeds", "per_process", "minutes"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be > 0, got {value}")
        check_engine(self.engine, self.address)

    @property
    def own(self) -> dict[str, str]:
        """The fields of every cell's config that the user chose in place of the scale's."""
        chosen = {name: getattr(self, name) for name in ("model", "dataset", "criterion", "init")}
        return {name: value for name, value in chosen.items() if value is not None}

    @property
    def fields(self) -> dict[str, str]:
        """All fields of every cell's config that differ from the scale's."""
        return self.own | ({} if self.precision == "fp32" else {"precision": self.precision})

    @property
    def deadline(self) -> float | None:
        """When no further cell is started, in seconds since the epoch; None: never."""
        return None if self.minutes is None else self.began + 60 * self.minutes

    def out_of_time(self) -> bool:
        """Tell whether no further cell is to be started."""
        return self.deadline is not None and time.time() > self.deadline
