"""What ``zobench join`` prints while it trains: that it joined, then a line every few rounds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from zo_core.federation.protocol.client import Client
    from zo_core.federation.protocol.trainers import OnnxTrainer, TorchTrainer

_LINE_EVERY = 10  # rounds


class ClientLines:
    """Prints the progress of a client.

    Args:
        console: prints the lines.
        client: is read, never changed.
        trainer: the client's; likewise.
        data_dir: of torch, as given; None where it was not.
    """

    def __init__(
        self,
        console: Console,
        client: Client,
        trainer: TorchTrainer | OnnxTrainer,
        *,
        data_dir: Path | None,
    ) -> None:
        self._console = console
        self._client = client
        self._trainer = trainer
        self._data_dir = data_dir
        self._printed_round: int | None = None

    def refresh(self) -> None:
        """Print a line if the client has just joined, or is ten rounds further."""
        plan, done = self._client.plan, self._client.next_round
        if plan is None:
            return
        if self._printed_round is None:
            self._console.print(
                f"joined run {plan.run_id:016x} as client {self._client.slot} of "
                f"{plan.config.clients}: {plan.config.algorithm} on {plan.config.dataset}"
            )
            self._check_data_dir(plan.config.dataset)
            if self._trainer.arithmetic is not None:
                self._console.print(self._trainer.arithmetic.summary)
            self._printed_round = done
        elif done >= self._printed_round + _LINE_EVERY:
            self._console.print(f"round {done} of {plan.rounds}")
            self._printed_round = done

    def _check_data_dir(self, dataset: str) -> None:
        if self._data_dir is None:
            return
        from zo_core.data import needs_files

        if not needs_files(dataset):
            self._console.print(
                f"warning: --data-dir has no effect on {dataset}, which needs no files"
            )
