"""The report’s fixed words: what each section is about and by what definition it is measured."""

from __future__ import annotations

TITLES = {
    "formulas": "The paper’s Table 1, held against measurement",
    "memory": "Peak memory of one step",
    "bytes": "Bytes of one round",
    "time": "Time of one step",
    "accuracy": "Accuracy that the resources buy",
    "engine": "The engine",
}

LEADS = {
    "formulas": (
        "Legate, Rish and Belilovsky, arXiv 2509.03503. Three columns for each of its figures: as"
        " printed, its formula recomputed, and measured here."
    ),
    "memory": (
        "The high-water mark of a fresh process during one training step, less what it held just"
        " before. Inference is two forwards in a row: as many as one ZO direction takes."
    ),
    "bytes": (
        "Scalars are the paper’s count, 4 bytes each; the payload is the encoded message with its"
        " header. ZO’s directions follow from the run’s seed and cost nothing."
    ),
    "time": (
        "Inference is two forwards; ZO is one direction: two forwards, the perturbations and the"
        " replay; FedAvg is forward, backward and update. A round of the paper takes S = 3"
        " directions over the client’s 900 images by ZO, three epochs over them by FedAvg."
    ),
    "accuracy": (
        "ZOWarmUp trains on high-resource clients up to the pivot and on all clients by ZO after"
        " it; High-Res-Only spends the same total of rounds on high-resource clients alone. The"
        " two run on the same seeds, so they are compared in pairs."
    ),
    "engine": (
        "What the passes over the weights cost on this machine, held to the bars that the suite"
        " sets them; a / b is the time of a over the time of b."
    ),
}

MEASURED_BY = {
    "Peak memory": (
        "A fresh process for each sample runs one unmeasured step first. The baseline is read just"
        " before the region, after garbage collection and a trim of the heap, so weights, batch"
        " and libraries are in it. The C library is told to give freed blocks back at once"
        " (MALLOC_MMAP_THRESHOLD_); left to itself glibc keeps some, which makes figures larger"
        " and scatter: the formulas' section shows by how much. MiB = 2²⁰ bytes."
    ),
    "Bytes": "The length of the encoded message, which is its cost; no estimate.",
    "Time": "Wall time in other runs than memory, one unmeasured repeat first.",
    "Accuracy": (
        "The share of the test split classified rightly, after the last round; high and low"
        " hold-outs are the pooled 10 % that each group’s clients keep back. Each seed is a run of"
        " its own, with its own partition, initial weights and cohorts."
    ),
    "Intervals": "Student’s t on the seeds’ paired differences, 95 %.",
}
