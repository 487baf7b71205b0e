"""Numbers as text for people: where raw bytes, seconds and shares get their units and rounding."""

from __future__ import annotations

import math

MIB = 1 << 20
MISSING = "–"

MODELS = {"resnet18": "ResNet18", "vit": "ViT", "cnn": "CNN", "small_resnet": "Small ResNet"}
METHODS = {"inference": "Inference", "zo": "ZO", "fedavg": "FedAvg"}
ALGORITHMS = {"zowarmup": "ZOWarmUp", "high-res-only": "High-Res-Only"}
# What is trained beside them with one seed: a row of the table, no curve.
FURTHER_ALGORITHMS = {
    "fedavg": "FedAvg, all clients",
    "heterofl": "HeteroFL",
    "zowarmup-fedkseed": "ZOWarmUp + FedKSeed",
    "zowarmup-hi-lo": "ZOWarmUp hi + lo",
    "zowarmup-fedadam": "ZOWarmUp, FedAdam",
    "high-res-only-fedadam": "High-Res-Only, FedAdam",
    "mezo": "MeZO, from scratch",
    "mezo-single": "MeZO on one client, from scratch",
    "fedkseed": "FedKSeed, from scratch",
    "fedzo": "FedZO, from scratch",
}
# What the frontier trains beside all of them where it has a data set of files.
FRONTIER_ALGORITHMS = {
    "zowarmup-elastic": "ZOWarmUp + ElasticZO",
    "warmup-partial": "Warm-up, then the last layer",
    "fjord": "FjORD",
}
FRUGAL = {
    "backprop-accumulated": "FedAvg, accumulated over 8",
    "backprop-checkpointed": "FedAvg, checkpointed",
    "backprop-accumulated-checkpointed": "FedAvg, accumulated over 8, checkpointed",
    "backprop-least": "FedAvg, one image at a time, checkpointed",
    "backprop-layerwise": "FedAvg, layer by layer",
    "backprop-last": "Backprop of the last layer alone",
    "backprop-bias-norm": "Backprop of biases and norms alone",
    "way-accumulated": "accumulated over 8",
    "way-checkpointed": "checkpointed",
    "way-accumulated-checkpointed": "accumulated over 8, checkpointed",
    "way-least": "one item at a time, checkpointed",
    "way-layerwise": "layer by layer",
    "way-by-8": "8 items a forward",
    "way-by-1": "1 item a forward",
    "zo-by-8": "ZO, 8 images a forward",
    "zo-by-1": "ZO, 1 image a forward",
}
VARIANTS = {
    "zowarmup-plain": "ZOWarmUp without grid",
    "zowarmup-forward": "ZOWarmUp, forward differences",
    "zowarmup-fzoo": "ZOWarmUp, FZOO",
    "fedavg-top-k": "FedAvg, up-link of the top 1 %",
    "fedavg-8-bit": "FedAvg, up-link of 8 bits",
    "fedavg-1-bit": "FedAvg, up-link of 1 bit",
    "warmup-last-2": "Warm-up, then the last two layers",
    "warmup-bias-norm": "Warm-up, then biases and norms",
}


def label(name: str) -> str:
    """Return the written form of a model, method or algorithm; an unknown name stays as it is."""
    known = (
        MODELS | FURTHER_ALGORITHMS | FRONTIER_ALGORITHMS | METHODS | FRUGAL | ALGORITHMS | VARIANTS
    )
    return known.get(name, name)


def significant(value: float, digits: int = 3) -> str:
    """Write a number to at least so many significant digits; only a tiny one by a power of ten.

    >>> significant(0.031249), significant(58.149), significant(11173962), significant(2.1e-7)
    ('0.0312', '58.1', '11,173,962', '2.1 × 10⁻⁷')
    """
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return _power_of_ten(value)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}".replace("-", "−")


def mib(size_bytes: float) -> str:
    """Write bytes as a number of MiB, without the unit."""
    return significant(size_bytes / MIB)


def milliseconds(elapsed_s: float) -> str:
    """Write seconds as a number of milliseconds, without the unit."""
    return significant(elapsed_s * 1e3)


def size(size_bytes: float) -> str:
    """Write bytes with the unit that suits them, in steps of 1024.

    >>> size(12), size(44_695_848), size(1 << 33)
    ('12 B', '42.6 MiB', '8 GiB')
    """
    if abs(size_bytes) < 1 << 10:
        return f"{size_bytes:,.0f} B"
    units = {"GiB": 1 << 30, "MiB": MIB, "KiB": 1 << 10}
    name, unit = next((n, u) for n, u in units.items() if abs(size_bytes) >= u)
    number = size_bytes / unit
    return f"{number:,.0f} {name}" if number.is_integer() else f"{significant(number)} {name}"


def instant(created: str) -> str:
    """Write a record's time of creation, ISO 8601 in UTC, to the minute."""
    return f"{created[:16].replace('T', ' ')} UTC"


def duration(elapsed_s: float) -> str:
    """Write seconds as ms below one second and as s from there on."""
    return f"{milliseconds(elapsed_s)} ms" if elapsed_s < 1 else f"{significant(elapsed_s)} s"


def percent(share: float) -> str:
    """Write a share as per cent with one decimal: 0.8712 is "87.1 %"."""
    return f"{100 * share:.1f} %"


def points(share: float) -> str:
    """Write a difference of shares in percentage points, with its sign: 0.069 is "+6.9"."""
    return f"{100 * share:+.1f}".replace("-", "−")


def times(ratio: float) -> str:
    """Write a ratio; a large one to two digits, since no more of it is of use.

    >>> times(7.4649), times(44.83), times(948_213.0)
    ('7.46', '44.8', '950,000')
    """
    return f"{float(f'{ratio:.2g}'):,.0f}" if ratio >= 100 else significant(ratio)


def split_of(high_share: float) -> str:
    """Write the clients' shares, high- and low-resource, in per cent; parse_split reads it.

    >>> split_of(0.1), split_of(0.925)
    ('10/90', '92.5/7.5')
    """
    high = 100 * high_share
    return f"{high:g}/{100 - high:g}"


def place_key(row: str, split: str) -> str:
    """Begin the names of a table's metrics at one row and split."""
    return f"{row}/{split.replace('/', '-')}"


def less_or_more(ours: float, theirs: float) -> str:
    """Write how many times less or more one amount is than another.

    >>> less_or_more(2.0, 7.0), less_or_more(1.002, 1.0), less_or_more(0.0, 1.0)
    ('3.50 times less', 'the same', 'an amount that gives no ratio')
    """
    if ours <= 0 or theirs <= 0:
        return "an amount that gives no ratio"
    ratio = max(ours, theirs) / min(ours, theirs)
    text = f"about {times(ratio)}" if ratio >= 100 else times(ratio)
    return "the same" if text == "1.00" else f"{text} times {'less' if theirs > ours else 'more'}"


def megabytes(value: float | str | None) -> str:
    """Write the paper's MB (10^6 bytes) with one decimal as the paper does; a small one exactly.

    >>> megabytes(44.695848), megabytes(1.2e-5)
    ('44.7', '1.2 × 10⁻⁵')
    """
    if value is None:
        return MISSING
    if isinstance(value, str):
        return value
    if value == 0 or abs(value) >= 0.05:
        return f"{value:,.1f}".replace("-", "−")
    return _power_of_ten(value)


def quantity(value: float, unit: str) -> str:
    """Write a metric in what suits its unit.

    >>> quantity(4096, "byte"), quantity(1.25, "ratio"), quantity(20.7, "GB/s")
    ('4 KiB', '1.25 ×', '20.7 GB/s')
    """
    writers = {"byte": size, "second": duration, "share": percent, "count": "{:,.0f}".format}
    if unit in writers:
        return writers[unit](value)
    return f"{significant(value)} {'×' if unit == 'ratio' else unit}"


def _power_of_ten(value: float) -> str:
    mantissa, exponent = f"{value:.1e}".split("e")
    superscript = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa} × 10{superscript}".replace("-", "−")
