"""One section of the report: what the page shows of one group of records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.records.record_index import Results
from bench.report.table import Table

# Each returns nothing where nothing was measured.
TableBuilder = Callable[[Results], Sequence[Table]]
SentenceBuilder = Callable[[Results], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The tables and sentences of one group, and the text around them."""

    group: str  # the first part of its cases' names
    title: str
    short: str = ""  # the title in the table of contents, where it is another
    lead: str  # what the figures are and how they are defined
    sentences: tuple[SentenceBuilder, ...] = ()
    tables: tuple[TableBuilder, ...] = ()
    definitions: Mapping[str, str] = field(default_factory=dict)  # for "How it was measured"
    # likewise, each where a table's caption begins with its name
    table_definitions: Mapping[str, str] = field(default_factory=dict)
    command: str = ""  # makes the records; empty: zobench run --only GROUP
    threads: int | None = None  # that the group's cases set themselves; None: the machine's
    optional: bool = False  # left out of the page when there is nothing to show

    @property
    def made_by(self) -> str:
        """The command that makes the group's records."""
        return self.command or f"zobench run --only {self.group}"
