"""Golden bytes of every kind of payload and message: old logs and other programs read them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zo_core.federation.protocol.messages import (
    FRESH,
    HIGH,
    Announce,
    Hello,
    Reason,
    Refusal,
    Resync,
    Welcome,
)
from zo_core.federation.protocol.transfer import Chunk, Purpose
from zo_core.payloads.core import (
    DenseWeights,
    ElasticUpdate,
    MixedResult,
    Payload,
    RoundResult,
    ScalarUpdate,
    SeedPool,
    Snapshot,
    SparseChange,
    SubModel,
)

RUN: dict[str, Any] = {"run_id": 0xF1E2D3C4B5A69788, "round_index": 0x01020304}
CLIENT: dict[str, Any] = {**RUN, "slot": 5, "samples": 900}
DIGEST = b"abcdefgh"
FLOATS = np.array([0.5, -2.0, 3.0e-4, 0.0, -1.0e9], np.float32)
COHORT = np.array([True, False, True, True, False, False, False, False, True, False])
NONE = np.empty(0, np.float32)
SPARSE_POOL = np.zeros(12, np.float32)
SPARSE_POOL[[1, 11]] = 0.25, -4.0

EXAMPLES: dict[str, Payload] = {
    "dense": DenseWeights(**CLIENT, values=FLOATS),
    "dense, empty": DenseWeights(**CLIENT, values=NONE),
    "scalars": ScalarUpdate(**RUN, slot=5, digest=DIGEST, differences=FLOATS[:3]),
    "result": RoundResult(
        **RUN,
        digest=DIGEST,
        participates=COHORT,
        differences=np.arange(8, dtype=np.float32).reshape(4, 2),
    ),
    "result of nobody": RoundResult(
        **RUN, digest=DIGEST, participates=~COHORT & COHORT, differences=NONE.reshape(0, 3)
    ),
    "snapshot": Snapshot(**RUN, exponents=np.array([-26, 3], np.int32), values=FLOATS),
    "snapshot with state": Snapshot(
        **RUN, exponents=np.array([7], np.int32), values=FLOATS[:2], state=FLOATS[2:]
    ),
    "pool as a list": SeedPool(**CLIENT, digest=DIGEST, scalars=FLOATS),
    "pool as pairs": SeedPool(**CLIENT, digest=DIGEST, scalars=SPARSE_POOL),
    "pool of zeros": SeedPool(**CLIENT, digest=DIGEST, scalars=np.zeros(4, np.float32)),
    "mixed result": MixedResult(
        **RUN,
        digest=DIGEST,
        participates=COHORT,
        differences=FLOATS[:4].reshape(2, 2),
        increment=np.array([-1, 0, 1 << 30], np.int32),
    ),
    "mixed result of scalars": MixedResult(
        **RUN,
        digest=DIGEST,
        participates=COHORT,
        differences=FLOATS[:4].reshape(4, 1),
        increment=np.empty(0, np.int32),
    ),
    "sub-model": SubModel(**RUN, slot=5, labels=COHORT, values=FLOATS),
    "sub-model of all labels": SubModel(**RUN, slot=5, labels=COHORT[:0], values=FLOATS[:1]),
    "elastic": ElasticUpdate(**CLIENT, digest=DIGEST, differences=FLOATS[:2], values=FLOATS[2:]),
    "sparse": SparseChange(
        **CLIENT,
        count=70_000,
        positions=np.array([0, 7, 65_999], np.uint32),
        values=FLOATS[:3],
        buffers=FLOATS[3:],
    ),
    "hello": Hello(**RUN, digest=DIGEST, slot=4, flags=HIGH),
    "first hello": Hello(run_id=0, round_index=0, flags=FRESH),
    "welcome": Welcome(**RUN, run_seed=9, slot=1, plan=b'{"a":1}'),
    "announce": Announce(**RUN, digest=DIGEST, left_ms=60_000),
    "resync": Resync(**RUN, digest=DIGEST, reason=Reason.HAND_OVER, total=1 << 40),
    "refusal": Refusal(**RUN, reason=Reason.ROSTER_FULL),
    "last chunk": Chunk(
        **RUN,
        slot=3,
        purpose=Purpose.MODEL,
        check=DIGEST,
        total=130,
        chunk_bytes=64,
        index=2,
        data=b"ab",
    ),
}

GOLDEN = {  # name -> the whole body, hex
    "dense": (
        "5a4f01018897a6b5c4d3e2f104030201050000008403000005000000000000000000003f000000c0"
        "52499d3900000000286b6ece"
    ),
    "dense, empty": "5a4f01018897a6b5c4d3e2f10403020105000000840300000000000000000000",
    "scalars": (
        "5a4f01028897a6b5c4d3e2f10403020105000000616263646566676803000000003f000000c052499d39"
    ),
    "result": (
        "5a4f01038897a6b5c4d3e2f10403020161626364656667680a00000002000d01000000000000803f"
        "0000004000004040000080400000a0400000c0400000e040"
    ),
    "result of nobody": "5a4f01038897a6b5c4d3e2f10403020161626364656667680a00000003000000",
    "snapshot": (
        "5a4f01048897a6b5c4d3e2f104030201020000000500000000000000e6ffffff030000000000003f"
        "000000c052499d3900000000286b6ece"
    ),
    "snapshot with state": (
        "5a4f01058897a6b5c4d3e2f104030201010000000200000000000000070000000000003f000000c0"
        "030000000000000052499d3900000000286b6ece"
    ),
    "pool as a list": (
        "5a4f01068897a6b5c4d3e2f104030201050000008403000061626364656667680500000005000000"
        "0000003f000000c052499d3900000000286b6ece"
    ),
    "pool as pairs": (
        "5a4f01068897a6b5c4d3e2f104030201050000008403000061626364656667680c00000002000000"
        "01000b000000803e000080c0"
    ),
    "pool of zeros": (
        "5a4f01068897a6b5c4d3e2f104030201050000008403000061626364656667680400000000000000"
    ),
    "mixed result": (
        "5a4f01078897a6b5c4d3e2f10403020161626364656667680a000000020000000200030000000000"
        "00000d010000003f000000c052499d3900000000ffffffff0000000000000040"
    ),
    "mixed result of scalars": (
        "5a4f01078897a6b5c4d3e2f10403020161626364656667680a000000040000000100000000000000"
        "00000d010000003f000000c052499d3900000000"
    ),
    "sub-model": (
        "5a4f01088897a6b5c4d3e2f104030201050000000a00000005000000000000000d010000003f0000"
        "00c052499d3900000000286b6ece"
    ),
    "sub-model of all labels": (
        "5a4f01088897a6b5c4d3e2f104030201050000000000000001000000000000000000003f"
    ),
    "elastic": (
        "5a4f01098897a6b5c4d3e2f104030201050000008403000061626364656667680200030000000000"
        "00000000003f000000c052499d3900000000286b6ece"
    ),
    "sparse": (
        "5a4f010a8897a6b5c4d3e2f104030201050000008403000070110100030000000200000000000000"
        "07000000cf0101000000003f000000c052499d3900000000286b6ece"
    ),
    "hello": "5a4f01208897a6b5c4d3e2f10403020161626364656667680400000001",
    "first hello": "5a4f01200000000000000000000000000000000000000000ffffffff02",
    "welcome": "5a4f01218897a6b5c4d3e2f104030201090000000000000001000000070000007b2261223a317d",
    "announce": "5a4f01228897a6b5c4d3e2f104030201616263646566676860ea0000",
    "resync": "5a4f01238897a6b5c4d3e2f1040302016162636465666768100000000000010000",
    "refusal": "5a4f01248897a6b5c4d3e2f10403020104",
    "last chunk": (
        "5a4f01258897a6b5c4d3e2f104030201030000000261626364656667688200000000000000400000"
        "00020000006162"
    ),
}

SCALAR_BYTES = {  # name -> what the paper counts; nothing of the others
    "dense": 20,
    "dense, empty": 0,
    "scalars": 12,
    "result": 32,
    "result of nobody": 0,
    "snapshot": 20,
    "snapshot with state": 8,
    "pool as a list": 20,
    "pool as pairs": 48,
    "pool of zeros": 16,
    "mixed result": 28,
    "mixed result of scalars": 16,
    "sub-model": 20,
    "sub-model of all labels": 4,
    "elastic": 20,
    "sparse": 20,
}
BY_NAME = pytest.mark.parametrize("name", EXAMPLES)


@BY_NAME
def test_a_body_has_the_bytes_that_it_always_had(name: str) -> None:
    body = EXAMPLES[name].encode()
    assert body.hex() == GOLDEN[name]
    assert EXAMPLES[name].num_bytes == len(body)


@BY_NAME
def test_a_golden_body_gives_the_fields_that_it_was_made_from(name: str) -> None:
    assert Payload.decode(bytes.fromhex(GOLDEN[name])) == EXAMPLES[name]


@BY_NAME
def test_the_paper_counts_numbers_and_neither_header_nor_positions(name: str) -> None:
    assert EXAMPLES[name].scalar_bytes == SCALAR_BYTES.get(name, 0)
