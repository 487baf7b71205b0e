"""What crosses the link: round trips, exact lengths, and nothing malformed gets through."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from zo_core_children import extra_bytes_of_payload

import devices
from zo_core.payloads.core import (
    DenseWeights,
    ElasticUpdate,
    MixedResult,
    Payload,
    PayloadError,
    RoundResult,
    ScalarUpdate,
    SeedPool,
    Snapshot,
    SparseChange,
)

MIB = 1 << 20
U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


def floats(shape: Any) -> st.SearchStrategy[Any]:
    return hnp.arrays(np.float32, shape, elements=FINITE)


@st.composite
def round_results(draw: Any) -> RoundResult:
    participates = draw(hnp.arrays(np.bool_, st.integers(0, 40)))
    shape = (int(participates.sum()), draw(st.integers(0, 4)))
    losses = draw(floats(shape[0] if draw(st.booleans()) else 0))
    return RoundResult(
        run_id=draw(U64),
        round_index=draw(U32),
        digest=draw(st.binary(min_size=8, max_size=8)),
        participates=participates,
        losses=losses,
        differences=draw(floats(shape)),
    )


@st.composite
def mixed_results(draw: Any) -> MixedResult:
    scalars = draw(round_results())
    rows = draw(st.integers(0, len(scalars.differences)))
    return MixedResult(
        run_id=draw(U64),
        round_index=draw(U32),
        digest=draw(st.binary(min_size=8, max_size=8)),
        participates=scalars.participates,
        differences=scalars.differences[:rows],
        increment=draw(hnp.arrays(np.int32, st.integers(0, 20))),
    )


@st.composite
def sparse_changes(draw: Any) -> SparseChange:
    positions = sorted(draw(st.sets(st.integers(0, 40), max_size=9)))
    return SparseChange(
        run_id=draw(U64),
        round_index=draw(U32),
        slot=draw(U32),
        samples=draw(U32),
        count=draw(st.integers(41, 2**32 - 1)),
        positions=np.array(positions, np.uint32),
        values=draw(floats(len(positions))),
        buffers=draw(floats(st.integers(0, 5))),
    )


PAYLOADS = st.one_of(
    sparse_changes(),
    st.builds(
        ElasticUpdate,
        run_id=U64,
        round_index=U32,
        slot=U32,
        samples=U32,
        digest=st.binary(min_size=8, max_size=8),
        differences=floats(st.integers(0, 9)),
        values=floats(st.integers(0, 20)),
    ),
    st.builds(
        DenseWeights,
        run_id=U64,
        round_index=U32,
        slot=U32,
        samples=U32,
        values=floats(st.integers(0, 20)),
    ),
    st.builds(
        ScalarUpdate,
        run_id=U64,
        round_index=U32,
        slot=U32,
        digest=st.binary(min_size=8, max_size=8),
        loss=st.none() | FINITE,
        differences=floats(st.integers(0, 9)),
    ),
    st.builds(
        SeedPool,
        run_id=U64,
        round_index=U32,
        slot=U32,
        samples=U32,
        digest=st.binary(min_size=8, max_size=8),
        scalars=floats(st.integers(0, 20)),
    ),
    st.builds(
        Snapshot,
        run_id=U64,
        round_index=U32,
        exponents=hnp.arrays(np.int32, st.integers(0, 9)),
        values=floats(st.integers(0, 20)),
        state=floats(st.integers(0, 9)),
    ),
    round_results(),
    mixed_results(),
)


def examples() -> list[Payload]:
    """One of each kind, all fields different from 0."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=11).astype(np.float32)
    ids: dict[str, Any] = {"run_id": 2**64 - 2, "round_index": 7}
    present = np.array([True, False, True, True] * 3)
    return [
        DenseWeights(**ids, slot=3, samples=900, values=values),
        ScalarUpdate(**ids, slot=3, digest=b"abcdefgh", differences=values[:3]),
        RoundResult(
            **ids,
            digest=b"abcdefgh",
            participates=present,
            differences=rng.normal(size=(9, 3)).astype(np.float32),
        ),
        Snapshot(**ids, exponents=np.array([-26, 3], np.int32), values=values),
    ]


EXAMPLES = pytest.mark.parametrize("payload", examples(), ids=lambda p: type(p).__name__)


@given(PAYLOADS)
@settings(max_examples=150)
def test_a_payload_comes_back_as_it_was_and_is_as_long_as_it_says(payload: Payload) -> None:
    body = payload.encode()
    assert payload.num_bytes == len(body)
    decoded = Payload.decode(body)
    assert type(decoded) is type(payload)
    assert decoded == payload
    assert decoded.encode() == body
    assert hash(decoded) == hash(payload)


def test_the_bytes_of_an_update_by_hand() -> None:
    update = ScalarUpdate(
        run_id=0x0102030405060708,
        round_index=0x0A0B0C0D,
        slot=5,
        digest=b"12345678",
        differences=np.array([0.5, -2.0], np.float32),
    )
    assert update.encode().hex(" ") == (
        "5a 4f 01 02 08 07 06 05 04 03 02 01 0d 0c 0b 0a 05 00 00 00 "
        "31 32 33 34 35 36 37 38 02 00 00 00 00 3f 00 00 00 c0"
    )


def test_the_bytes_of_a_result_by_hand() -> None:
    """Cohort of 10, slots 0 and 9 counted: bit i of the bitmap is the i-th slot."""
    participates = np.zeros(10, bool)
    participates[[0, 9]] = True
    result = RoundResult(
        run_id=1,
        round_index=2,
        digest=b"12345678",
        participates=participates,
        differences=np.array([[0.5], [-2.0]], np.float32),
    )
    assert result.encode().hex(" ") == (
        "5a 4f 01 03 01 00 00 00 00 00 00 00 02 00 00 00 31 32 33 34 35 36 37 38 "
        "0a 00 00 00 01 00 01 02 00 00 00 3f 00 00 00 c0"
    )


def test_payloads_of_different_content_or_kind_differ() -> None:
    payloads = examples()
    assert all((a == b) == (a is b) for a in payloads for b in payloads)
    dense = payloads[0]
    assert isinstance(dense, DenseWeights)
    changed = DenseWeights(
        run_id=dense.run_id, round_index=7, slot=3, samples=900, values=dense.values + 1
    )
    assert changed != dense
    assert dense != b"bytes"


@EXAMPLES
def test_every_truncation_is_refused(payload: Payload) -> None:
    body = payload.encode()
    for end in range(len(body)):
        with pytest.raises(PayloadError, match="truncated"):
            Payload.decode(body[:end])


@EXAMPLES
@pytest.mark.parametrize("extra", [b"\0", b"\0\0\0\0", b"ZO"])
def test_appended_bytes_are_refused(payload: Payload, extra: bytes) -> None:
    with pytest.raises(PayloadError, match=f"over-long by {len(extra)}"):
        Payload.decode(payload.encode() + extra)


@EXAMPLES
@pytest.mark.parametrize(
    ("at", "byte", "message"),
    [
        (0, 0x5B, "start with b'ZO'"),
        (1, 0x6F, "start with b'ZO'"),
        (2, 0, "version must be 1, got 0"),
        (2, 2, "version must be 1, got 2"),
        (3, 0, r"kind must be one of \[1, 2, 3, 4, .*\], got 0"),
        (3, 100, "kind must be one of"),
        (3, 255, "kind must be one of"),
    ],
)
def test_a_wrong_magic_version_or_kind_is_refused(
    payload: Payload, at: int, byte: int, message: str
) -> None:
    body = bytearray(payload.encode())
    body[at] = byte
    with pytest.raises(PayloadError, match=message):
        Payload.decode(bytes(body))


@EXAMPLES
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_not_finite_is_refused_wherever_it_stands(
    payload: Payload, bad: float
) -> None:
    body = payload.encode()
    count = payload.differences.size if hasattr(payload, "differences") else payload.values.size  # type: ignore[attr-defined]
    for i in range(1, count + 1):
        end = len(body) - 4 * (count - i)
        with pytest.raises(PayloadError, match="not finite"):
            Payload.decode(body[: end - 4] + struct.pack("<f", bad) + body[end:])


@pytest.mark.parametrize("bit", range(4, 8))
def test_bitmap_bits_beyond_the_cohort_are_refused(bit: int) -> None:
    result = examples()[2]
    body = bytearray(result.encode())
    at = 4 + struct.calcsize("<QI8sIH") + 1  # a cohort of 12: four bits of the second byte
    body[at] |= 1 << bit
    with pytest.raises(PayloadError, match="bits beyond its count"):
        Payload.decode(bytes(body))


ABSURD = {
    "dense of 2^60": b"ZO\x01\x01" + struct.pack("<QIIIQ", 1, 0, 0, 1, 2**60),
    "dense of 2^64 - 1": b"ZO\x01\x01" + struct.pack("<QIIIQ", 1, 0, 0, 1, 2**64 - 1),
    "dense of 2^62, whose size wraps": b"ZO\x01\x01" + struct.pack("<QIIIQ", 1, 0, 0, 1, 2**62),
    "scalars": b"ZO\x01\x02" + struct.pack("<QII8sH", 1, 0, 0, b"", 2**16 - 1),
    "cohort of 2^32 - 1": b"ZO\x01\x03" + struct.pack("<QI8sIH", 1, 0, b"", 2**32 - 1, 1),
    "directions": b"ZO\x01\x03" + struct.pack("<QI8sIH", 1, 0, b"", 8, 2**16 - 1) + b"\xff",
    "tensors": b"ZO\x01\x04" + struct.pack("<QIIQ", 1, 0, 2**32 - 1, 0),
    "snapshot of 2^60": b"ZO\x01\x04" + struct.pack("<QIIQ", 1, 0, 0, 2**60),
}


@pytest.mark.parametrize("name", ABSURD)
def test_a_header_that_claims_too_much_is_refused(name: str) -> None:
    with pytest.raises(PayloadError, match="truncated"):
        Payload.decode(ABSURD[name] + bytes(100))


@pytest.mark.process
@pytest.mark.parametrize("name", ["dense of 2^60", "cohort of 2^32 - 1", "tensors"])
def test_a_header_that_claims_too_much_is_refused_before_anything_is_allocated(name: str) -> None:
    result = devices.run_isolated(extra_bytes_of_payload, ABSURD[name].hex())
    assert result.status == "ok", result.error
    refused, extra = result.value
    assert refused
    assert extra is None or extra < MIB


@EXAMPLES
def test_mutated_bodies_raise_a_payload_error_or_decode_and_nothing_else(payload: Payload) -> None:
    rng = np.random.default_rng(payload.KIND)
    body, decoded = np.frombuffer(payload.encode(), np.uint8), 0
    for _ in range(1500):
        mutant = body[: rng.integers(0, body.size + 1)] if rng.random() < 0.2 else body
        mutant = np.concatenate([mutant, rng.integers(0, 256, rng.integers(0, 3), np.uint8)])
        for at in rng.integers(0, max(mutant.size, 1), rng.integers(1, 4)):
            mutant[at : at + 1] = rng.integers(0, 256)
        raw = mutant.astype(np.uint8).tobytes()
        try:
            other = Payload.decode(raw)
        except PayloadError:
            continue
        decoded += 1
        assert other.encode() == raw  # what is accepted means exactly these bytes
    assert decoded > 50  # the mutants are near enough to reach behind the headers


def test_a_round_without_participants_has_a_body() -> None:
    empty = RoundResult(
        run_id=1,
        round_index=2,
        digest=bytes(8),
        participates=np.zeros(50, bool),
        differences=np.empty((0, 3), np.float32),
    )
    decoded = Payload.decode(empty.encode())
    assert decoded == empty
    assert isinstance(decoded, RoundResult)
    assert decoded.differences.shape == (0, 3)


def test_an_uplink_of_three_scalars_is_42_bytes_the_papers_12_and_a_header() -> None:
    update = examples()[1]
    assert update.num_bytes == 4 + 8 + 4 + 4 + 8 + 2 + 3 * 4
