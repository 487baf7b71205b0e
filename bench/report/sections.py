"""The report's sections: each group of records is one entry, and the page shows no other.

To add a group: write functions from :class:`~bench.records.record_index.Results` to tables and to
plots, and put an entry in ``SECTIONS`` where the page shall have it.  A group that the suite runs
as well is named in ``bench.groups.GROUPS`` and has its cases in ``bench_<group>.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.cases.bench_wire import wire_tables
from bench.records.record_index import Results
from bench.report.groups.edge import edge_sentences, edge_tables
from bench.report.groups.fit import board_tables, trial_tables
from bench.report.groups.frontier import frontier_tables
from bench.report.groups.frontier_sentences import frontier_sentences
from bench.report.groups.llm import llm_tables
from bench.report.groups.low_memory import frugal_tables
from bench.report.groups.replication import replication_tables
from bench.report.groups.result_tables import accuracy_tables, formula_tables
from bench.report.groups.statements import (
    accuracy_sentences,
    bytes_sentence,
    memory_sentence,
    time_sentence,
)
from bench.report.groups.train import train_sentences, train_tables
from bench.report.plots.accuracy import accuracy_plots, frontier_plots
from bench.report.plots.cost import category_plots, time_plots
from bench.report.plots.frontier import cap_plots
from bench.report.plots.memory import bytes_plots, memory_plots
from bench.report.plots.replication import replication_plots
from bench.report.plots.style import Plot
from bench.report.table import Table, bytes_tables, engine_tables, memory_tables, time_tables

TableMaker = Callable[[Results], Sequence[Table]]  # none where nothing was measured
PlotMaker = Callable[[Results], Sequence[Plot]]  # none where nothing was measured
Sayer = Callable[[Results], Sequence[str]]  # of records that are there


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What the page shows of one group, and the words that go with it."""

    group: str  # the first part of its cases' names
    title: str
    lead: str  # what the figures are and by what definition
    says: tuple[Sayer, ...] = ()  # sentences made from the records
    tables: tuple[TableMaker, ...] = ()
    plots: tuple[PlotMaker, ...] = ()
    definitions: Mapping[str, str] = field(default_factory=dict)  # for "how it was measured"
    command: str = ""  # makes the records; none: zobench run --only GROUP
    optional: bool = False  # left out of the page where it has nothing to show

    @property
    def made_by(self) -> str:
        """The command that makes the group's records."""
        return self.command or f"zobench run --only {self.group}"


SECTIONS = (  # in the page's order
    Section(
        group="fit",
        title="What fits",
        lead=(
            "A step must fit beside the system, which takes a share of a board’s memory as well;"
            " another processor’s libraries have another size. zobench fit --measure tries a step"
            " under a limit that the kernel enforces."
        ),
        tables=(board_tables, trial_tables),
        command="zobench fit --grid --out DIR",
        optional=True,
    ),
    Section(
        group="formulas",
        title="The paper’s Table 1, held against measurement",
        lead=(
            "Legate, Rish and Belilovsky, arXiv 2509.03503. Three columns for each of its figures:"
            " as printed, its formula recomputed, and measured here."
        ),
        tables=(formula_tables,),
    ),
    Section(
        group="memory",
        title="Peak memory of one step",
        lead=(
            "The high-water mark of a fresh process during one training step, less what it held"
            " just before; on a GPU that of the device’s memory. Inference is two forwards in a"
            " row: as many as one ZO direction takes."
        ),
        says=(lambda results: [memory_sentence(results)],),
        tables=(memory_tables, frugal_tables),
        plots=(category_plots, memory_plots),
        definitions={
            "Peak memory": (
                "A fresh process for each sample runs one unmeasured step first. The baseline is"
                " read just before the region, after garbage collection and a trim of the heap, so"
                " weights, batch and libraries are in it. The C library is told to give freed"
                " blocks back at once (MALLOC_MMAP_THRESHOLD_); left to itself glibc keeps some,"
                " which makes figures larger and scatter: the formulas' section shows by how much."
                " On a GPU the peak is that of live tensors as torch’s CUDA allocator counts them,"
                " and the whole process is what the driver charges it with at the step’s end."
                " MiB = 2²⁰ bytes."
            ),
            "Steps at less memory": (
                "Each way is checked to take FedAvg’s step, or ZO’s, to 10⁻⁵ of the update, and"
                " backprop of a part to take that part of it. Tensors"
                " are counted at torch’s dispatcher; a gradient counts as the loss’s slope by a"
                " weight, an activation’s gradient as whatever else backward makes."
            ),
        },
    ),
    Section(
        group="bytes",
        title="Bytes of one round",
        lead=(
            "Scalars are the paper’s count, 4 bytes each; the payload is the encoded message with"
            " its header. ZO’s directions follow from the run’s seed and cost nothing."
        ),
        says=(lambda results: [bytes_sentence(results)],),
        tables=(bytes_tables,),
        plots=(bytes_plots,),
        definitions={"Bytes": "The length of the encoded message, which is its cost; no estimate."},
    ),
    Section(
        group="wire",
        title="Bytes on a real wire",
        lead=(
            "MQTT by Mosquitto, one client alone on a virtual cable, steady state: what crosses"
            " its interface, with the headers of each packet and the acknowledgements."
        ),
        tables=(wire_tables,),
        optional=True,
    ),
    Section(
        group="time",
        title="Time and energy of one step",
        lead=(
            "Inference is two forwards; ZO is one direction: two forwards, the perturbations and"
            " the replay; FedAvg is forward, backward and update. A round of the paper takes S = 3"
            " directions over the client’s 900 images by ZO, three epochs over them by FedAvg."
        ),
        says=(lambda results: [time_sentence(results)],),
        tables=(time_tables,),
        plots=(time_plots,),
        definitions={
            "Time": "Wall time in other runs than memory, one unmeasured repeat first.",
            "Energy": (
                "Joules of two seconds of steps in a row, by the step: a GPU’s or a processor’s own"
                " counters, or a board’s power sensors; screen, storage, radio and the power supply"
                " are outside of all of them. Where there is no counter there is no figure."
            ),
        },
    ),
    Section(
        group="edge",
        title="A client without torch",
        lead=(
            "A ZO client needs forwards alone, so it can do without a training framework: NumPy,"
            " ONNX Runtime and the engine’s kernels. Its round beside the same round with torch"
            " and beside FedAvg’s, each in a fresh process."
        ),
        says=(edge_sentences,),
        tables=(edge_tables,),
        definitions={
            "Client’s round": (
                "Scalars of S directions over the client’s images, then the replay of the round’s"
                " list. The whole process counts everything since it began: libraries, loading,"
                " weights, data. FedAvg takes one step over one batch, or three epochs over a"
                " whole set."
            ),
            "Exactness of the scalars": (
                "Root mean square over 20 directions of the difference from a float64 forward at"
                " the same fp32 weights, by the root mean square of the scalars themselves."
            ),
        },
        optional=True,
    ),
    Section(
        group="accuracy",
        title="Accuracy that the resources buy",
        lead=(
            "ZOWarmUp trains on high-resource clients up to the pivot and on all clients by ZO"
            " after it; High-Res-Only spends the same total of rounds on high-resource clients"
            " alone. The two run on the same seeds, so they are compared in pairs."
        ),
        says=(accuracy_sentences,),
        tables=(accuracy_tables,),
        plots=(accuracy_plots, frontier_plots),
        definitions={
            "Accuracy": (
                "The share of the test split classified rightly, after the last round; high and"
                " low hold-outs are the pooled 10 % that each group’s clients keep back. Each seed"
                " is a run of its own, with its own partition, initial weights and cohorts."
            ),
            "Intervals": "Student’s t on the seeds’ paired differences, 95 %.",
        },
    ),
    Section(
        group="train",
        title="Trainings",
        lead=(
            "One run each: a seed, a partition, a split. Bytes are all that the clients send and"
            " receive, the hand-over of the base model included, over the number of clients; what"
            " else was chosen is in the record."
        ),
        says=(train_sentences,),
        tables=(train_tables,),
        definitions={
            "Accuracy of a training": (
                "The share of the test split classified rightly; high and low hold-outs are what"
                " each group’s clients keep back, pooled; the worst decile is the tenth of the"
                " clients that fare worst on their own."
            )
        },
        command="zobench train --out DIR",
        optional=True,
    ),
    Section(
        group="frontier",
        title="What fits, and what it reaches",
        lead=(
            "Every training of the accuracy section, or of a data set of files, in each way that"
            " its steps can be taken. The cap is on a low-resource client; high-resource clients"
            " have what the table says. Time is that of rounds one after the other, each as long as"
            " one client’s work, links left out. Figures are means over the seeds, without"
            " intervals."
        ),
        says=(frontier_sentences,),
        tables=(frontier_tables,),
        plots=(cap_plots,),
        definitions={
            "Memory, time and joules of a method": (
                "One client of each group in a real round of each phase: live tensors at torch’s"
                " dispatcher while it computes its update, weights and its data included; wall time"
                " of that and of applying the result, one thread, in another pass. Joules only"
                " where the machine has a counter."
            )
        },
        command="zobench run --only accuracy,frontier",
    ),
    Section(
        group="tables",
        title="The paper’s tables and figures, made anew",
        lead=(
            "Whole trainings, one a seed, with the paper’s value beside ours where the data are"
            " the paper’s or not: elsewhere the order of the methods is what can be compared, not"
            " the figures. Differences are between runs of one seed, which share partition,"
            " initial weights and cohorts."
        ),
        tables=(replication_tables,),
        plots=(replication_plots,),
        command="zobench run --only tables",
        optional=True,
    ),
    Section(
        group="engine",
        title="The engine",
        lead=(
            "What the passes over the weights cost on this machine, held to the bars that the"
            " suite sets them; a / b is the time of a over the time of b."
        ),
        tables=(engine_tables,),
    ),
    Section(
        group="llm",
        title="Language models",
        lead=(
            "One step of language models with random weights, sequences of 128 tokens; backprop is"
            " SGD without momentum, and is tried under a limit that the kernel enforces."
        ),
        tables=(llm_tables,),
        optional=True,
    ),
)
